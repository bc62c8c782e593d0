"""Rows of one input file under canonical column names: TSV, white-space columns, JSON lines, Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsbuild.builders.sources.lines import Block, blocks
from dsbuild.errors import SourceError

Format = Literal["tsv", "spaced", "jsonl", "parquet"]

# Columns that a row must have; the others are "" (or their default) where a file or a row lacks them.
REQUIRED = frozenset({"doc_id", "query_id", "pair_id", "text", "text_a", "text_b", "relevance"})
_IDS = frozenset({"doc_id", "query_id", "pair_id"})


@dataclass(frozen=True, slots=True)
class TableFile:
    """One file of a table.

    columns: canonical name -> the file's column. names: all columns of a file with separators, in order; `header`:
    its first line repeats them. split: the split that the file holds, None where it says nothing.
    """

    path: Path
    format: Format
    columns: Mapping[str, str]
    names: tuple[str, ...] = ()
    header: bool = False
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a file; columns are strings, `relevance` may be an integer. `lines`: where each row stands."""

    path: Path
    columns: Mapping[str, pa.Array]
    lines: Sequence[int]
    unit: Literal["line", "row"] = "line"

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, row: int) -> str:
        """The place of a row, as errors name it."""
        return f"{self.path}:{self.lines[row]}" if self.unit == "line" else f"{self.path}: row {self.lines[row]}"


def read_chunks(file: TableFile, held: Iterable[Block] | None = None) -> Iterator[Chunk]:
    """The rows of the file in order, memory flat; a row that is not as said is a `SourceError` naming file and line.

    held: blocks of the file that are in memory already, read instead of the file.
    """
    if file.format == "parquet":
        yield from _parquet(file)
        return
    for block in blocks(file.path) if held is None else held:
        if file.format == "jsonl":
            chunk = _json_fast(file, block) or _json_slow(file, block)
        else:
            skip = int(file.header and block.first_line == 1)
            chunk = (None if skip or file.format == "spaced" else _tsv_fast(file, block)) or _tsv_slow(
                file, block, skip
            )
        if len(chunk):
            yield chunk


def _tsv_fast(file: TableFile, block: Block) -> Chunk | None:
    """The block at once, or None if some line has another number of columns.

    Quotes mean nothing: a field is what stands between tabs. Dropping the separators leaves the fields end to end,
    so that the separators' places, less their ordinals, are the offsets of an Arrow string array.
    """
    n_columns = len(file.names)
    data = np.frombuffer(block.data, np.uint8)
    separator = (data == 9) | (data == 10)
    places = np.flatnonzero(separator)
    if len(places) % n_columns:
        return None
    ends_line = (data[places] == 10).reshape(-1, n_columns)
    if not ends_line[:, -1].all() or ends_line[:, :-1].any():
        return None
    if n_columns == 1 and (np.diff(places, prepend=-1) == 1).any():
        return None
    offsets = np.concatenate(([0], places - np.arange(len(places)))).astype(np.int32)
    flat = pa.StringArray.from_buffers(len(places), pa.py_buffer(offsets), pa.py_buffer(data[~separator]))
    columns = {
        name: flat.take(pa.array(np.arange(file.names.index(column), len(places), n_columns, dtype=np.int64)))
        for name, column in file.columns.items()
    }
    n_rows = len(places) // n_columns
    return Chunk(file.path, columns, range(block.first_line, block.first_line + n_rows))


def _tsv_slow(file: TableFile, block: Block, skip: int) -> Chunk:
    """The block line by line: for blank lines, columns between spaces, and to say which line is wrong."""
    lines: list[int] = []
    rows: list[list[str]] = []
    for number, line in enumerate(block.data.decode("utf-8").split("\n")[:-1], block.first_line):
        if skip and line.strip():
            skip -= 1
            continue
        if not line.strip():
            continue
        fields = line.split("\t") if file.format == "tsv" else line.split()
        if len(fields) != len(file.names):
            what = "tabs" if file.format == "tsv" else "white space"
            raise SourceError(
                f"{file.path}:{number}: {len(fields)} columns (id {fields[0][:60]!r}) where {len(file.names)} are "
                f"expected ({', '.join(file.names)}); columns stand between {what}, "
                "so a text must hold no tab or line end"
            )
        lines.append(number)
        rows.append(fields)
    columns = {
        name: pa.array([row[file.names.index(column)] for row in rows], pa.string())
        for name, column in file.columns.items()
    }
    return Chunk(file.path, columns, lines)


def _json_fast(file: TableFile, block: Block) -> Chunk | None:
    """The block by Arrow's reader, or None where only a look at each line tells whether it is right."""
    import pyarrow.json as pj

    data = block.data
    if b"\\u0000" in data or data.count(b"\n{") + data.startswith(b"{") != data.count(b"\n"):
        return None
    schema = pa.schema(
        [pa.field(column, pa.int64() if name == "relevance" else pa.string()) for name, column in file.columns.items()]
    )
    try:
        table = pj.read_json(
            pa.BufferReader(data),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=pj.ParseOptions(
                explicit_schema=schema, newlines_in_values=False, unexpected_field_behavior="ignore"
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if table.num_rows != data.count(b"\n"):
        return None
    columns: dict[str, pa.Array] = {}
    for name, column in file.columns.items():
        values = table[column].combine_chunks()
        if values.null_count and name in REQUIRED:
            return None
        columns[name] = values.fill_null("") if values.null_count else values
    return Chunk(file.path, columns, range(block.first_line, block.first_line + table.num_rows))


def _json_slow(file: TableFile, block: Block) -> Chunk:
    """The block line by line: whole numbers as ids, blank lines, and to say which line is wrong."""
    lines: list[int] = []
    values: dict[str, list[Any]] = {name: [] for name in file.columns}
    for number, line in enumerate(block.data.decode("utf-8").split("\n")[:-1], block.first_line):
        if not line.strip():
            continue
        where = f"{file.path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{where}: not JSON ({error}); each line must be one object") from None
        if not isinstance(row, dict):
            raise SourceError(f"{where}: not a JSON object; each line must be one object")
        lines.append(number)
        for name, column in file.columns.items():
            values[name].append(
                _json_value(
                    row, name, column, where, row.get(file.columns.get("doc_id", file.columns.get("query_id", "")))
                )
            )
    columns = {
        name: pa.array(column, None if name == "relevance" and column else pa.string())
        for name, column in values.items()
    }
    return Chunk(file.path, columns, lines)


def _json_value(row: Mapping[str, Any], name: str, column: str, where: str, row_id: object) -> str | int:
    value = row.get(column)
    said = f"{where}: id {str(row_id)[:60]!r}: "
    if column not in row and name in REQUIRED:
        raise SourceError(f"{said}no {column!r}; keys: {', '.join(map(str, list(row)[:12]))}")
    if value is None and name not in _IDS and name != "relevance":
        return ""
    if name == "relevance":
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, str) and value.lstrip("+-").isdecimal() and value.isascii():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**31:
            raise SourceError(f"{said}{column} {value!r} is not a whole number; write the grade as 0, 1, 2, …")
        return value
    if isinstance(value, int) and not isinstance(value, bool) and name in _IDS:
        return str(value)
    if not isinstance(value, str):
        raise SourceError(f"{said}{column!r} holds {type(value).__name__}, not text")
    if "\0" in value:
        raise SourceError(f"{said}a NUL character in {column!r}; remove it")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise SourceError(f"{said}half a surrogate pair in {column!r}: not valid Unicode; mend that line") from None
    return value


def parquet_columns(path: Path) -> list[str]:
    """The column names of a Parquet file."""
    return list(open_parquet(path).schema_arrow.names)


def open_parquet(path: Path) -> pq.ParquetFile:
    """An open Parquet file; one that is not is a `SourceError`."""
    try:
        return pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path}: cannot be read as Parquet ({(str(error).splitlines() or [''])[0]})") from error


def _parquet(file: TableFile) -> Iterator[Chunk]:
    row = 1
    with open_parquet(file.path) as handle:
        batches = handle.iter_batches(batch_size=16_384, columns=sorted(set(file.columns.values())), use_threads=False)
        while True:
            try:
                batch = next(batches, None)
                if batch is not None:
                    batch.validate(full=True)
            except (OSError, pa.ArrowException) as error:
                raise SourceError(
                    f"{file.path}: damaged near row {row} ({(str(error).splitlines() or [''])[0]}); fetch it again"
                ) from error
            if batch is None:
                return
            lines = range(row, row + batch.num_rows)
            chunk = Chunk(
                file.path, {name: batch.column(column) for name, column in file.columns.items()}, lines, "row"
            )
            yield Chunk(
                file.path,
                {name: _parquet_column(chunk, name, file.columns[name]) for name in chunk.columns},
                lines,
                "row",
            )
            row += batch.num_rows


def _parquet_column(chunk: Chunk, name: str, column: str) -> pa.Array:
    values = chunk.columns[name]
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if values.null_count and name in _IDS | {"relevance"}:
        raise SourceError(
            f"{chunk.where(pc.index(values.is_null(), True).as_py())}: {column!r} is null; every row needs one"
        )
    if name == "relevance" and (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        try:
            return values.cast(pa.int32())
        except pa.ArrowInvalid as error:
            raise SourceError(
                f"{chunk.path}: {column!r} near row {chunk.lines[0]}: not a whole number ({error})"
            ) from None
    textual = (
        pa.types.is_string(values.type) or pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type)
    )
    if not textual and not pa.types.is_null(values.type) and not (pa.types.is_integer(values.type) and name in _IDS):
        raise SourceError(
            f"{chunk.path}: column {column!r} holds {values.type}, not text; name another column for {name}"
        )
    values = values.cast(pa.string()).fill_null("")
    if _has_nul(values) and pc.any(with_nul := pc.match_substring(values, "\0")).as_py():
        raise SourceError(f"{chunk.where(pc.index(with_nul, True).as_py())}: a NUL character in {column!r}; remove it")
    return values


def _has_nul(values: pa.StringArray) -> bool:
    """Whether there may be a NUL in the texts: one look over their bytes, ten times faster than a search in each."""
    _, offsets, data = values.buffers()
    if not len(values) or data is None:
        return False
    edges = np.frombuffer(offsets, np.int32)[[values.offset, values.offset + len(values)]]
    used = np.frombuffer(data, np.uint8)[edges[0] : edges[1]]
    return bool(len(used)) and not used.min()
