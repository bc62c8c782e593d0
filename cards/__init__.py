"""Cards: the data card of a release, made from computed facts."""
