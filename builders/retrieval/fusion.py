"""Several retrievers as one: reciprocal rank fusion, and taking turns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dsbuild.builders.retrieval.retriever import Collection, Hits, Retriever, Rows, Scores
from dsbuild.errors import RecipeError


@dataclass(eq=False)
class Fused:
    """Base: the parts are searched to a depth, and a document's score comes from its ranks.

    depth: hits of each part that count, or as many as are asked for where that is more. The score of a pair is NaN where no part returns the
    document within the depth.
    """

    parts: tuple[Retriever, ...] = ()
    depth: int = 200

    kind: ClassVar[str] = ""
    GIVEN: ClassVar[dict[str, str]] = {"parts": "retrievers"}
    EXAMPLE: ClassVar[str] = "bm25+lsa"

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise RecipeError(f"retriever.{self.kind}.depth={self.depth}: at least 1")
        names = [part.name for part in self.parts]
        if len(set(names)) < len(names):
            raise RecipeError(f"--retriever {self.kind}:{'+'.join(names)}: a part is named twice")
        self.name = f"{self.kind}:{'+'.join(names)}"
        self.deterministic = all(part.deterministic for part in self.parts)
        self._place: Rows = np.empty(0, np.int64)
        self._last: tuple[Collection, int, list[Rows]] | None = None

    def fingerprint(self) -> dict[str, Any]:
        """See `Retriever`."""
        return {"retriever": self.kind, "depth": self.depth, "parts": [part.fingerprint() for part in self.parts]}

    def keep_in(self, folder: Path) -> None:
        """Name the folder for what serves later runs."""
        for part in self.parts:
            if hasattr(part, "keep_in"):
                part.keep_in(folder)

    def index(self, corpus: Collection, scratch: Path) -> None:
        """See `Retriever`."""
        self._last = None
        order = corpus.order()
        self._place = np.empty_like(order)
        self._place[order] = np.arange(len(order))
        for number, part in enumerate(self.parts):
            inner = scratch / f"part-{number}"
            inner.mkdir(parents=True, exist_ok=True)
            part.index(corpus, inner)

    def _ranked(self, queries: Collection, k: int) -> list[Rows]:
        """The hits of each part. Those of the last queries are at hand: candidates and anchors ask for the same."""
        depth = max(self.depth, k)
        if self._last is None or self._last[0] is not queries or self._last[1] < depth:
            self._last = queries, depth, [part.search(queries, depth)[0] for part in self.parts]
        return self._last[2]

    def points(self, found: list[Rows]) -> tuple[Rows, Scores]:
        """The documents that the parts found for one query, each once, and their scores."""
        raise NotImplementedError

    def search(self, queries: Collection, k: int) -> Hits:
        """See `Retriever`."""
        rows, scores = np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32)
        found = self._ranked(queries, k)
        for query in range(len(queries)):
            own, points = self.points([part[query][part[query] >= 0] for part in found])
            order = np.lexsort((self._place[own], -points))[:k]
            rows[query, : len(order)], scores[query, : len(order)] = own[order], points[order]
        return rows, scores

    def score(self, queries: Collection, query_rows: Rows, doc_rows: Rows) -> Scores:
        """See `Retriever`."""
        found = self._ranked(queries, 0)
        scores = np.full(len(query_rows), np.nan, np.float32)
        for query in np.unique(query_rows).tolist():
            own, points = self.points([part[query][part[query] >= 0] for part in found])
            known = dict(zip(own.tolist(), points.tolist(), strict=True))
            for index in np.flatnonzero(query_rows == query).tolist():
                scores[index] = known.get(int(doc_rows[index]), np.nan)
        return scores

    def close(self) -> None:
        """See `Retriever`."""
        self._last = None
        for part in self.parts:
            part.close()


@dataclass(eq=False)
class RRF(Fused):
    """Reciprocal rank fusion: a document's score is the sum over the parts of 1 / (k + its rank).

    Source: G. Cormack, C. Clarke, S. Büttcher, Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods, 2009.
    """

    k: int = 60

    kind = "rrf"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k < 0:
            raise RecipeError(f"retriever.rrf.k={self.k}: 0 or more")

    def fingerprint(self) -> dict[str, Any]:
        """See `Retriever`."""
        return {**super().fingerprint(), "k": self.k}

    def points(self, found: list[Rows]) -> tuple[Rows, Scores]:
        """See `Fused`."""
        own, inverse = np.unique(np.concatenate(found), return_inverse=True)
        each = np.concatenate([1.0 / (self.k + 1.0 + np.arange(len(rows))) for rows in found])
        return own, np.bincount(inverse, each, len(own)).astype(np.float32)


@dataclass(eq=False)
class Interleave(Fused):
    """Taking turns: each part in turn gives its next document that is not there yet; the score of place p is 1 / p.

    Source: the hard-negative sets of MMTEB (K. Enevoldsen et al., 2025), which pool runs so.
    """

    kind = "interleave"

    def points(self, found: list[Rows]) -> tuple[Rows, Scores]:
        """See `Fused`."""
        taken: dict[int, None] = {}
        ranks = [iter(rows.tolist()) for rows in found]
        while ranks:
            still = []
            for rank in ranks:
                fresh = next((row for row in rank if row not in taken), None)
                if fresh is not None:
                    taken[fresh] = None
                    still.append(rank)
            ranks = still
        rows = np.fromiter(taken, np.int64, len(taken))
        return rows, (1.0 / np.arange(1, len(rows) + 1)).astype(np.float32)
