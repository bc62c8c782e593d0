"""The corpus, queries and judgements of an opened source, by language."""

from __future__ import annotations

from dataclasses import replace

from dsbuild.builders.sources.opened import Opened, OpenTable
from dsbuild.errors import SourceError
from dsbuild.graph import Input
from dsbuild.tables import RETRIEVAL_TABLES


def retrieval_tables(opened: Opened) -> Opened:
    """The source with its corpus, queries and judgements alone."""
    return replace(opened, tables=tuple(one for one in opened.tables if one.table in RETRIEVAL_TABLES))


def languages_of(opened: Opened, *, of: tuple[str, ...] = ("queries",)) -> tuple[str, ...]:
    """The languages that have one of the tables, the source's first; `SourceError` where one has no judgements or no corpus."""
    langs = sorted({one.lang for one in opened.tables if one.table in of})
    langs.sort(key=lambda lang: lang != opened.facts.lang)
    for lang in langs:
        for table in ("corpus", "qrels"):
            table_of(opened, lang, table)
    if not langs:
        raise SourceError(
            f"{opened.facts.name}: no queries; name a retrieval set, such as beir:DIR or a release of one"
        )
    return tuple(langs)


def table_of(opened: Opened, lang: str, table: str) -> OpenTable:
    """A table of a language, or that of the source where the language has none of its own."""
    for wanted in (lang, opened.facts.lang):
        for one in opened.tables:
            if (one.lang, one.table) == (wanted, table):
                return one
    what = {"qrels": "no judgements", "corpus": "no documents"}.get(table, f"no {table}")
    raise SourceError(f"{opened.facts.name}: {what} in {lang}; name a set with corpus, queries and qrels")


def whole(rows: Input) -> Input:
    """A table as a whole."""
    return Input(rows.node, rows.output, "all")
