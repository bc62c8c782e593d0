"""Files with named columns: TSV, JSON lines and Parquet, with a column map."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from dsbuild.builders.sources.columns import resolve
from dsbuild.builders.sources.filesource import About, FileSource, Layout
from dsbuild.builders.sources.lines import bare_name, first_line, suffixes
from dsbuild.builders.sources.qrels import qrels_file
from dsbuild.builders.sources.readme import readme_facts
from dsbuild.builders.sources.rows import Format, TableFile, parquet_columns
from dsbuild.builders.sources.source import Opening
from dsbuild.builders.sources.text_language import settled
from dsbuild.errors import SourceError
from dsbuild.tables import RetrievalTable

FORMATS: Mapping[str, Format] = {
    ".tsv": "tsv",
    ".tab": "tsv",
    ".txt": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}

# Folder and file names of each table, in order of preference: dsbuild's, BEIR's and MTEB's.
TABLE_NAMES: Mapping[RetrievalTable, tuple[str, ...]] = {
    "corpus": ("corpus",),
    "queries": ("queries", "query"),
    "qrels": ("qrels", "default"),
}

_SHARD = re.compile(r"(?P<split>.+?)-\d{5}-of-\d{5}")


def open_files(opening: Opening) -> FileSource:
    """Open tsv:FILE or jsonl:FILE: the corpus; options `queries` and `qrels` name the other files.

    Further options: `split` (of queries and qrels without a split column, "train" if not said), and `header=no` for TSV
    whose columns are then named 1, 2, …. Relative paths are relative to the current folder.
    """
    opening.only_options("queries", "split", "header")
    corpus = Path(opening.path).expanduser()
    if "queries" not in opening.options:
        raise SourceError(
            f"{opening.spec}: which file holds the queries? Name it: --set source.options.queries=FILE (and qrels=FILE); "
            "a table of texts alone is translated with --table documents"
        )
    numbered = opening.options.get("header") == "no"
    tables: dict[RetrievalTable, tuple[TableFile, ...]] = {
        "corpus": (
            table_file(
                "corpus", corpus, opening.columns, form="tsv" if opening.kind == "tsv" else "jsonl", numbered=numbered
            ),
        ),
        "queries": (
            table_file("queries", Path(opening.options["queries"]).expanduser(), opening.columns, numbered=numbered),
        ),
    }
    qrels = opening.options.get("qrels", "none")
    if qrels != "none":
        tables["qrels"] = (table_file("qrels", Path(qrels).expanduser(), opening.columns),)
    layout = Layout(
        corpus.parent,
        tables["corpus"],
        tables["queries"],
        tables.get("qrels", ()),
        opening.options.get("split", "train"),
    )
    lang, layout = settled(opening, layout)
    return FileSource(opening, About(bare_name(corpus), lang), layout)


def open_parquet(opening: Opening) -> FileSource:
    """Open parquet:DIR: `corpus/`, `queries/`, `qrels/` (or files of these names), or a release's `<lang>-corpus/`."""
    opening.only_options("split")
    folder = opening.folder()
    readme = readme_facts(folder)
    langs = sorted(path.name.removesuffix("-corpus") for path in folder.glob("*-corpus") if path.is_dir())
    prefix = ""
    if langs and not _parquet_files(folder, "corpus"):
        if opening.lang is None and len(langs) > 1:
            raise SourceError(
                f"{opening.spec}: it holds {', '.join(langs)}; say which to read: --lang {langs[0]} (translate: --src-lang)"
            )
        lang = opening.lang or langs[0]
        if lang not in langs:
            raise SourceError(f"{opening.spec}: no {lang}-corpus in it; it holds {', '.join(langs)}")
        prefix = f"{lang}-"
    else:
        lang = ""
    layout = parquet_layout(folder, prefix, opening.columns, opening.options.get("split", "train"))
    if not lang:
        lang, layout = settled(opening, layout, readme.lang)
    return FileSource(opening, About(folder.resolve().name, lang, readme.license), layout)


def parquet_layout(folder: Path, prefix: str, columns: Mapping[str, str], split: str = "train") -> Layout:
    """The Parquet files of each table in a folder; a table's name is `prefix` and one of `TABLE_NAMES`."""
    found: dict[RetrievalTable, tuple[TableFile, ...]] = {}
    for table, names in TABLE_NAMES.items():
        paths = next((paths for name in names if (paths := _parquet_files(folder, prefix + name))), [])
        found[table] = tuple(table_file(table, path, columns, split=_shard_split(path)) for path in paths)
    return Layout(folder, found["corpus"], found["queries"], found["qrels"], split)


def table_file(
    table: RetrievalTable,
    path: Path,
    columns: Mapping[str, str],
    *,
    split: str | None = None,
    form: Format | None = None,
    numbered: bool = False,
) -> TableFile:
    """How a file of named columns is to be read: its format by suffix, its columns by the map and the common names.

    numbered: a TSV file without a header line; its columns are named 1, 2, ….
    """
    form = form or FORMATS.get(suffixes(path)[0])
    if form is None:
        raise SourceError(
            f"{path}: cannot tell its format; name it .tsv, .jsonl or .parquet (.gz, .bz2 and .zst are read too)"
        )
    if form == "parquet":
        return TableFile(path, "parquet", resolve(table, path, parquet_columns(path), columns), split=split)
    if form == "jsonl":
        return TableFile(path, "jsonl", _json_columns(table, path, columns), split=split)
    if table == "qrels" and not numbered:
        return qrels_file(path, split, columns)
    fields = first_line(path).split("\t")
    names = [str(number) for number in range(1, len(fields) + 1)] if numbered else fields
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise SourceError(
            f"{path}:1: the header names {', '.join(repeated)} twice; "
            "if the first line names no columns, say --set source.options.header=no"
        )
    return TableFile(path, "tsv", resolve(table, path, names, columns), tuple(names), header=not numbered, split=split)


def _json_columns(table: RetrievalTable, path: Path, columns: Mapping[str, str]) -> dict[str, str]:
    line = first_line(path)
    if not line:
        raise SourceError(f"{path}: no rows; one JSON object a line is wanted")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path}:1: not JSON ({error}); each line must be one object") from None
    if not isinstance(row, dict):
        raise SourceError(f"{path}:1: not a JSON object; each line must be one object")
    found = resolve(table, path, list(row), columns)
    if table == "corpus":
        # A row without a title, or that is part of no article, may leave the key out, the first row too.
        for name in ("title", "group_id"):
            found.setdefault(name, name)
    return found


def _parquet_files(folder: Path, name: str) -> list[Path]:
    single = folder / f"{name}.parquet"
    return sorted((folder / name).glob("*.parquet")) or ([single] if single.is_file() else [])


def _shard_split(path: Path) -> str | None:
    """The split that a shard's name says; a file alone in its place says none."""
    match = _SHARD.fullmatch(path.stem)
    if match:
        return match["split"]
    return (
        None
        if path.stem in {name for names in TABLE_NAMES.values() for name in names}
        or path.parent.name not in _table_folders(path)
        else path.stem
    )


def _table_folders(path: Path) -> set[str]:
    name = path.parent.name
    return {name for names in TABLE_NAMES.values() for table in names if name == table or name.endswith(f"-{table}")}
