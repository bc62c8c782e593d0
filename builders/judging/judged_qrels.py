"""Judgements with those of a model beside them: only of pairs that nobody has judged, in the split of their query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.stage import Counts, Result, Shard, Workspace
from dsbuild.tables import QRELS

Scale = Literal["source", "judge"]
# From this grade on a judge calls a passage an answer: the binary measures of the TREC deep learning track count from here too.
RELEVANT = 2
SPLIT = "train"  # of queries that say none


@dataclass(frozen=True)
class AddGrades:
    """Grades of pairs without a judgement join the judgements.

    scale: judge: 0 to 3 as they are; source: so too, unless all grades of the set are 0 or 1: then 1 from `relevant` on, because a table where 1
    means an answer in some rows and none in others is no table of judgements.
    """

    scale: Scale = "source"
    relevant: int = RELEVANT

    name: ClassVar[str] = "add_grades"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """qrels, judged (`JUDGED_PAIRS`), queries (whole tables) -> out; facts: added, binary (whether grades were made 0 and 1)."""
        del work
        judged = pa.concat_tables(list(inputs["judged"]))
        new = judged.filter(pc.and_(pc.is_valid(judged["grade"]), pc.is_null(judged["known"])))
        grades = [pc.max(shard["relevance"]).as_py() for shard in inputs["qrels"] if shard.num_rows]
        binary = self.scale == "source" and bool(grades) and max(grades) <= 1
        relevance = pc.greater_equal(new["grade"], self.relevant).cast(pa.int32()) if binary else new["grade"]
        found = pa.table([new["query_id"], new["doc_id"], relevance, new["judge"]], names=_FOUND)
        return _joined(inputs, found, {"binary": binary})


@dataclass(frozen=True)
class AddBest:
    """The best candidate of each query joins the judgements as a pseudo-label of grade 1, unless the pair is judged."""

    judge: str

    name: ClassVar[str] = "add_best"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """qrels, ranked (`CANDIDATES`), judged (`JUDGED_PAIRS`), queries (whole tables) -> out; facts: added, judged_before (best ones)."""
        del work
        ranked = pa.concat_tables(list(inputs["ranked"]))
        best = ranked.filter(pc.equal(ranked["rank"], 1)).select(["query_id", "doc_id"])
        known = pa.concat_tables([shard.select(["query_id", "doc_id", "known"]) for shard in inputs["judged"]])
        known = known.filter(pc.is_valid(known["known"])).select(["query_id", "doc_id"])
        new = best.join(known, ["query_id", "doc_id"], join_type="left anti").sort_by("query_id")
        n = new.num_rows
        columns = [
            new["query_id"],
            new["doc_id"],
            pa.array([1] * n, pa.int32()),
            pa.array([self.judge] * n, pa.string()),
        ]
        return _joined(inputs, pa.table(columns, names=_FOUND), {"judged_before": best.num_rows - n})


_FOUND = ["query_id", "doc_id", "relevance", "judge"]


def _joined(inputs: Mapping[str, Any], found: pa.Table, facts: dict[str, Any]) -> Result:
    shards = list(inputs["qrels"])
    added = added_to(shards, found, splits_of(inputs["queries"]) if found.num_rows else {})
    total = sum(shard.num_rows for shard in shards)
    outputs = [*map(Shard, shards), *([Shard(added)] if found.num_rows else [])]
    return Result({"out": outputs}, counts=Counts(total, total), facts={"added": found.num_rows, **facts})


def splits_of(queries: Any) -> dict[str, str]:
    """The split of each query, where the table says it."""
    found: dict[str, str] = {}
    for shard in queries:
        if "split" in shard.column_names:
            found.update(zip(shard["query_id"].to_pylist(), shard["split"].to_pylist(), strict=True))
    return found


def added_to(shards: list[pa.Table], found: pa.Table, splits: Mapping[str, str]) -> pa.Table:
    """Judgements (query_id, doc_id, relevance, judge) as rows like those of `shards`.

    The split is that of the query's judgements, else of `splits`, else `train`; columns of the source's own are null.
    """
    schema = shards[0].schema
    assert set(QRELS.names) - {"split"} <= set(schema.names)
    split_of = dict(splits)
    if "split" in schema.names:
        first: dict[str, str] = {}
        for shard in shards:
            for query, split in zip(shard["query_id"].to_pylist(), shard["split"].to_pylist(), strict=True):
                first.setdefault(query, split)
        split_of |= first
    split = pa.array([split_of.get(query, SPLIT) for query in found["query_id"].to_pylist()], pa.string())
    more = {**{name: found[name] for name in found.column_names}, "split": split}
    columns = [more[one.name] if one.name in more else pa.nulls(found.num_rows, one.type) for one in schema]
    return pa.table(columns, names=schema.names).cast(schema)
