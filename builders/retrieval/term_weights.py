"""Base of retrievers that give a document the sum of the weights of the query's terms in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from dsbuild.builders.retrieval import lexical_tokens, postings
from dsbuild.builders.retrieval.lexical_tokens import Hashes
from dsbuild.builders.retrieval.postings import Asked, Postings, Weights
from dsbuild.builders.retrieval.retriever import Collection, Hits, Ordered, Rows, Scores
from dsbuild.filters.utf8 import Offsets


class TermWeights(Ordered):
    """A subclass has `weigh(postings)`: the weight of each posting, at least 0. A document whose weights add up to 0 is no hit."""

    def __init__(self) -> None:
        super().__init__()
        self._postings: Postings | None = None
        self._weights: Weights = np.empty(0, np.float32)

    def scan(self, texts: pa.Array) -> tuple[Hashes, Offsets]:
        """The hashes of the terms of texts: words, unless a subclass has other terms."""
        return lexical_tokens.term_hashes(texts)

    def weigh(self, found: Postings) -> Weights:
        """The weights of the postings, in their order."""
        raise NotImplementedError

    def ask(self, texts: pa.Array) -> Asked:
        """The terms of queries with their weights; a term that a query repeats counts as often."""
        assert self._postings is not None
        return postings.ask(texts, self._postings.vocabulary, self.scan)

    def build(self, corpus: Collection, scratch: Path) -> None:
        """See `Ordered`."""
        self._postings = postings.invert(corpus.texts, self.scan)
        self._weights = self.weigh(self._postings)

    def find(self, queries: Collection, k: int) -> Hits:
        """See `Ordered`."""
        assert self._postings is not None
        return postings.search(self._postings, self._weights, self.ask(queries.texts), k)

    def rate(self, queries: Collection, query_rows: Rows, doc_rows: Rows) -> Scores:
        """See `Ordered`."""
        assert self._postings is not None
        return postings.rate(self._postings, self._weights, self.ask(queries.texts), query_rows, doc_rows)

    def close(self) -> None:
        """See `Retriever`."""
        super().close()
        self._postings, self._weights = None, np.empty(0, np.float32)
