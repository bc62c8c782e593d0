"""What a dropped row takes along: judgements that would dangle, queries left without a positive, rows missing in a language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.stage import Counts, Result, Shard, Shards, Workspace, verdict

IDS = {"corpus": "doc_id", "queries": "query_id"}
EXTRA = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("rule", pa.string(), nullable=False)])


@dataclass(frozen=True)
class Cascade:
    """Carry the decisions on rows through the ids of the set.

    tables: the translated tables; parallel: keep only rows that every language keeps; training: drop queries that lost
    their last positive (in an evaluation set they stay). Memory grows with the rows dropped, not with the set.
    """

    langs: tuple[str, ...]
    tables: tuple[str, ...]
    parallel: bool = False
    training: bool = False

    name: ClassVar[str] = "cascade"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """`<lang>.<table>` (decided rows) and qrels -> `<lang>.qrels` and `<lang>.<table>` (`EXTRA`: further dropped ids)."""
        gone = {
            (lang, table): _gone(inputs[f"{lang}.{table}"], IDS[table]) for lang in self.langs for table in self.tables
        }
        extra: dict[tuple[str, str], dict[str, str]] = {key: {} for key in gone}
        if self.parallel:
            for table in self.tables:
                anywhere = set().union(*(gone[lang, table] for lang in self.langs))
                for lang in self.langs:
                    extra[lang, table] = dict.fromkeys(sorted(anywhere - gone[lang, table]), "parallel")
        qrels: Shards = inputs["qrels"]
        if self.training and "queries" in self.tables:
            for lang in self.langs:
                lost = dict.fromkeys(self._without_positive(qrels, lang, gone, extra), "no_positive")
                extra[lang, "queries"] |= lost
            if self.parallel:
                everywhere = set().union(*(extra[lang, "queries"] for lang in self.langs))
                for lang in self.langs:
                    missing = everywhere - extra[lang, "queries"].keys() - gone[lang, "queries"]
                    extra[lang, "queries"] |= dict.fromkeys(sorted(missing), "parallel")
        verdicts = [
            verdict(table, lang, row_id, self.name, "dropped", rule)
            for (lang, table), rows in extra.items()
            for row_id, rule in rows.items()
        ]
        outputs: dict[str, Any] = {}
        kept = orphaned = 0
        for lang in self.langs:
            absent = {table: gone.get((lang, table), set()) | extra.get((lang, table), {}).keys() for table in IDS}
            shards = []
            for shard in qrels:
                mask = _dangling(shard, absent)
                shards.append(Shard(shard.filter(pc.invert(mask))))
                lost_rows = shard.filter(mask)
                verdicts += [_orphan(lang, row, absent) for row in lost_rows.to_pylist()]
                kept += shard.num_rows - lost_rows.num_rows
                orphaned += lost_rows.num_rows
            outputs[f"{lang}.qrels"] = shards
            for table in self.tables:
                rows = extra[lang, table]
                outputs[f"{lang}.{table}"] = [Shard(pa.table([list(rows), list(rows.values())], schema=EXTRA))]
        return Result(outputs, verdicts, Counts(kept + orphaned, kept, orphaned))

    def _without_positive(
        self,
        qrels: Shards,
        lang: str,
        gone: Mapping[tuple[str, str], set[str]],
        extra: Mapping[tuple[str, str], Mapping[str, str]],
    ) -> list[str]:
        """Kept queries that had a positive and have none left."""
        absent = {table: gone.get((lang, table), set()) | extra.get((lang, table), {}).keys() for table in IDS}
        lost: set[str] = set()
        for shard in qrels:
            positive = shard.filter(pc.greater(shard["relevance"], 0))
            lost.update(positive.filter(_dangling(positive, absent))["query_id"].to_pylist())
        lost -= absent["queries"]
        for shard in qrels:
            positive = shard.filter(pc.greater(shard["relevance"], 0))
            lost.difference_update(positive.filter(pc.invert(_dangling(positive, absent)))["query_id"].to_pylist())
        return sorted(lost)


def _gone(decided: Shards, id_column: str) -> set[str]:
    def ids() -> Iterator[str]:
        for shard in decided:
            yield from shard.filter(pc.not_equal(shard["fate"], "kept"))[id_column].to_pylist()

    return set(ids())


def _dangling(qrels: pa.Table, absent: Mapping[str, set[str]]) -> pa.ChunkedArray:
    docs = pc.is_in(qrels["doc_id"], pa.array(sorted(absent["corpus"]), pa.string()))
    queries = pc.is_in(qrels["query_id"], pa.array(sorted(absent["queries"]), pa.string()))
    return pc.or_(docs, queries)


def _orphan(lang: str, row: Mapping[str, Any], absent: Mapping[str, set[str]]) -> dict[str, Any]:
    missing = [name for name, table in (("query", "queries"), ("doc", "corpus")) if row[f"{name}_id"] in absent[table]]
    return verdict(
        "qrels", lang, f"{row['query_id']}\t{row['doc_id']}", Cascade.name, "orphaned", f"{missing[0]}_dropped",
        value=float(row["relevance"]), detail=" and ".join(missing),
    )  # fmt: skip
