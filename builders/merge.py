"""Judgements of a passage that was dropped as a duplicate go to the passage that was kept in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.stage import Counts, Result, Shard, Shards, Workspace, verdict
from dsbuild.tables import QRELS


@dataclass(frozen=True)
class MergeQrels:
    """Hand the judgements of duplicates to their keepers: the highest grade stands, a verdict `merged` tells of each move."""

    lang: str

    name: ClassVar[str] = "merge"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """qrels, and rows with `duplicate_of` -> out: the qrels, one per (query, document, split)."""
        qrels: Shards = inputs["qrels"]
        keeper: dict[str, str] = {}
        for shard in inputs["rows"]:
            moved = shard.select(["doc_id", "duplicate_of"]).filter(pc.is_valid(shard["duplicate_of"]))
            keeper.update(zip(moved["doc_id"].to_pylist(), moved["duplicate_of"].to_pylist(), strict=True))
        table = pa.concat_tables([shard.select(QRELS.names) for shard in qrels]) if len(qrels) else QRELS.empty_table()
        docs = table["doc_id"].to_pylist()
        if not keeper or not any(doc in keeper for doc in docs):
            return Result({"out": [Shard(table)]}, counts=Counts(len(docs), len(docs)))
        verdicts: list[dict[str, Any]] = []
        best: dict[tuple[str, str, str], int] = {}
        rows = table.to_pylist()
        for place, row in enumerate(rows):
            target = keeper.get(row["doc_id"])
            if target is not None:
                verdicts.append(
                    verdict("qrels", self.lang, f"{row['query_id']}\t{row['doc_id']}", self.name, "merged", "near_or_exact_duplicate",
                            value=float(row["relevance"]), detail=target)
                )  # fmt: skip
                row["doc_id"] = target
            key = (row["query_id"], row["doc_id"], row["split"])
            if key not in best:
                best[key] = place
            elif rows[best[key]]["relevance"] < row["relevance"]:
                rows[best[key]]["relevance"] = row["relevance"]
        kept = sorted(best.values())
        merged = pa.Table.from_pylist([rows[place] for place in kept], QRELS)
        return Result({"out": [Shard(merged)]}, verdicts, Counts(len(rows), len(kept), len(rows) - len(kept)))
