"""BEIR folders: corpus.jsonl, queries.jsonl, qrels/<split>.tsv."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dsbuild.builders.sources.filesource import About, FileSource, Layout
from dsbuild.builders.sources.lines import bare_name, suffixes
from dsbuild.builders.sources.qrels import qrels_file
from dsbuild.builders.sources.readme import readme_facts
from dsbuild.builders.sources.rows import TableFile
from dsbuild.builders.sources.source import Opening
from dsbuild.builders.sources.tabular import table_file
from dsbuild.builders.sources.text_language import settled

_JSON = (".jsonl", ".ndjson", ".json")
_QRELS = (".tsv", ".txt", ".qrels", ".trec")


def open_beir(opening: Opening) -> FileSource:
    """Open beir:DIR; files may be compressed, and qrels may lack the header line or have TREC's four columns.

    The language is the user's, else the one that the folder's README.md names, else the one that its passages seem to be in.
    """
    opening.only_options()
    opening.no_columns()
    folder = opening.folder()
    readme = readme_facts(folder)
    lang, layout = settled(opening, beir_layout(folder), readme.lang)
    return FileSource(opening, About(folder.resolve().name, lang, readme.license), layout)


def beir_layout(folder: Path, columns: Mapping[str, str] | None = None) -> Layout:
    """The files of a BEIR folder; a table that is not there has none.

    A lone `qrels.tsv` beside the corpus is the split `test`.
    """
    columns = columns or {}
    tables: dict[str, tuple[TableFile, ...]] = {}
    for table in ("corpus", "queries"):
        path = one_file(folder, table, _JSON)
        tables[table] = (table_file(table, path, columns),) if path else ()
    inner = folder / "qrels"
    files = (
        sorted(path for path in inner.iterdir() if path.is_file() and suffixes(path)[0] in (*_QRELS, *_JSON))
        if inner.is_dir()
        else []
    )
    qrels = tuple(judgements(path, bare_name(path), columns) for path in files)
    if not qrels and (alone := one_file(folder, "qrels", (*_QRELS, *_JSON))):
        qrels = (judgements(alone, None, columns),)
    return Layout(folder, tables["corpus"], tables["queries"], qrels, "test")


def judgements(path: Path, split: str | None, columns: Mapping[str, str]) -> TableFile:
    """A file of qrels, JSON lines or columns."""
    if suffixes(path)[0] in _JSON:
        return table_file("qrels", path, columns, split=split)
    return qrels_file(path, split, columns)


def one_file(folder: Path, name: str, endings: tuple[str, ...]) -> Path | None:
    """The file `name` with one of the endings, compressed or not; the first in this order where there are several."""
    for ending in endings:
        for packed in ("", ".gz", ".bz2", ".zst"):
            path = folder / f"{name}{ending}{packed}"
            if path.is_file():
                return path
    return None
