"""Cosine of log-TF-IDF vectors of character n-grams: a retriever that needs no words and forgives spelling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dsbuild.builders.retrieval import lexical_tokens, postings
from dsbuild.builders.retrieval.lexical_tokens import Hashes
from dsbuild.builders.retrieval.postings import Asked, Postings, Weights
from dsbuild.builders.retrieval.term_weights import TermWeights
from dsbuild.errors import RecipeError
from dsbuild.filters.utf8 import Offsets


@dataclass(eq=False)
class Ngrams(TermWeights):
    """N-grams of the characters of a folded text, a space between its words; a Chinese, Japanese or Korean character counts as two.

    A weight is (1 + ln tf) (1 + ln ((1 + N) / (1 + df))). Scores lie in 0..1; a document without a common n-gram is no hit and scores 0.
    Source: P. McNamee, J. Mayfield, Character N-Gram Tokenization for European Language Text Retrieval, 2004 (n = 4).
    """

    n: int = 4

    name = "ngrams"

    def __post_init__(self) -> None:
        super().__init__()
        if not 2 <= self.n <= 16:
            raise RecipeError(f"retriever.ngrams.n={self.n}: 2 to 16 characters")
        self._idf: Weights = np.empty(0, np.float32)

    def fingerprint(self) -> dict[str, Any]:
        """See `Retriever`."""
        return {"retriever": "ngrams", "n": self.n, "terms": lexical_tokens.VERSION}

    def scan(self, texts: pa.Array) -> tuple[Hashes, Offsets]:
        """See `TermWeights`."""
        return lexical_tokens.ngram_hashes(texts, self.n)

    def weigh(self, found: Postings) -> Weights:
        """See `TermWeights`."""
        frequencies, n = found.frequencies, len(found.lengths)
        self._idf = (1.0 + np.log((1 + n) / (1.0 + frequencies))).astype(np.float32)
        weights = (1.0 + np.log(found.counts.astype(np.float32))) * np.repeat(self._idf, frequencies)
        squares = np.bincount(found.documents, weights.astype(np.float64) ** 2, n)
        lengths = np.sqrt(np.where(squares > 0, squares, 1.0))
        return (weights / lengths[found.documents]).astype(np.float32)

    def ask(self, texts: pa.Array) -> Asked:
        """The n-grams of queries with their weights, which have length 1."""
        asked = postings.counted(super().ask(texts))
        weights = (1.0 + np.log(asked.weights)) * self._idf[asked.terms]
        rows = np.repeat(np.arange(len(asked.starts) - 1), np.diff(asked.starts))
        lengths = np.sqrt(np.bincount(rows, weights.astype(np.float64) ** 2, len(texts)))
        return Asked(asked.starts, asked.terms, (weights / lengths[rows]).astype(np.float32))

    def close(self) -> None:
        """See `Retriever`."""
        super().close()
        self._idf = np.empty(0, np.float32)
