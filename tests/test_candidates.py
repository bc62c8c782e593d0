"""Candidates of several retrievers as one block, and what the positives of a query score."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dsbuild.builders.retrieval.candidates import Anchors, Candidates
from dsbuild.errors import SourceError
from dsbuild.tables import CANDIDATES

Row = tuple[str, str, int, float]


def table(name: str, rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(
        [{"query_id": q, "doc_id": d, "retriever": name, "rank": r, "score": s} for q, d, r, s in rows], CANDIDATES
    )


def judged(rows: list[tuple[str, str, int, float | None]]) -> pa.Table:
    schema = pa.schema(
        [
            ("query_id", pa.string()),
            ("doc_id", pa.string()),
            ("relevance", pa.int32()),
            ("score", pa.float64()),
            ("rank", pa.int32()),
        ]
    )
    return pa.Table.from_pylist(
        [{"query_id": q, "doc_id": d, "relevance": g, "score": s, "rank": None} for q, d, g, s in rows], schema
    )


A = [("q2", "10", 1, -0.5), ("q2", "9", 2, -0.7), ("q1", "a", 1, 3.0), ("q1", "b", 2, 3.0)]
B = [("q1", "b", 1, 0.9), ("q1", "c", 2, 0.1)]


def listed(block: Candidates, query: int) -> list[tuple[str, int, list[int], list[float]]]:
    rows = range(block.starts[query], block.starts[query + 1])
    return [
        (block.doc_ids[int(block.docs[i])].as_py(), int(block.place[i]), block.ranks[:, i].tolist(), block.scores[:, i].tolist())
        for i in rows
    ]  # fmt: skip


def test_a_block_is_the_union_with_rank_and_score_of_each() -> None:
    block = Candidates.of({"x": table("x", A), "y": table("y", B)}, ["q1", "q2", "q3"])
    assert block.starts.tolist() == [0, 3, 5, 5]
    b = listed(block, 0)
    assert [one[0] for one in b] == ["a", "b", "c"]
    assert [one[2] for one in b] == [[1, 0], [2, 1], [0, 2]]
    assert math.isnan(b[0][3][1])
    # b: 1/62 + 1/61; a: 1/61; c: 1/62
    assert [one[1] for one in b] == [2, 1, 3]
    # Ids are strings: "10" stands before "9".
    assert [(one[0], one[1]) for one in listed(block, 1)] == [("10", 1), ("9", 2)]
    assert listed(block, 2) == []


def test_one_retriever_keeps_its_ranks_and_the_order_of_retrievers_does_not_matter() -> None:
    draw = random.Random(5)
    alone = Candidates.of({"x": table("x", A)}, ["q1", "q2"])
    assert alone.place.tolist() == alone.ranks[0].tolist()
    names = ["x", "y", "z"]
    tables: dict[str, Any] = {}
    for name in names:
        docs = draw.sample([f"d{i}" for i in range(40)], 20)
        tables[name] = table(name, [("q", doc, rank, -rank) for rank, doc in enumerate(docs, 1)])
    one = Candidates.of(tables, ["q"])
    other = Candidates.of({name: tables[name] for name in ("z", "x", "y")}, ["q"])
    assert one.place.tolist() == other.place.tolist()
    held = {doc: [dict(zip(tables[n]["doc_id"].to_pylist(), tables[n]["rank"].to_pylist(), strict=True)).get(doc) for n in names]
            for doc in one.doc_ids.to_pylist()}  # fmt: skip
    slow = sorted(held, key=lambda doc: (-sum(1 / (60 + rank) for rank in held[doc] if rank), doc))
    assert [one.doc_ids.to_pylist()[i] for i in np.argsort(one.place)] == slow


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("q1", "a", 1, 0.1), ("q1", "b", 2, 0.9)], "reversed"),
        ([("q1", "a", 1, float("nan"))], "not a number"),
        ([("q1", "a", 0, 1.0)], "begin at 1"),
        ([("q1", "a", 1, 1.0), ("q1", "a", 2, 1.0)], "there twice"),
        ([("q7", "a", 1, 1.0)], "'q7' is not among the queries"),
    ],
)
def test_what_no_retriever_may_return_is_refused_with_its_place(rows: list[Row], said: str) -> None:
    with pytest.raises(SourceError, match=said) as error:
        Candidates.of({"runs": table("runs", rows)}, ["q1"])
    assert "runs" in str(error.value)


def test_draws_are_of_the_pair_alone() -> None:
    both = Candidates.of({"x": table("x", A), "y": table("y", B)}, ["q1", "q2"])
    one = Candidates.of({"x": table("x", [row for row in A if row[0] == "q2"])}, ["q2"])
    assert one.draws(7).tolist() == both.draws(7)[both.starts[1] :].tolist()
    assert one.draws(7).tolist() != one.draws(8).tolist()
    many = [(f"q{i}", f"d{j}", j + 1, -j) for i in range(50) for j in range(40)]
    drawn = Candidates.of({"x": table("x", many)}, [f"q{i}" for i in range(50)]).draws(0)
    assert len(set(drawn.tolist())) == 2000
    assert abs(drawn.mean() - 0.5) < 0.03
    assert ((drawn > 0) & (drawn < 1)).all()


def test_lookup_finds_pairs() -> None:
    block = Candidates.of({"x": table("x", A)}, ["q1", "q2", "q3"])
    found = block.lookup(np.array([0, 1, 1, 2, 0]), pa.array(["b", "10", "a", "b", "zz"]))
    assert found.tolist() == [1, 2, -1, -1, -1]
    assert Candidates.of({"x": table("x", [])}, ["q"]).lookup(np.array([0]), pa.array(["a"])).tolist() == [-1]


def test_anchors_are_the_least_score_of_the_positives_that_are_known() -> None:
    x = judged(
        [("q1", "a", 1, 3.0), ("q1", "b", 2, 2.0), ("q1", "z", 0, 9.0), ("q2", "c", 1, None), ("other", "a", 1, 1.0)]
    )
    y = judged([("q1", "a", 1, -3.0), ("q1", "b", 2, -2.0), ("q1", "z", 0, -9.0), ("q2", "c", 1, -1.0)])
    anchors = Anchors.of({"x": x, "y": y}, ["q1", "q2", "q3"])
    assert anchors.starts.tolist() == [0, 3, 4, 4]
    np.testing.assert_array_equal(anchors.anchor(), [[2.0, np.nan, np.nan], [-3.0, -1.0, np.nan]])
    np.testing.assert_array_equal(anchors.anchor(how="max"), [[3.0, np.nan, np.nan], [-2.0, -1.0, np.nan]])
    np.testing.assert_array_equal(anchors.anchor(how="mean"), [[2.5, np.nan, np.nan], [-2.5, -1.0, np.nan]])
    labels = anchors.positive & (np.array(anchors.doc_ids.to_pylist()) != "b")
    np.testing.assert_array_equal(anchors.anchor(labels)[:, 0], [3.0, -3.0])
