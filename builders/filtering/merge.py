"""Judgements of a passage that was dropped as a duplicate go to the passage that was kept in its place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.filters.score_rows import one_array
from dsbuild.stage import Counts, Result, Shard, Shards, Workspace, verdict
from dsbuild.tables import QRELS


@dataclass
class _Change:
    """What becomes of the rows of one shard: new document and grade, or nothing."""

    to: dict[int, tuple[str, int]] = field(default_factory=dict)
    lost: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class MergeQrels:
    """Hand the judgements of duplicates to their keepers: the highest grade stands, a verdict `merged` tells of each move.

    In memory: the ids of duplicates and of their keepers, and the judgements of these.
    """

    lang: str

    name: ClassVar[str] = "merge"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """qrels, and rows with `duplicate_of` -> out: the qrels, one per (query, document, split) of those that a move meets."""
        qrels: Shards = inputs["qrels"]
        copies, keepers = _duplicates(inputs["rows"])
        changes: dict[int, _Change] = defaultdict(_Change)
        first: dict[tuple[str, str, str], tuple[int, int]] = {}
        verdicts: list[dict[str, Any]] = []
        total = lost = 0
        for number, shard in enumerate(qrels):
            total += shard.num_rows
            place = pc.index_in(one_array(shard["doc_id"]), copies)
            met = pc.or_(pc.is_valid(place), pc.is_in(one_array(shard["doc_id"]), keepers))
            rows = np.flatnonzero(met.to_numpy(zero_copy_only=False))
            targets = keepers.take(place.take(pa.array(rows))).to_pylist()
            for row, one, target in zip(rows.tolist(), shard.take(pa.array(rows)).to_pylist(), targets, strict=True):
                if target is not None:
                    verdicts.append(
                        verdict("qrels", self.lang, f"{one['query_id']}\t{one['doc_id']}", self.name, "merged", "near_or_exact_duplicate",
                                value=float(one["relevance"]), detail=target)
                    )  # fmt: skip
                doc = target or one["doc_id"]
                held = first.setdefault((one["query_id"], doc, one["split"]), (number, row))
                if held == (number, row):
                    changes[number].to[row] = (doc, one["relevance"])
                    continue
                lost += 1
                changes[number].lost.append(row)
                kept = changes[held[0]].to
                kept[held[1]] = (doc, max(kept[held[1]][1], one["relevance"]))
        return Result({"out": _changed(qrels, changes)}, verdicts, Counts(total, total - lost, lost))


def _duplicates(rows: Shards) -> tuple[pa.Array, pa.Array]:
    """The ids of the rows that are duplicates, and those of their keepers."""
    found: list[list[pa.Array]] = [[], []]
    for shard in rows:
        gone = shard.filter(pc.is_valid(shard["duplicate_of"]))
        for column, name in zip(found, ("doc_id", "duplicate_of"), strict=True):
            column.append(one_array(gone[name].cast(pa.string())))
    copies, keepers = (pa.concat_arrays([*column, pa.array([], pa.string())]) for column in found)
    return copies, keepers


def _changed(qrels: Shards, changes: Mapping[int, _Change]) -> Iterator[Shard]:
    for number, shard in enumerate(qrels):
        rows = shard.select(QRELS.names)
        change = changes.get(number)
        if change is not None:
            docs, grades = rows["doc_id"].to_pylist(), rows["relevance"].to_pylist()
            for row, (doc, grade) in change.to.items():
                docs[row], grades[row] = doc, grade
            for name, values in (("doc_id", docs), ("relevance", grades)):
                at = rows.column_names.index(name)
                rows = rows.set_column(at, rows.schema.field(at), pa.array(values, rows.schema.field(at).type))
            stays = np.ones(rows.num_rows, np.bool_)
            stays[change.lost] = False
            rows = rows.filter(pa.array(stays))
        yield Shard(rows)
    if not len(qrels):
        yield Shard(QRELS.empty_table())
