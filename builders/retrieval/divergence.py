"""Divergence from randomness: how far the occurrences of a term in a document are from chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dsbuild.builders.retrieval import lexical_tokens
from dsbuild.builders.retrieval.postings import Postings, Weights
from dsbuild.builders.retrieval.term_weights import TermWeights


@dataclass(eq=False)
class Divergence(TermWeights):
    """DPH, the hypergeometric model of divergence from randomness; it has no parameter.

    A term that is rarer in a document than chance would have it weighs 0 there instead of below, so that scores are 0 or more.
    Source: G. Amati, Frequentist and Bayesian approach to information retrieval, 2006; G. Amati et al., TREC 2007 (DPH).
    """

    name = "divergence"

    def __post_init__(self) -> None:
        super().__init__()

    def fingerprint(self) -> dict[str, Any]:
        """See `Retriever`."""
        return {"retriever": "divergence", "model": "dph", "terms": lexical_tokens.VERSION}

    def weigh(self, found: Postings) -> Weights:
        """See `TermWeights`."""
        if not len(found.counts):
            return np.empty(0, np.float32)
        counts = found.counts.astype(np.float64)
        totals = np.repeat(np.add.reduceat(counts, found.starts[:-1]), found.frequencies)
        lengths, n = found.lengths[found.documents].astype(np.float64), len(found.lengths)
        share = counts / lengths
        # A document of one word alone has the share 1: there is nothing to be surprised about, and no logarithm.
        rest = np.maximum(1 - share, 0.0)
        factor = rest**2 / (counts + 1)
        gain = counts * np.log2(counts * found.lengths.mean() / lengths * n / totals)
        spread = 0.5 * np.log2(np.maximum(2 * np.pi * counts * rest, np.finfo(float).tiny))
        return np.where(rest > 0, np.maximum(factor * (gain + spread), 0.0), 0.0).astype(np.float32)
