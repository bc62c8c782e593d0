"""Parquet that is the same, byte for byte, whenever its rows are the same."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dsbuild.errors import StoreError
from dsbuild.files import write_atomically

ROW_GROUP_ROWS = 65_536
SHARD_ROWS = 8 * ROW_GROUP_ROWS

# The values that `datasets` and datatrove use, so that the Hub's storage finds the same chunks in every version.
_CHUNKING = {"min_chunk_size": 262_144, "max_chunk_size": 1_048_576, "norm_level": 0}


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a written file holds: its rows, size and sha256."""

    rows: int
    size_bytes: int
    sha256: str


def unify(table: pa.Table) -> pa.Table:
    """One chunk per column and no schema metadata: page boundaries must not depend on how rows arrived."""
    return table.combine_chunks().replace_schema_metadata(None)


def write_unit(path: Path, table: pa.Table) -> None:
    """Write a store unit: one row group, fast compression."""
    rows = max(1, table.num_rows)
    write_atomically(
        path,
        lambda temporary: pq.write_table(
            unify(table), temporary, row_group_size=rows, compression="zstd", compression_level=1, use_dictionary=False,
            write_statistics=False, store_schema=True, version="2.6", data_page_version="1.0",
        ),
    )  # fmt: skip


def read(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a whole file; a damaged one is a `StoreError` that names it."""
    try:
        # Not `pq.read_table`: that one imports pyarrow's dataset layer and pandas into every worker.
        with pq.ParquetFile(path) as file:
            return file.read(columns=columns, use_threads=False)
    except (OSError, pa.ArrowInvalid) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"{path}: cannot be read as Parquet ({first}); delete it and run again") from error


def sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def reslice(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of exactly `rows` rows each (the last may be shorter)."""
    waiting: list[pa.Table] = []
    held = 0
    for table in tables:
        offset = 0
        while held + table.num_rows - offset >= rows:
            take = rows - held
            waiting.append(table.slice(offset, take))
            yield unify(pa.concat_tables(waiting))
            waiting, held, offset = [], 0, offset + take
        if offset < table.num_rows:
            waiting.append(table.slice(offset))
            held += table.num_rows - offset
    if held:
        yield unify(pa.concat_tables(waiting))


def write_shards(
    folder: Path, split: str, schema: pa.Schema, tables: Iterable[pa.Table], n_rows: int
) -> list[tuple[str, FileFacts]]:
    """Write `<split>-00000-of-0000N.parquet` files of `SHARD_ROWS` rows; returns (name, facts) of each.

    Deterministic: row groups of exactly `ROW_GROUP_ROWS`, zstd, content-defined chunking, page index.
    `n_rows` is the total and must be right (it decides N); an empty table is one empty file.
    """
    if not re.fullmatch(r"[\w.-]+", split):
        raise StoreError(f"{split!r} cannot be the name of a file; rename the split")
    n_shards = max(1, -(-n_rows // SHARD_ROWS))
    groups = reslice((table.select(schema.names).cast(schema) for table in tables), ROW_GROUP_ROWS)
    written: list[tuple[str, FileFacts]] = []
    total = 0
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(n_shards):
        name = f"{split}-{shard:05d}-of-{n_shards:05d}.parquet"
        rows = _write_shard(folder / name, schema, groups)
        total += rows
        written.append((name, FileFacts(rows, (folder / name).stat().st_size, sha256(folder / name))))
    if total != n_rows or next(groups, None) is not None:
        raise StoreError(f"{folder}/{split}: {total} rows written where {n_rows} were counted")
    return written


def write_stream(
    folder: Path, split: str, schema: pa.Schema, tables: Iterable[pa.Table], group_rows: int = ROW_GROUP_ROWS
) -> list[tuple[str, FileFacts]]:
    """Like `write_shards` for rows that were not counted: `<split>-0000N.parquet`, at least one file; returns (name, facts) of each.

    group_rows: rows that are in memory at once, at most `ROW_GROUP_ROWS`.
    """
    if not re.fullmatch(r"[\w.-]+", split):
        raise StoreError(f"{split!r} cannot be the name of a file; rename the split")
    groups = reslice((table.select(schema.names).cast(schema) for table in tables), group_rows)
    written: list[tuple[str, FileFacts]] = []
    following = next(groups, None)
    folder.mkdir(parents=True, exist_ok=True)
    while following is not None or not written:
        name = f"{split}-{len(written):05d}.parquet"
        rows = _write_shard(folder / name, schema, chain([] if following is None else [following], groups))
        written.append((name, FileFacts(rows, (folder / name).stat().st_size, sha256(folder / name))))
        following = next(groups, None)
    return written


def _write_shard(path: Path, schema: pa.Schema, groups: Iterator[pa.Table]) -> int:
    rows = 0

    def write(temporary: Path) -> None:
        nonlocal rows
        with pq.ParquetWriter(
            temporary, schema, compression="zstd", compression_level=3, use_dictionary=True, version="2.6",
            data_page_version="1.0", write_page_index=True, use_content_defined_chunking=_CHUNKING, store_schema=True,
        ) as writer:  # fmt: skip
            while rows < SHARD_ROWS and (group := next(groups, None)) is not None:
                writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
                rows += group.num_rows

    write_atomically(path, write)
    return rows
