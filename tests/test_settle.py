"""The last decision on rows: what was found among all of them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from dsbuild.filters.duplicates import DUPLICATES
from dsbuild.filters.settle import Settle
from dsbuild.stage import Workspace

ROWS = pa.table({"doc_id": ["a", "b", "c", "d"], "lang": ["en"] * 4, "fate": ["kept", "kept", "dropped", "kept"]})


def found(*rows: tuple[int, str, str, str, float]) -> pa.Table:
    keys = ("row", "id", "keeper", "kind", "jaccard")
    return pa.Table.from_pylist(
        [{"table": "", "keeper_table": "", **dict(zip(keys, row, strict=True))} for row in rows], DUPLICATES
    )


def test_duplicates_are_dropped_with_their_keeper_and_counted_once() -> None:
    inputs = {"rows": ROWS, "exact": found((1, "b", "a", "exact", 1.0)), "near": found((3, "d", "a", "near", 0.9))}
    result = Settle("documents", "doc_id", jaccard=0.8).run(inputs, Workspace("k", Path(), Path()))
    (shard,) = result.outputs["out"]
    assert shard.table["fate"].to_pylist() == ["kept", "dropped", "dropped", "dropped"]
    assert shard.table["duplicate_of"].to_pylist() == [None, "a", None, "a"]
    assert shard.table["duplicate_jaccard"].to_pylist() == [None, 1.0, None, 0.9]
    assert [(row["id"], row["rule"], row["threshold"], row["detail"]) for row in result.verdicts] == [
        ("b", "exact_duplicate", 1.0, "a"),
        ("d", "near_duplicate", 0.8, "a"),
    ]
    assert result.counts is not None
    assert (result.counts.n_in, result.counts.kept, result.counts.dropped) == (4, 1, 3)


def test_nothing_found_changes_nothing() -> None:
    result = Settle("documents", "doc_id").run({"rows": ROWS, "exact": found()}, Workspace("k", Path(), Path()))
    (shard,) = result.outputs["out"]
    assert shard.table["fate"].to_pylist() == ROWS["fate"].to_pylist()
    assert shard.table["duplicate_of"].null_count == 4
    assert result.verdicts == []


def test_the_keeper_of_a_keeper_is_the_keeper() -> None:
    near = found((0, "a", "d", "near", 0.9))
    inputs = {"rows": ROWS, "exact": found((1, "b", "a", "exact", 1.0)), "near": near, "near_all": [near]}
    result = Settle("documents", "doc_id", jaccard=0.8).run(inputs, Workspace("k", Path(), Path()))
    (shard,) = result.outputs["out"]
    assert shard.table["duplicate_of"].to_pylist() == ["d", "d", None, None]
    assert shard.table["duplicate_jaccard"].to_pylist() == [0.9, 0.9, None, None]
    assert {row["id"]: (row["rule"], row["value"], row["detail"]) for row in result.verdicts} == {
        "b": ("exact_duplicate", 1.0, "d"),
        "a": ("near_duplicate", 0.9, "d"),
    }
