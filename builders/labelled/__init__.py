"""Formats of sets with labelled spans, one file each, read and written."""
