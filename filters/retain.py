"""The threshold that keeps a share of a whole table by one score: a filter that needs all rows before any is decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from dsbuild.filters.decide import Rule
from dsbuild.filters.selection import retain_threshold
from dsbuild.parquet import read
from dsbuild.stage import Result, Shard, Shards, Workspace

COLUMN = "classifier_score"
RULE = "classifier.not_retained"


@dataclass(frozen=True)
class RetainShare:
    """Find the score that the best `share` of the rows reach (FineWeb2-HQ keeps 0.10). In memory: 8 bytes a row."""

    share: float

    name: ClassVar[str] = "retain"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """Scored rows -> out: one row with the threshold."""
        rows: Shards = inputs["rows"]
        scores = pa.chunked_array(
            [chunk for path in rows.paths for chunk in read(path, [COLUMN])[COLUMN].chunks], pa.float64()
        )
        threshold = retain_threshold(scores, self.share)
        out = pa.table({"threshold": [threshold], "share": [self.share]})
        return Result({"out": [Shard(out)]}, facts={"threshold": threshold, "share": self.share})


def with_retained(rules: Sequence[Rule], found: Iterable[pa.Table]) -> list[Rule]:
    """The rules, and the one that a retained share makes."""
    row = next((shard.to_pylist()[0] for shard in found), None)
    if row is None:
        return list(rules)
    made = Rule(RULE, COLUMN, "<", row["threshold"], "drop", (), source=f"retained:{row['share']:g}")
    return [*rules, made]
