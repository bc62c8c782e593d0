"""Releases in the layouts of other libraries, one file each."""
