"""Retrievers that compare vectors: exact search, or an approximate index of FAISS where it is asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsbuild.builders.retrieval import exact_search
from dsbuild.builders.retrieval.exact_search import Vectors
from dsbuild.builders.retrieval.retriever import Collection, Hits, Ordered, Rows, Scores, cores
from dsbuild.errors import MissingExtra, RecipeError

Floats = npt.NDArray[np.float32]

EXACT, FAISS = "exact", "faiss"
# The index that `faiss` stands for, as FAISS names them: a graph, 32 neighbours a vector.
_FACTORY = "HNSW32"
# Nodes that a search of a graph, and cells that a search of lists, looks at.
_EFFORT = {"efSearch": 256, "nprobe": 32}


@dataclass(eq=False)
class VectorRetriever(Ordered):
    """Base of retrievers that make a vector of each text. Scores are dot products; a query whose vector is 0 has no hits.

    search_index: `exact`, `faiss`, or `faiss:` and an index as FAISS's index_factory names it (`faiss:IVF1024,Flat`). What FAISS finds is
    rated exactly, so it may miss hits and never misjudges them; it is not the same on every run.
    """

    search_index: str = field(default=EXACT, kw_only=True, metadata={"option": "index"})

    def __post_init__(self) -> None:
        super().__init__()
        kind, _, factory = self.search_index.partition(":")
        if kind not in (EXACT, FAISS) or (kind == EXACT and factory):
            raise RecipeError(f"retriever.{self.name}.index={self.search_index!r}: exact, faiss, or faiss:INDEX")
        self.deterministic = self.REPEATS and kind == EXACT
        self._vectors: Vectors = np.empty((0, 0), np.float32)
        self._approximate: Any = None

    def encode(self, texts: pa.Array) -> Floats:
        """The vectors of queries, (n, dim)."""
        raise NotImplementedError

    def fingerprint_index(self) -> dict[str, Any]:
        """What the index adds to a fingerprint."""
        return {} if self.search_index == EXACT else {"index": self.search_index}

    def hold(self, vectors: Vectors, corpus: Collection) -> None:
        """Take the documents' vectors, in the order of their ids; `SourceError` that names a document whose vector is not finite."""
        exact_search.check_vectors(vectors, corpus.ids, "document")
        self._vectors = vectors
        if self.search_index != EXACT:
            self._approximate = built(vectors, self.search_index.partition(":")[2] or _FACTORY, self.name)

    def find(self, queries: Collection, k: int) -> Hits:
        """See `Ordered`."""
        vectors = self.encode(queries.texts)
        exact_search.check_vectors(vectors, queries.ids, "query")
        if self._approximate is None:
            rows, scores = exact_search.search(self._vectors, vectors, k)
        else:
            _, near = self._approximate.search(np.ascontiguousarray(vectors), k)
            rows, scores = exact_search.rank(self._vectors, vectors, near)
        rows[~vectors.any(axis=1)] = -1
        return rows, scores

    def rate(self, queries: Collection, query_rows: Rows, doc_rows: Rows) -> Scores:
        """See `Ordered`."""
        return exact_search.rate(self._vectors, self.encode(queries.texts), query_rows, doc_rows)

    def close(self) -> None:
        """See `Retriever`."""
        super().close()
        self._vectors, self._approximate = np.empty((0, 0), np.float32), None


def built(vectors: Vectors, factory: str, name: str) -> Any:
    """A FAISS index over the vectors, by inner product."""
    try:
        import faiss
    except ImportError:
        raise MissingExtra(f"retriever.{name}.index=faiss", "faiss-cpu", "dense") from None
    faiss.omp_set_num_threads(int(os.environ.get("OMP_NUM_THREADS", cores())))
    try:
        index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        index.train(np.ascontiguousarray(vectors, np.float32))
        for start in range(0, len(vectors), 65_536):
            index.add(np.ascontiguousarray(vectors[start : start + 65_536], np.float32))
    except RuntimeError as error:
        last = str(error).strip().splitlines()[-1]
        raise RecipeError(
            f"retriever.{name}.index=faiss:{factory}: FAISS cannot make it of {len(vectors)} vectors ({last})"
        ) from None
    effort = faiss.ParameterSpace()
    for knob, value in _EFFORT.items():
        try:
            effort.set_index_parameter(index, knob, value)
        except RuntimeError:  # an index of another kind has no such knob
            continue
    return index
