"""What a judge's answers make of the candidates of a query: an order by likelihood, or by preferences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.stage import Counts, Result, Shard, Workspace
from dsbuild.tables import CANDIDATES


@dataclass(frozen=True)
class RankByLikelihood:
    """Candidates of each query by the score of its pairs, the best first, ties by doc_id; a pair without a score is none."""

    retriever: str

    name: ClassVar[str] = "rank_by_likelihood"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """judged (`JUDGED_PAIRS`, whole; a query's pairs in one shard) -> out (`CANDIDATES`)."""
        del work
        result = Result({}, counts=Counts())
        result.outputs = {"out": self._ranked(inputs["judged"], result)}
        return result

    def _ranked(self, judged: Any, result: Result) -> Iterator[Shard]:
        for table in judged:
            found = []
            rows = table.select(["query_id", "doc_id", "score"]).to_pylist()
            for query, pairs in groupby(rows, key=lambda row: row["query_id"]):
                scored = sorted((-row["score"], row["doc_id"]) for row in pairs if row["score"] is not None)
                found += [(query, doc, -minus) for minus, doc in scored]
            yield _shard(self.retriever, found)
            _count(result, len(found))


@dataclass(frozen=True)
class RankByPreference:
    """Candidates of each query by Copeland's score: comparisons won less comparisons lost; ties by their place among the first stages.

    A query without an outcome has none. Source: A. Copeland, A reasonable social welfare function, 1951.
    """

    retriever: str

    name: ClassVar[str] = "rank_by_preference"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """pairs (`PAIRS_TO_JUDGE`, whole), compared (`COMPARED`, whole) -> out (`CANDIDATES`). Memory: one number for each pair."""
        del work
        scores: Counter[tuple[str, str]] = Counter()
        compared: set[str] = set()
        for table in inputs["compared"]:
            said = table.filter(pc.not_equal(table["outcome"], ""))
            for row in said.select(["query_id", "first_id", "second_id", "outcome"]).to_pylist():
                query, first, second = row["query_id"], row["first_id"], row["second_id"]
                compared.add(query)
                if row["outcome"] != "tie":
                    won, lost = (first, second) if row["outcome"] == "first" else (second, first)
                    scores[query, won] += 1
                    scores[query, lost] -= 1
        result = Result({}, counts=Counts())
        result.outputs = {"out": self._ranked(inputs["pairs"], scores, compared, result)}
        return result

    def _ranked(
        self, pairs: Any, scores: Counter[tuple[str, str]], compared: set[str], result: Result
    ) -> Iterator[Shard]:
        for table in pairs:
            found = []
            rows = (
                row for row in table.select(["query_id", "doc_id", "place"]).to_pylist() if row["query_id"] in compared
            )
            for query, some in groupby(rows, key=lambda row: row["query_id"]):
                # A stable order: rows come by place.
                ordered = sorted(some, key=lambda row: -scores[row["query_id"], row["doc_id"]])
                found += [(query, row["doc_id"], float(scores[query, row["doc_id"]])) for row in ordered]
            yield _shard(self.retriever, found)
            _count(result, len(found))


def _shard(retriever: str, found: list[tuple[str, str, float]]) -> Shard:
    """Rows of (query, document, score) that come by query and rank."""
    ranks: Counter[str] = Counter()
    rows = []
    for query, doc, score in found:
        ranks[query] += 1
        rows.append({"query_id": query, "doc_id": doc, "retriever": retriever, "rank": ranks[query], "score": score})
    return Shard(pa.Table.from_pylist(rows, schema=CANDIDATES))


def _count(result: Result, n: int) -> None:
    before = result.counts or Counts()
    result.counts = before + Counts(n, n)


@dataclass(frozen=True)
class OtherCandidates:
    """The candidates that a release came with, without those of the retrievers that a build has anew."""

    without: tuple[str, ...]

    name: ClassVar[str] = "other_candidates"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows (`CANDIDATES`) -> out."""
        del work
        rows: pa.Table = inputs["rows"]
        kept = rows.filter(pc.invert(pc.is_in(rows["retriever"], pa.array(self.without, pa.string()))))
        return Result({"out": [Shard(kept)]}, counts=Counts(rows.num_rows, rows.num_rows))
