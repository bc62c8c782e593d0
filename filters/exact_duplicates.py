"""Exact duplicates: rows whose texts have the same 128-bit digest, across tables and splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from dsbuild.files import disk_error
from dsbuild.filters.duplicates import Keyed
from dsbuild.filters.lsh import Rows
from dsbuild.stage import Result, Workspace

_BUCKETS = 64
_RECORD = np.dtype([("high", "<u8"), ("low", "<u8"), ("merit", "<f8"), ("protected", "?"), ("place", "<i8")])


@dataclass(frozen=True)
class FindExact:
    """Say of each row whose digest a better row has that it is its duplicate; rows that are protected are never said to be.

    tables: the order of the tables, by name if empty; of equal rows the first one stays. On disk while it runs: 33 bytes a row;
    in memory: a sixty-fourth of that, sorted, besides 16 bytes for each duplicate and the ids of rows that have one.
    """

    tables: tuple[str, ...] = ()

    name: ClassVar[str] = "exact"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """keys (or keys.<table>, several) -> out (or out.<table>), shard by shard like the keys."""
        keyed = Keyed(inputs, self.tables)
        scratch = work.scratch()
        try:
            _spill(keyed, scratch)
            dropped, keepers = _find(scratch)
        except OSError as error:
            raise disk_error(scratch, error) from error
        facts = {"rows": keyed.total, "duplicates": len(dropped), "groups": len(np.unique(keepers))}
        return Result(dict(keyed.outputs("exact", dropped, keepers, np.ones(len(dropped)))), facts=facts)


def _spill(keyed: Keyed, scratch: Path) -> None:
    """Write a record of every row to the bucket that its digest falls into."""
    for stale in scratch.glob("bucket-*"):
        stale.unlink()
    for shard, keys in enumerate(keyed.columns(["digest", "merit", "protected"])):
        records = np.empty(len(keys), _RECORD)
        digests = keys["digest"].combine_chunks()
        halves = np.frombuffer(digests.buffers()[1] or b"", "<u8")[2 * digests.offset :][: 2 * len(digests)].reshape(
            -1, 2
        )
        records["high"], records["low"] = halves[:, 0], halves[:, 1]
        records["merit"] = keys["merit"].to_numpy()
        records["protected"] = keys["protected"].to_numpy()
        records["place"] = np.arange(len(keys)) + keyed.borders[shard]
        bucket = records["high"] >> np.uint64(58)
        order = np.argsort(bucket, kind="stable")
        edges = np.searchsorted(bucket[order], np.arange(_BUCKETS + 1, dtype=np.uint64))
        for number in range(_BUCKETS):
            if edges[number] < edges[number + 1]:
                with (scratch / f"bucket-{number}").open("ab") as handle:
                    records[order[edges[number] : edges[number + 1]]].tofile(handle)


def _find(scratch: Path) -> tuple[Rows, Rows]:
    """The places of rows that are duplicates, ascending, and of the row that each goes with."""
    found: list[tuple[Rows, Rows]] = []
    for number in range(_BUCKETS):
        path = scratch / f"bucket-{number}"
        if path.exists():
            found.append(duplicates_of(np.fromfile(path, _RECORD)))
            path.unlink()
    dropped = np.concatenate([one for one, _ in found]) if found else np.empty(0, np.int64)
    keepers = np.concatenate([one for _, one in found]) if found else np.empty(0, np.int64)
    order = np.argsort(dropped)
    return dropped[order], keepers[order]


def duplicates_of(records: npt.NDArray[Any]) -> tuple[Rows, Rows]:
    """The duplicates among records, and the best record of each one's digest: protected, then by merit, then first."""
    records = records[
        np.lexsort((records["place"], -records["merit"], ~records["protected"], records["low"], records["high"]))
    ]
    fresh = np.ones(len(records), np.bool_)
    fresh[1:] = (records["high"][1:] != records["high"][:-1]) | (records["low"][1:] != records["low"][:-1])
    best = records["place"][np.flatnonzero(fresh)[np.cumsum(fresh) - 1]]
    gone = ~fresh & ~records["protected"]
    return records["place"][gone], best[gone]
