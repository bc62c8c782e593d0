"""An inverted index: for each term the documents that hold it, how often, and a weight; and search over it, compiled."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsbuild.builders.retrieval import lexical_tokens
from dsbuild.builders.retrieval.lexical_tokens import Hashes, Numbers, Vocabulary
from dsbuild.builders.retrieval.retriever import Hits, Rows, Scores, cores, spans
from dsbuild.builders.retrieval.top_hits import offer, settle
from dsbuild.filters.utf8 import Offsets, compiled

# How the hashes of the terms of texts are made: as `lexical_tokens.term_hashes`.
Scanner = Callable[[pa.Array], tuple[Hashes, Offsets]]
Weights = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Postings:
    """Counts by term: the documents of term t are `documents[starts[t]:starts[t + 1]]`, ascending, `counts` beside them.

    lengths: terms of each document, repeats counted.
    """

    vocabulary: Vocabulary
    starts: npt.NDArray[np.int64]
    documents: Numbers
    counts: Numbers
    lengths: npt.NDArray[np.int64]

    @property
    def frequencies(self) -> npt.NDArray[np.int64]:
        """Documents of each term."""
        return np.diff(self.starts)

    def by_document(self) -> tuple[npt.NDArray[np.int64], Numbers, npt.NDArray[np.int64]]:
        """The postings turned round: where each document's begin (and the last ends), their terms, and which posting each is."""
        order = np.argsort(self.documents, kind="stable")
        terms = np.repeat(np.arange(len(self.frequencies), dtype=np.int32), self.frequencies)
        starts = np.searchsorted(self.documents[order], np.arange(len(self.lengths) + 1)).astype(np.int64)
        return starts, terms[order], order


def invert(texts: pa.Array, scanner: Scanner = lexical_tokens.term_hashes) -> Postings:
    """The postings of some texts."""
    vocabulary = Vocabulary()
    parts, sizes = [], []
    for block in lexical_tokens.blocks(texts):
        hashes, bounds = scanner(block)
        parts.append(vocabulary.number(hashes, add=True))
        sizes.append(np.diff(bounds))
    numbers = np.concatenate(parts) if parts else np.empty(0, np.int32)
    lengths = np.concatenate(sizes) if sizes else np.empty(0, np.int64)
    starts, documents, counts = _invert(numbers, lengths, vocabulary.size)
    return Postings(vocabulary, starts, documents, counts, lengths)


@compiled
def _invert(numbers: Numbers, lengths: Any, size: int) -> Any:
    last = np.full(size, -1, np.int32)
    starts = np.zeros(size + 1, np.int64)
    index = 0
    for document in range(len(lengths)):
        for _ in range(lengths[document]):
            term = numbers[index]
            index += 1
            if last[term] != document:
                last[term] = document
                starts[term + 1] += 1
    for term in range(size):
        starts[term + 1] += starts[term]
    free = starts[:-1].copy()
    last[:] = -1
    documents, counts = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.int32)
    index = 0
    for document in range(len(lengths)):
        for _ in range(lengths[document]):
            term = numbers[index]
            index += 1
            if last[term] == document:
                counts[free[term] - 1] += 1
                continue
            last[term] = document
            documents[free[term]], counts[free[term]] = document, 1
            free[term] += 1
    return starts, documents, counts


@dataclass(frozen=True, slots=True)
class Asked:
    """Queries as terms with weights: query i has `terms[starts[i]:starts[i + 1]]`; terms that no document holds are left out."""

    starts: npt.NDArray[np.int64]
    terms: Numbers
    weights: Weights


def ask(queries: pa.Array, vocabulary: Vocabulary, scanner: Scanner = lexical_tokens.term_hashes) -> Asked:
    """The terms of queries, in their order and with repeats, each with the weight 1."""
    hashes, bounds = scanner(queries)
    numbers = vocabulary.number(hashes, add=False)
    known = np.concatenate((np.zeros(1, np.int64), np.cumsum(numbers >= 0)))
    found = numbers[numbers >= 0]
    return Asked(known[bounds].astype(np.int64), found, np.ones(len(found), np.float32))


def counted(asked: Asked) -> Asked:
    """The same with each term of a query once, its weight the number of its occurrences, terms ascending."""
    rows = np.repeat(np.arange(len(asked.starts) - 1), np.diff(asked.starts))
    size = int(asked.terms.max()) + 1 if len(asked.terms) else 1
    keys, counts = np.unique(rows * size + asked.terms, return_counts=True)
    starts = np.searchsorted(keys, np.arange(len(asked.starts)) * size)
    return Asked(starts.astype(np.int64), (keys % size).astype(np.int32), counts.astype(np.float32))


def search(postings: Postings, weights: Weights, asked: Asked, k: int) -> Hits:
    """The k documents with the largest sums of weight x query weight over common terms; documents without one are no hits.

    Sums are in float32 and in the order of the query's terms, whatever the number of threads.
    """
    n = len(asked.starts) - 1
    rows, scores = np.empty((n, k), np.int64), np.empty((n, k), np.float32)

    def part(bounds: tuple[int, int]) -> None:
        start, end = bounds
        _search(
            postings.starts, postings.documents, weights, len(postings.lengths), asked.starts[start : end + 1], asked.terms, asked.weights,
            rows[start:end], scores[start:end],
        )  # fmt: skip

    run_parts(part, n)
    return rows, scores


def run_parts(work: Callable[[tuple[int, int]], None], n: int) -> None:
    """Do work on runs of `n` rows, in as many threads as there are cores."""
    parts = spans(n, cores())
    if len(parts) == 1:
        work(parts[0])
        return
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(work, parts))


@compiled
def _search(
    starts: Any, documents: Any, weights: Any, n_documents: int, query_starts: Any, terms: Any, query_weights: Any, rows: Any, scores: Any
) -> None:  # fmt: skip
    sums = np.zeros(n_documents, np.float32)
    zero = np.float32(0.0)
    for query in range(len(query_starts) - 1):
        for index in range(query_starts[query], query_starts[query + 1]):
            factor = query_weights[index]
            for place in range(starts[terms[index]], starts[terms[index] + 1]):
                sums[documents[place]] += weights[place] * factor
        size = offer(scores[query], rows[query], 0, sums, 0, zero)
        settle(scores[query], rows[query], size)
        sums[:] = 0


def rate(postings: Postings, weights: Weights, asked: Asked, query_rows: Rows, doc_rows: Rows) -> Scores:
    """The sums of `search` for given pairs, 0 where query and document share no term."""
    order = np.argsort(query_rows, kind="stable")
    found = np.empty(len(query_rows), np.float32)
    _rate(
        postings.starts, postings.documents, weights, asked.starts, asked.terms, asked.weights,
        np.ascontiguousarray(query_rows[order]), np.ascontiguousarray(doc_rows[order]), found,
    )  # fmt: skip
    scores = np.empty_like(found)
    scores[order] = found
    return scores


@compiled
def place_of(keys: Any, low: int, high: int, key: int) -> int:
    """Where a key is among the ascending `keys[low:high]`, -1 if nowhere."""
    end = high
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low if low < end and keys[low] == key else -1


@compiled
def _rate(
    starts: Any, documents: Any, weights: Any, query_starts: Any, terms: Any, query_weights: Any, query_rows: Any, doc_rows: Any, found: Any
) -> None:  # fmt: skip
    for index in range(len(query_rows)):
        query, document = query_rows[index], doc_rows[index]
        total = np.float32(0.0)
        for at in range(query_starts[query], query_starts[query + 1]):
            place = place_of(documents, starts[terms[at]], starts[terms[at] + 1], document)
            if place >= 0:
                total += weights[place] * query_weights[at]
        found[index] = total
