"""Judged pairs of a set that a model is shown as examples of the task at hand."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.builders.generation.generation import drawn
from dsbuild.errors import SourceError
from dsbuild.stage import Counts, Result, Shard, Workspace

EXAMPLES = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("lang", "title", "passage", "query")])
# Queries that are looked up for each pair that is wanted: some have no passage that is short enough.
_SPARE = 32
_FIRST = "train"


@dataclass(frozen=True)
class PickExamples:
    """At most n judged pairs (relevance above 0): of `train` first, queries by their draws, each with its best passage.

    lang: of the queries; max_chars: of a passage that is shown whole or not at all; held_out: a split no query of which is shown, also where
    another split has it too; "" for none. Generated queries are no examples. `SourceError` where there is no pair.
    """

    lang: str
    n: int = 8
    max_chars: int = 2_000
    seed: int = 0
    held_out: str = "test"

    name: ClassVar[str] = "pick_examples"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """queries, qrels, corpus (whole) -> out (`EXAMPLES`), in the order of the draws."""
        del work
        best = self._judged(inputs["qrels"])
        queries = _looked_up(inputs["queries"], "query_id", list(best))
        passages = _looked_up(inputs["corpus"], "doc_id", [doc_id for _, doc_id in best.values()])
        found = []
        for query_id, (_, doc_id) in best.items():
            query, passage = queries.get(query_id), passages.get(doc_id)
            if query and passage and query.get("origin") != "generated" and 0 < len(passage["text"]) <= self.max_chars:
                shown = {"title": passage.get("title") or "", "passage": passage["text"], "query": query["text"]}
                found.append({"lang": self.lang, **shown})
        if not found:
            raise SourceError(
                f"no judged pair of a split other than {self.held_out or 'none'} with a passage of at most {self.max_chars:,} characters: give "
                "examples (--set style.examples_file=FILE), allow longer ones (style.max_chars=N) or another split (style.held_out=SPLIT)"
            )
        pairs = found[: self.n]
        return Result({"out": [Shard(pa.Table.from_pylist(pairs, EXAMPLES))]}, counts=Counts(len(pairs), len(pairs)))

    def _judged(self, shards: Any) -> dict[str, tuple[int, str]]:
        """The queries with the smallest draws, in their order: the relevance, negative, and id of the best passage of each."""
        room = self.n * _SPARE
        drawing: list[tuple[int, int, str]] = []  # the largest on top: both numbers negative
        chosen: set[str] = set()
        for rows in shards:
            rows = self._usable(rows)
            splits = rows["split"].to_pylist()
            for query_id, split in dict(zip(rows["query_id"].to_pylist(), splits, strict=True)).items():
                at = (-int(split != _FIRST), -drawn(self.seed, "example", query_id), query_id)
                if query_id in chosen or (len(drawing) == room and at <= drawing[0]):
                    continue
                chosen.add(query_id)
                if len(drawing) < room:
                    heapq.heappush(drawing, at)
                else:
                    chosen.discard(heapq.heapreplace(drawing, at)[2])
        best: dict[str, tuple[int, str]] = {}
        wanted = pa.array(sorted(chosen), pa.string())
        held_out: set[str] = set()
        for rows in shards:
            rows = rows.filter(pc.is_in(rows["query_id"].cast(pa.string()), wanted))
            if self.held_out and "split" in rows.column_names:
                held_out.update(rows.filter(pc.equal(rows["split"], self.held_out))["query_id"].to_pylist())
            rows = self._usable(rows)
            for row in rows.select(["query_id", "doc_id", "relevance"]).to_pylist():
                own = (-row["relevance"], row["doc_id"])
                best[row["query_id"]] = min(own, best.get(row["query_id"], own))
        return {query_id: best[query_id] for *_, query_id in sorted(drawing, reverse=True) if query_id not in held_out}

    def _usable(self, rows: pa.Table) -> pa.Table:
        if "split" not in rows.column_names:
            rows = rows.append_column("split", pa.array([_FIRST] * rows.num_rows, pa.string()))
        shown = pc.greater(rows["relevance"], 0)
        return rows.filter(pc.and_(shown, pc.not_equal(rows["split"], self.held_out)) if self.held_out else shown)


def _looked_up(shards: Any, id_column: str, ids: list[str]) -> dict[str, dict[str, Any]]:
    wanted = pa.array(sorted(set(ids)), pa.string())
    found = {}
    for rows in shards:
        for row in rows.filter(pc.is_in(rows[id_column].cast(pa.string()), wanted)).to_pylist():
            found[row[id_column]] = row
    return found
