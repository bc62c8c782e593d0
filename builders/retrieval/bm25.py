"""BM25: the weights of bm25s, its index counted and searched by compiled kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dsbuild.builders.retrieval import lexical_tokens
from dsbuild.builders.retrieval.postings import Postings, Weights
from dsbuild.builders.retrieval.term_weights import TermWeights
from dsbuild.errors import RecipeError, UnknownName

METHODS = ("atire", "lucene", "robertson")
# Postings that are weighted at once: bounds the memory for it.
_AT_ONCE = 1 << 22


@dataclass(eq=False)
class BM25(TermWeights):
    """BM25 over `dsbuild.builders.retrieval.lexical_tokens`; k1, b and the variant (`method`) as bm25s has them.

    Scores are positive; a document that shares no term with the query is no hit and scores 0. A term that a query repeats counts as often.
    Source: S. Robertson, H. Zaragoza, The Probabilistic Relevance Framework, 2009; the variants: C. Kamphuis et al., ECIR 2020.
    """

    k1: float = 0.9
    b: float = 0.4
    method: str = "lucene"

    name = "bm25"

    def __post_init__(self) -> None:
        super().__init__()
        if not (0 <= self.k1 < np.inf and 0 <= self.b <= 1):
            raise RecipeError(f"retriever.bm25: k1={self.k1}, b={self.b}: k1 is 0 or more, b lies between 0 and 1")
        if self.method not in METHODS:
            raise UnknownName("method of retriever bm25", self.method, METHODS)

    def fingerprint(self) -> dict[str, Any]:
        """See `Retriever`."""
        return {"retriever": "bm25", "k1": self.k1, "b": self.b, "method": self.method, "terms": lexical_tokens.VERSION}

    def weigh(self, found: Postings) -> Weights:
        """See `TermWeights`."""
        # bm25s has these formulas under private names alone; pyproject.toml holds it to the releases that have them.
        from bm25s import scoring

        idf_of, tf_of = scoring._select_idf_scorer(self.method), scoring._select_tfc_scorer(self.method)
        n = len(found.lengths)
        distinct, inverse = np.unique(found.frequencies, return_inverse=True)
        idf = np.array([idf_of(int(df), N=n) for df in distinct], np.float32)[inverse]
        weights = np.empty(len(found.documents), np.float32)
        average = found.lengths.mean() or 1.0
        for start in range(0, len(weights), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            places = np.arange(start, min(start + _AT_ONCE, len(weights)))
            term = np.searchsorted(found.starts, places, "right") - 1
            counts = found.counts[part].astype(np.float32)
            lengths = found.lengths[found.documents[part]]
            weights[part] = idf[term] * tf_of(tf_array=counts, l_d=lengths, l_avg=average, k1=self.k1, b=self.b)
        return weights
