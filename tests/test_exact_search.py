from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dsbuild.builders.retrieval import exact_search
from dsbuild.errors import SourceError


def wanted(documents: np.ndarray, queries: np.ndarray, k: int) -> tuple[list[list[int]], np.ndarray]:
    exact = (queries.astype(np.float64) @ documents.astype(np.float64).T).astype(np.float32)
    rows = [sorted(range(len(documents)), key=lambda row: (-own[row], row))[:k] for own in exact]
    return rows, np.array([[own[row] for row in found] for own, found in zip(exact, rows, strict=True)])


@pytest.mark.parametrize(("n", "m", "k"), [(1, 1, 1), (3, 5, 9), (40, 2049, 10), (1030, 70, 3)])
def test_hits_are_those_of_all_products_sorted(n: int, m: int, k: int) -> None:
    draw = np.random.default_rng(m)
    documents, queries = (
        draw.standard_normal((m, 24)).astype(np.float32),
        draw.standard_normal((n, 24)).astype(np.float32),
    )
    rows, scores = exact_search.search(documents, queries, k)
    right, values = wanted(documents, queries, k)
    assert rows.tolist() == right
    np.testing.assert_allclose(scores, values, rtol=1e-6, atol=1e-6)


def test_equal_vectors_have_equal_scores_and_end_by_row() -> None:
    draw = np.random.default_rng(0)
    documents = np.repeat(draw.standard_normal((700, 33)).astype(np.float32), 4, axis=0)[draw.permutation(2800)]
    queries = draw.standard_normal((5, 33)).astype(np.float32)
    rows, scores = exact_search.search(documents, queries, 30)
    for own, values in zip(rows, scores, strict=True):
        same = np.diff(values) == 0
        assert (np.diff(own)[same] > 0).all()
        assert same.sum() >= 20


def test_pairs_have_the_score_of_the_search() -> None:
    draw = np.random.default_rng(1)
    documents, queries = (
        draw.standard_normal((300, 50)).astype(np.float16),
        draw.standard_normal((20, 50)).astype(np.float32),
    )
    rows, scores = exact_search.search(documents, queries, 300)
    again = exact_search.rate(documents, queries, np.repeat(np.arange(20), 300), rows.ravel())
    assert np.array_equal(again, scores.ravel())


def test_all_negative_products_are_hits_and_mapped_vectors_are_the_same(tmp_path: Path) -> None:
    documents, queries = -np.arange(1, 10, dtype=np.float32)[:, None], np.ones((2, 1), np.float32)
    rows, scores = exact_search.search(documents, queries, 3)
    assert rows.tolist() == [[0, 1, 2]] * 2
    assert scores.tolist() == [[-1.0, -2.0, -3.0]] * 2
    np.save(tmp_path / "v.npy", documents)
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    assert exact_search.search(mapped, queries, 3)[0].tolist() == rows.tolist()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_vector_that_is_not_finite_is_named(bad: float) -> None:
    vectors = np.zeros((5, 3), np.float32)
    vectors[3, 1] = bad
    with pytest.raises(SourceError, match=r"document 'd3'.*row 3.*NaN"):
        exact_search.check_vectors(vectors, [f"d{row}" for row in range(5)], "document")


def test_a_zero_vector_stays_when_others_get_the_length_1() -> None:
    found = exact_search.normalised(np.array([[3, 4], [0, 0]], np.float32))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0]], rtol=1e-6)
