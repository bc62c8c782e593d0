"""Latent semantic analysis: a dense retriever that needs no download, trained on the collection itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dsbuild.builders.retrieval import exact_search, lexical_tokens, postings
from dsbuild.builders.retrieval.lexical_tokens import Vocabulary
from dsbuild.builders.retrieval.retriever import Collection
from dsbuild.builders.retrieval.vector_index import Floats, VectorRetriever
from dsbuild.errors import RecipeError


@dataclass(eq=False)
class LSA(VectorRetriever):
    """Cosine of texts in the space of the largest singular vectors of their log-TF-IDF matrix.

    A weight is (1 + ln tf) (1 + ln ((1 + N) / (1 + df))), a text's weights have length 1. Queries without a known term have no hits;
    scores lie in -1..1. dims: singular vectors, fewer where the collection has fewer documents or terms; min_df: documents that a term
    must stand in; fit: documents that the space is fitted on, a fixed draw by the order of ids; where there are more, the others are folded in.
    Source: S. Deerwester et al., Indexing by latent semantic analysis, 1990.
    """

    dims: int = 200
    min_df: int = 1
    fit: int = 100_000

    name = "lsa"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dims < 1 or self.min_df < 1 or self.fit < 2:
            raise RecipeError(
                f"retriever.lsa: dims={self.dims}, min_df={self.min_df}, fit={self.fit}: at least 1, 1 and 2"
            )
        self._vocabulary: Vocabulary | None = None
        self._idf = self._basis = np.empty(0, np.float32)

    def fingerprint(self) -> dict[str, Any]:
        """See `Retriever`."""
        own = {"dims": self.dims, "min_df": self.min_df, "fit": self.fit}
        return {"retriever": "lsa", **own, "terms": lexical_tokens.VERSION, **self.fingerprint_index()}

    def build(self, corpus: Collection, scratch: Path) -> None:
        """See `Ordered`."""
        from scipy import sparse

        found = postings.invert(corpus.texts)
        n, frequencies = len(corpus), found.frequencies
        self._idf = np.where(frequencies >= self.min_df, 1.0 + np.log((1 + n) / (1.0 + frequencies)), 0.0).astype(
            np.float32
        )
        weights = (1.0 + np.log(found.counts.astype(np.float32))) * np.repeat(self._idf, frequencies)
        by_term = sparse.csc_matrix((weights, found.documents, found.starts), shape=(n, len(self._idf)))
        matrix = unit_rows(by_term.tocsr())
        # Not evenly spaced ones: ids often count through languages, topics or parts of documents.
        draw = np.random.Generator(np.random.PCG64(0))
        some = matrix if n <= self.fit else matrix[np.sort(draw.choice(n, self.fit, replace=False))]
        self._basis = basis_of(some, self.dims)
        self.hold(exact_search.normalised(matrix @ self._basis), corpus)
        self._vocabulary = found.vocabulary

    def encode(self, texts: pa.Array) -> Floats:
        """The vectors of texts, (n, dims), of length 1, or 0 where no term is known."""
        from scipy import sparse

        assert self._vocabulary is not None
        asked = postings.counted(postings.ask(texts, self._vocabulary))
        weights = (1.0 + np.log(asked.weights)) * self._idf[asked.terms]
        matrix = sparse.csr_matrix((weights, asked.terms, asked.starts), shape=(len(texts), len(self._idf)))
        return exact_search.normalised(unit_rows(matrix) @ self._basis)

    def close(self) -> None:
        """See `Retriever`."""
        super().close()
        self._vocabulary = None
        self._idf = self._basis = np.empty(0, np.float32)


def unit_rows(matrix: Any) -> Any:
    """A sparse matrix (CSR) with rows of length 1, those of zeros left."""
    squares = np.add.reduceat(np.append(matrix.data.astype(np.float64) ** 2, 0.0), matrix.indptr[:-1])
    sizes = np.diff(matrix.indptr)
    lengths = np.sqrt(np.where(sizes > 0, squares, 1.0))
    matrix.data = (matrix.data / np.repeat(np.where(lengths > 0, lengths, 1.0), sizes)).astype(np.float32)
    return matrix


def basis_of(matrix: Any, dims: int) -> Floats:
    """The right singular vectors of the largest singular values, (terms, dims), the same on every run.

    ARPACK begins with a fixed vector, and each singular vector points where its entry of the largest size is positive. Fewer than `dims` where
    the matrix has no more rows or columns, and where singular values are 0.
    """
    from scipy.sparse import linalg

    n, size = matrix.shape
    dims = min(dims, n, size)
    if dims < min(n, size):
        start = np.random.Generator(np.random.PCG64(0)).standard_normal(min(n, size))
        _, values, right = linalg.svds(matrix.astype(np.float64), k=dims, v0=start, solver="arpack")
    else:
        _, values, right = np.linalg.svd(matrix.toarray().astype(np.float64), full_matrices=False)
    order = np.argsort(-values, kind="stable")
    order = order[values[order] > 1e-9 * max(values.max(initial=0.0), 1e-300)]
    right = right[order]
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])
    return np.ascontiguousarray((right * signs[:, None]).T, np.float32)
