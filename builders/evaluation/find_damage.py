"""The stage that looks for queries that a translation damaged, and for terms that it renders in two ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import parquet
from dsbuild.builders.evaluation.damage import Alarms, gather, weigh
from dsbuild.builders.evaluation.pair_signs import PAIR_SIGNS, TEXT_SIGNS, Parallel, Signs
from dsbuild.builders.evaluation.terminology import Split, splits
from dsbuild.builders.retrieval.retriever import Collection, id_rows
from dsbuild.stage import Result, Shard, Workspace

Ints = npt.NDArray[np.int64]

# Queries and documents that are looked at; a fixed draw where there are more. Judged documents come first.
MOST_QUERIES, MOST_DOCS = 10_000, 20_000
# With fewer pairs nothing usual can be told from what is not.
FEWEST = 50
# A sign is a reason if it adds so much to the log-odds.
_REASON = 1.0
_MOST_REASONS = 4

DAMAGED = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),  # log-odds of damage, before the share of damaged queries
        pa.field("alarm", pa.bool_(), nullable=False),
        pa.field("side", pa.string(), nullable=False),  # query or passage
        pa.field("reasons", pa.list_(pa.string()), nullable=False),
        pa.field("rank_bm25_source", pa.int32(), nullable=False),  # 101: beyond 100
        pa.field("rank_bm25", pa.int32(), nullable=False),
        pa.field("rank_lsa_source", pa.int32(), nullable=False),
        pa.field("rank_lsa", pa.int32(), nullable=False),
    ]
)
SPLITS = pa.schema(
    [
        pa.field(name, pa.string(), nullable=False)
        for name in ("query_id", "doc_id", "term", "in_query", "in_passage", "usual")
    ]
)


@dataclass(frozen=True)
class FindDamage:
    """Compare a language with the source; false_alarms: the share of sound queries that may alarm."""

    src: str
    lang: str
    false_alarms: float
    seed: int

    name: ClassVar[str] = "find_damage"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """src_corpus, src_queries, corpus, queries, qrels (whole tables) -> out (`DAMAGED`: every query that was looked at), splits."""
        parallel = self._parallel(inputs)
        facts: dict[str, Any] = {"queries": len(parallel.tgt_queries), "pairs": len(parallel.pairs)}
        if len(parallel.pairs) < FEWEST:
            empty = {"out": [Shard(DAMAGED.empty_table())], "splits": [Shard(SPLITS.empty_table())]}
            return Result(empty, facts={**facts, "looked": False})
        signs = Signs(parallel, work.scratch())
        gathered = gather(signs, seed=self.seed)
        found = weigh(gathered, parallel.pairs[:, 0], len(parallel.tgt_queries), false_alarms=self.false_alarms)
        named = splits(signs)
        facts |= {
            "looked": True, "alarms": int(found.alarm.sum()), "threshold": _digits(found.threshold), "share": _digits(found.share),
            "splits": len(named),
        }  # fmt: skip
        return Result(
            {"out": [Shard(self._table(signs, found))], "splits": [Shard(_split_table(parallel, named))]}, facts=facts
        )

    def _parallel(self, inputs: Mapping[str, Any]) -> Parallel:
        """What both languages have, in the order of ids."""
        read = {
            name: pa.concat_tables([parquet.read(path) for path in inputs[name].paths])
            for name in ("src_corpus", "src_queries", "corpus", "queries", "qrels")
        }
        qrels = read["qrels"].filter(pc.greater(read["qrels"]["relevance"], 0))
        sides = {}
        rng = np.random.Generator(np.random.PCG64(self.seed))
        for name, key in (("queries", "query_id"), ("corpus", "doc_id")):
            ids = _sorted(read[name].filter(pc.is_in(read[name][key], read[f"src_{name}"][key].combine_chunks()))[key])
            judged = pc.is_in(ids, qrels[key].combine_chunks()).to_numpy(zero_copy_only=False)
            if name == "queries":
                kept = np.flatnonzero(judged)
                kept = np.sort(rng.permutation(kept)[:MOST_QUERIES])
                qrels = qrels.filter(pc.is_in(qrels[key], ids.take(pa.array(kept))))
            else:
                others = rng.permutation(np.flatnonzero(~judged))[: max(0, MOST_DOCS - int(judged.sum()))]
                kept = np.sort(np.concatenate([np.flatnonzero(judged), others]))
            ids = ids.take(pa.array(kept))
            for prefix, lang in (("src_", self.src), ("", self.lang)):
                table = read[prefix + name]
                rows = pc.index_in(ids, table[key].combine_chunks().cast(ids.type))
                sides[prefix + name] = Collection.of(table.take(rows), key, lang)
        query, doc = id_rows(qrels["query_id"], sides["queries"].ids), id_rows(qrels["doc_id"], sides["corpus"].ids)
        pairs = np.unique(np.column_stack([query, doc])[(query >= 0) & (doc >= 0)], axis=0)
        return Parallel(sides["src_queries"], sides["src_corpus"], sides["queries"], sides["corpus"], pairs)

    def _table(self, signs: Signs, found: Alarms) -> pa.Table:
        parallel = signs.parallel
        looked = np.flatnonzero(found.pair >= 0)
        pair = found.pair[looked]
        sides = np.where(found.query_side >= found.doc_side, "query", "passage")[looked]
        weighed = np.where((sides == "query")[:, None], found.weighed_query[pair], found.weighed_doc[pair])
        ranks = [
            pa.array(one[f"rank_{name}"][pair].astype(np.int32))
            for name in ("bm25", "lsa")
            for one in (signs.src_scores, {f"rank_{name}": found.found.ranks[name]})
        ]
        columns = [
            parallel.tgt_queries.ids.take(pa.array(looked)).cast(pa.string()),
            parallel.tgt_docs.ids.take(pa.array(parallel.pairs[pair, 1])).cast(pa.string()),
            pa.array(np.round(found.score[looked], 4)),
            pa.array(found.alarm[looked]),
            pa.array(sides.tolist(), pa.string()),
            pa.array([_reasons(row) for row in weighed], pa.list_(pa.string())),
            *ranks,
        ]
        return pa.table(columns, schema=DAMAGED)


def _sorted(ids: pa.ChunkedArray) -> pa.Array:
    return pc.unique(ids.cast(pa.large_string()).combine_chunks()).sort()


def _reasons(weighed: Any) -> list[str]:
    names = (*TEXT_SIGNS, *PAIR_SIGNS)
    order = np.argsort(-weighed, kind="stable")[:_MOST_REASONS]
    return [names[at] for at in order if weighed[at] >= _REASON]


def _digits(value: float) -> float:
    return float(f"{value:.4g}") if np.isfinite(value) else -1e9


def _split_table(parallel: Parallel, named: list[Split]) -> pa.Table:
    queries, docs = parallel.tgt_queries.ids, parallel.tgt_docs.ids
    rows = [
        {"query_id": queries[one.query].as_py(), "doc_id": docs[one.doc].as_py(), "term": one.term, "in_query": one.in_query,
         "in_passage": one.in_passage, "usual": one.usual}
        for one in named
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SPLITS)
