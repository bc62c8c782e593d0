"""The stages of pruning: choose what stays, apply it to the rows, search what stayed again, and certify."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from dsbuild import parquet
from dsbuild.builders.evaluation import rank_statistics
from dsbuild.builders.pruning import kept_documents
from dsbuild.builders.pruning.certificate import KEPT, LEFT_OUT, REFITTED, RUNS, WHOLE, certify
from dsbuild.builders.pruning.kept_documents import NEVER, SHOWN, Ints, Mask, Pool
from dsbuild.builders.retrieval.own_documents import own_ids
from dsbuild.builders.retrieval.retriever import Collection, id_rows, one
from dsbuild.builders.retrieval.systems import Systems
from dsbuild.errors import RecipeError, SourceError
from dsbuild.stage import Counts, Result, Shard, Shards, Workspace, verdict

RULES = {"miracl-vision": kept_documents.by_rank, "mmteb": kept_documents.by_turns, "target": kept_documents.balanced}
BOUNDS = ("point", "low")
# Sizes at which tau is looked at between nothing and everything that the rule orders.
_STEPS = 48

IDS = pa.schema([pa.field("doc_id", pa.string(), nullable=False)])
LEFT = pa.schema([pa.field("retriever", pa.string(), nullable=False), pa.field("doc_id", pa.string(), nullable=False)])
ASKED = pa.schema([pa.field("query_id", pa.string(), nullable=False)])


@dataclass(frozen=True)
class ChoosePruned:
    """Choose the documents of one language that stay.

    rule: `RULES`; depth: the number that the rule keeps to (a rank, a budget), 0 where a target says it; size: documents at most; tau: the least
    tau between the retrievers' ranking on the whole collection and on what stays, of the estimate or (bound: low) of the lower end of its
    95 % interval; queries: keep so many, drawn by the seed (0: all); parts: what each retriever is made of, by name.
    """

    lang: str
    retrievers: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]
    rule: str
    depth: int = 0
    size: int = 0
    tau: float = 0.0
    bound: str = "point"
    queries: int = 0
    seed: int = 0

    name: ClassVar[str] = "choose_pruned"
    version: ClassVar[int] = 3
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """corpus, queries, qrels, own, candidates.<retriever> (whole tables) -> kept, left, staying, asked.

        kept: ids (`IDS`); left: for each retriever those that would be kept without it (`LEFT`); staying: the queries that stay, asked: those of them
        that have a relevant document (`ASKED`).
        """
        ids = _ids(inputs["corpus"], "doc_id")
        staying, asked = self._queries(inputs)
        pool = _pool(inputs, self.retrievers, staying, asked, ids)
        order = RULES[self.rule](pool)
        last = int(order[order < NEVER].max(initial=0))
        order = kept_documents.filled(pool, order)
        chosen, path = self._until(pool, order, last)
        facts = {"until": int(min(chosen, NEVER - 1)), "path": path, "last": last}
        left = []
        for name in self.retrievers:
            others = [other for other in self.retrievers if not set(self.parts[other]) & set(self.parts[name])]
            if others:
                mask = self._without(pool.only(others), order <= chosen, chosen)
                left.append(pa.table([pa.repeat(pa.scalar(name), int(mask.sum())), _named(ids, mask)], schema=LEFT))
        return Result(
            {
                "kept": [Shard(pa.table([_named(ids, order <= chosen)], schema=IDS))],
                "left": [Shard(pa.concat_tables(left) if left else LEFT.empty_table())],
                "staying": [Shard(pa.table([staying.cast(pa.string())], schema=ASKED))],
                "asked": [Shard(pa.table([asked.cast(pa.string())], schema=ASKED))],
            },
            facts=facts,
        )

    def _queries(self, inputs: Mapping[str, Any]) -> tuple[pa.Array, pa.Array]:
        """Ids of the queries that stay, and of those of them that have a relevant document, in the order of their table."""
        ids = _ids(inputs["queries"], "query_id")
        qrels = _whole(inputs["qrels"], ["query_id", "relevance"])
        relevant = qrels.filter(pc.greater(qrels["relevance"], 0))["query_id"].cast(pa.large_string())
        asked = ids.filter(pc.is_in(ids, value_set=one(pc.unique(relevant))))
        if not len(asked):
            raise SourceError(
                f"{self.lang}: no query has a positive, so nothing says what may be pruned: a positive is a judgement above 0"
            )
        if not self.queries or len(asked) <= self.queries:
            return ids, asked
        # By a hash of seed and id: the same queries in every language, whatever else is there.
        keys = [xxhash.xxh3_64_intdigest(f"{self.seed}\t{name}".encode()) for name in asked.to_pylist()]
        asked = asked.take(pa.array(np.sort(np.argsort(np.array(keys, np.uint64), kind="stable")[: self.queries])))
        return asked, asked

    def _until(self, pool: Pool, order: Ints, last: int) -> tuple[int, list[dict[str, Any]]]:
        """The number up to which documents stay, and for a target of tau what it was at each size that was looked at."""
        if self.depth:
            return self.depth, []
        n_judged = int(pool.judged.sum())
        if self.size:
            if n_judged > self.size:
                raise RecipeError(
                    f"--target-size {self.size}: {n_judged:,} documents of {self.lang} are judged, and judged documents are never pruned"
                )
            levels = np.sort(order[(order > 0) & (order < NEVER)])
            fit = self.size - n_judged
            if fit >= len(pool.judged) - n_judged:
                return NEVER, []
            # Documents that come in together stay or go together.
            return (int(levels[-1]) if fit >= len(levels) else int(levels[fit]) - 1) if len(levels) else 0, []
        return self._until_tau(pool, order, last)

    def _until_tau(self, pool: Pool, order: Ints, last: int) -> tuple[int, list[dict[str, Any]]]:
        """The smallest size from which on tau is as wanted at every larger one that was looked at."""
        before = pool.scores(np.ones(len(order), np.bool_))
        levels = np.unique(np.linspace(0, last, _STEPS + 1).round().astype(np.int64))
        found, best = [], NEVER
        for level in levels[::-1].tolist():
            after = pool.scores(order <= level)
            tau = rank_statistics.interval(rank_statistics.tau_b, (before, after), self.seed)
            kept = int((order <= level).sum())
            found.append(
                {"kept": kept, "level": level, "inflation": round(float((after - before).mean()), 6), **tau.as_data()}
            )
            reached = tau.value if self.bound == "point" else tau.low
            if reached is None or reached < self.tau:
                break
            best = level
        return best, found[::-1]

    def _without(self, pool: Pool, kept: Mask, until: int) -> Mask:
        """What would stay without a retriever: by the same depth, or where a target decides by as many documents."""
        if until == NEVER:
            return kept
        order = kept_documents.filled(pool, RULES[self.rule](pool))
        if self.depth:
            return order <= until
        spare = int(kept.sum() - pool.judged.sum())
        levels = np.sort(order[(order > 0) & (order < NEVER)])
        return order <= (int(levels[min(spare, len(levels)) - 1]) if spare and len(levels) else 0)


@dataclass(frozen=True)
class UniteKept:
    """What stays of a corpus: what any language that searches it keeps, and every document that is judged for a query that stays."""

    langs: tuple[str, ...]
    deciding: tuple[str, ...]

    name: ClassVar[str] = "unite_kept"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """corpus, kept.<lang> of those that decide, qrels.<lang> and staying.<lang> of all -> out (`IDS`), in the order of the corpus."""
        ids = _ids(inputs["corpus"], "doc_id")
        wanted = [_ids(inputs[f"kept.{lang}"], "doc_id") for lang in self.deciding]
        for lang in self.langs:
            staying = _ids(inputs[f"staying.{lang}"], "query_id")
            wanted.append(one(_of(_whole(inputs[f"qrels.{lang}"], ["query_id", "doc_id"]), staying)["doc_id"]))
        stays = pc.is_in(ids, value_set=pc.unique(pa.concat_arrays(wanted)))
        return Result({"out": [Shard(pa.table([ids.filter(stays).cast(pa.string())], schema=IDS))]})


@dataclass(frozen=True)
class ApplyPruned:
    """Say of each document, query or judgement whether it stays, and why not. rule: by which it was decided."""

    table: str
    lang: str
    rule: str

    name: ClassVar[str] = "prune"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows; staying: the ids that stay -> out: the rows with their `fate`."""
        rows: pa.Table = inputs["rows"]
        column = "doc_id" if self.table == "corpus" else "query_id"
        mask = pc.is_in(rows[column].cast(pa.large_string()), value_set=_ids(inputs["staying"], column))
        gone = rows.filter(pc.invert(mask))
        names = gone[column].to_pylist()
        outcome, rule = "dropped", "easy_negative"
        if self.table == "queries":
            rule = "not_sampled"
        elif self.table == "qrels":
            outcome, rule = "orphaned", "query_dropped"
            names = [f"{query}\t{doc}" for query, doc in zip(names, gone["doc_id"].to_pylist(), strict=True)]
        verdicts = [verdict(self.table, self.lang, name, self.name, outcome, rule, detail=self.rule) for name in names]
        rows = rows.drop_columns(["fate"]) if "fate" in rows.column_names else rows
        out = rows.append_column(pa.field("fate", pa.string(), nullable=False), pc.if_else(mask, "kept", "dropped"))
        return Result({"out": [Shard(out)]}, verdicts, Counts(rows.num_rows, rows.num_rows - len(names), len(names)))


@dataclass(frozen=True)
class Refit:
    """Index the documents that stayed alone, and search them again.

    spec, options: how the retrievers are opened; the model of the node says what they are.
    """

    lang: str
    spec: str = field(default="", compare=False)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False)

    name: ClassVar[str] = "refit"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = True

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """corpus, queries, qrels, own, kept, asked (whole tables) -> out (`RUNS`)."""
        kept, asked = _ids(inputs["kept"], "doc_id"), _ids(inputs["asked"], "query_id")
        corpus = Collection.of(_some(inputs["corpus"], ["doc_id", "title", "text"], kept), "doc_id", self.lang)
        queries = Collection.of(_some(inputs["queries"], ["query_id", "text"], asked), "query_id", self.lang)
        own = _own_rows(inputs, queries.ids, corpus.ids)
        systems = Systems(self.spec, self.options, work.store / "vectors")
        runs = [
            _run(name, REFITTED, queries.ids, corpus.ids, _without_own(rows, own)[:, :SHOWN])
            for name, rows in systems.search(corpus, queries, SHOWN + 1, work.scratch()).items()
        ]
        systems.close()
        return Result({"out": [Shard(pa.concat_tables(runs))]})


@dataclass(frozen=True)
class Certify:
    """Rank what stayed, and compute the certificate of one language. deciding: the languages whose decisions the corpus follows."""

    lang: str
    retrievers: tuple[str, ...]
    deciding: tuple[str, ...]
    seed: int = 0

    name: ClassVar[str] = "certify"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """corpus, qrels, own, staying, asked, kept, left.<lang>, candidates.<retriever>, refitted (whole tables) -> out (`RUNS`).

        The facts are the certificate; refitted may be absent.
        """
        ids, kept = _ids(inputs["corpus"], "doc_id"), _ids(inputs["kept"], "doc_id")
        asked, staying = _ids(inputs["asked"], "query_id"), _ids(inputs["staying"], "query_id")
        pool = _pool(inputs, self.retrievers, staying, asked, ids)
        keep = np.asarray(pc.is_in(ids, value_set=kept).to_numpy(zero_copy_only=False), np.bool_)
        left = pa.concat_tables([_whole(inputs[f"left.{lang}"], LEFT.names) for lang in self.deciding])
        runs = [_whole(inputs["refitted"], RUNS.names)] if "refitted" in inputs else []
        for name in self.retrievers:
            own = pool.only([name])
            runs.append(_run(name, WHOLE, asked, ids, own.hits[0, :, :SHOWN]))
            runs.append(_run(name, KEPT, asked, ids, _restricted(own, keep)))
            some = left.filter(pc.equal(left["retriever"], name))["doc_id"]
            if len(some):
                known = pc.is_in(ids, value_set=pc.unique(one(some)))
                mask = np.asarray(known.to_numpy(zero_copy_only=False), np.bool_) | pool.judged
                runs.append(_run(name, LEFT_OUT, asked, ids, _restricted(own, mask)))
        table = pa.concat_tables(runs)
        qrels = _of(_whole(inputs["qrels"], ["query_id", "doc_id", "relevance"]), staying)
        counts = {"whole": len(ids), "kept": len(kept), "judged": int(pool.judged.sum())}
        return Result({"out": [Shard(table)]}, facts=certify(self.retrievers, table, qrels, counts, kept, self.seed))


def _restricted(pool: Pool, keep: Mask) -> npt.NDArray[np.int64]:
    """The first kept documents of the one ranking of a pool."""
    first: Ints = pool.found(keep, SHOWN)[0]
    if not pool.hits.shape[2]:
        return np.full(first.shape, -1, np.int64)
    rows = np.take_along_axis(pool.hits[0].astype(np.int64), np.maximum(first, 0), axis=1)
    found: Ints = np.where(first >= 0, rows, -1)
    return found


def _run(name: str, ranking: str, queries: pa.Array, ids: pa.Array, rows: npt.NDArray[Any]) -> pa.Table:
    query, place = np.nonzero(rows >= 0)
    columns = [
        queries.take(pa.array(query)).cast(pa.string()),
        ids.take(pa.array(rows[query, place])).cast(pa.string()),
        pa.repeat(pa.scalar(name), len(query)),
        pa.repeat(pa.scalar(ranking), len(query)),
        pa.array((place + 1).astype(np.int32)),
    ]
    return pa.table(columns, schema=RUNS)


def _pool(
    inputs: Mapping[str, Any], retrievers: tuple[str, ...], staying: pa.Array, asked: pa.Array, ids: pa.Array
) -> Pool:
    """What the retrievers found for the queries with a relevant document; judged is what is judged for any query that stays."""
    qrels = _of(_whole(inputs["qrels"], ["query_id", "doc_id", "relevance"]), staying)
    query, document = id_rows(qrels["query_id"], asked), id_rows(qrels["doc_id"], ids)
    there = (query >= 0) & (document >= 0)
    grades = qrels["relevance"].to_numpy().astype(np.int64)
    pool = Pool.of(_hits(inputs, retrievers, asked, ids), len(ids), query[there], document[there], grades[there])
    judged = pool.judged.copy()
    judged[document[document >= 0]] = True
    return replace(pool, judged=judged)


def _hits(
    inputs: Mapping[str, Any], retrievers: tuple[str, ...], asked: pa.Array, ids: pa.Array
) -> dict[str, npt.NDArray[np.int32]]:
    """What each retriever found for the queries that stay, other than the query itself: (queries, depth) rows of the corpus."""
    found, own = {}, _own_rows(inputs, asked, ids)
    for name in retrievers:
        parts = []
        for rows in _each(inputs[f"candidates.{name}"], ["query_id", "doc_id", "rank"]):
            parts.append((id_rows(rows["query_id"], asked), id_rows(rows["doc_id"], ids), rows["rank"].to_numpy()))
        query, document, rank = (np.concatenate([one[side] for one in parts]) for side in range(3))
        ours = (query >= 0) & (document >= 0)
        hits = np.full((len(asked), int(rank[ours].max(initial=0))), -1, np.int32)
        hits[query[ours], rank[ours] - 1] = document[ours]
        found[name] = _without_own(hits, own)
    return found


def _own_rows(inputs: Mapping[str, Any], queries: pa.Array, ids: pa.Array) -> Ints:
    """For each query the row of the document of its id, where that is the query itself and nobody judged it relevant; else -1."""
    own = own_ids(inputs["own"])
    qrels = _whole(inputs["qrels"], ["query_id", "doc_id", "relevance"])
    said = pc.and_(pc.equal(qrels["query_id"], qrels["doc_id"]), pc.greater(qrels["relevance"], 0))
    own = own.filter(pc.invert(pc.is_in(own, value_set=one(qrels.filter(said)["query_id"]))))
    return np.where(id_rows(queries, own) >= 0, id_rows(queries, ids), -1)


def _without_own(hits: npt.NDArray[Any], own: Ints) -> npt.NDArray[Any]:
    """Rankings (queries, depth) without the document of `own`; the ones behind it move up."""
    gone = (hits == own[:, None]) & (own[:, None] >= 0)
    if not gone.any():
        return hits
    order = np.argsort(gone, axis=1, kind="stable")
    return np.where(np.take_along_axis(gone, order, axis=1), -1, np.take_along_axis(hits, order, axis=1))


def _of(rows: pa.Table, queries: pa.Array) -> pa.Table:
    return rows.filter(pc.is_in(rows["query_id"].cast(pa.large_string()), value_set=queries))


def _named(ids: pa.Array, mask: Mask) -> pa.Array:
    return ids.filter(pa.array(mask)).cast(pa.string())


def _each(shards: Shards, columns: list[str]) -> Iterator[pa.Table]:
    for path in shards.paths:
        yield parquet.read(Path(path), columns)


def _whole(shards: Shards, columns: list[str]) -> pa.Table:
    return pa.concat_tables([rows.select(columns) for rows in _each(shards, columns)])


def _ids(shards: Shards, column: str) -> pa.Array:
    return one(_whole(shards, [column])[column])


def _some(shards: Shards, columns: list[str], kept: pa.Array) -> pa.Table:
    parts = [
        rows.filter(pc.is_in(rows[columns[0]].cast(pa.large_string()), value_set=kept)).select(columns) for rows in _each(shards, columns)
    ]  # fmt: skip
    return pa.concat_tables(parts)
