"""What a set is worth: retrieval measures, damage that a translation did, correlation of rankings, selection of tasks."""
