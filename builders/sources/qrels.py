"""Judgement files as they are found: TREC's four columns, BEIR's three with or without a header line, two columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from dsbuild.builders.sources.columns import ALIASES, resolve
from dsbuild.builders.sources.lines import first_line
from dsbuild.builders.sources.rows import TableFile
from dsbuild.errors import SourceError

_INTEGER = re.compile(r"[+-]?[0-9]+")
_LAYOUTS = {
    4: ("query_id", "iteration", "doc_id", "relevance"),
    3: ("query_id", "doc_id", "relevance"),
    2: ("query_id", "doc_id"),
}


def qrels_file(path: Path, split: str | None, columns: Mapping[str, str]) -> TableFile:
    """How a judgement file is to be read, told by its first line.

    Tabs separate columns where the line has one, else white space. A first line that names columns is a header; without
    one the number of columns tells the layout: 4 is TREC (query, iteration, document, grade), 3 is BEIR, 2 has grade 1.
    """
    line = first_line(path)
    tabbed = "\t" in line
    fields = line.split("\t") if tabbed else line.split()
    known = {alias for aliases in ALIASES["qrels"].values() for alias in aliases} | set(columns.values())
    if tabbed and len(known & set(fields)) >= 2:
        return TableFile(path, "tsv", resolve("qrels", path, fields, columns), tuple(fields), header=True, split=split)
    if not line:
        names = _LAYOUTS[3]
    elif len(fields) in _LAYOUTS:
        names = _LAYOUTS[len(fields)]
    else:
        raise SourceError(
            f"{path}:1: {len(fields)} columns; qrels have 4 (query, iteration, document, grade), "
            "3 (query, document, grade) or 2"
        )
    if line and names[-1] == "relevance" and not _INTEGER.fullmatch(fields[-1].strip()):
        raise SourceError(
            f"{path}:1: {fields[-1]!r} is not a whole number, and the line names no columns such as "
            "query-id, corpus-id, score; write the grade as 0, 1, 2, …"
        )
    return TableFile(
        path, "tsv" if tabbed else "spaced", {name: name for name in names if name != "iteration"}, names, split=split
    )
