"""Reading what users have: retrieval sets, tables of texts, files of every layout; checked row by row."""
