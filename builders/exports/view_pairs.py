"""The passages of each query, as tables of ids in DuckDB: positives, mined negatives, drawn languages and scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dsbuild.api import Release
from dsbuild.builders.exports.release_sql import ordered_rows, quoted, rows_of
from dsbuild.builders.exports.scope import Example, Passage, Scope, Selection

if TYPE_CHECKING:
    import duckdb

_POSITIVE, _NEGATIVE = 0, 1


@dataclass
class Pairs:
    """Fills the tables `asked` (place, query_id, text) and `pairs` (place, turn, kind, nth, doc_id, lang, relevance, score) of one scope.

    turn: which of several examples of a query; kind: 0 positive, 1 negative; nth: their order.
    """

    release: Release
    base: duckdb.DuckDBPyConnection
    scope: Scope
    selection: Selection

    def queries(self, split: str, retriever: str | None) -> list[str]:
        """Fill the tables for a split; returns queries for their rows with texts, each in order by the first five columns.

        One has the queries themselves (kind -1), the others the passages of a language: a sort over a union of them would not go to disk.
        """
        scope = self.scope
        asked = ordered_rows(self.release, scope.queries[0], "queries", split, "query_id, text")
        self.base.execute(f"CREATE OR REPLACE TABLE asked AS {asked}")
        self.base.execute(
            "CREATE OR REPLACE TABLE pairs (place BIGINT, turn INTEGER, kind INTEGER, nth BIGINT, doc_id VARCHAR, lang VARCHAR, "
            "relevance INTEGER, score DOUBLE)"
        )
        self._positives(scope, split)
        self._negatives(scope)
        self._mixed(scope)
        if retriever is not None:
            self._scored(scope, retriever)
        found = [
            "SELECT place, 0 AS turn, -1 AS kind, 0 AS nth, '' AS lang, query_id AS id, '' AS title, text, NULL AS relevance, NULL AS score "
            "FROM asked ORDER BY place"
        ]
        for lang in scope.passages:
            texts = rows_of(self.release, lang, "corpus", None, "doc_id, title, text")
            own = f"SELECT * FROM pairs WHERE lang = {quoted(lang)}"
            found.append(
                f"SELECT place, turn, kind, nth, lang, doc_id AS id, title, text, relevance, score FROM ({own}) JOIN ({texts}) USING (doc_id) "
                "ORDER BY place, turn, kind, nth"
            )
        return found

    def _positives(self, scope: Scope, split: str) -> None:
        for turn, lang in enumerate(scope.passages):
            said = self.release.judged_in(scope.queries[0], lang)
            if split in self.release.table(said, "qrels").splits:
                rows = ordered_rows(self.release, said, "qrels", split, "query_id, doc_id, relevance")
                self.base.execute(
                    f"INSERT INTO pairs SELECT asked.place, {turn}, {_POSITIVE}, rows.place, doc_id, {quoted(lang)}, relevance, NULL "
                    f"FROM ({rows}) AS rows JOIN asked USING (query_id) WHERE relevance >= {self.selection.positive}"
                )

    def _negatives(self, scope: Scope) -> None:
        for turn, lang in enumerate(scope.passages):
            said = self.release.judged_in(scope.queries[0], lang)
            if "negatives" in self.release.tables(said):
                rows = ordered_rows(self.release, said, "negatives", None, "query_id, doc_id")
                self.base.execute(
                    f"INSERT INTO pairs SELECT asked.place, {turn}, {_NEGATIVE}, rows.place, doc_id, {quoted(lang)}, NULL, NULL "
                    f"FROM ({rows}) AS rows JOIN asked USING (query_id)"
                )

    def _mixed(self, scope: Scope) -> None:
        """Of passages that several languages have, leave the drawn ones: draws are hashes of seed, query, document and language."""
        if scope.mix in (None, "robin"):
            return
        drawn = "md5(concat_ws(chr(31), {seed}, asked.query_id, {what}, pairs.lang))"
        joined_rows = "pairs JOIN asked USING (place)"
        if scope.mix == "entries":
            draw = drawn.format(seed=f"'{self.selection.seed}'", what="''")
            kept = (
                f"SELECT pairs.place, pairs.lang FROM {joined_rows} WHERE kind = {_POSITIVE} GROUP BY pairs.place, pairs.lang, asked.query_id "
                f"QUALIFY row_number() OVER (PARTITION BY pairs.place ORDER BY {draw}) = 1"
            )
            self.base.execute(
                f"CREATE OR REPLACE TABLE pairs AS SELECT pairs.* REPLACE (0 AS turn) FROM pairs JOIN ({kept}) USING (place, lang)"
            )
            return
        # Which documents are negatives is the first language's say where they were mined for each; languages that lack one add theirs.
        draw = drawn.format(seed=f"'{self.selection.seed}'", what="pairs.doc_id")
        first = "SELECT place, kind, min(turn) AS turn FROM pairs GROUP BY place, kind"
        chosen = (
            "SELECT DISTINCT pairs.place, pairs.kind, pairs.doc_id, pairs.nth AS chosen_nth FROM pairs "
            f"JOIN ({first}) AS first ON pairs.place = first.place AND pairs.kind = first.kind AND pairs.turn = first.turn"
        )
        langs = " UNION ALL ".join(
            f"SELECT doc_id, {quoted(lang)} AS lang FROM ({rows_of(self.release, lang, 'corpus', None, 'doc_id')})"
            for lang in scope.passages
        )
        self.base.execute(f"CREATE OR REPLACE TABLE chosen AS {chosen}")
        self.base.execute(
            f"CREATE OR REPLACE TABLE pairs AS SELECT pairs.place, 0 AS turn, pairs.kind, pairs.chosen_nth AS nth, pairs.doc_id, pairs.lang, "
            "pairs.relevance, NULL::DOUBLE AS score FROM (SELECT chosen.*, langs.lang, NULL::INTEGER AS relevance FROM chosen "
            f"JOIN ({langs}) AS langs USING (doc_id)) AS pairs JOIN asked USING (place) "
            f"QUALIFY row_number() OVER (PARTITION BY pairs.place, pairs.kind, pairs.doc_id ORDER BY {draw}) = 1"
        )

    def _scored(self, scope: Scope, retriever: str) -> None:
        for lang in scope.passages:
            said = self.release.judged_in(scope.queries[0], lang)
            rows = rows_of(self.release, said, "candidates", None, "query_id, doc_id, retriever, score")
            self.base.execute(
                f"UPDATE pairs SET score = rows.score FROM ({rows}) AS rows, asked WHERE pairs.place = asked.place "
                f"AND rows.query_id = asked.query_id AND rows.doc_id = pairs.doc_id AND pairs.lang = {quoted(lang)} "
                f"AND rows.retriever = {quoted(retriever)}"
            )
            negatives = self.release.table(said, "negatives") if "negatives" in self.release.tables(said) else None
            if negatives is not None and "retriever" in negatives.columns:
                rows = rows_of(self.release, said, "negatives", None, "query_id, retriever, anchor_score")
                judged = rows_of(self.release, said, "qrels", None, "query_id, doc_id, relevance")
                # The anchor was taken over all positives of the query, whatever is exported.
                single = f"SELECT query_id FROM ({judged}) WHERE relevance > 0 GROUP BY query_id HAVING count(DISTINCT doc_id) = 1"
                anchors = (
                    f"SELECT asked.place, max(anchor_score) AS anchor FROM ({rows}) AS rows JOIN asked USING (query_id) "
                    f"SEMI JOIN ({single}) USING (query_id) WHERE retriever = {quoted(retriever)} AND NOT isnan(anchor_score) GROUP BY asked.place"
                )
                self.base.execute(
                    f"UPDATE pairs SET score = anchors.anchor FROM ({anchors}) AS anchors WHERE pairs.place = anchors.place "
                    f"AND pairs.kind = {_POSITIVE} AND pairs.lang = {quoted(lang)} AND pairs.score IS NULL"
                )


def examples_of(rows: Iterator[tuple[Any, ...]], scope: Scope) -> Iterator[Example]:
    """Rows in order -> examples: a row of kind -1 begins a query; passages of another turn make another example."""
    query: tuple[str, str] | None = None
    groups: dict[int, tuple[list[Passage], list[Passage]]] = {}

    def done() -> Iterator[Example]:
        if query is not None:
            # A turn without a positive is a language that lacks them.
            turns = [one for one in groups.values() if one[0]] or list(groups.values())[:1] or [([], [])]
            for positives, negatives in turns:
                yield Example(query[0], query[1], tuple(positives), tuple(negatives))

    for _, turn, kind, _, lang, row, title, text, relevance, score in rows:
        if kind < 0:
            yield from done()
            query, groups = (scope.id(scope.queries[0], row), text), {}
        else:
            passage = Passage(scope.id(lang, row), title, text, relevance, score)
            groups.setdefault(turn, ([], []))[kind].append(passage)
    yield from done()
