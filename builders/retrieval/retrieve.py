"""The stage that searches: candidates of every query by one retriever, and how it rates the judged pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from dsbuild import parquet
from dsbuild.builders.retrieval.retriever import (
    Collection,
    Retriever,
    Rows,
    id_rows,
    names_in,
    open_retrievers,
    split_spec,
)
from dsbuild.errors import RecipeError, SourceError
from dsbuild.graph import Input, Node
from dsbuild.stage import Result, Shard, Shards, Workspace
from dsbuild.tables import CANDIDATES

DEPTH = 200
# Queries whose candidates make one shard.
BLOCK = 4_096
# Judged pairs that are looked for among the candidates at once.
_AT_ONCE = 4_096

ANCHORS = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("retriever", pa.string(), nullable=False),
        pa.field("relevance", pa.int32(), nullable=False),
        pa.field("score", pa.float64()),  # null where the retriever cannot know
        pa.field("rank", pa.int32()),  # null where the document is not among the query's candidates
    ]
)


@runtime_checkable
class Keeps(Protocol):
    """A retriever that leaves things for later runs, such as vectors."""

    def keep_in(self, folder: Path) -> None:
        """Name the folder for them."""


@dataclass(frozen=True)
class Retrieve:
    """Search one language's documents for its queries.

    retriever: its name; depth: candidates a query, fewer where there are fewer documents; block: queries a shard; spec, options: how the
    retriever is opened again; what of them changes the output is in its fingerprint, which is the model of the node.
    """

    retriever: str
    lang: str
    depth: int = DEPTH
    block: int = BLOCK
    spec: str = field(default="", compare=False)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False)

    name: ClassVar[str] = "retrieve"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = True

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """corpus, queries, qrels (whole tables) -> candidates (`CANDIDATES`), a shard for each block of queries; anchors (`ANCHORS`) of the block.

        Queries stand in the order of their table, candidates by rank, anchors in the order of qrels. A judgement that names a missing
        query or document has no anchor.
        """
        corpus = Collection.of(whole_of(inputs["corpus"], ["doc_id", "title", "text"]), "doc_id", self.lang)
        queries = Collection.of(whole_of(inputs["queries"], ["query_id", "text"]), "query_id", self.lang)
        qrels = whole_of(inputs["qrels"], ["query_id", "doc_id", "relevance"])
        (retriever,) = open_retrievers(self.spec, self.options)
        if isinstance(retriever, Keeps):
            retriever.keep_in(work.store / "vectors")
        retriever.index(corpus, work.scratch())
        judged = _Judged.of(qrels, queries, corpus)
        anchors: list[pa.Table] = []
        facts: dict[str, Any] = {"retriever": self.retriever, "documents": len(corpus), "queries": len(queries)}

        def searched() -> Iterator[Shard]:
            bare = 0
            for start in range(0, max(1, len(queries)), self.block):
                some = queries.slice(start, min(self.block, len(queries) - start))
                rows, scores = retriever.search(some, self.depth)
                _check(self.retriever, rows, scores)
                bare += int((rows[:, 0] < 0).sum()) if len(some) and self.depth else 0
                anchors.append(judged.anchors(retriever, self.retriever, some, start, rows))
                yield Shard(_candidates(self.retriever, some, corpus, rows, scores))
            if len(queries) and bare == len(queries):
                raise SourceError(
                    f"retriever {self.retriever}: "
                    f"no query of {self.lang} has a hit; do its file and this set name queries alike, and are both in one language?"
                )
            facts["queries_without_hits"] = bare
            retriever.close()

        # Outputs are made in this order: each block of queries leaves its anchors behind.
        return Result({"candidates": searched(), "anchors": (Shard(table) for table in anchors)}, facts=facts)


def whole_of(shards: Shards, columns: list[str]) -> pa.Table:
    """Some columns of a whole table, its strings as large_string."""
    return pa.concat_tables([_large(parquet.read(path, columns)) for path in shards.paths])


def _large(table: pa.Table) -> pa.Table:
    # A whole column may be longer than the offsets of a small string column reach.
    kinds = [
        pa.field(one.name, pa.large_string() if pa.types.is_string(one.type) else one.type, one.nullable)
        for one in table.schema
    ]
    return table.cast(pa.schema(kinds))


def _check(name: str, rows: Rows, scores: Any) -> None:
    bad = np.isnan(scores) & (rows >= 0)
    if bad.any():
        raise SourceError(
            f"retriever {name}: query {int(np.argwhere(bad)[0][0])} of a block has a hit whose score is NaN"
        )


def _candidates(name: str, queries: Collection, corpus: Collection, rows: Rows, scores: Any) -> pa.Table:
    query, place = np.nonzero(rows >= 0)
    columns = [
        queries.ids.take(pa.array(query)).cast(pa.string()),
        corpus.ids.take(pa.array(rows[query, place])).cast(pa.string()),
        pa.array([name] * len(query), pa.string()),
        pa.array((place + 1).astype(np.int32)),
        pa.array(scores[query, place].astype(np.float64)),
    ]
    return pa.table(columns, schema=CANDIDATES)


@dataclass(frozen=True, slots=True)
class _Judged:
    """The judged pairs whose query and document are there, in the order of queries, then of qrels: rows of both, ids of documents, grades."""

    query_rows: Rows
    doc_rows: Rows
    doc_ids: pa.Array
    relevance: pa.Array

    @classmethod
    def of(cls, qrels: pa.Table, queries: Collection, corpus: Collection) -> _Judged:
        query, document = id_rows(qrels["query_id"], queries.ids), id_rows(qrels["doc_id"], corpus.ids)
        there = np.flatnonzero((query >= 0) & (document >= 0))
        there = there[np.argsort(query[there], kind="stable")]
        grades = qrels["relevance"].to_numpy().astype(np.int32)
        doc_ids = corpus.ids.take(pa.array(document[there])).cast(pa.string())
        return cls(query[there], document[there], doc_ids, pa.array(grades[there]))

    def anchors(self, retriever: Retriever, name: str, queries: Collection, start: int, hits: Rows) -> pa.Table:
        """The anchors of the block of queries that begins at the row `start`; hits: the block's candidates."""
        low, high = (int(place) for place in np.searchsorted(self.query_rows, [start, start + len(queries)]))
        query, document = self.query_rows[low:high] - start, self.doc_rows[low:high]
        scores = retriever.score(queries, query, document).astype(np.float64)
        ranks = np.zeros(len(query), np.int32)
        for first in range(0, len(query), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            same = hits[query[part]] == document[part, None]
            ranks[part] = np.where(same.any(axis=1), same.argmax(axis=1) + 1, 0) if hits.shape[1] else 0
        columns = [
            queries.ids.take(pa.array(query)).cast(pa.string()),
            self.doc_ids.slice(low, high - low),
            pa.array([name] * len(query), pa.string()),
            self.relevance.slice(low, high - low),
            pa.array(scores, mask=np.isnan(scores)),
            pa.array(ranks, mask=ranks == 0),
        ]
        return pa.table(columns, schema=ANCHORS)


def retrieve_nodes(
    spec: str, options: Mapping[str, Mapping[str, Any]], lang: str, corpus: Input, queries: Input, qrels: Input, *, depth: int = DEPTH
) -> list[Node]:  # fmt: skip
    """One node for each retriever of a comma list, `retrieve.<lang>.<name>`, over one language's tables.

    Every retriever is opened here, so that a wrong name, option, model or run file is told before work starts.
    """
    if depth < 1:
        raise RecipeError(f"depth={depth}: candidates a query, at least 1")
    inputs = {
        name: Input(source.node, source.output, "all")
        for name, source in (("corpus", corpus), ("queries", queries), ("qrels", qrels))
    }
    nodes = []
    for part in split_spec(spec):
        own = {name: options[name] for name in names_in(part) if name in options}
        (made,) = open_retrievers(part, own)
        stage = Retrieve(made.name, lang, depth, spec=part, options=own)
        nodes.append(Node(f"retrieve.{lang}.{made.name}", stage, inputs, made.fingerprint()))
        made.close()
    open_retrievers(spec, options)
    return nodes
