from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dsbuild.builders.retrieval.lexical_tokens import terms
from dsbuild.builders.retrieval.lsa import LSA, basis_of
from dsbuild.builders.retrieval.retriever import Collection

TOPICS = (
    "whale ocean fin tide ship harbour wave",
    "oven flour yeast bread butter crust salt",
    "court judge law appeal verdict jury oath",
)


def collection(rows: list[str]) -> Collection:
    ids = [f"{number:03d}" for number in range(len(rows))]
    return Collection(pa.array(ids, pa.large_string()), pa.array(rows, pa.large_string()), "en")


def docs(n: int) -> list[str]:
    draw = np.random.default_rng(4)
    return [" ".join(draw.choice(TOPICS[row % 3].split(), 6)) for row in range(n)]


def test_vectors_are_those_of_a_full_decomposition(tmp_path: Path) -> None:
    texts = docs(60)
    ours = LSA(dims=5)
    ours.index(collection(texts), tmp_path)
    vocabulary = sorted({term for text in texts for term in terms(text)})
    counts = np.array([[terms(text).count(term) for term in vocabulary] for text in texts], float)
    idf = 1 + np.log((1 + len(texts)) / (1 + (counts > 0).sum(axis=0)))
    matrix = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * idf
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    right = np.linalg.svd(matrix, full_matrices=False)[2][:5].T
    vectors = matrix @ right
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = np.indices((60, 60)).reshape(2, -1)
    found = ours.score(collection(texts), pairs[0], pairs[1]).reshape(60, 60)
    np.testing.assert_allclose(found, vectors @ vectors.T, atol=2e-5)


def test_it_repeats_bit_by_bit_and_finds_topics_without_a_common_word(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        ours = LSA(dims=3)
        ours.index(collection(docs(90)), tmp_path)
        found.append(ours.search(collection(["yeast", "jury oath"]), 30))
    assert np.array_equal(found[0][0], found[1][0])
    assert np.array_equal(found[0][1], found[1][1])
    assert (found[0][0][0] % 3 == 1).all()
    assert (found[0][0][1] % 3 == 2).all()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_documents_have_few_dimensions(n: int, tmp_path: Path) -> None:
    ours = LSA()
    ours.index(collection(docs(n)), tmp_path)
    rows, scores = ours.search(collection(docs(n)), 5)
    assert rows[:, 0].tolist() == list(range(n))
    assert scores[:, 0] == pytest.approx(1, abs=1e-5)
    assert (rows[:, n:] == -1).all()


def test_documents_beyond_the_fit_are_folded_in(tmp_path: Path) -> None:
    ours = LSA(dims=3, fit=30)
    ours.index(collection(docs(90)), tmp_path)
    rows, _ = ours.search(collection(["bread crust"]), 30)
    assert (rows[0] % 3 == 1).all()


def test_documents_without_words_do_no_harm(tmp_path: Path) -> None:
    ours = LSA(dims=2)
    ours.index(collection(["", *docs(6), "..."]), tmp_path)
    rows, scores = ours.search(collection(["bread"]), 8)
    assert np.isfinite(scores).all()
    assert rows[0, 0] in (2, 5)


def test_singular_vectors_have_one_sign() -> None:
    from scipy import sparse

    matrix = sparse.csr_matrix(np.random.default_rng(0).random((40, 30)))
    basis = basis_of(matrix, 8)
    assert basis.shape == (30, 8)
    assert (basis[np.abs(basis).argmax(axis=0), np.arange(8)] > 0).all()
    np.testing.assert_allclose(basis.T @ basis, np.eye(8), atol=1e-5)


@pytest.mark.parametrize("index", ["faiss", "faiss:Flat"])
def test_faiss_finds_the_same_on_a_small_set(index: str, tmp_path: Path) -> None:
    pytest.importorskip("faiss", reason="faiss is not installed")
    texts, queries = collection(docs(90)), collection(["yeast", "", "jury oath ship"])
    exact, near = LSA(dims=3), LSA(dims=3, search_index=index)
    assert exact.deterministic
    assert not near.deterministic
    assert exact.fingerprint() != near.fingerprint()
    for one in (exact, near):
        one.index(texts, tmp_path)
    wanted, found = exact.search(queries, 10), near.search(queries, 10)
    np.testing.assert_allclose(wanted[1], found[1], atol=1e-6)
    assert (found[0][1] == -1).all()
