"""Shards of several nodes as the shards of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from dsbuild.stage import Counts, Result, Shard, Workspace


@dataclass(frozen=True)
class Gather:
    """Tables of the same columns, one after another by the names of the inputs."""

    name: ClassVar[str] = "gather"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """Whole tables -> out."""
        del work
        result = Result({}, counts=Counts())
        result.outputs = {"out": self._shards(inputs, result)}
        return result

    def _shards(self, inputs: Mapping[str, Any], result: Result) -> Iterator[Shard]:
        total = 0
        for name in sorted(inputs):
            for rows in inputs[name]:
                total += rows.num_rows
                yield Shard(rows)
        result.counts = Counts(total, total)
