"""The build in which a language model judges the pairs of a set."""
