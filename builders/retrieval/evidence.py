"""What retrievers say of candidates beyond their ranks: how each scores them for the query, and how like a known positive they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from dsbuild.builders.retrieval.candidates import Anchors, Candidates, Floats, Ints
from dsbuild.builders.retrieval.retrieve import Keeps, whole_of
from dsbuild.builders.retrieval.retriever import Collection, Retriever, one, open_retrievers
from dsbuild.errors import SourceError
from dsbuild.stage import Counts, Result, Shard, Workspace

# Positives of a query that candidates are compared with, a draw by hash where there are more.
LABELS = 32
# Pairs that are scored at once.
_AT_ONCE = 1 << 22

# A row for each query (positive_id null), whose scores are those of query and candidate, and for each of its positives, whose scores are
# those of the positive, taken as a query, and the candidate: in the order of the ids of the query's candidates.
EVIDENCE = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("positive_id", pa.string()),
        pa.field("anchor", pa.float64()),  # the query's score of the positive
        pa.field("own", pa.float64()),  # the positive's score of itself
        pa.field("scores", pa.list_(pa.float32()), nullable=False),
    ]
)


@dataclass(frozen=True)
class FindEvidence:
    """Score the candidates of one language by one retriever, for their queries and for the positives of these taken as queries.

    miners: whose candidates they are. What decides the scores is in the retriever's fingerprint, the model of the node.
    """

    retriever: str
    lang: str
    miners: tuple[str, ...]
    labels: int = LABELS
    spec: str = field(default="", compare=False)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False)

    name: ClassVar[str] = "evidence"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = True

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """corpus, queries, candidates.<miner>, anchors.<miner> (whole tables) -> out (`EVIDENCE`), a shard for each block of queries."""
        corpus = Collection.of(whole_of(inputs["corpus"], ["doc_id", "title", "text"]), "doc_id", self.lang)
        queries = Collection.of(whole_of(inputs["queries"], ["query_id", "text"]), "query_id", self.lang)
        total = sum(shard.num_rows for shard in inputs[f"candidates.{self.miners[0]}"])

        def found() -> Iterator[Shard]:
            (retriever,) = open_retrievers(self.spec, self.options)
            if isinstance(retriever, Keeps):
                retriever.keep_in(work.store / "vectors")
            retriever.index(corpus, work.scratch())
            for index in range(len(inputs[f"candidates.{self.miners[0]}"])):
                tables = {name: inputs[f"candidates.{name}"][index] for name in self.miners}
                judged = {name: inputs[f"anchors.{name}"][index] for name in self.miners}
                yield Shard(self._block(retriever, corpus, queries, tables, judged))
            retriever.close()

        return Result({"out": found()}, counts=Counts(total, total))

    def _block(
        self, retriever: Retriever, corpus: Collection, queries: Collection, tables: Any, judged: Any
    ) -> pa.Table:
        named = pc.unique(pa.chunked_array([one(table["query_id"]) for table in (*tables.values(), *judged.values())]))
        asked = queries.take(np.flatnonzero(pc.is_in(queries.ids, named).to_numpy(zero_copy_only=False)))
        block, anchors = Candidates.of(tables, asked.ids), Anchors.of(judged, asked.ids)
        candidate = _rows(block.doc_ids, corpus.ids)[block.docs]
        pairs = labels_of(anchors, asked.ids, self.labels)
        query, positive = anchors.query_of[pairs], _rows(anchors.doc_ids.take(pa.array(pairs)), corpus.ids)
        distinct, label = np.unique(positive, return_inverse=True)
        texts = corpus.take(distinct)
        own = retriever.score(texts, np.arange(len(distinct)), distinct).astype(np.float64)[label]
        anchor = retriever.score(asked, query, positive).astype(np.float64)
        sizes = np.diff(block.starts)
        whole = _scores(retriever, asked, np.repeat(np.arange(len(asked)), sizes), candidate)
        alike = _scores(
            retriever, texts, np.repeat(label, sizes[query]), candidate[ranges(block.starts[query], sizes[query])]
        )
        lists = pa.ListArray.from_arrays(
            pa.array(np.concatenate([np.zeros(1), np.cumsum(np.concatenate([sizes, sizes[query]]))]).astype(np.int32)),
            pa.array(np.concatenate([whole, alike]), pa.float32()),
        )
        bare = len(asked)
        columns = [
            pa.concat_arrays([asked.ids, asked.ids.take(pa.array(query))]).cast(pa.string()),
            pa.concat_arrays([pa.nulls(bare, pa.large_string()), anchors.doc_ids.take(pa.array(pairs))]).cast(
                pa.string()
            ),
            pa.concat_arrays([pa.nulls(bare, pa.float64()), pa.array(anchor)]),
            pa.concat_arrays([pa.nulls(bare, pa.float64()), pa.array(own)]),
            lists,
        ]
        return pa.table(columns, schema=EVIDENCE)


def _scores(retriever: Retriever, texts: Collection, rows: Ints, documents: Ints) -> npt.NDArray[np.float32]:
    """The scores of pairs that are grouped by text, a bounded number at a time."""
    parts = [np.empty(0, np.float32)]
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        first, last = int(some[0]), int(some[-1]) + 1
        if (np.diff(some) < 0).any():
            first, last = 0, len(texts)
        parts.append(
            retriever.score(texts.slice(first, last - first), some - first, documents[start : start + _AT_ONCE])
        )
    return np.concatenate(parts)


def labels_of(anchors: Anchors, query_ids: pa.Array, most: int = LABELS) -> Ints:
    """The positives of each query as indices of pairs, at most so many of a query: those with the smallest hash of both ids."""
    pairs = np.flatnonzero(anchors.positive)
    query = anchors.query_of[pairs]
    if np.bincount(query, minlength=1).max() <= most:
        return pairs
    names = zip(
        query_ids.take(pa.array(query)).to_pylist(), anchors.doc_ids.take(pa.array(pairs)).to_pylist(), strict=True
    )
    marks = np.fromiter((hashed(0, *pair) for pair in names), np.uint64, len(pairs))
    order = np.lexsort((marks, query))
    among = np.arange(len(order)) - np.searchsorted(query[order], query[order])
    return np.sort(pairs[order[among < most]])


def hashed(seed: int, *parts: str) -> int:
    """A number of 64 bits that depends on the seed and the parts alone."""
    return xxhash.xxh3_64_intdigest("".join(f"{len(part)}:{part}" for part in parts).encode("utf-8"), seed % (1 << 64))


def ranges(starts: Ints, sizes: Ints) -> Ints:
    """Whole numbers from each start on, as many as its size says, one run after another.

    >>> ranges(np.array([2, 0]), np.array([3, 2])).tolist()
    [2, 3, 4, 0, 1]
    """
    ends = np.cumsum(sizes)
    return np.asarray(np.repeat(starts - ends + sizes, sizes) + np.arange(int(ends[-1]) if len(ends) else 0), np.int64)


@dataclass(frozen=True)
class Evidence:
    """The evidence on the rows of a block of candidates, by several retrievers.

    scores: (retrievers, rows) for the query; starts: (queries + 1) borders of each query's known positives; pairs: (positives) indices of
    `Anchors` pairs; anchors, own: (retrievers, positives), see `EVIDENCE`; offsets: (positives) where each one's likeness to the query's
    rows begins in likes: (retrievers, …). NaN where a retriever cannot know.
    """

    retrievers: tuple[str, ...]
    scores: npt.NDArray[np.float32]
    starts: Ints
    pairs: Ints
    anchors: Floats
    own: Floats
    offsets: Ints
    likes: npt.NDArray[np.float32]

    @property
    def query_of(self) -> Ints:
        """The query of each known positive."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    @classmethod
    def of(cls, tables: Mapping[str, pa.Table], block: Candidates, anchors: Anchors) -> Evidence:
        """From one table (`EVIDENCE`) for each retriever, which all name the same pairs."""
        names = tuple(tables)
        first = tables[names[0]]
        query = pc.index_in(one(first["query_id"]), block.query_ids).to_numpy().astype(np.int64)
        asked = pc.is_null(first["positive_id"]).to_numpy()
        sizes, lengths = np.diff(block.starts), pc.list_value_length(first["scores"]).to_numpy()
        if (sizes[query] != lengths).any():
            raise SourceError("evidence and candidates are of different runs; retrieve again")
        begins = np.cumsum(lengths) - lengths
        places = np.full(block.n_queries, -1, np.int64)
        places[query[asked]] = begins[asked]
        rows = ranges(places[sizes > 0], sizes[sizes > 0])
        known = np.flatnonzero(~asked)
        found = _pairs(anchors, query[known], one(first["positive_id"]).take(pa.array(known)))
        order = np.argsort(found, kind="stable")
        known, found = known[order], found[order]
        values = np.stack([one_list(tables[name]["scores"]) for name in names])
        return cls(
            names,
            values[:, rows],
            np.searchsorted(query[known], np.arange(block.n_queries + 1)).astype(np.int64),
            found,
            np.stack([_floats(tables[name]["anchor"])[known] for name in names]),
            np.stack([_floats(tables[name]["own"])[known] for name in names]),
            begins[known],
            values,
        )

    def take(self, rows: Ints, labels: Ints) -> Evidence:
        """Of a block whose queries are chosen anew: rows of candidates, and for each query the one positive that it knows (an index here)."""
        starts = np.arange(len(labels) + 1)
        return Evidence(
            self.retrievers, self.scores[:, rows], starts, self.pairs[labels], self.anchors[:, labels], self.own[:, labels],
            self.offsets[labels], self.likes,
        )  # fmt: skip


def _pairs(anchors: Anchors, query: Ints, doc_ids: pa.Array) -> Ints:
    """The pair of each query and positive."""
    ids = pc.unique(anchors.doc_ids)
    width = max(1, len(ids))
    held = anchors.query_of * width + pc.index_in(anchors.doc_ids, ids).to_numpy()
    wanted = query * width + pc.fill_null(pc.index_in(doc_ids, ids), 0).to_numpy()
    order = np.argsort(held, kind="stable")
    return np.asarray(order[np.searchsorted(held[order], wanted)], np.int64)


def one_list(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    """The values of a column of lists, one after another."""
    parts = [np.empty(0, np.float32)]
    parts += [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate(parts)


def _floats(column: pa.ChunkedArray) -> Floats:
    return np.asarray(pc.fill_null(column, float("nan")).to_numpy(), np.float64)


def _rows(ids: pa.Array, known: pa.Array) -> Ints:
    found = pc.index_in(ids.cast(pa.large_string()), known)
    if found.null_count:
        name = ids.filter(pc.is_null(found))[0].as_py()
        raise SourceError(f"candidates: document {name!r} is not in the corpus; retrieve from the same corpus")
    return np.asarray(found.to_numpy(zero_copy_only=False), np.int64)
