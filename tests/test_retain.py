"""A share of a whole table by one score."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from dsbuild import parquet
from dsbuild.errors import RecipeError
from dsbuild.filters.decide import decide
from dsbuild.filters.retain import COLUMN, RetainShare, with_retained
from dsbuild.filters.selection import retain_threshold
from dsbuild.stage import Result, Shards, Workspace


def retained(folder: Path, share: float, *shards: list[float | None]) -> Result:
    paths = [folder / f"{number}.parquet" for number in range(len(shards))]
    for path, scores in zip(paths, shards, strict=True):
        parquet.write_unit(path, pa.table({"text": ["x"] * len(scores), COLUMN: pa.array(scores, pa.float64())}))
    return RetainShare(share).run({"rows": Shards(paths)}, Workspace("k", folder, folder))


def test_the_share_is_of_all_shards_together(tmp_path: Path) -> None:
    shards: tuple[list[float | None], ...] = ([0.1, 0.9, None], [], [0.5, 0.7])
    result = retained(tmp_path, 0.5, *shards)
    every = [score for shard in shards for score in shard]
    assert result.facts == {"threshold": retain_threshold(every, 0.5), "share": 0.5} == {"threshold": 0.7, "share": 0.5}
    (shard,) = result.outputs["out"]
    rules = with_retained([], [shard.table])
    assert [(rule.name, rule.source) for rule in rules] == [("classifier.not_retained", "retained:0.5")]
    assert decide(pa.table({COLUMN: every}), rules).keep.to_pylist() == [False, True, True, False, True]
    assert with_retained(rules, []) == rules


def test_without_a_score_there_is_no_share(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no row has a score"):
        retained(tmp_path, 0.5, [None], [])
