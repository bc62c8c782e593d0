"""The further columns of the files of a table: names that stand once, and types that hold over all files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsbuild.builders.sources.lines import Block, blocks
from dsbuild.builders.sources.rows import open_parquet
from dsbuild.errors import SourceError

_MAX_NAME = 40
# What may be a whole number of more than 64 bits.
_LONG = re.compile(rb"[0-9]{19}")


def once(path: Path, names: list[str], hint: str = "") -> list[str]:
    """The names of a file's columns; a `SourceError` where one stands twice."""
    if repeated := [name for name in names if names.count(name) > 1]:
        raise SourceError(f"{path}: two columns are named {repeated[0][:_MAX_NAME]!r}; rename one{hint}")
    return names


def listed(names: Sequence[str]) -> str:
    """Some names of columns, as errors show them."""
    return ", ".join(one if len(one) <= _MAX_NAME else f"{one[:_MAX_NAME]}…" for one in names[:20]) or "none"


def parquet_types(paths: Sequence[Path], mine: Sequence[str]) -> dict[str, pa.DataType]:
    """The further columns of Parquet files with their types; `SourceError` where a file lacks a column of `mine` or two cannot agree."""
    types: dict[str, pa.DataType] = {}
    for path in paths:
        schema = open_parquet(path).schema_arrow
        once(path, schema.names)
        if absent := [column for column in mine if column not in schema.names]:
            raise SourceError(
                f"{path}: no column {absent[0]!r}; it has {listed(schema.names)}: give all files the same columns"
            )
        for one in schema:
            if one.name not in mine:
                kind, before = _plain(path, one), types.get(one.name)
                try:
                    types[one.name] = kind if before in (None, kind) else _promoted(before, kind)
                except (pa.ArrowInvalid, pa.ArrowTypeError):
                    raise SourceError(
                        f"{path}: column {one.name!r} holds {kind} where files before it hold {before}; give it one type"
                    ) from None
    return types


def _plain(path: Path, column: pa.Field) -> pa.DataType:
    """A column's type as a release may hold it: no dictionaries, no maps."""
    if pa.types.is_map(column.type):
        raise SourceError(
            f"{path}: column {column.name!r} is a map, which no Hub viewer reads; make it a struct or a list of pairs"
        )
    return column.type.value_type if pa.types.is_dictionary(column.type) else column.type


@dataclass
class JsonExtras:
    """The further keys of JSON lines, with types that hold over all files.

    A first pass over the files finds the types; where two rows disagree (a number here, text there) the column is JSON text, as is one
    of whole numbers of more than 64 bits. mine: keys that are canonical columns.
    """

    paths: Sequence[Path]
    mine: frozenset[str]
    schema: pa.Schema = field(init=False)
    as_json: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        types: dict[str, pa.DataType] = {}
        mixed: set[str] = set()
        for path in self.paths:
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
            elif "struct<>" in str(kind):
                # An object without a key (`"metadata": {}`, as BEIR writes it) has no form in Parquet.
                mixed.add(name)
        self.as_json = frozenset(mixed)
        self.schema = pa.schema([(name, pa.string() if name in mixed else kind) for name, kind in types.items()])

    def _infer(self, block: Block) -> Iterator[pa.Field]:
        import pyarrow.json as pj

        try:
            found = pj.read_json(
                pa.BufferReader(block.data),
                read_options=pj.ReadOptions(use_threads=False, block_size=len(block.data) + 1),
            ).schema
        except pa.ArrowInvalid:
            # Rows that disagree, or a line that is no JSON: the reader of the rows says which.
            found = _by_row(block)
        # Arrow makes a rounded float of a whole number of more than 64 bits.
        if any("double" in str(one.type) for one in found) and _LONG.search(block.data):
            found = _by_row(block)
        for one in found:
            if one.name not in self.mine:
                yield one

    def of(self, block: Block, n_rows: int) -> Mapping[str, pa.Array]:
        """The further columns of a block's rows; a `SourceError` where they cannot be read, such as half a surrogate pair."""
        try:
            return self._of(block, n_rows)
        except (pa.ArrowInvalid, UnicodeEncodeError) as error:
            reason = (str(error).splitlines() or [""])[0]
            raise SourceError(
                f"{block.path}: a further column in the lines from {block.first_line} on cannot be read ({reason}); mend that line"
            ) from None

    def _of(self, block: Block, n_rows: int) -> Mapping[str, pa.Array]:
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
    return _promoted(one, other)


def _promoted(one: pa.DataType, other: pa.DataType) -> pa.DataType:
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
            kind = _kind(value)
            before = kinds.get(name, kind)
            try:
                kinds[name] = None if before is None or kind is None else _unified(before, kind)
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


def _kind(value: Any) -> pa.DataType | None:
    """The Arrow type of a value of JSON; None where none holds it."""
    try:
        # What is beyond a float is read as infinite.
        return None if value in (float("inf"), float("-inf")) else pa.array([value]).type
    except UnicodeEncodeError:
        # Half a surrogate pair: the reader of the rows says where.
        return pa.string()
    except (OverflowError, pa.ArrowException):
        return None


def _json_text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
