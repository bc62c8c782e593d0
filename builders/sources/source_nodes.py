"""The nodes that read a retrieval set, check it, and cut it where asked."""

from __future__ import annotations

from dsbuild.builders.sections import SourceSection
from dsbuild.builders.sources.limit import LimitSet
from dsbuild.builders.sources.read import CheckSource, ReadSource
from dsbuild.builders.sources.source import Source, SourceFacts
from dsbuild.graph import Input, Node


def source_nodes(section: SourceSection, source: Source, facts: SourceFacts) -> tuple[list[Node], dict[str, Input]]:
    """Read, check and cut the set; returns where its three tables then are."""
    read = ReadSource.of(source, facts, section.columns, section.options)
    tables = {table: Input("read", table, "all") for table in ("corpus", "queries", "qrels")}
    nodes = [
        Node("read", read),
        Node("sound", CheckSource(facts.lang, source.judged, section.on_missing), dict(tables)),
    ]
    tables["qrels"] = Input("sound", "qrels", "all")
    if section.limit is not None:
        nodes.append(Node("limit", LimitSet(section.limit), dict(tables)))
        tables = {table: Input("limit", table, "all") for table in tables}
    return nodes, tables
