"""One table of texts in files: documents or pairs, with whatever further columns the rows bring along."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.builders.sources.extras import JsonExtras, listed, once, parquet_types
from dsbuild.builders.sources.filesource import relative_name, size_of
from dsbuild.builders.sources.lines import bare_name, blocks, first_line, suffixes
from dsbuild.builders.sources.rows import Chunk, TableFile, open_parquet, read_chunks
from dsbuild.builders.sources.source import SourceFile
from dsbuild.builders.sources.tabular import FORMATS
from dsbuild.builders.sources.validate import check_ids
from dsbuild.digests import file_sha256
from dsbuild.errors import SourceError, UnknownName
from dsbuild.tables import DOCUMENTS, PAIRS

FlatTable = Literal["documents", "pairs"]
SCHEMAS: Mapping[FlatTable, pa.Schema] = {"documents": DOCUMENTS, "pairs": PAIRS}
ID_COLUMNS: Mapping[FlatTable, str] = {"documents": "doc_id", "pairs": "pair_id"}
LANG_COLUMNS: Mapping[FlatTable, tuple[str, ...]] = {"documents": ("lang",), "pairs": ("lang_a", "lang_b")}
FORMS = ("jsonl", "tsv", "parquet")

# In order of preference.
_ALIASES: Mapping[FlatTable, Mapping[str, tuple[str, ...]]] = {
    "documents": {
        "doc_id": ("doc_id", "_id", "id", "docid", "docno", "query_id", "qid", "pid"),
        "text": ("text", "contents", "content", "body", "query", "question", "sentence"),
        "lang": ("lang",),
    },
    "pairs": {
        "pair_id": ("pair_id", "id", "_id"),
        "text_a": ("text_a", "src", "source", "sentence1", "premise", "anchor"),
        "text_b": ("text_b", "tgt", "target", "sentence2", "hypothesis", "positive"),
        "lang_a": ("lang_a", "src_lang", "lang1"),
        "lang_b": ("lang_b", "tgt_lang", "lang2"),
        "label": ("label",),
        "score": ("score",),
    },
}
# Columns that files hold as text or as numbers; they are cast.
_CAST = {"label": pa.string(), "score": pa.float64()}
_HEADLESS = "; if the first line names no columns: --set source.options.header=no"
_TEXTS: Mapping[FlatTable, tuple[str, ...]] = {"documents": ("text",), "pairs": ("text_a", "text_b")}


@dataclass(frozen=True, slots=True)
class FlatSource:
    """One table in JSON lines, TSV or Parquet files, read in order, memory flat.

    form: jsonl, tsv or parquet; columns: canonical column -> the files' column; header: whether a TSV names its columns;
    seen: the columns that the first file names, of JSON lines its first row. A file without an id column gets ids from its name and row numbers.
    """

    spec: str
    form: str
    table: FlatTable
    paths: tuple[Path, ...]
    columns: Mapping[str, str]
    names: tuple[str, ...] = ()
    header: bool = True
    seen: tuple[str, ...] = ()

    @property
    def numbered(self) -> bool:
        """Whether ids are made from row numbers."""
        return ID_COLUMNS[self.table] not in self.columns

    def files(self, digests: Path | None = None) -> tuple[SourceFile, ...]:
        """The input files with their sha256; `digests` is a folder that remembers them."""
        root = self.paths[0].parent
        return tuple(
            SourceFile(relative_name(path, root), size_of(path), file_sha256(path, digests)) for path in self.paths
        )

    def read(self) -> Iterator[pa.Table]:
        """The rows: canonical columns that the files have, then the others under their own names and types."""
        strict = {name: column for name, column in self.columns.items() if name not in _CAST}
        extras = JsonExtras(self.paths, frozenset(strict.values())) if self.form == "jsonl" else None
        types = parquet_types(self.paths, list(strict.values())) if self.form == "parquet" else {}
        for path in self.paths:
            file = TableFile(path, _form(self.form), strict, self._names(path), self.header)
            for chunk, more in self._chunks(file, extras, types):
                yield self._rows(chunk, more, bare_name(path))

    def _names(self, path: Path) -> tuple[str, ...]:
        """The columns of a TSV file in its own order; those of the first file, if it names any."""
        names = _available(path, self.form, self.header) if self.form == "tsv" and self.header else None
        if names is not None and set(names) != set(self.names):
            raise SourceError(
                f"{path}:1: columns {listed(names)} where the first file has {listed(self.names)}; give all files the same header"
            )
        return tuple(names) if names is not None else self.names

    def _chunks(
        self, file: TableFile, extras: JsonExtras | None, types: Mapping[str, pa.DataType]
    ) -> Iterator[tuple[Chunk, Mapping[str, pa.Array]]]:
        others = [name for name in self.names if name not in file.columns.values()]
        if extras is not None:
            for block in blocks(file.path):
                for chunk in read_chunks(file, [block]):
                    yield chunk, extras.of(block, len(chunk))
        elif self.form == "tsv":
            wide = TableFile(
                file.path, "tsv", {**file.columns, **{f"\0{name}": name for name in others}}, file.names, self.header
            )
            for chunk in read_chunks(wide):
                more = {name: chunk.columns[f"\0{name}"] for name in others}
                yield chunk, more
        else:
            mine = [name for name in open_parquet(file.path).schema_arrow.names if name in types]
            rest = open_parquet(file.path).iter_batches(batch_size=16_384, columns=mine, use_threads=False)
            for chunk in read_chunks(file):
                batch = next(rest) if mine else {}
                more = {name: _typed(batch[name], types[name], chunk, name) for name in mine}
                yield chunk, {name: more.get(name, pa.nulls(len(chunk), kind)) for name, kind in types.items()}

    def _rows(self, chunk: Chunk, more: Mapping[str, pa.Array], stem: str) -> pa.Table:
        key = ID_COLUMNS[self.table]
        columns: dict[str, Any] = dict.fromkeys((key, *_TEXTS[self.table]))
        columns[key] = (
            pa.array([f"{stem}:{line}" for line in chunk.lines], pa.string())
            if self.numbered
            else check_ids(chunk, key)
        )
        columns |= {name: values for name, values in chunk.columns.items() if name in SCHEMAS[self.table].names}
        further = dict(more)
        for name, kind in _CAST.items():
            if name in self.columns:
                columns[name] = _cast(further.pop(self.columns[name]), kind, chunk, name)
        clash = next((name for name in further if name in SCHEMAS[self.table].names), None)
        if clash:
            raise SourceError(f"{chunk.path}: column {clash!r} is neither mapped nor free; rename it")
        return pa.table({**columns, **further})


def open_flat(
    spec: str, table: FlatTable, *, columns: Mapping[str, str] | None = None, options: Mapping[str, str] | None = None
) -> FlatSource:
    """Open jsonl:FILE, tsv:FILE or parquet:DIR as one table; the files are found, rows are not read.

    columns: canonical column -> the files' column; options: `header=no` for TSV whose columns are then named 1, 2, ….
    Raises `SourceError` for what cannot be read and `UnknownName` for a column or option.
    """
    form, _, name = spec.partition(":")
    if form not in FORMS:
        raise UnknownName("kind of a table of texts", form, FORMS)
    if not name:
        raise SourceError(f"{form} needs a {'folder' if form == 'parquet' else 'file'}: --src {form}:PATH")
    given = dict(options or {})
    for option in given:
        if option != "header":
            raise UnknownName(f"option of source {form}", option, ["header"])
    paths = _paths(Path(name).expanduser(), form, spec)
    header = given.get("header") != "no"
    named = ((path, _available(path, form, header)) for path in paths)
    first, available = next(((path, names) for path, names in named if names is not None), (paths[0], None))
    if available is None:
        raise SourceError(f"{spec}: no rows")
    found = _resolve(table, form, first, available, columns or {})
    return FlatSource(
        spec, form, table, paths, found, tuple(available) if form == "tsv" else (), header, tuple(available)
    )


def _paths(path: Path, form: str, spec: str) -> tuple[Path, ...]:
    if path.is_dir():
        endings = [ending for ending, kind in FORMATS.items() if kind == form]
        found = sorted(one for one in path.rglob("*") if one.is_file() and suffixes(one)[0] in endings)
        if not found:
            raise SourceError(f"{spec}: no {form} file in it")
        return tuple(found)
    if not path.exists():
        raise SourceError(f"{spec}: no such file or folder")
    return (path,)


def _available(path: Path, form: str, header: bool) -> list[str] | None:
    """The columns that a file names; None for an empty one."""
    if form == "parquet":
        return once(path, list(open_parquet(path).schema_arrow.names))
    line = first_line(path)
    if not line:
        return None
    if form == "tsv":
        fields = line.split("\t")
        if header:
            return once(path, fields, _HEADLESS)
        return [str(number) for number in range(1, len(fields) + 1)]
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path}:1: not JSON ({error}); each line must be one object") from None
    if not isinstance(row, dict):
        raise SourceError(f"{path}:1: not a JSON object; each line must be one object")
    return list(row)


def _resolve(table: FlatTable, form: str, path: Path, available: list[str], said: Mapping[str, str]) -> dict[str, str]:
    """Canonical name -> the file's column: as said, else by the names that sets commonly use."""
    found: dict[str, str] = {}
    for name in said:
        if name not in _ALIASES[table]:
            raise UnknownName("column", name, _ALIASES[table])
        if said[name] not in available:
            raise UnknownName(f"column of {path}", said[name], available)
    for name, aliases in _ALIASES[table].items():
        column = said.get(name) or next((alias for alias in aliases if alias in available), None)
        if column is not None and column not in found.values():
            found[name] = column
        elif name in _TEXTS[table]:
            headless = _HEADLESS if form == "tsv" else ""
            raise SourceError(
                f"{path}: no column for {name}; it has {listed(available)}: name it with --set source.columns.{name}=COLUMN{headless}"
            )
    return found


def _form(form: str) -> Any:
    return form


def _typed(values: pa.Array, kind: pa.DataType, chunk: Chunk, name: str) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return values if values.type == kind else _cast(values, kind, chunk, name)


def _cast(values: pa.Array, kind: pa.DataType, chunk: Chunk, name: str) -> pa.Array:
    if pa.types.is_string(values.type):
        values = pc.if_else(pc.equal(values, ""), None, values)
    try:
        return pc.cast(values, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SourceError(f"{chunk.path}: {name} near row {chunk.lines[0]}: not {kind} ({error})") from None
