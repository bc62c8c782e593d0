"""Judgements of duplicates go to their keepers."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.builders.filtering.merge import MergeQrels
from dsbuild.stage import VERDICTS, Result, Workspace
from dsbuild.tables import QRELS

Qrel = tuple[str, str, int, str]
IDS = "abcdef"
ONE = st.tuples(st.sampled_from("pq"), st.sampled_from(IDS), st.integers(0, 3), st.sampled_from(["train", "dev"]))


def table(rows: list[Qrel]) -> pa.Table:
    named = [dict(zip(("query_id", "doc_id", "relevance", "split"), row, strict=True)) for row in rows]
    return pa.Table.from_pylist([{"judge": "", **row} for row in named], QRELS)


def merged(shards: list[list[Qrel]], keepers: dict[str, str]) -> tuple[list[list[Qrel]], Result]:
    rows = pa.table({"doc_id": list(IDS), "duplicate_of": pa.array([keepers.get(one) for one in IDS], pa.string())})
    inputs = {"qrels": [table(shard) for shard in shards], "rows": [rows]}
    result = MergeQrels("en").run(inputs, Workspace("k", Path(), Path()))
    out = [shard.table for shard in result.outputs["out"]]
    assert all(one.schema == QRELS for one in out)
    pa.Table.from_pylist(result.verdicts, VERDICTS)
    assert result.counts is not None
    assert result.counts.balanced()
    columns = ("query_id", "doc_id", "relevance", "split")
    return [[tuple(row[name] for name in columns) for row in one.to_pylist()] for one in out], result  # type: ignore[misc]


def test_the_highest_grade_stands_where_the_first_one_stood() -> None:
    shards = [
        [("q1", "a", 1, "train"), ("q1", "x", 3, "train")],
        [("q1", "b", 2, "train"), ("q2", "b", 0, "train"), ("q1", "b", 2, "dev")],
    ]
    found, result = merged(shards, {"b": "a"})
    assert found == [
        [("q1", "a", 2, "train"), ("q1", "x", 3, "train")],
        [("q2", "a", 0, "train"), ("q1", "a", 2, "dev")],
    ]
    assert [(row["id"], row["value"], row["detail"]) for row in result.verdicts] == [
        ("q1\tb", 2.0, "a"), ("q2\tb", 0.0, "a"), ("q1\tb", 2.0, "a"),
    ]  # fmt: skip
    assert (result.counts.n_in, result.counts.kept, result.counts.dropped) == (5, 4, 1)  # type: ignore[union-attr]


def test_without_judgements_or_duplicates() -> None:
    assert merged([], {})[0] == [[]]
    assert merged([[]], {"b": "a"})[0] == [[]]
    rows: list[Qrel] = [("q", "a", 1, "train"), ("q", "c", 1, "train")]
    found, result = merged([rows], {"b": "a"})
    assert (found, result.verdicts) == ([rows], [])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(ONE, max_size=6), max_size=3),
    st.dictionaries(st.sampled_from("def"), st.sampled_from("abc")),
)  # fmt: skip
def test_every_judgement_of_a_keeper_is_the_best_of_all(shards: list[list[Qrel]], keepers: dict[str, str]) -> None:
    found, result = merged(shards, keepers)
    met = {*keepers, *keepers.values()}
    best: dict[tuple[str, str, str], int] = {}
    for query, doc, grade, split in (row for shard in shards for row in shard if row[1] in met):
        key = (query, keepers.get(doc, doc), split)
        best[key] = max(best.get(key, 0), grade)
    flat = [row for shard in found for row in shard]
    assert {(query, doc, split): grade for query, doc, grade, split in flat if doc in met} == best
    assert [row for row in flat if row[1] not in met] == [row for shard in shards for row in shard if row[1] not in met]
    assert len(flat) == result.counts.kept  # type: ignore[union-attr]
    assert len(result.verdicts) == sum(row[1] in keepers for shard in shards for row in shard)
