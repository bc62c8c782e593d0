"""Rows of a release chosen by a seed: the same ones wherever they are looked for, in memory that holds only those."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsbuild.errors import ReleaseError

_BATCH_ROWS = 8_192


def files_of(folder: Path, prefix: str) -> list[Path]:
    """The Parquet shards whose path in a release starts with `prefix`, in order; works before the manifest is written."""
    parent, _, start = prefix.rpartition("/")
    return sorted(path for path in (folder / parent).glob("*.parquet") if path.name.startswith(start))


def batches(paths: Iterable[Path], columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The rows of some shards, a few thousand at a time; columns that a shard lacks are left out."""
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                known = file.schema_arrow.names
                chosen = None if columns is None else [name for name in columns if name in known]
                for batch in file.iter_batches(_BATCH_ROWS, columns=chosen, use_threads=False):
                    yield pa.Table.from_batches([batch])
        except (OSError, pa.ArrowInvalid) as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ReleaseError(f"{path}: cannot be read as Parquet ({first}); the release is damaged") from error


def mark(seed: int, *parts: str) -> int:
    """A number that depends on the seed and on what it names, and on nothing else.

    >>> mark(1, "hi", "corpus", "d1") == mark(1, "hi", "corpus", "d1") != mark(2, "hi", "corpus", "d1")
    True
    """
    # A length before each part: ("a", "bc") and ("ab", "c") are two names.
    named = "".join(f"{len(part)}:{part}" for part in (str(seed), *parts))
    return int.from_bytes(hashlib.blake2b(named.encode("utf-8"), digest_size=8).digest(), "big")


def choose(paths: Iterable[Path], id_column: str, name: str, n: int, seed: int) -> list[str]:
    """At most `n` ids of a table, every row with the same chance, in an order that says nothing about their place.

    name: what the table is called (`hi-corpus`); the choice of a smaller `n` is the beginning of that of a larger one.
    """

    def marked() -> Iterator[tuple[int, str]]:
        for rows in batches(paths, [id_column]):
            for row_id in rows[id_column].to_pylist():
                yield mark(seed, name, row_id), row_id

    return [row_id for _, row_id in heapq.nsmallest(n, marked())]


def fetch(
    paths: Iterable[Path], id_column: str, ids: Iterable[str], columns: Sequence[str] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """The rows that have these ids, by id and in their order in the files."""
    wanted = pa.array(sorted(set(ids)), pa.string())
    found: dict[str, list[dict[str, Any]]] = {}
    if not len(wanted):
        return found
    for rows in batches(paths, None if columns is None else [id_column, *columns]):
        hits = pc.is_in(rows[id_column], wanted)
        if pc.any(hits).as_py():
            for row in rows.filter(hits).to_pylist():
                found.setdefault(row[id_column], []).append(row)
    return found
