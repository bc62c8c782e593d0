"""Distinct segments: each text of the set is translated once, however often and wherever it stands.

External by construction: hashes go to bucket files, each bucket is sorted alone, and what stays in memory is
one bit per segment. Distinct segments are numbered by first occurrence, so that the rows of a unit find nearly
all of their translations in a few neighbouring units, and a set that grows at its end keeps its units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from dsbuild.files import disk_error
from dsbuild.parquet import read, reslice
from dsbuild.stage import UNIT_SEGMENTS, Result, Shard, Shards, Workspace

UNIQUE = pa.schema(
    [
        pa.field("uid", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field(
            "whole", pa.bool_(), nullable=False
        ),  # it is a whole row of a table whose rows are never cut (a query)
    ]
)
UIDS = pa.schema([pa.field("uid", pa.int64(), nullable=False)])

_BUCKETS = 64
_RECORD = np.dtype([("high", "<u8"), ("low", "<u8"), ("position", "<u8")])
_PAIR = np.dtype([("position", "<u8"), ("first", "<u8")])

Positions = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class UniqueSegments:
    """Number the distinct segment texts of some tables. Two texts are the same if their 128-bit hashes are.

    Outputs: `out` (`UNIQUE`, shards of `unit_segments` rows) and one output per input table with the uid of each of its
    segments (`UIDS`), shard by shard like the input; the facts of these name under "needs" the `out` shards they refer to.
    whole: tables whose rows may not be cut; a text that stands in one of them, and elsewhere too, is whole.
    """

    unit_segments: int = UNIT_SEGMENTS
    whole: tuple[str, ...] = ()

    name: ClassVar[str] = "unique"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """Tables of segments -> distinct texts and uids."""
        scratch = work.scratch()
        paths = {name: shards.paths for name, shards in inputs.items() if isinstance(shards, Shards)}
        ordered = [path for group in paths.values() for path in group]
        try:
            borders = _spill_hashes(ordered, scratch)
            firsts = _Firsts(int(borders[-1]))
            owners = [name in self.whole for name, group in paths.items() for _ in group]
            _find_firsts(scratch, borders, firsts, np.array(owners, np.bool_))
        except OSError as error:
            raise disk_error(scratch, error) from error
        firsts.freeze()
        outputs: dict[str, Iterator[Shard]] = {"out": self._texts(ordered, borders, firsts)}
        shard = 0
        for name, group in paths.items():
            outputs[name] = self._uids(scratch, borders, shard, len(group), firsts)
            shard += len(group)
        return Result(outputs, facts={"segments": int(borders[-1]), "distinct": firsts.total})

    def _texts(self, paths: list[Path], borders: Positions, firsts: _Firsts) -> Iterator[Shard]:
        def fresh() -> Iterator[pa.Table]:
            uid = 0
            for shard, path in enumerate(paths):
                texts = read(path, ["text"])["text"]
                places = np.arange(borders[shard], borders[shard + 1], dtype=np.uint64)
                mask = firsts.contains(places)
                chosen = texts.filter(pa.array(mask))
                whole = firsts.is_whole(places[mask])
                yield pa.table([pa.array(np.arange(uid, uid + len(chosen))), chosen, pa.array(whole)], schema=UNIQUE)
                uid += len(chosen)

        yield from (Shard(table) for table in reslice(fresh(), self.unit_segments))

    def _uids(self, scratch: Path, borders: Positions, start: int, n_shards: int, firsts: _Firsts) -> Iterator[Shard]:
        for shard in range(start, start + n_shards):
            pairs = (
                np.fromfile(scratch / f"shard-{shard}", dtype=_PAIR)
                if borders[shard] < borders[shard + 1]
                else np.empty(0, _PAIR)
            )
            pairs.sort(order="position")
            uids = firsts.rank(pairs["first"])
            # A shard without segments still names one unit, from which `assemble` learns the score columns.
            needs = np.unique(uids // self.unit_segments) if len(uids) or not firsts.total else np.zeros(1, np.int64)
            yield Shard(pa.table([pa.array(uids)], schema=UIDS), {"needs": [int(unit) for unit in needs]})


def _spill_hashes(paths: list[Path], scratch: Path) -> Positions:
    """Write (hash, position) of every segment to its bucket; returns the position at which each shard starts."""
    borders = np.zeros(len(paths) + 1, np.uint64)
    for stale in scratch.glob("*-*"):
        stale.unlink()
    for shard, path in enumerate(paths):
        texts = read(path, ["text"])["text"]
        records = np.empty(len(texts), _RECORD)
        hashes = b"".join(xxhash.xxh3_128_digest(text.encode("utf-8")) for text in texts.to_pylist())
        halves = np.frombuffer(hashes, ">u8").reshape(-1, 2)
        records["high"], records["low"] = halves[:, 0], halves[:, 1]
        records["position"] = np.arange(len(texts), dtype=np.uint64) + borders[shard]
        bucket = records["high"] >> np.uint64(58)
        order = np.argsort(bucket, kind="stable")
        edges = np.searchsorted(bucket[order], np.arange(_BUCKETS + 1, dtype=np.uint64))
        for number in range(_BUCKETS):
            _append(scratch / f"bucket-{number}", records[order[edges[number] : edges[number + 1]]])
        borders[shard + 1] = borders[shard] + np.uint64(len(texts))
    return borders


def _find_firsts(scratch: Path, borders: Positions, firsts: _Firsts, whole: npt.NDArray[np.bool_]) -> None:
    """Sort each bucket; write (position, first position of the same text) to the shard that holds the position.

    whole: for each shard whether its texts may not be cut.
    """
    for number in range(_BUCKETS):
        path = scratch / f"bucket-{number}"
        if not path.exists():
            continue
        records = np.fromfile(path, dtype=_RECORD)
        records = records[np.lexsort((records["position"], records["low"], records["high"]))]
        fresh = np.ones(len(records), bool)
        fresh[1:] = (records["high"][1:] != records["high"][:-1]) | (records["low"][1:] != records["low"][:-1])
        pairs = np.empty(len(records), _PAIR)
        pairs["position"] = records["position"]
        pairs["first"] = records["position"][np.flatnonzero(fresh)[np.cumsum(fresh) - 1]]
        firsts.add(records["position"][fresh])
        if whole.any():
            owner = np.searchsorted(borders, records["position"], "right") - 1
            firsts.add_whole(records["position"][fresh][np.logical_or.reduceat(whole[owner], np.flatnonzero(fresh))])
        pairs.sort(order="position")
        edges = np.searchsorted(pairs["position"], borders)
        for shard in np.flatnonzero(edges[1:] > edges[:-1]):
            _append(scratch / f"shard-{shard}", pairs[edges[shard] : edges[shard + 1]])
        path.unlink()


def _append(path: Path, records: npt.NDArray[Any]) -> None:
    if len(records):
        with path.open("ab") as handle:
            records.tofile(handle)


class _Firsts:
    """A set of positions as one bit each, with the number of members below any position; `whole` is a subset."""

    def __init__(self, n_positions: int) -> None:
        self.words = np.zeros(n_positions // 64 + 1, np.uint64)
        self.whole = np.zeros(0, np.uint64)
        self.before = np.zeros(0, np.int64)
        self.total = 0

    def add(self, positions: Positions) -> None:
        np.bitwise_or.at(self.words, positions >> np.uint64(6), np.uint64(1) << (positions & np.uint64(63)))

    def add_whole(self, positions: Positions) -> None:
        if not len(self.whole):
            self.whole = np.zeros_like(self.words)
        np.bitwise_or.at(self.whole, positions >> np.uint64(6), np.uint64(1) << (positions & np.uint64(63)))

    def freeze(self) -> None:
        counts = np.bitwise_count(self.words).astype(np.int64)
        self.before = np.cumsum(counts) - counts
        self.total = int(counts.sum())

    def contains(self, positions: Positions) -> npt.NDArray[np.bool_]:
        return _bits(self.words, positions)

    def is_whole(self, positions: Positions) -> npt.NDArray[np.bool_]:
        return _bits(self.whole, positions) if len(self.whole) else np.zeros(len(positions), np.bool_)

    def rank(self, positions: Positions) -> npt.NDArray[np.int64]:
        below = (np.uint64(1) << (positions & np.uint64(63))) - np.uint64(1)
        words = positions >> np.uint64(6)
        return np.asarray(self.before[words] + np.bitwise_count(self.words[words] & below), np.int64)


def _bits(words: Positions, positions: Positions) -> npt.NDArray[np.bool_]:
    return np.asarray(words[positions >> np.uint64(6)] >> (positions & np.uint64(63)) & np.uint64(1), np.bool_)
