"""Generated rows as canonical tables: queries with their judgements, triplets as a retrieval set, pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.filters.generated_texts import released
from dsbuild.stage import Counts, Result, Shard, Workspace
from dsbuild.tables import CORPUS, NEGATIVES, PAIRS, QRELS, QUERIES

SPLIT = "train"
DUPLICATES = "duplicates"  # the step of the funnel whose losses name the query that stays


def judge_of(generator: str) -> str:
    """Who stands behind a judgement that a generator made by asking about a passage.

    >>> judge_of("qwen3-8b")
    'generated:qwen3-8b'
    """
    return f"generated:{generator}"


@dataclass(frozen=True)
class TextsAsCorpus:
    """A table of texts as the corpus that queries are judged on: canonical columns, then all others but the splits.

    source: name of the set; lang: where the rows do not say theirs.
    """

    source: str
    lang: str

    name: ClassVar[str] = "texts_as_corpus"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows (`DOCUMENTS` and any others) -> out (`CORPUS` and those)."""
        del work
        rows: pa.Table = inputs["rows"]
        n = rows.num_rows
        said: dict[str, Any] = {"title": "", "lang": self.lang, "source": self.source, "group_id": rows["doc_id"]}
        columns = []
        for one in CORPUS:
            own = rows[one.name] if one.name in rows.column_names else said[one.name]
            column = pa.chunked_array([pa.repeat(own, n)]) if isinstance(own, str) else own.cast(pa.string())
            columns.append(pc.fill_null(column, ""))
        table = _beside(pa.table(columns, schema=CORPUS), rows, ("split",))
        return Result({"out": [Shard(table)]}, counts=Counts(n, n))


@dataclass(frozen=True)
class QueryRows:
    """Rows of the funnel as a table of queries: canonical columns, then all others; fates stay."""

    source: str

    name: ClassVar[str] = "generated_queries"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows -> out (`QUERIES` and the rows' own columns)."""
        del work
        rows: pa.Table = inputs["rows"]
        n = rows.num_rows
        own = {"query_id": rows["id"], "text": rows["text"], "lang": rows["lang"]}
        said = {"source": self.source, "origin": "generated", "split": SPLIT}
        columns = {one.name: own.get(one.name) for one in QUERIES}
        table = pa.table(
            [columns[one.name] if one.name in own else pa.repeat(said[one.name], n) for one in QUERIES], schema=QUERIES
        )
        return Result({"out": [Shard(_beside(table, rows, ("id",)))]}, counts=Counts(n, n))


@dataclass(frozen=True)
class JudgeGenerated:
    """Judgements of generated queries: each kept query and its passage; a duplicate's passage goes to the query that stays.

    A query may be lost by a cut after it stood for others: their judgements are lost with it, and counted. Memory holds what duplicates hand over.
    """

    name: ClassVar[str] = "judge_generated"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """queries (of `QueryRows`, whole) -> out (`QRELS`); counts are of judgements. Facts: handed_over and lost_with_keeper, of duplicates."""
        del work
        shards = inputs["queries"]
        handed: dict[str, dict[str, str]] = {}  # query that stays -> passage -> generator
        for rows in shards:
            if "duplicate_of" not in rows.column_names:
                break
            lost = rows.filter(pc.equal(rows["lost_at"], DUPLICATES))
            for row in lost.select(["duplicate_of", "parent_id", "generator"]).to_pylist():
                if row["duplicate_of"]:
                    handed.setdefault(row["duplicate_of"], {}).setdefault(row["parent_id"], row["generator"])
        result = Result({}, counts=Counts(), facts={"handed_over": 0, "lost_with_keeper": 0})
        result.outputs = {"out": self._judged(shards, handed, result)}
        return result

    def _judged(self, shards: Any, handed: Mapping[str, Mapping[str, str]], result: Result) -> Iterator[Shard]:
        total = 0
        for rows in shards:
            found = []
            columns = ["query_id", "parent_id", "generator", *(["fate"] if "fate" in rows.column_names else [])]
            for row in rows.select(columns).to_pylist():
                others = sorted(handed.get(row["query_id"], {}).items())
                also = [(row["query_id"], parent, judge_of(by)) for parent, by in others if parent != row["parent_id"]]
                if row.get("fate", "kept") == "kept":
                    found += [(row["query_id"], row["parent_id"], judge_of(row["generator"])), *also]
                    result.facts["handed_over"] += len(also)
                else:
                    result.facts["lost_with_keeper"] += len(also)
            total += len(found)
            records = [
                {"query_id": query, "doc_id": doc, "relevance": 1, "judge": judge, "split": SPLIT} for query, doc, judge in found
            ]  # fmt: skip
            yield Shard(pa.Table.from_pylist(records, schema=QRELS))
        result.counts = Counts(total, total)


@dataclass(frozen=True)
class TripletTables:
    """Triplets as a retrieval set: two documents of each, a query that knows its instruction, one judgement, one negative.

    A document is called after its triplet: `<id>-p`, `<id>-n`.
    """

    source: str

    name: ClassVar[str] = "triplet_tables"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows (with positive, negative) -> corpus, negatives: of kept rows."""
        del work
        rows: pa.Table = inputs["rows"]
        documents, negatives = [], []
        for row in _kept(rows).select(["id", "lang", "positive", "negative", "parent_id"]).to_pylist():
            for ending, text in (("p", row["positive"]), ("n", row["negative"])):
                documents.append(
                    {"doc_id": f"{row['id']}-{ending}", "title": "", "text": text, "lang": row["lang"], "source": self.source, "group_id": row["id"]}
                )  # fmt: skip
            negatives.append(
                {"query_id": row["id"], "doc_id": f"{row['id']}-n", "rule": "generated", "rank": None, "score": None, "anchor_score": None}
            )  # fmt: skip
        outputs = {
            "corpus": [Shard(pa.Table.from_pylist(documents, schema=CORPUS))],
            "negatives": [Shard(pa.Table.from_pylist(negatives, schema=NEGATIVES))],
        }
        return Result(outputs, counts=Counts(rows.num_rows, rows.num_rows))


@dataclass(frozen=True)
class JudgeTriplets:
    """One judgement for each kept triplet: its query and its positive document."""

    name: ClassVar[str] = "judge_triplets"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """queries (of `QueryRows`) -> out (`QRELS`)."""
        del work
        rows: pa.Table = inputs["queries"]
        records = [
            {"query_id": row["query_id"], "doc_id": f"{row['query_id']}-p", "relevance": 1, "judge": judge_of(row["generator"]), "split": SPLIT}
            for row in _kept(rows).select(["query_id", "generator"]).to_pylist()
        ]  # fmt: skip
        n = len(records)
        return Result({"out": [Shard(pa.Table.from_pylist(records, schema=QRELS))]}, counts=Counts(n, n))


@dataclass(frozen=True)
class PairRows:
    """Rows with two texts as a table of pairs: canonical columns, then all others; fates stay."""

    name: ClassVar[str] = "generated_pairs"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows (with text_b, and label or score) -> out (`PAIRS` and the rows' own columns)."""
        del work
        rows: pa.Table = inputs["rows"]
        n = rows.num_rows
        own = {
            "pair_id": "id",
            "text_a": "text",
            "text_b": "text_b",
            "lang_a": "lang",
            "lang_b": "lang",
            "label": "label",
            "score": "score",
        }
        columns = [
            rows[own[one.name]] if own[one.name] in rows.column_names else pa.nulls(n, one.type) for one in PAIRS
        ]
        table = pa.table(columns, schema=PAIRS)
        if (at := rows.schema.get_field_index("contamination_field")) >= 0:
            named = pc.if_else(pc.equal(rows.column(at), "text"), released("text", "pairs"), rows.column(at))
            rows = rows.set_column(at, rows.schema.field(at), named)
        return Result({"out": [Shard(_beside(table, rows, tuple(own.values())))]}, counts=Counts(n, n))


def _beside(table: pa.Table, rows: pa.Table, known: Sequence[str]) -> pa.Table:
    """The table with all other columns of the rows that it was made of; known: those that are in it under other names."""
    for name in rows.column_names:
        if name not in (*table.column_names, *known):
            table = table.append_column(rows.schema.field(name), rows[name])
    return table


def _kept(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.equal(rows["fate"], "kept")) if "fate" in rows.column_names else rows
