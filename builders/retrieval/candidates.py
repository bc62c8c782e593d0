"""Candidates of a block of queries: the union of what several retrievers returned, with the rank and score of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from dsbuild.errors import SourceError

if TYPE_CHECKING:
    from dsbuild.builders.retrieval.evidence import Evidence

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher 2009).
RRF_K = 60
# Reciprocal ranks as whole numbers: their sum is the same in every order of the retrievers.
_UNIT = 1 << 48


@dataclass(frozen=True)
class Candidates:
    """The candidates of a block of queries as rows that are grouped by query.

    query_ids: of the block, in its order; doc_ids: distinct and sorted; starts: (queries + 1) borders of the queries' rows; docs: (rows)
    indices into doc_ids, ascending in a query; retrievers: their names; ranks: (retrievers, rows), 0 where it did not return
    the document; scores: the same, NaN there; place: (rows) 1 and up, the order of the union: by reciprocal rank fusion, ties by
    doc_id; with one retriever its own rank; evidence: what more is known of the rows, for a rule that learns.
    """

    query_ids: pa.Array
    doc_ids: pa.Array
    starts: Ints
    docs: npt.NDArray[np.int32]
    retrievers: tuple[str, ...]
    ranks: npt.NDArray[np.int32]
    scores: Floats
    place: npt.NDArray[np.int32]
    evidence: Evidence | None = None

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.docs)

    @property
    def n_queries(self) -> int:
        """The number of queries, also those without a candidate."""
        return len(self.query_ids)

    @property
    def query_of(self) -> npt.NDArray[np.int64]:
        """The index of each row's query."""
        return np.repeat(np.arange(self.n_queries), np.diff(self.starts))

    @classmethod
    def of(cls, tables: Mapping[str, pa.Table], queries: pa.Array | Sequence[str]) -> Candidates:
        """From one table (`CANDIDATES`) for each retriever, in the order of their names in `tables`.

        Raises `SourceError` for a query that is not in the block, a document that is there twice for a query, a score that is not
        a number, a rank below 1, and scores that grow with the rank.
        """
        names = tuple(tables)
        query_ids = _strings(queries)
        found = [_strings(tables[name]["doc_id"]) for name in names]
        doc_ids, codes = coded(pa.concat_arrays(found) if found else _strings([]))
        keys, ranks, scores, start = [], [], [], 0
        for name, ids in zip(names, found, strict=True):
            table = tables[name]
            query = _places(table["query_id"], query_ids, f"candidates of {name}")
            rank = table["rank"].to_numpy().astype(np.int64)
            score = pc.fill_null(table["score"], float("nan")).to_numpy().astype(np.float64)
            key = query * max(1, len(doc_ids)) + codes[start : start + len(ids)]
            start += len(ids)
            _check(name, table, query, key, rank, score)
            keys.append(key)
            ranks.append(rank)
            scores.append(score)
        union = _distinct(keys)
        all_ranks = np.zeros((len(names), len(union)), np.int32)
        all_scores = np.full((len(names), len(union)), np.nan)
        for index in range(len(names)):
            rows = np.searchsorted(union, keys[index])
            all_ranks[index, rows], all_scores[index, rows] = ranks[index], scores[index]
        query, docs = np.divmod(union, max(1, len(doc_ids)))
        starts = np.searchsorted(query, np.arange(len(query_ids) + 1))
        place = _fused(query, docs, starts, all_ranks)
        return cls(query_ids, doc_ids, starts, docs.astype(np.int32), names, all_ranks, all_scores, place)

    def draws(self, seed: int) -> Floats:
        """A number in (0, 1) for each row, by a hash of seed, query_id and doc_id: no state, no order of drawing."""
        queries = _hashes(self.query_ids, seed)[self.query_of]
        return _uniform(queries ^ _hashes(self.doc_ids, seed + 1)[self.docs])

    def lookup(self, query: Ints, doc_ids: pa.Array) -> Ints:
        """The row of each pair of a query (index) and a doc_id; -1 where it is no candidate of that query."""
        doc = pc.fill_null(pc.index_in(_strings(doc_ids), self.doc_ids), -1).to_numpy(zero_copy_only=False)
        width = max(1, len(self.doc_ids))
        held = self.query_of * width + self.docs
        wanted = query * width + doc
        rows = np.searchsorted(held, wanted)
        there = (doc >= 0) & (rows < len(held))
        there[there] = held[rows[there]] == wanted[there]
        return np.where(there, rows, -1)


@dataclass(frozen=True)
class Anchors:
    """The judged pairs of a block of queries with the score that each retriever gives them.

    starts: (queries + 1) borders of the queries' pairs; doc_ids: (pairs), ascending in a query; relevance: (pairs);
    scores: (retrievers, pairs), NaN where a retriever cannot know; ranks: the same, 0 where it did not return the document.
    """

    starts: Ints
    doc_ids: pa.Array
    relevance: npt.NDArray[np.int32]
    retrievers: tuple[str, ...]
    scores: Floats
    ranks: npt.NDArray[np.int32]

    @property
    def query_of(self) -> npt.NDArray[np.int64]:
        """The index of each pair's query."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    @property
    def positive(self) -> Mask:
        """Whether each pair is judged relevant."""
        return np.asarray(self.relevance > 0, np.bool_)

    @classmethod
    def of(cls, tables: Mapping[str, pa.Table], queries: pa.Array | Sequence[str]) -> Anchors:
        """From one table (query_id, doc_id, relevance, score, rank) for each retriever; rows of other queries are passed over."""
        names, query_ids = tuple(tables), _strings(queries)
        kept = []
        for name in names:
            table = tables[name]
            query = pc.index_in(_strings(table["query_id"]), query_ids)
            mine = pc.is_valid(query)
            kept.append((table.filter(mine), query.filter(mine).to_numpy(zero_copy_only=False).astype(np.int64)))
        found = [_strings(table["doc_id"]) for table, _ in kept]
        doc_ids, codes = coded(pa.concat_arrays(found) if found else _strings([]))
        keys, start = [], 0
        for (_, query), ids in zip(kept, found, strict=True):
            keys.append(query * max(1, len(doc_ids)) + codes[start : start + len(ids)])
            start += len(ids)
        union = _distinct(keys)
        relevance = np.full(len(union), np.iinfo(np.int32).min, np.int32)
        scores = np.full((len(names), len(union)), np.nan)
        ranks = np.zeros((len(names), len(union)), np.int32)
        for index, (table, _) in enumerate(kept):
            rows = np.searchsorted(union, keys[index])
            # A pair may be judged in several splits: its highest grade counts.
            np.maximum.at(relevance, rows, table["relevance"].to_numpy())
            scores[index, rows] = pc.fill_null(table["score"], float("nan")).to_numpy()
            ranks[index, rows] = pc.fill_null(table["rank"], 0).to_numpy()
        query, docs = np.divmod(union, max(1, len(doc_ids)))
        starts = np.searchsorted(query, np.arange(len(query_ids) + 1))
        return cls(starts, doc_ids.take(pa.array(docs)), relevance, names, scores, ranks)

    def anchor(self, labels: Mask | None = None, how: str = "min") -> Floats:
        """What candidates are compared with: (retrievers, queries), NaN where a query has no label that the retriever scores.

        labels: (pairs) the positives that are known, all of them by default; how: their least score (min), the largest (max) or the mean.
        """
        chosen = self.positive if labels is None else labels
        query, n_queries = self.query_of[chosen], len(self.starts) - 1
        out = np.full((len(self.retrievers), n_queries), np.nan)
        for index, scores in enumerate(self.scores[:, chosen]):
            known = ~np.isnan(scores)
            if how == "mean":
                counts = np.bincount(query[known], minlength=n_queries)
                sums = np.bincount(query[known], scores[known], minlength=n_queries)
                out[index, counts > 0] = sums[counts > 0] / counts[counts > 0]
                continue
            value = np.full(n_queries, np.inf if how == "min" else -np.inf)
            (np.minimum if how == "min" else np.maximum).at(value, query[known], scores[known])
            out[index] = np.where(np.isinf(value), np.nan, value)
        return out


def coded(ids: pa.Array) -> tuple[pa.Array, Ints]:
    """The distinct ids in their order, and the place of each id among them.

    >>> coded(pa.array(["b", "a", "b"], pa.large_string()))[1].tolist()
    [1, 0, 1]
    """
    found = ids.dictionary_encode()
    order = pc.sort_indices(found.dictionary).to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    codes = rank[found.indices.to_numpy()] if len(order) else np.empty(0, np.int64)
    return found.dictionary.take(pa.array(order)), codes


def _distinct(keys: list[Ints]) -> Ints:
    """The distinct numbers, ascending; np.unique hashes first, which takes ten times as long here."""
    ordered = np.sort(np.concatenate([np.empty(0, np.int64), *keys]))
    new = np.ones(len(ordered), np.bool_)
    new[1:] = ordered[1:] != ordered[:-1]
    return ordered[new]


def _strings(values: pa.Array | pa.ChunkedArray | Sequence[str]) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if not isinstance(values, pa.Array):
        return pa.array(list(values), pa.large_string())
    return values.cast(pa.large_string())


def _places(ids: pa.ChunkedArray, known: pa.Array, what: str) -> Ints:
    found = pc.index_in(_strings(ids), known)
    if found.null_count:
        row = pc.index(pc.is_null(found), True).as_py()
        raise SourceError(f"{what}: query {ids[row].as_py()!r} is not among the queries; retrieve for this set")
    return np.asarray(found.to_numpy(zero_copy_only=False), np.int64)


def _check(name: str, table: pa.Table, query: Ints, key: Ints, rank: Ints, score: Floats) -> None:
    """Refuse what no retriever may return."""

    def said(row: int) -> str:
        return (
            f"candidates of {name}: query {table['query_id'][row].as_py()!r}, document {table['doc_id'][row].as_py()!r}"
        )

    if (bad := np.flatnonzero(np.isnan(score))).size:
        raise SourceError(
            f"{said(int(bad[0]))}: the score is not a number; mend the retriever's vectors or the run file"
        )
    if (bad := np.flatnonzero(rank < 1)).size:
        raise SourceError(f"{said(int(bad[0]))}: rank {rank[bad[0]]}; ranks begin at 1")
    order = np.argsort(key, kind="stable")
    if (bad := np.flatnonzero(key[order][1:] == key[order][:-1])).size:
        raise SourceError(f"{said(int(order[bad[0] + 1]))} is there twice; keep one row of it")
    order = np.lexsort((rank, query))
    falling = (query[order][1:] == query[order][:-1]) & (score[order][1:] > score[order][:-1])
    if (bad := np.flatnonzero(falling)).size:
        row = int(order[bad[0] + 1])
        raise SourceError(
            f"{said(row)}: score {score[row]:g} at rank {rank[row]} is above the score of the rank before; "
            "scores are reversed: larger must be better"
        )


def _fused(query: Ints, docs: Ints, starts: Ints, ranks: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    if len(ranks) == 1:
        return np.array(ranks[0], np.int32)
    points = np.zeros(len(query), np.int64)
    for one in ranks:
        points += np.where(one > 0, _UNIT // (RRF_K + one.astype(np.int64)), 0)
    order = np.lexsort((docs, -points, query))
    place = np.empty(len(query), np.int32)
    place[order] = np.arange(len(query)) - starts[query[order]] + 1
    return place


def _hashes(ids: pa.Array, seed: int) -> npt.NDArray[np.uint64]:
    wrapped = seed % (1 << 64)
    found = (xxhash.xxh3_64_intdigest(one.encode("utf-8"), wrapped) for one in ids.to_pylist())
    return np.fromiter(found, np.uint64, len(ids))


def _uniform(bits: npt.NDArray[np.uint64]) -> Floats:
    """Mix 64 bits (the finaliser of SplitMix64) into a number in (0, 1)."""
    with np.errstate(over="ignore"):
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    return ((bits >> np.uint64(11)).astype(np.float64) + 0.5) / float(1 << 53)
