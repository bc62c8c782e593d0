"""Exact search by dot product in bounded memory: blocks of float32 products through BLAS, of which only the best are kept.

A block of queries meets a block of documents; their products are scanned once, and what is below a query's worst hit so far is skipped by vector
instructions. BLAS may add up in another order at the edge of a block, so the hits that are kept, and some more, are rated again in
float64 in the order of the dimensions: equal vectors have equal scores, pairs have the score that `rate` gives them, and ties end by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsbuild.builders.retrieval.retriever import Hits, Rows, Scores, cores, spans
from dsbuild.builders.retrieval.top_hits import offer, push, settle
from dsbuild.errors import SourceError
from dsbuild.filters.utf8 import compiled

Vectors = npt.NDArray[np.floating[Any]]

# Queries and documents of a block (64 MiB of products): large enough that the threads of BLAS seldom wait for each other.
_QUERIES, _DOCUMENTS = 1_024, 16_384
# Hits that are kept beyond k until they are rated exactly.
_SPARE = 16


def check_vectors(vectors: Vectors, ids: pa.Array | Sequence[str], what: str) -> None:
    """`SourceError` that names the first row with a value that is not a finite number."""
    for start in range(0, len(vectors), 65_536):
        block = np.asarray(vectors[start : start + 65_536])
        fine = np.isfinite(block).all(axis=1)
        if not fine.all():
            row = start + int(np.argmin(fine))
            said = ids[row].as_py() if isinstance(ids, pa.Array) else ids[row]
            raise SourceError(f"{what} {said!r}: its vector (row {row}) holds NaN or infinity; encode it again")


def search(documents: Vectors, queries: Vectors, k: int, *, progress: Callable[[int], None] | None = None) -> Hits:
    """The k rows of `documents` with the largest dot products with each query: rows (n, k) int64 and scores (n, k) float32, best first.

    documents: (m, d), queries: (n, d), float32 or float16, also memory-mapped; k is cut to m. Of equal scores the smaller row is first.
    Beyond the vectors and the result it takes some 70 MB. `progress` is told after each block how many queries are done.
    """
    m, n = len(documents), len(queries)
    k = min(k, m)
    rows, scores = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    room = min(m, k + _SPARE)
    threads = cores()
    with ThreadPoolExecutor(threads) as pool:
        step = max(1, min(n, _QUERIES))
        for start in range(0, n, step):
            block = np.ascontiguousarray(queries[start : start + step], np.float32)
            kept = np.full((len(block), room), -np.inf, np.float32), np.full((len(block), room), -1, np.int64)
            sizes = np.zeros(len(block), np.int64)
            products = np.empty((len(block), min(_DOCUMENTS, m)), np.float32)
            parts = spans(len(block), threads)
            for first in range(0, m, _DOCUMENTS):
                some = np.ascontiguousarray(documents[first : first + _DOCUMENTS], np.float32)
                found = products[:, : len(some)]
                if len(some) == products.shape[1]:
                    np.matmul(block, some.T, out=found)
                else:
                    found = block @ some.T
                wait(pool.submit(_offer, found, first, *kept, sizes, *part) for part in parts)
            own = (documents, block, kept[1], sizes, rows[start : start + step], scores[start : start + step])
            wait(pool.submit(_settle, *own, *part) for part in parts)
            if progress is not None:
                progress(start + len(block))
    return rows, scores


def wait(jobs: Iterable[Future[None]]) -> None:
    """Wait for jobs; the first that failed is raised."""
    for job in list(jobs):
        job.result()


@compiled
def _offer(products: Any, first: int, scores: Any, rows: Any, sizes: Any, start: int, end: int) -> None:
    least = np.float32(-np.inf)
    for query in range(start, end):
        sizes[query] = offer(scores[query], rows[query], sizes[query], products[query], first, least)


def rank(documents: Vectors, queries: Vectors, near: Rows) -> Hits:
    """Rows that were found for each query, (n, k) with -1 where there are fewer, as hits that are rated exactly."""
    rows, scores = np.empty(near.shape, np.int64), np.empty(near.shape, np.float32)
    for query, found in enumerate(near):
        own = np.sort(found[found >= 0])
        _rank(
            np.asarray(queries[query], np.float32),
            np.asarray(documents[own], np.float32),
            own,
            rows[query],
            scores[query],
        )
    return rows, scores


def _settle(
    documents: Vectors, block: Vectors, kept: Rows, sizes: Any, rows: Rows, scores: Scores, start: int, end: int
) -> None:
    for query in range(start, end):
        own = np.sort(kept[query, : sizes[query]])
        _rank(block[query], np.asarray(documents[own], np.float32), own, rows[query], scores[query])


@compiled
def _rank(query: Any, documents: Any, own: Any, rows: Any, scores: Any) -> None:
    size = 0
    for index in range(len(own)):
        size = push(scores, rows, size, np.float32(_dot(query, documents[index])), own[index])
    settle(scores, rows, size)


@compiled
def _dot(query: Any, document: Any) -> float:
    total = 0.0
    for index in range(len(query)):
        total += np.float64(query[index]) * np.float64(document[index])
    return total


def rate(documents: Vectors, queries: Vectors, query_rows: Rows, doc_rows: Rows) -> Scores:
    """The dot products of given pairs, as `search` gives them."""
    found = np.empty(len(query_rows), np.float32)
    for start in range(0, len(found), 16_384):
        part = slice(start, start + 16_384)
        _rate(
            np.asarray(queries[query_rows[part]], np.float32),
            np.asarray(documents[doc_rows[part]], np.float32),
            found[part],
        )
    return found


@compiled
def _rate(queries: Any, documents: Any, found: Any) -> None:
    for index in range(len(found)):
        found[index] = np.float32(_dot(queries[index], documents[index]))


def normalised(vectors: Vectors) -> npt.NDArray[np.float32]:
    """The vectors at length 1 in float32; one of zeros stays."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    return (vectors / np.where(lengths > 0, lengths, 1.0)[:, None]).astype(np.float32)
