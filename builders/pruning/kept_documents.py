"""Which documents a pruned set keeps: the rules that order what nobody judged, over what several retrievers found.

Every rule numbers the documents that nobody judged by when they come in, from 1; a set of a given size, depth or certificate takes those
up to a number. Judged documents are always kept, those that were judged not relevant too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dsbuild.builders.evaluation import retrieval_metrics
from dsbuild.filters.utf8 import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# What comes in never.
NEVER = np.iinfo(np.int64).max
METRICS = {
    "ndcg@10": (retrieval_metrics.ndcg, 10),
    "mrr@10": (retrieval_metrics.mrr, 10),
    "recall@100": (retrieval_metrics.recall, 100),
}
MAIN = "ndcg@10"
SHOWN = max(k for _, k in METRICS.values())


@dataclass(frozen=True)
class Pool:
    """What retrievers found for the queries of one language, all of which have a relevant document.

    names: of the retrievers; hits: (retrievers, queries, depth) numbers of documents, best first, -1 where there are no more; grades: the
    same shape, the grade of each hit, 0 where nobody judged it; judged: (documents) judged for any of the queries; positives: (queries)
    relevant documents; ideal: (queries, any) the grades of judged documents; starts, own: the judged documents of query q are
    own[starts[q]:starts[q + 1]].
    """

    names: tuple[str, ...]
    hits: npt.NDArray[np.int32]
    grades: npt.NDArray[np.float32]
    judged: Mask
    positives: Ints
    ideal: Floats
    starts: Ints
    own: npt.NDArray[np.int32]

    @classmethod
    def of(
        cls, hits: Mapping[str, npt.NDArray[Any]], n_documents: int, queries: Ints, documents: Ints, grades: Ints
    ) -> Pool:
        """From the hits of each retriever (queries, depth) and the judged pairs: numbers of queries and documents, and grades."""
        names = tuple(hits)
        depth = max((one.shape[1] for one in hits.values()), default=0)
        n = max((len(one) for one in hits.values()), default=0)
        whole = np.full((len(names), n, depth), -1, np.int32)
        for place, one in zip(whole, hits.values(), strict=True):
            place[:, : one.shape[1]] = one
        order = np.lexsort((documents, queries))
        queries, documents, grades = queries[order], documents[order], grades[order]
        keys = queries * n_documents + documents
        asked = np.arange(n)[:, None] * n_documents + whole
        at = np.minimum(np.searchsorted(keys, asked), max(0, len(keys) - 1))
        there = (whole >= 0) & (keys[at] == asked) if len(keys) else np.zeros(whole.shape, np.bool_)
        judged = np.zeros(n_documents, np.bool_)
        judged[documents] = True
        starts = np.searchsorted(queries, np.arange(n + 1)).astype(np.int64)
        ideal = np.zeros((n, max(1, int(np.diff(starts).max(initial=0)))))
        ideal[queries, np.arange(len(queries)) - starts[queries]] = np.maximum(grades, 0)
        own = grades[at] if len(keys) else np.zeros(whole.shape, np.int64)
        found = np.where(there, np.maximum(own, 0), 0).astype(np.float32)
        positives = np.bincount(queries[grades > 0], minlength=n)
        return cls(names, whole, found, judged, positives, ideal, starts, documents.astype(np.int32))

    def only(self, names: Iterable[str]) -> Pool:
        """The same with some of the retrievers."""
        places = [self.names.index(name) for name in names]
        return replace(
            self, names=tuple(self.names[at] for at in places), hits=self.hits[places], grades=self.grades[places]
        )

    def found(self, keep: Mask, k: int) -> Ints:
        """The places in `hits` of the first k kept documents of each ranking: (retrievers, queries, k), -1 where there are no more."""
        places = np.full((*self.hits.shape[:2], k), -1, np.int64)
        _first(self.hits, keep, places)
        return places

    def scores(self, keep: Mask, metric: str = MAIN) -> Floats:
        """Scores of the rankings when only some documents are there: (queries, retrievers)."""
        measure, k = METRICS[metric]
        places = self.found(keep, k)
        grades = (
            np.take_along_axis(self.grades, np.maximum(places, 0), axis=2)
            if self.grades.shape[2]
            else np.zeros(places.shape)
        )
        grades = np.where(places >= 0, grades, 0.0).astype(np.float64)
        return np.stack([measure(one, self.ideal, k) for one in grades], axis=1)


@compiled
def _first(hits: Any, keep: Any, places: Any) -> None:
    for retriever in range(hits.shape[0]):
        for query in range(hits.shape[1]):
            size = 0
            for place in range(hits.shape[2]):
                document = hits[retriever, query, place]
                if document < 0 or size == places.shape[2]:
                    break
                if keep[document]:
                    places[retriever, query, size] = place
                    size += 1


def by_rank(pool: Pool) -> Ints:
    """MIRACL-VISION's rule: a document comes in with its best rank for any question, by any retriever.

    Source: R. Osmulski et al., MIRACL-VISION: A large, multilingual, visual document retrieval benchmark, 2025.
    """
    needed = np.full(len(pool.judged), NEVER)
    ranks = np.broadcast_to(np.arange(1, pool.hits.shape[2] + 1), pool.hits.shape)
    there = pool.hits >= 0
    np.minimum.at(needed, pool.hits[there], ranks[there])
    return np.where(pool.judged, 0, needed)


def by_turns(pool: Pool) -> Ints:
    """MMTEB's rule: a document comes in with the budget of a query that begins with its judged documents and goes on by turns.

    Each retriever in turn gives its next document that is not there yet. A query with more judged documents than the budget keeps them all.
    Source: K. Enevoldsen et al., MMTEB: Massive Multilingual Text Embedding Benchmark, 2025, and its down-sampling code.
    """
    needed = np.full(len(pool.judged), NEVER)
    _turns(pool.hits, pool.starts, pool.own, needed)
    return np.where(pool.judged, 0, needed)


@compiled
def _turns(hits: Any, starts: Any, own: Any, needed: Any) -> None:
    seen = np.full(len(needed), -1, np.int64)
    at = np.zeros(hits.shape[0], np.int64)
    for query in range(hits.shape[1]):
        at[:] = 0
        for place in range(starts[query], starts[query + 1]):
            seen[own[place]] = query
        size = starts[query + 1] - starts[query]
        going = True
        while going:
            going = False
            for retriever in range(hits.shape[0]):
                while at[retriever] < hits.shape[2]:
                    document = hits[retriever, query, at[retriever]]
                    at[retriever] += 1
                    if document < 0:
                        at[retriever] = hits.shape[2]
                        break
                    if seen[document] != query:
                        seen[document] = query
                        size += 1
                        needed[document] = min(needed[document], size)
                        going = True
                        break


def balanced(pool: Pool) -> Ints:
    """The order that keeps retrievers comparable: each document comes in for the retriever that gained most by what is missing.

    A retriever's nDCG@10 rises when documents that it put before relevant ones are gone. Of all retrievers the one that gained most gets back, for
    the query where it gained most, the best document that is missing; that goes on until no score differs from that on the whole
    collection, so queries with many relevant documents, or badly ranked ones, go deeper. What comes in never is not needed for any score.
    """
    needed = np.full(len(pool.judged), NEVER)
    needed[pool.judged] = 0
    size = pool.hits.shape[2]
    there = np.flatnonzero(pool.hits.ravel() >= 0)
    documents = pool.hits.ravel()[there]
    where = there[np.argsort(documents, kind="stable")]
    starts = np.concatenate(([0], np.cumsum(np.bincount(documents, minlength=len(needed)))))
    whole = pool.scores(np.ones(len(needed), np.bool_))
    order = -np.sort(-pool.ideal, axis=1)[:, :10]
    best = (order / np.log2(np.arange(2, order.shape[1] + 2))).sum(axis=1)
    if size:
        _balance(pool.hits, pool.grades, best, np.ascontiguousarray(whole.T), pool.judged.copy(), starts, where, needed)
    return needed


def filled(pool: Pool, order: Ints) -> Ints:
    """An order, and after its end, by turns, what retrievers found and it does not have.

    Nothing of that is needed for the pool's own scores; retrievers that are not in the pool gain less.
    """
    turns = by_turns(pool)
    more = np.flatnonzero((order == NEVER) & (turns < NEVER))
    further = order.copy()
    last = int(order[order < NEVER].max(initial=0))
    further[more[np.argsort(turns[more], kind="stable")]] = last + 1 + np.arange(len(more))
    return further


@compiled
def _gain(hits: Any, grades: Any, keep: Any, best: Any) -> Any:
    """nDCG@10 of a ranking of what is kept, and the place of the tenth kept document."""
    total, rank, last = 0.0, 0, len(hits)
    for place in range(len(hits)):
        document = hits[place]
        if document < 0:
            break
        if keep[document]:
            total += grades[place] / np.log2(rank + 2.0)
            rank += 1
            if rank == 10:
                last = place
                break
    return total / best, last


@compiled
def _balance(hits: Any, grades: Any, best: Any, whole: Any, keep: Any, starts: Any, where: Any, needed: Any) -> None:
    n_retrievers, n_queries, size = hits.shape
    least = 1e-12
    gain = np.empty((n_retrievers, n_queries))
    tenth = np.empty((n_retrievers, n_queries), np.int64)
    total = np.zeros(n_retrievers)
    done = np.zeros((n_retrievers, n_queries), np.bool_)
    for retriever in range(n_retrievers):
        for query in range(n_queries):
            score, tenth[retriever, query] = _gain(hits[retriever, query], grades[retriever, query], keep, best[query])
            gain[retriever, query] = score - whole[retriever, query]
            total[retriever] += gain[retriever, query]
    came, finished = 0, np.zeros(n_retrievers, np.bool_)
    while True:
        most = -1
        for retriever in range(n_retrievers):
            if not finished[retriever] and (most < 0 or total[retriever] > total[most]):
                most = retriever
        if most < 0:
            return
        query, largest = -1, least
        for one in range(n_queries):
            if not done[most, one] and gain[most, one] > largest:
                query, largest = one, gain[most, one]
        if query < 0:
            finished[most] = True
            continue
        document = -1
        for place in range(size):
            here = hits[most, query, place]
            if here < 0:
                break
            if not keep[here]:
                document = here
                break
        if document < 0:
            done[most, query] = True
            continue
        came += 1
        keep[document], needed[document] = True, came
        for index in range(starts[document], starts[document + 1]):
            place = where[index] % size
            one = where[index] // size % n_queries
            retriever = where[index] // size // n_queries
            if place > tenth[retriever, one]:
                continue
            score, tenth[retriever, one] = _gain(hits[retriever, one], grades[retriever, one], keep, best[one])
            change = score - whole[retriever, one] - gain[retriever, one]
            total[retriever] += change
            gain[retriever, one] += change
            # A gain can come back, because what comes in for one retriever moves the documents of another.
            if change > 0:
                finished[retriever] = False
