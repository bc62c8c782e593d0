"""Which pairs of a query and a document a judge is asked about: candidates, judged pairs, or a sample by rank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.builders.generation.ask_model import SHARD_ROWS
from dsbuild.builders.mining.judged_sample import allocated
from dsbuild.builders.retrieval.candidates import Candidates, Floats, Ints
from dsbuild.builders.retrieval.evidence import hashed
from dsbuild.builders.retrieval.retrieve import whole_of
from dsbuild.builders.retrieval.retriever import id_rows, one
from dsbuild.errors import SourceError, UnknownName
from dsbuild.stage import Counts, Result, Shard, Workspace
from dsbuild.tables import CANDIDATES, QRELS

Of = Literal["candidates", "qrels", "sample"]
# What the ranks of a language model's own candidates are called after; they are no first stage.
JUDGES = ("judge:", "umr:")
# The last rank of each band of a sample; further ones are a band too.
BANDS = (1, 3, 10, 30, 100)
TOP = 10

PAIRS_TO_JUDGE = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("place", pa.int32(), nullable=False),  # in the union of first stages, 0 where none returned it
        pa.field("band", pa.string(), nullable=False),  # of ranks, "" without a place
        pa.field("known", pa.int32()),  # the grade that stands in the judgements, the highest of several
        pa.field("known_by", pa.string(), nullable=False),  # who gave it, "" for nobody
    ]
)


def band_of(place: int) -> str:
    """The band of a rank.

    >>> [band_of(place) for place in (0, 1, 2, 10, 101)]
    ['', '1', '2-3', '4-10', 'over 100']
    """
    if not place:
        return ""
    low = 1
    for high in BANDS:
        if place <= high:
            return str(high) if low == high else f"{low}-{high}"
        low = high + 1
    return f"over {BANDS[-1]}"


@dataclass(frozen=True)
class ChoosePairs:
    """Choose the pairs of one language, query by query in the order of their table, then by place in the union of first stages.

    of: candidates: the first `depth` of each query; qrels: judged pairs; sample: `limit` of the first `depth`, as many of each band of ranks.
    limit: pairs at most: of candidates whole queries in the order of a seeded draw, of qrels single pairs. compare: how many questions n
    documents of a query make, where a limit counts these. unjudged: pairs without a judgement alone; positives: relevant pairs too, whatever
    their rank. retrievers: whose candidates, all first stages if empty. Memory: ids of candidates and judgements.
    """

    lang: str
    of: Of
    depth: int
    limit: int | None = None
    seed: int = 0
    unjudged: bool = False
    positives: bool = False
    compare: Literal["", "adjacent", "round-robin"] = ""
    retrievers: tuple[str, ...] = ()

    name: ClassVar[str] = "choose_pairs"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """queries, corpus, qrels, candidates* (whole tables) -> out (`PAIRS_TO_JUDGE`), every query's pairs in one shard.

        Facts: pairs chosen; queries with a pair; bands: first-stage candidates of each band of ranks; top: how many of the first ten
        candidates of all queries there are and how many of these are judged; dangling: judgements that name no row.
        """
        del work
        queries = one(whole_of(inputs["queries"], ["query_id"])["query_id"])
        block = self._block(inputs, queries)
        known = _Known.of(inputs, queries, block)
        rows = np.flatnonzero(block.place <= self.depth)
        told = known.row_of(len(block))
        bands = np.digitize(block.place[rows], BANDS, right=True)
        sizes = np.bincount(bands, minlength=len(BANDS) + 1)
        if self.of == "qrels":
            rows = rows[told[rows] >= 0]
        if self.unjudged:
            rows = rows[told[rows] < 0]
        if self.of == "sample":
            rows = self._sample(block, rows)
        query, docs = block.query_of[rows], block.doc_ids.take(pa.array(block.docs[rows]))
        found = _Chosen(query, docs, block.place[rows].astype(np.int64), told[rows])
        if self.of == "qrels" or self.positives:
            found = found.joined(known.others(self.depth, relevant=self.of != "qrels"))
        found = self._limited(found, queries).ordered()
        top = np.flatnonzero(block.place <= TOP)
        n = len(found.query)
        facts = {
            "pairs": n, "queries": len(np.unique(found.query)), "all_queries": len(queries),
            "bands": {band_of(first): int(size) for first, size in zip((1, *(edge + 1 for edge in BANDS)), sizes, strict=True) if size},
            "top": {"shown": len(top), "judged": int((told[top] >= 0).sum())}, "dangling": known.dangling,
        }  # fmt: skip
        return Result({"out": _shards(found, queries, known)}, counts=Counts(n, n), facts=facts)

    def _block(self, inputs: Mapping[str, Any], queries: pa.Array) -> Candidates:
        shards = [inputs[name] for name in sorted(inputs) if name.startswith("candidates")]
        columns = ["query_id", "doc_id", "retriever", "rank", "score"]
        parts = [whole_of(one_of, columns) for one_of in shards]
        table = pa.concat_tables(parts) if parts else pa.table({name: [] for name in columns}, schema=CANDIDATES)
        names = sorted(pc.unique(table["retriever"]).to_pylist())
        for name in self.retrievers:
            if name not in names:
                raise UnknownName(f"retriever with candidates in {self.lang} (pairs.retrievers)", name, names)
        names = list(self.retrievers) or [name for name in names if not name.startswith(JUDGES)]
        if not names and self.of != "qrels":
            raise SourceError(f"{self.lang}: no candidates of a first stage; name one: --retriever bm25")
        return Candidates.of({name: table.filter(pc.equal(table["retriever"], name)) for name in names}, queries)

    def _sample(self, block: Candidates, rows: Ints) -> Ints:
        draws: Floats = block.draws(self.seed)[rows]
        bands = np.digitize(block.place[rows], BANDS, right=True)
        order = np.lexsort((draws, bands))
        sizes = np.bincount(bands, minlength=len(BANDS) + 1)
        turn = np.arange(len(rows)) - np.concatenate([[0], np.cumsum(sizes)])[bands[order]]
        return np.asarray(rows[order[turn < allocated(sizes, self.limit or 0)[bands[order]]]], np.int64)

    def _limited(self, found: _Chosen, queries: pa.Array) -> _Chosen:
        if self.limit is None or self.of == "sample":
            return found
        if self.of == "qrels":
            ids = zip(queries.take(pa.array(found.query)).to_pylist(), found.docs.to_pylist(), strict=True)
            draws = np.array([hashed(self.seed, *pair) for pair in ids], np.uint64)
            return found.take(np.argsort(draws, kind="stable")[: self.limit])
        distinct, sizes = np.unique(found.query, return_counts=True)
        cost = {"adjacent": sizes - 1, "round-robin": sizes * (sizes - 1) // 2, "": sizes}[self.compare]
        draws = np.array([hashed(self.seed, name) for name in queries.take(pa.array(distinct)).to_pylist()], np.uint64)
        order = np.argsort(draws, kind="stable")
        chosen = distinct[order[np.cumsum(cost[order]) <= self.limit]]
        if not len(chosen) and len(order):
            raise SourceError(
                f"{self.lang}: --limit {self.limit} is less than the {int(cost[order[0]])} questions of one query; "
                "raise it or ask about fewer candidates: --depth N"
            )
        return found.take(np.flatnonzero(np.isin(found.query, chosen)))


@dataclass(frozen=True)
class _Chosen:
    """Pairs: query (index), document, place (0 for none), and the number of its judgement (-1 for none)."""

    query: Ints
    docs: pa.Array
    place: Ints
    told: Ints

    def take(self, rows: Ints) -> _Chosen:
        return _Chosen(self.query[rows], self.docs.take(pa.array(rows)), self.place[rows], self.told[rows])

    def joined(self, other: _Chosen) -> _Chosen:
        return _Chosen(
            np.concatenate([self.query, other.query]), pa.concat_arrays([self.docs, other.docs]),
            np.concatenate([self.place, other.place]), np.concatenate([self.told, other.told]),
        )  # fmt: skip

    def ordered(self) -> _Chosen:
        """By query, then place, those without one last in the order of the judgements."""
        last = np.where(self.place > 0, self.place, np.iinfo(np.int64).max)
        return self.take(np.lexsort((self.told, last, self.query)))


@dataclass(frozen=True)
class _Known:
    """The judged pairs whose query and document are there, each once with its highest grade; row: its candidate, -1 for none."""

    query: Ints
    docs: pa.Array
    grades: pa.Array
    judges: pa.Array
    row: Ints
    place: Ints
    dangling: int

    @classmethod
    def of(cls, inputs: Mapping[str, Any], queries: pa.Array, block: Candidates) -> _Known:
        qrels = whole_of(inputs["qrels"], ["query_id", "doc_id", "relevance", "judge"])
        corpus = one(whole_of(inputs["corpus"], ["doc_id"])["doc_id"])
        query, doc = id_rows(qrels["query_id"], queries), id_rows(qrels["doc_id"], corpus)
        there = np.flatnonzero((query >= 0) & (doc >= 0))
        grades = qrels["relevance"].to_numpy().astype(np.int64)
        key = query[there] * max(1, len(corpus)) + doc[there]
        order = np.lexsort((np.arange(len(there)), -grades[there], key))
        first = np.ones(len(order), np.bool_)
        first[1:] = key[order][1:] != key[order][:-1]
        best = np.sort(there[order[first]])
        docs = corpus.take(pa.array(doc[best]))
        row = block.lookup(query[best], docs)
        place = np.where(row >= 0, block.place[row] if len(block) else 0, 0).astype(np.int64)
        taken = pa.array(best)
        grade = pa.array(grades[best].astype(np.int32))
        judges = one(qrels["judge"]).take(taken).cast(pa.string())
        return cls(query[best], docs, grade, judges, row, place, len(grades) - len(there))

    def row_of(self, n: int) -> Ints:
        """The number of each candidate's judgement, -1 for none."""
        found = np.full(n, -1, np.int64)
        found[self.row[self.row >= 0]] = np.flatnonzero(self.row >= 0)
        return found

    def others(self, depth: int, *, relevant: bool) -> _Chosen:
        """Those that are not among the first `depth` candidates; relevant: with a grade above 0 alone."""
        wanted = (self.place == 0) | (self.place > depth)
        if relevant:
            wanted &= self.grades.to_numpy() > 0
        rows = np.flatnonzero(wanted)
        return _Chosen(self.query[rows], self.docs.take(pa.array(rows)), self.place[rows], rows)


def _shards(found: _Chosen, queries: pa.Array, known: _Known) -> Iterator[Shard]:
    if not len(found.query):
        yield Shard(pa.Table.from_pylist([], schema=PAIRS_TO_JUDGE))
        return
    ends = np.flatnonzero(np.append(found.query[1:] != found.query[:-1], True)) + 1
    start = 0
    for number, end in enumerate(ends):
        if end - start >= SHARD_ROWS or number == len(ends) - 1:
            yield Shard(_table(found.take(np.arange(start, end)), queries, known))
            start = int(end)


def _table(found: _Chosen, queries: pa.Array, known: _Known) -> pa.Table:
    told = pa.array(found.told, mask=found.told < 0)
    columns = [
        queries.take(pa.array(found.query)).cast(pa.string()),
        found.docs.cast(pa.string()),
        pa.array(found.place.astype(np.int32)),
        pa.array([band_of(place) for place in found.place.tolist()], pa.string()),
        known.grades.take(told),
        pc.fill_null(known.judges.take(told), ""),
    ]
    return pa.table(columns, schema=PAIRS_TO_JUDGE)


@dataclass(frozen=True)
class NoJudgements:
    """An empty table of judgements, for a set that has none."""

    name: ClassVar[str] = "no_judgements"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """Nothing -> out (`QRELS`), no row."""
        del inputs, work
        return Result({"out": [Shard(pa.Table.from_pylist([], schema=QRELS))]}, counts=Counts())
