"""One table of texts in files: documents or pairs, with whatever further columns the rows bring along."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.builders.filesource import relative_name, size_of
from dsbuild.builders.lines import Block, bare_name, blocks, first_line, suffixes
from dsbuild.builders.rows import Chunk, TableFile, open_parquet, read_chunks
from dsbuild.builders.source import SourceFile
from dsbuild.builders.tabular import FORMATS
from dsbuild.builders.validate import check_ids
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
_MAX_NAME = 40
_TEXTS: Mapping[FlatTable, tuple[str, ...]] = {"documents": ("text",), "pairs": ("text_a", "text_b")}


@dataclass(frozen=True, slots=True)
class FlatSource:
    """One table in JSON lines, TSV or Parquet files, read in order, memory flat.

    form: jsonl, tsv or parquet; columns: canonical column -> the files' column; header: whether a TSV names its columns.
    A file without an id column gets ids from its name and row numbers.
    """

    spec: str
    form: str
    table: FlatTable
    paths: tuple[Path, ...]
    columns: Mapping[str, str]
    names: tuple[str, ...] = ()
    header: bool = True

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
        extras = _Extras(self) if self.form == "jsonl" else None
        for path in self.paths:
            strict = {name: column for name, column in self.columns.items() if name not in _CAST}
            file = TableFile(path, _form(self.form), strict, self.names, self.header)
            for chunk, more in self._chunks(file, extras):
                yield self._rows(chunk, more, bare_name(path))

    def _chunks(self, file: TableFile, extras: _Extras | None) -> Iterator[tuple[Chunk, Mapping[str, pa.Array]]]:
        others = [name for name in self.names if name not in file.columns.values()]
        if extras is not None:
            for block in blocks(file.path):
                for chunk in read_chunks(file, [block]):
                    yield chunk, extras.of(block, len(chunk))
        elif self.form == "tsv":
            wide = TableFile(
                file.path, "tsv", {**file.columns, **{f"\0{name}": name for name in others}}, self.names, self.header
            )
            for chunk in read_chunks(wide):
                more = {name: chunk.columns[f"\0{name}"] for name in others}
                yield chunk, more
        else:
            schema = open_parquet(file.path).schema_arrow
            mine = [name for name in schema.names if name not in file.columns.values()]
            rest = open_parquet(file.path).iter_batches(batch_size=16_384, columns=mine, use_threads=False)
            for chunk in read_chunks(file):
                batch = next(rest) if mine else None
                yield chunk, {name: _plain(batch.column(name), name) for name in mine} if batch is not None else {}

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
    available = _available(paths[0], form, header)
    found = _resolve(table, paths[0], available, columns or {})
    names = tuple(available) if form == "tsv" else ()
    return FlatSource(spec, form, table, paths, found, names, header)


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


def _available(path: Path, form: str, header: bool) -> list[str]:
    if form == "parquet":
        return list(open_parquet(path).schema_arrow.names)
    line = first_line(path)
    if form == "tsv":
        fields = line.split("\t")
        return fields if header else [str(number) for number in range(1, len(fields) + 1)]
    try:
        row = json.loads(line or "{}")
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path}:1: not JSON ({error}); each line must be one object") from None
    if not isinstance(row, dict):
        raise SourceError(f"{path}:1: not a JSON object; each line must be one object")
    return list(row)


def _resolve(table: FlatTable, path: Path, available: list[str], said: Mapping[str, str]) -> dict[str, str]:
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
            shown = (
                ", ".join(one if len(one) <= _MAX_NAME else f"{one[:_MAX_NAME]}…" for one in available[:20]) or "none"
            )
            headless = (
                "; if the first line names no columns: --set source.options.header=no"
                if path.suffix != ".parquet"
                else ""
            )
            raise SourceError(
                f"{path}: no column for {name}; it has {shown}: name it with --set source.columns.{name}=COLUMN{headless}"
            )
    return found


def _form(form: str) -> Any:
    return form


def _plain(values: pa.Array, name: str) -> pa.Array:
    """A column as a release may hold it: no dictionaries, no maps."""
    if pa.types.is_dictionary(values.type):
        return values.dictionary_decode()
    if pa.types.is_map(values.type):
        raise SourceError(f"column {name!r} is a map, which no Hub viewer reads; make it a struct or a list of pairs")
    return values


def _cast(values: pa.Array, kind: pa.DataType, chunk: Chunk, name: str) -> pa.Array:
    if pa.types.is_string(values.type):
        values = pc.if_else(pc.equal(values, ""), None, values)
    try:
        return pc.cast(values, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SourceError(f"{chunk.path}: {name} near row {chunk.lines[0]}: not {kind} ({error})") from None


@dataclass
class _Extras:
    """The further keys of JSON lines, with types that hold over all files.

    A first pass over the files finds the types; where two rows disagree (a number here, text there) the column is JSON text.
    """

    source: FlatSource
    schema: pa.Schema = field(init=False)
    as_json: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        types: dict[str, pa.DataType] = {}
        mixed: set[str] = set()
        for path in self.source.paths:
            for block in blocks(path):
                for one in self._infer(block):
                    before = types.get(one.name)
                    try:
                        merged = one.type if before is None else _unified(before, one.type)
                    except (pa.ArrowInvalid, pa.ArrowTypeError):
                        mixed.add(one.name)
                        continue
                    types[one.name] = merged
        for name, kind in types.items():
            if pa.types.is_temporal(kind) or pa.types.is_null(kind):
                types[name] = pa.string()
        self.as_json = frozenset(mixed)
        self.schema = pa.schema([(name, pa.string() if name in mixed else kind) for name, kind in types.items()])

    def _infer(self, block: Block) -> Iterator[pa.Field]:
        import pyarrow.json as pj

        mine = {column for name, column in self.source.columns.items() if name not in _CAST}
        try:
            found = pj.read_json(
                pa.BufferReader(block.data),
                read_options=pj.ReadOptions(use_threads=False, block_size=len(block.data) + 1),
            ).schema
        except pa.ArrowInvalid:
            # Rows that disagree, or a line that is no JSON: the reader of the rows says which.
            found = _by_row(block)
        for one in found:
            if one.name not in mine:
                yield one

    def of(self, block: Block, n_rows: int) -> Mapping[str, pa.Array]:
        """The further columns of a block's rows."""
        if not self.schema.names:
            return {}
        rows = (
            [json.loads(line) for line in block.data.decode("utf-8").split("\n") if line.strip()]
            if self.as_json
            else []
        )
        plain = pa.schema([one for one in self.schema if one.name not in self.as_json])
        columns = self._typed(block, plain, n_rows) if plain.names else {}
        for name in self.as_json:
            columns[name] = pa.array([_json_text(row.get(name)) for row in rows], pa.string())
        return {name: columns[name] for name in self.schema.names}

    def _typed(self, block: Block, plain: pa.Schema, n_rows: int) -> dict[str, pa.Array]:
        import pyarrow.json as pj

        table = pj.read_json(
            pa.BufferReader(block.data),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(block.data) + 1),
            parse_options=pj.ParseOptions(explicit_schema=plain, unexpected_field_behavior="ignore"),
        )
        if table.num_rows != n_rows:
            raise SourceError(f"{block.path}: lines after {block.first_line} are not one JSON object each")
        return {name: table[name].combine_chunks() for name in plain.names}


def _unified(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if one == other:
        return one
    if pa.types.is_temporal(one) or pa.types.is_temporal(other):
        one, other = (pa.string() if pa.types.is_temporal(kind) else kind for kind in (one, other))
    schema = pa.unify_schemas([pa.schema([("x", one)]), pa.schema([("x", other)])], promote_options="permissive")
    kind = schema.field("x").type
    # Permissive promotion makes text of numbers; a reader of JSON does not.
    if pa.types.is_string(kind) and not all(pa.types.is_string(was) or pa.types.is_null(was) for was in (one, other)):
        raise pa.ArrowTypeError("text and numbers")
    return kind


def _by_row(block: Block) -> list[pa.Field]:
    """Fields of the lines one by one, where Arrow's reader finds that they disagree."""
    kinds: dict[str, pa.DataType | None] = {}
    for line in block.data.decode("utf-8").split("\n"):
        try:
            row = json.loads(line) if line.strip() else {}
        except ValueError:
            continue
        for name, value in row.items() if isinstance(row, dict) else ():
            kind = pa.infer_type([value])
            before = kinds.get(name, kind)
            try:
                kinds[name] = None if before is None else _unified(before, kind)
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                kinds[name] = None
    # Rows that disagree are told to the caller as two fields that cannot be unified.
    return [
        entry
        for name, kind in kinds.items()
        for entry in (
            [pa.field(name, kind)] if kind is not None else [pa.field(name, pa.string()), pa.field(name, pa.int64())]
        )
    ]


def _json_text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
