"""The build that translates: retrieval sets, tables of texts and instruction data into other languages."""
