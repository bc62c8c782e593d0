"""The stage that scores candidates against the judgements: one row for each query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import parquet
from dsbuild.builders.evaluation import retrieval_metrics
from dsbuild.builders.retrieval.own_documents import own_ids
from dsbuild.builders.retrieval.retriever import id_rows
from dsbuild.stage import Result, Shard, Workspace

Floats = npt.NDArray[np.float64]
METRICS = ("ndcg", "mrr", "recall", "map")

MEASURES = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("ndcg", pa.float64(), nullable=False),
        pa.field("mrr", pa.float64(), nullable=False),
        pa.field("recall", pa.float64(), nullable=False),
        pa.field("map", pa.float64(), nullable=False),  # over the depth of retrieval
        pa.field("rank", pa.int32()),  # of the first relevant document; null where none is among the candidates
    ]
)


@dataclass(frozen=True)
class MeasureRetrieval:
    """nDCG@k, MRR@k, recall@k and average precision of every query that has a relevant document; see `retrieval_metrics`.

    A document with the id of the query is passed over unless it is judged relevant, where ids say that it is the query (`own_documents`): MTEB's
    `ignore_identical_ids`.
    """

    k: int

    name: ClassVar[str] = "measure_retrieval"
    version: ClassVar[int] = 3
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """candidates, queries, qrels, own (`OWN`; whole tables) -> out (`MEASURES`), in the order of queries."""
        candidates, queries, qrels = (
            pa.concat_tables([parquet.read(path, columns) for path in inputs[name].paths])
            for name, columns in (
                ("candidates", ["query_id", "doc_id", "rank"]), ("queries", ["query_id"]), ("qrels", ["query_id", "doc_id", "relevance"])
            )
        )  # fmt: skip
        table = measure(candidates, queries["query_id"], qrels, self.k, own_ids(inputs["own"]))
        return Result({"out": [Shard(table)]}, facts={"queries": queries.num_rows, "judged": table.num_rows})


def measure(
    candidates: pa.Table, queries: pa.ChunkedArray, qrels: pa.Table, k: int, own: pa.Array | None = None
) -> pa.Table:
    """`MEASURES` of the queries with a relevant document. A pair that is judged several times has its highest grade.

    own: the queries for which the document of the same id is passed over.
    """
    ids = queries.combine_chunks()
    query, doc = id_rows(qrels["query_id"], ids), pc.dictionary_encode(qrels["doc_id"].combine_chunks())
    docs = doc.indices.to_numpy().astype(np.int64)
    grades = np.maximum(qrels["relevance"].to_numpy(), 0).astype(np.float64)
    size = max(1, len(doc.dictionary))
    keys = query * size + docs
    order = np.lexsort((-grades, keys))
    order = order[query[order] >= 0]
    order = order[np.unique(keys[order], return_index=True)[1]]
    keys, query, grades = keys[order], query[order], grades[order]
    starts = np.searchsorted(query, np.arange(len(ids)))
    ideal = np.zeros((len(ids), int(np.bincount(query, minlength=1).max())))
    ideal[query, np.arange(len(query)) - starts[query]] = grades
    rows, hits = (
        id_rows(candidates["query_id"], ids),
        id_rows(candidates["doc_id"], doc.dictionary.cast(pa.large_string())),
    )
    ranks = candidates["rank"].to_numpy().astype(np.int64)
    use = (rows >= 0) & (hits >= 0)
    wanted = rows[use] * size + hits[use]
    at = np.minimum(np.searchsorted(keys, wanted), max(0, len(keys) - 1))
    gained = np.where(keys[at] == wanted, grades[at], 0.0) if len(keys) else np.zeros(len(wanted))
    depth = int(ranks.max(initial=1))
    relevant = np.zeros(len(rows), np.bool_)
    relevant[use] = gained > 0
    itself = (rows >= 0) & ~relevant & pc.equal(candidates["query_id"], candidates["doc_id"]).to_numpy()
    itself &= id_rows(candidates["query_id"], pa.array([], pa.large_string()) if own is None else own) >= 0
    passed = np.full(len(ids), depth, np.int64)
    passed[rows[itself]] = ranks[itself]
    use[itself] = False
    ranks -= (rows >= 0) & (ranks > passed[rows])
    found = np.zeros((len(ids), depth))
    found[rows[use], ranks[use] - 1] = gained[~itself[(rows >= 0) & (hits >= 0)]]
    values = (
        retrieval_metrics.ndcg(found, ideal, k), retrieval_metrics.mrr(found, ideal, k), retrieval_metrics.recall(found, ideal, k),
        retrieval_metrics.average_precision(found, ideal, depth),
    )  # fmt: skip
    judged = np.flatnonzero((ideal > 0).any(axis=1))
    first = np.where((found > 0).any(axis=1), (found > 0).argmax(axis=1) + 1, 0)[judged]
    columns = [
        ids.take(pa.array(judged)).cast(pa.string()), *(pa.array(one[judged]) for one in values),
        pa.array(first.astype(np.int32), mask=first == 0),
    ]  # fmt: skip
    return pa.table(columns, schema=MEASURES)
