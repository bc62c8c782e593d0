"""At what rank a retriever finds the passage that a query was made from, and how much of the query stands in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsbuild.builders.retrieval import lexical_tokens
from dsbuild.builders.retrieval.retrieve import Keeps, whole_of
from dsbuild.builders.retrieval.retriever import Collection, Retriever, Rows, id_rows, one, open_retrievers
from dsbuild.errors import SourceError
from dsbuild.filters.copied_span import fields_of
from dsbuild.filters.decide_funnel import here
from dsbuild.filters.score_rows import put
from dsbuild.filters.utf8 import Offsets, compiled
from dsbuild.stage import Result, Shard, Shards, Workspace

# Candidates of a query that a later step may score: ids of passages other than its own, best first.
RIVALS = "rivals"
# Queries that are searched at once; bounds the memory for their hits.
_BLOCK = 4_096


@dataclass(frozen=True)
class RankSources:
    """Search for each query that is still there and say where its own passage stands.

    columns: for the rank, the same in each; depth: how far is looked, a passage that is not found has the rank depth + 1; easy: the column for the
    share of a query's terms that stand in its passage, of queries that find it first, 0 of others ("": not wanted); rivals: how many other
    passages are noted in `RIVALS`; spec, options: how the retriever is opened; what of them decides is the model of the node.
    Passages with the score of the query's own do not push it back.
    """

    columns: tuple[str, ...]
    lang: str
    depth: int
    easy: str = ""
    rivals: int = 0
    spec: str = field(default="bm25", compare=False)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False)

    name: ClassVar[str] = "rank_sources"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = True

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows, passages (both whole; rows are read shard by shard) -> out: the rows with the columns, null where a row was lost before."""
        passages = inputs["passages"]
        corpus = Collection.of(whole_of(passages, ["doc_id", *fields_of(passages)]), "doc_id", self.lang)
        (retriever,) = open_retrievers(self.spec, self.options)
        if isinstance(retriever, Keeps):
            retriever.keep_in(work.store / "vectors")
        retriever.index(corpus, work.scratch())
        facts = {"retriever": retriever.name, "passages": len(corpus)}
        return Result({"out": self._shards(inputs["rows"], corpus, retriever)}, facts=facts)

    def _shards(self, rows: Shards, corpus: Collection, retriever: Retriever) -> Iterator[Shard]:
        for shard in rows:
            yield Shard(self._ranked(shard, corpus, retriever))
        retriever.close()

    def _ranked(self, rows: pa.Table, corpus: Collection, retriever: Retriever) -> pa.Table:
        alive = np.flatnonzero(here(rows))
        chosen = rows.take(pa.array(alive))
        queries = Collection(one(chosen["id"]), one(chosen["text"]), self.lang)
        own = id_rows(chosen["parent_id"], corpus.ids)
        if (lost := np.flatnonzero(own < 0)).size:
            missing = chosen["parent_id"][int(lost[0])].as_py()
            raise SourceError(f"generated queries: their passage {missing!r} is not in the corpus")
        ranks = np.empty(len(queries), np.int32)
        rivals: list[list[str]] = []
        for start in range(0, len(queries), _BLOCK):
            size = min(_BLOCK, len(queries) - start)
            mine = own[start : start + size]
            hits, scores = retriever.search(queries.slice(start, size), self.depth)
            ranks[start : start + size] = _ranks(hits, scores, mine, self.depth)
            if self.rivals:
                rivals += _others(hits, mine, corpus, self.rivals)
        for column in self.columns:
            rows = put(rows, column, _spread(pa.array(ranks), alive, rows.num_rows))
        if self.easy:
            share = _shares(queries.texts, corpus.texts.take(pa.array(own)))
            easy = pa.array(np.where(ranks == 1, share, 0.0))
            rows = put(rows, self.easy, _spread(easy, alive, rows.num_rows))
        if self.rivals:
            rows = put(rows, RIVALS, _spread(pa.array(rivals, pa.list_(pa.string())), alive, rows.num_rows))
        return rows


def _ranks(hits: Rows, scores: npt.NDArray[np.float32], own: Rows, depth: int) -> npt.NDArray[np.int32]:
    """One more than the passages with a higher score; depth + 1 where a query's own is not among its hits."""
    found = hits == own[:, None]
    there = found.any(axis=1)
    score = np.where(there, scores[np.arange(len(own)), found.argmax(axis=1)], np.inf)
    higher = (scores > score[:, None]).sum(axis=1)
    return np.where(there, higher + 1, depth + 1).astype(np.int32)


def _others(hits: Rows, own: Rows, corpus: Collection, n: int) -> list[list[str]]:
    found = []
    for places, mine in zip(hits.tolist(), own.tolist(), strict=True):
        chosen = [place for place in places if place >= 0 and place != mine][:n]
        found.append(corpus.ids.take(pa.array(chosen, pa.int64())).to_pylist())
    return found


def _spread(values: pa.Array, places: npt.NDArray[np.int64], n_rows: int) -> pa.Array:
    """Values at some places of a column of so many rows, null elsewhere."""
    at = np.full(n_rows, -1, np.int64)
    at[places] = np.arange(len(places))
    return values.take(pa.array(at, mask=at < 0))


def _shares(queries: pa.Array, passages: pa.Array) -> npt.NDArray[np.float64]:
    """The share of each query's terms that stand in the passage of the same row; 0 for a query without any."""
    found: npt.NDArray[np.float64] = _inside(
        *lexical_tokens.term_hashes(queries), *lexical_tokens.term_hashes(passages)
    )
    return found


@compiled
def _inside(
    terms: npt.NDArray[np.uint64], bounds: Offsets, held: npt.NDArray[np.uint64], ends: Offsets
) -> npt.NDArray[np.float64]:
    out = np.zeros(len(bounds) - 1)
    for row in range(len(bounds) - 1):
        inside = 0
        known = np.sort(held[ends[row] : ends[row + 1]])
        for place in range(bounds[row], bounds[row + 1]):
            at = np.searchsorted(known, terms[place])
            inside += at < len(known) and known[at] == terms[place]
        if bounds[row + 1] > bounds[row]:
            out[row] = inside / (bounds[row + 1] - bounds[row])
    return out
