"""Pseudo-relevance feedback: a second search with the words of what the first one found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsbuild.builders.retrieval import postings
from dsbuild.builders.retrieval.bm25 import BM25
from dsbuild.builders.retrieval.postings import Asked
from dsbuild.builders.retrieval.retriever import Collection, Rows, Scores
from dsbuild.errors import RecipeError


@dataclass(eq=False)
class Feedback(BM25):
    """RM3 over BM25: the query's terms are mixed with the likeliest terms of the first documents.

    documents: those that are taken for relevant; words: terms that are taken from them; original: the share of the query itself. A term's share
    is the mean of its shares in the documents, each weighted by its BM25 score; k1, b and method are those of bm25.
    Source: N. Abdul-Jaleel et al., UMass at TREC 2004: Novelty and HARD (RM3).
    """

    documents: int = 10
    words: int = 10
    original: float = 0.5

    name = "feedback"

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.documents, self.words) < 1 or not 0 <= self.original <= 1:
            raise RecipeError(
                f"retriever.feedback: documents={self.documents}, words={self.words}, original={self.original}: at least 1, 1, and 0 to 1"
            )
        self._starts: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._terms = self._counts = np.empty(0, np.int32)

    def fingerprint(self) -> dict[str, Any]:
        """See `Retriever`."""
        own = {"documents": self.documents, "words": self.words, "original": self.original}
        return {**super().fingerprint(), "retriever": "feedback", **own}

    def build(self, corpus: Collection, scratch: Path) -> None:
        """See `Ordered`."""
        super().build(corpus, scratch)
        found = self._postings
        assert found is not None
        self._starts, self._terms, order = found.by_document()
        self._counts = found.counts[order]

    def ask(self, texts: pa.Array) -> Asked:
        """The terms of queries and of the documents that they find first, with their shares; terms ascending in a query."""
        assert self._postings is not None
        asked = super().ask(texts)
        size = min(self.documents, len(self._starts) - 1)
        rows, scores = postings.search(self._postings, self._weights, asked, size)
        own = postings.counted(asked)
        parts = [self._mixed(own, query, rows[query], scores[query]) for query in range(len(texts))]
        starts = np.cumsum([0, *(len(terms) for terms, _ in parts)]).astype(np.int64)
        empty = (np.empty(0, np.int32), np.empty(0, np.float32))
        terms, weights = (np.concatenate([one[side] for one in [*parts, empty]]) for side in (0, 1))
        return Asked(starts, terms.astype(np.int32), weights.astype(np.float32))

    def _mixed(self, own: Asked, query: int, rows: Rows, scores: Scores) -> tuple[Any, Any]:
        part = slice(own.starts[query], own.starts[query + 1])
        terms, weights = own.terms[part], own.weights[part].astype(np.float64)
        found = rows[rows >= 0]
        if not len(found):
            return terms, weights
        trust = scores[: len(found)].astype(np.float64)
        trust /= trust.sum()
        lengths = self._postings.lengths[found]  # type: ignore[union-attr]
        spans = [slice(self._starts[row], self._starts[row + 1]) for row in found.tolist()]
        seen = np.concatenate([self._terms[one] for one in spans])
        shares = np.concatenate(
            [self._counts[one] * (sure / length) for one, sure, length in zip(spans, trust, lengths, strict=True)]
        )
        distinct, inverse = np.unique(seen, return_inverse=True)
        model = np.bincount(inverse, shares)
        best = np.lexsort((distinct, -model))[: self.words]
        mixed = np.concatenate([terms, distinct[best]])
        share = np.concatenate(
            [self.original * weights / weights.sum(), (1 - self.original) * model[best] / model[best].sum()]
        )
        every, inverse = np.unique(mixed, return_inverse=True)
        return every, np.bincount(inverse, share)

    def close(self) -> None:
        """See `Retriever`."""
        super().close()
        self._starts, self._terms, self._counts = np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int32)
