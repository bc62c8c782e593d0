"""Which passages a model is asked about: by length, and a sample by a seeded draw."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.builders.generation.generation import drawn
from dsbuild.stage import Counts, Result, Shard, Workspace

PASSAGES = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("doc_id", "title", "text", "lang")])


@dataclass(frozen=True)
class PickPassages:
    """Passages of a length, at most `limit` of them: those whose draws by (seed, doc_id) are smallest, in the order of the corpus.

    min_chars, max_chars: of the text without white space at its ends, in code points (IndicRAGSuite leaves paragraphs out that are too short
    or too long; 0 for no upper bound); lang: where the rows do not say theirs. Memory holds the ids of the sample.
    """

    lang: str
    seed: int = 0
    limit: int | None = None
    min_chars: int = 1
    max_chars: int = 0

    name: ClassVar[str] = "pick_passages"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows (corpus or documents, whole) -> out (`PASSAGES`); the facts say how many there are and why others are not asked about."""
        shards = inputs["rows"]
        facts = {"passages": 0, "too_short": 0, "too_long": 0, "not_drawn": 0}
        drawing: list[tuple[int, str]] = []  # the smallest draws so far, the largest of them on top
        for rows in shards:
            facts["passages"] += rows.num_rows
            length = _lengths(rows)
            facts["too_short"] += pc.sum(pc.less(length, self.min_chars)).as_py() or 0
            if self.max_chars:
                facts["too_long"] += pc.sum(pc.greater(length, self.max_chars)).as_py() or 0
            if self.limit is None:
                continue
            for doc_id in self._fitting(rows)["doc_id"].to_pylist():
                at = -drawn(self.seed, "pick", doc_id)
                if len(drawing) < self.limit:
                    heapq.heappush(drawing, (at, doc_id))
                elif at > drawing[0][0]:
                    heapq.heapreplace(drawing, (at, doc_id))
        fitting = facts["passages"] - facts["too_short"] - facts["too_long"]
        picked = fitting if self.limit is None else len(drawing)
        facts["not_drawn"] = fitting - picked
        chosen = None if self.limit is None else pa.array(sorted(doc_id for _, doc_id in drawing), pa.string())
        # Passages that nobody asks about stay in the set, so none is dropped here.
        total = facts["passages"]
        return Result({"out": self._picked(shards, chosen)}, counts=Counts(total, total), facts=facts)

    def _fitting(self, rows: pa.Table) -> pa.Table:
        length = _lengths(rows)
        mask = pc.greater_equal(length, self.min_chars)
        return rows.filter(pc.and_(mask, pc.less_equal(length, self.max_chars)) if self.max_chars else mask)

    def _picked(self, shards: Any, chosen: pa.Array | None) -> Iterator[Shard]:
        for rows in shards:
            kept = self._fitting(rows)
            if chosen is not None:
                kept = kept.filter(pc.is_in(kept["doc_id"], chosen))
            columns = [
                kept["doc_id"],
                kept["title"] if "title" in kept.column_names else pa.repeat("", kept.num_rows),
                kept["text"],
                kept["lang"] if "lang" in kept.column_names else pa.repeat(self.lang, kept.num_rows),
            ]
            yield Shard(pa.table(columns, schema=PASSAGES))


def _lengths(rows: pa.Table) -> pa.ChunkedArray:
    """Code points of each text; one of white space alone has none, and nobody is asked about it."""
    return pc.utf8_length(pc.utf8_trim_whitespace(rows["text"]))


@dataclass(frozen=True)
class CountTopics:
    """Numbered rows without a text, for tasks that need no source: each becomes one question."""

    n: int
    lang: str

    name: ClassVar[str] = "count_topics"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """Nothing -> out (`PASSAGES`): n rows, their ids in order."""
        del inputs, work
        width = len(str(self.n))
        ids = [f"n{number:0{width}}" for number in range(1, self.n + 1)]
        empty = pa.repeat("", self.n)
        rows = pa.table([pa.array(ids, pa.string()), empty, empty, pa.repeat(self.lang, self.n)], schema=PASSAGES)
        facts = {"passages": self.n, "too_short": 0, "too_long": 0, "not_drawn": 0}
        return Result({"out": [Shard(rows)]}, counts=Counts(self.n, self.n), facts=facts)
