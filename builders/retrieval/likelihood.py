"""Query likelihood: how probable a query is under the language model of a document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dsbuild.builders.retrieval import lexical_tokens
from dsbuild.builders.retrieval.postings import Postings, Weights
from dsbuild.builders.retrieval.term_weights import TermWeights
from dsbuild.errors import RecipeError


@dataclass(eq=False)
class Likelihood(TermWeights):
    """Unigram query likelihood with Jelinek-Mercer smoothing, as ln(1 + (1 - s) p(t|d) / (s p(t|collection))) summed over the query's terms.

    smoothing: the share s of the collection's model; long queries want more of it than short ones. Scores are positive and rank as the
    likelihood does; a document that shares no term with the query is no hit.
    Source: C. Zhai, J. Lafferty, A study of smoothing methods for language models applied to information retrieval, 2004.
    """

    smoothing: float = 0.5

    name = "likelihood"

    def __post_init__(self) -> None:
        super().__init__()
        if not 0 < self.smoothing < 1:
            raise RecipeError(f"retriever.likelihood.smoothing={self.smoothing}: between 0 and 1")

    def fingerprint(self) -> dict[str, Any]:
        """See `Retriever`."""
        return {"retriever": "likelihood", "smoothing": self.smoothing, "terms": lexical_tokens.VERSION}

    def weigh(self, found: Postings) -> Weights:
        """See `TermWeights`."""
        totals = (
            np.add.reduceat(found.counts.astype(np.float64), found.starts[:-1]) if len(found.counts) else np.empty(0)
        )
        inside = found.counts / found.lengths[found.documents]
        outside = np.repeat(totals, found.frequencies) / max(1, int(found.lengths.sum()))
        ratio = (1 - self.smoothing) / self.smoothing
        return np.log1p(ratio * inside / outside).astype(np.float32)
