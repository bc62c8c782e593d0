"""The score from which rows stay where only so many of all may: the best k, or the best share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.filters.decide_funnel import FATE
from dsbuild.filters.decide_texts import KEPT
from dsbuild.filters.selection import retain_threshold
from dsbuild.parquet import read
from dsbuild.stage import Counts, Result, Shard, Shards, Workspace

CUTOFFS = pa.schema(
    [
        pa.field("step", pa.string(), nullable=False),
        pa.field("column", pa.string(), nullable=False),
        pa.field("threshold", pa.float64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Cutoff:
    """Find the score that the best rows reach among those that are still kept. In memory: 8 bytes a row.

    top: how many rows stay (0: by share); share: in (0, 1]; source: who proposed it, for the verdicts. Equal scores at the threshold all
    stay. Rows without a score are not compared and stay too.
    """

    step: str
    column: str
    top: int = 0
    share: float = 0.0
    source: str = "user"

    name: ClassVar[str] = "cutoff"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """Scored rows (all) -> out (`CUTOFFS`): one row, none where no row has a score."""
        rows: Shards = inputs["rows"]
        found = [np.empty(0)]
        total = left = 0
        for path in rows.paths:
            shard = read(path, [self.column, FATE])
            total += shard.num_rows
            column = shard.filter(pc.equal(shard[FATE], KEPT))[self.column]
            left += len(column)
            values = pc.cast(column, pa.float64()).to_numpy()
            found.append(values[~np.isnan(values)])
        scores = np.concatenate(found)
        facts: dict[str, float | None] = {"left": left, "scored": len(scores), "threshold": None}
        made = CUTOFFS.empty_table()
        if len(scores):
            facts["threshold"] = value = self._threshold(scores)
            made = pa.table([[self.step], [self.column], [value], [self.source]], schema=CUTOFFS)
        return Result({"out": [Shard(made)]}, counts=Counts(total, total), facts=facts)

    def _threshold(self, scores: np.ndarray[Any, Any]) -> float:
        if not self.top:
            return retain_threshold(scores, self.share)
        place = max(0, len(scores) - self.top)
        return float(np.partition(scores, place)[place])
