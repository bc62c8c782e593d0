from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dsbuild.builders.retrieval.bm25 import BM25
from dsbuild.builders.retrieval.lexical_tokens import terms
from dsbuild.builders.retrieval.retriever import Collection

WORDS = [f"w{number}" for number in range(60)]


def texts(n: int, seed: int, longest: int = 30) -> list[str]:
    draw = np.random.default_rng(seed)
    return [" ".join(WORDS[int(59 * draw.random() ** 3)] for _ in range(draw.integers(1, longest))) for _ in range(n)]


def collection(rows: list[str]) -> Collection:
    ids = [f"{number:05d}" for number in range(len(rows))]
    return Collection(pa.array(ids, pa.large_string()), pa.array(rows, pa.large_string()), "en")


@pytest.mark.parametrize("method", ["lucene", "robertson", "atire"])
def test_scores_are_those_of_bm25s(method: str, tmp_path: Path) -> None:
    docs, queries = texts(300, 0), texts(20, 1, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import bm25s

    peer = bm25s.BM25(k1=1.2, b=0.6, method=method)
    peer.index([terms(text) for text in docs], show_progress=False)
    ours = BM25(k1=1.2, b=0.6, method=method)
    ours.index(collection(docs), tmp_path)
    pairs = np.indices((len(queries), len(docs))).reshape(2, -1)
    found = ours.score(collection(queries), pairs[0], pairs[1]).reshape(len(queries), len(docs))
    for query, own in zip(queries, found, strict=True):
        np.testing.assert_allclose(own, peer.get_scores(terms(query)), rtol=1e-6, atol=1e-7)
    rows, scores = ours.search(collection(queries), 10)
    for own, hits, values in zip(found, rows, scores, strict=True):
        wanted = [row for row in sorted(range(len(docs)), key=lambda row: (-own[row], row))[:10] if own[row] > 0]
        assert hits[: len(wanted)].tolist() == wanted
        assert np.array_equal(values[: len(wanted)], own[wanted])


def test_documents_without_any_word_are_no_hits(tmp_path: Path) -> None:
    ours = BM25()
    ours.index(collection(["", "...", "!"]), tmp_path)
    rows, _ = ours.search(collection(["word", ""]), 2)
    assert (rows == -1).all()
