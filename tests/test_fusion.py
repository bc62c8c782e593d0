from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dsbuild.builders.retrieval.retriever import Collection, open_retrievers

RUNS = {"one": ["a", "b", "c"], "two": ["c", "a", "d"]}


def collection(*ids: str) -> Collection:
    return Collection(pa.array(ids, pa.large_string()), pa.array([""] * len(ids), pa.large_string()), "en")


def spec(kind: str, folder: Path) -> str:
    for name, ids in RUNS.items():
        lines = [f"q Q0 {doc} {rank} {10 - rank} t\n" for rank, doc in enumerate(ids, 1)]
        (folder / f"{name}.trec").write_text("".join(lines), "utf-8")
    return f"{kind}:run:{folder}/one.trec+run:{folder}/two.trec"


def test_reciprocal_ranks_are_added(tmp_path: Path) -> None:
    (made,) = open_retrievers(spec("rrf", tmp_path))
    assert made.name == "rrf:run:one+run:two"
    docs = collection("d", "c", "b", "a", "e")
    made.index(docs, tmp_path)
    rows, scores = made.search(collection("q"), 4)
    assert [docs.ids[int(row)].as_py() for row in rows[0]] == ["a", "c", "b", "d"]
    np.testing.assert_allclose(scores[0], [1 / 61 + 1 / 62, 1 / 63 + 1 / 61, 1 / 62, 1 / 63], rtol=1e-6)
    pairs = made.score(collection("q"), np.zeros(5, np.int64), np.arange(5))
    assert np.isnan(pairs[4])
    np.testing.assert_array_equal(pairs[rows[0]], scores[0])


def test_parts_take_turns(tmp_path: Path) -> None:
    (made,) = open_retrievers(spec("interleave", tmp_path))
    docs = collection("a", "b", "c", "d")
    made.index(docs, tmp_path)
    rows, scores = made.search(collection("q", "none"), 5)
    assert [docs.ids[int(row)].as_py() for row in rows[0][:4]] == ["a", "c", "b", "d"]
    assert scores[0][:4].tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert (rows[1] == -1).all()
