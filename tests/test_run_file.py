from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dsbuild.builders.retrieval.retriever import Collection, open_retrievers
from dsbuild.errors import SourceError


def collection(*ids: str) -> Collection:
    return Collection(pa.array(ids, pa.large_string()), pa.array([""] * len(ids), pa.large_string()), "en")


def run(path: Path, text: str) -> str:
    path.write_text(text, "utf-8")
    return f"run:{path}"


def test_hits_are_ordered_by_score_then_id(tmp_path: Path) -> None:
    spec = run(tmp_path / "peer.trec", "1 Q0 b 1 -1.5 t\n1\tQ0\ta\t2\t-1.5\tt\n01 Q0 c 1 2e1 t\n1 Q0 c 3 -7 t\n\n")
    (made,) = open_retrievers(spec)
    assert made.name == "run:peer"
    docs, queries = collection("c", "b", "a"), collection("01", "1", "2")
    made.index(docs, tmp_path)
    rows, scores = made.search(queries, 2)
    assert rows.tolist() == [[0, -1], [2, 1], [-1, -1]]
    assert scores[1].tolist() == [-1.5, -1.5]
    pairs = made.score(queries, np.array([1, 0, 2]), np.array([0, 1, 0]))
    assert pairs[0] == -7
    assert np.isnan(pairs[1:]).all()


def test_a_packed_file_has_the_name_of_what_it_holds(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "bm25.txt.gz", "wt") as file:
        file.write("q Q0 d 1 1.0 t\n")
    (made,) = open_retrievers(f"run:{tmp_path}/bm25.txt.gz")
    made.index(collection("d"), tmp_path)
    assert made.name == "run:bm25"
    assert len(made.fingerprint()["sha256"]) == 64


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 Q0 a 1 0.1 t\n1 Q0 b 2 0.2 t\n", r":2: query '1' has a larger score at rank 2"),
        ("1 Q0 a 1 0.9 t\n1 Q0 zz 2 0.2 t\n", r":2: document 'zz' is not in the corpus"),
        ("1 Q0 a 1 0.9 t\n1 Q0 a 2 0.2 t\n", r":2: document 'a' stands there twice"),
        ("1 Q0 a 1 0.9 t\n1 Q0 b 2 nan t\n", r":2: the score nan"),
        ("1 Q0 a 1 0.9 t\n1 a 0.2\n", r":2: '1 a 0.2' is not a run line"),
        ("1 Q0 a one 0.9 t\n", r":1: .* is not a run line"),
        ("\n", r"no run line"),
    ],
)
def test_a_bad_run_is_named_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    (made,) = open_retrievers(run(tmp_path / "r.trec", text))
    with pytest.raises(SourceError, match=said):
        made.index(collection("a", "b"), tmp_path)


def test_unknown_documents_are_dropped_where_that_is_said(tmp_path: Path) -> None:
    spec = run(tmp_path / "r.trec", "1 Q0 zz 1 0.9 t\n1 Q0 b 2 0.2 t\n")
    (made,) = open_retrievers(spec, {"run": {"unknown": "drop"}})
    made.index(collection("a", "b"), tmp_path)
    assert made.search(collection("1"), 3)[0].tolist() == [[1, -1, -1]]
