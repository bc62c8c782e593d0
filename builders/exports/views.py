"""What an export sees of a release: passages, queries and judgements by language, and each query with its positives and negatives.

A view is one language, queries of one language over passages of another (CLIR), or several languages in one pool (MLIR). Joins and sorts are
DuckDB's, on disk where memory does not do, and every order is that of the release, so the same release and options make the same bytes.
"""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsbuild import api
from dsbuild.builders.exports.release_sql import ordered_rows, quoted, rows_of
from dsbuild.builders.exports.scope import MIXES, Example, Scope, Selection
from dsbuild.builders.exports.view_pairs import Pairs, examples_of
from dsbuild.errors import RecipeError, ReleaseError, StoreError, UnknownName
from dsbuild.tables import RETRIEVAL_TABLES

if TYPE_CHECKING:
    import duckdb

MEMORY = "1GB"
_ROWS = 2_048


@dataclass
class Views:
    """A release that is opened for export."""

    release: api.Release
    selection: Selection
    base: duckdb.DuckDBPyConnection = field(repr=False)

    def scopes(self) -> list[Scope]:
        """The scopes that the selection asks for."""
        chosen = self.selection
        if not chosen.langs and not chosen.query_langs and not (chosen.pooled or chosen.mix) and (found := self._all()):
            return found
        langs = self._known(chosen.langs, "--langs") or tuple(
            lang for lang in self.release.languages if not self._missing(lang, RETRIEVAL_TABLES)
        )
        if not langs:
            raise ReleaseError(
                f"{self.release.folder}: no language has a corpus, queries and judgements; nothing to export"
            )
        queries = self._known(chosen.query_langs, "--query-langs")
        judged = [self.release.judged_in(asked, lang) for asked in queries for lang in langs] or langs
        needed = [
            *((lang, "corpus") for lang in langs),
            *((lang, "qrels") for lang in judged),
            *((lang, "queries") for lang in queries or langs),
        ]
        for lang, table in needed:
            if table not in self.release.tables(lang):
                source = self.release.manifest["source"]["lang"]
                over = table == "corpus" and self.release.judged_in(lang, source) == lang
                way = (
                    f"its queries are of passages in {source}: --query-langs {lang} --langs {source}"
                    if over
                    else "leave it out with --langs"
                )
                raise ReleaseError(f"{self.release.folder}: {lang} has no {table}; {way}")
        if chosen.pooled or chosen.mix:
            if not queries or len(langs) < 2:
                what = "--pooled" if chosen.pooled else f"--mix {chosen.mix}"
                raise RecipeError(f"{what}: needs --query-langs and passages in two or more languages (--langs)")
            if chosen.pooled:
                return [Scope("pooled", queries, langs)]
            return [Scope(f"{lang}-mixed", (lang,), langs, chosen.mix) for lang in queries]
        if not queries:
            return [Scope(lang, (lang,), (lang,)) for lang in langs]
        return [
            Scope(asked if asked == lang else f"{asked}-{lang}", (asked,), (lang,))
            for asked in queries
            for lang in langs
        ]

    def _all(self) -> list[Scope]:
        """Each language by itself, and queries without a corpus of their language over the source's."""
        found: list[Scope] = []
        source = self.release.manifest["source"]["lang"]
        for lang in self.release.languages:
            if not self._missing(lang, RETRIEVAL_TABLES):
                found.append(Scope(lang, (lang,), (lang,)))
            elif (
                self.release.judged_in(lang, source) == lang
                and not self._missing(lang, ("queries",))
                and not self._missing(source, ("corpus",))
            ):
                found.append(Scope(f"{lang}-{source}", (lang,), (source,)))
        return found

    def judged(self, scope: Scope) -> tuple[str, ...]:
        """The languages whose judgements, negatives and candidates a scope has, once each."""
        return tuple(
            dict.fromkeys(self.release.judged_in(asked, lang) for asked in scope.queries for lang in scope.passages)
        )

    def splits(self, scope: Scope, table: str) -> list[str]:
        """The chosen splits of a scope's queries or qrels, sorted."""
        langs = scope.queries if table == "queries" else self.judged(scope)
        found = sorted({split for lang in langs for split in self.release.table(lang, table).splits})
        for split in self.selection.splits:
            if split not in found:
                raise UnknownName(f"split of {scope.name}-{table}", split, found)
        return [split for split in found if split in (self.selection.splits or found)]

    def corpus(self, scope: Scope) -> Iterator[tuple[str, str, str]]:
        """Id, title and text of every passage."""
        for lang in scope.passages:
            for rows in self.release.table(lang, "corpus").stream(["doc_id", "title", "text"], _ROWS):
                for row in rows.to_pylist():
                    yield scope.id(lang, row["doc_id"]), row["title"], row["text"]

    def queries(self, scope: Scope, splits: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Id and text of every query of the splits, or of those that a judgement of the splits names."""
        for lang in scope.queries:
            table = self.release.table(lang, "queries")
            judged = [rows_of(self.release, other, "qrels", split, "query_id") for other in self.judged(scope) for split in splits
                      if split in self.release.table(other, "qrels").splits]  # fmt: skip
            own = [
                rows_of(self.release, lang, "queries", split, "query_id") for split in splits if split in table.splits
            ]
            wanted = " UNION ALL ".join(judged + own)
            all_rows = ordered_rows(self.release, lang, "queries", None, "query_id, text")
            found = self.stream(
                f"SELECT query_id, text FROM ({all_rows}) SEMI JOIN ({wanted}) USING (query_id) ORDER BY place"
            )
            for query, text in found:
                yield scope.id(lang, query), text

    def qrels(self, scope: Scope, split: str) -> Iterator[tuple[str, str, int]]:
        """Every judgement of a split whose query and passage are in the scope, grades of 0 too."""
        for asked in scope.queries:
            known = rows_of(self.release, asked, "queries", None, "query_id")
            for lang in scope.passages:
                said = self.release.judged_in(asked, lang)
                if split not in self.release.table(said, "qrels").splits:
                    continue
                rows = ordered_rows(self.release, said, "qrels", split, "query_id, doc_id, relevance")
                docs = rows_of(self.release, lang, "corpus", None, "doc_id")
                query = f"SELECT query_id, doc_id, relevance FROM ({rows}) SEMI JOIN ({known}) USING (query_id) SEMI JOIN ({docs}) USING (doc_id)"
                for query_id, doc_id, relevance in self.stream(f"{query} ORDER BY place"):
                    yield scope.id(asked, query_id), scope.id(lang, doc_id), relevance

    def run(self, scope: Scope, retriever: str) -> Iterator[tuple[str, str, int, float]]:
        """The candidates of a retriever: query, passage, rank and score, by query and rank."""
        for lang in scope.passages:
            docs = rows_of(self.release, lang, "corpus", None, "doc_id")
            for asked in scope.queries:
                said = self.release.judged_in(asked, lang)
                rows = rows_of(self.release, said, "candidates", None, "query_id, doc_id, retriever, rank, score")
                asks = ordered_rows(self.release, asked, "queries", None, "query_id")
                found = self.stream(
                    f"SELECT query_id, doc_id, rank, score FROM ({rows}) JOIN ({asks}) USING (query_id) SEMI JOIN ({docs}) USING (doc_id) "
                    f"WHERE retriever = {quoted(retriever)} ORDER BY place, rank, doc_id"
                )
                for query, doc, rank, score in found:
                    yield scope.id(asked, query), scope.id(lang, doc), rank, score

    def retrievers(self, scope: Scope) -> list[str]:
        """The retrievers whose candidates every language of the scope has, sorted."""
        sets = []
        for lang in self.judged(scope):
            if "candidates" not in self.release.tables(lang):
                return []
            rows = rows_of(self.release, lang, "candidates", None, "retriever")
            sets.append({name for (name,) in self.stream(f"SELECT DISTINCT retriever FROM ({rows})")})
        return sorted(set.intersection(*sets))

    def retriever(self, scope: Scope, name: str | None) -> str:
        """The retriever whose scores are written: the one that is named, or the only one there is."""
        known = self.retrievers(scope)
        if not known:
            raise ReleaseError(
                f"{self.release.folder}: {scope.name} has no candidates, so no scores; mine with --set mine.candidates=true"
            )
        if name is None:
            if len(known) > 1:
                raise RecipeError(f"--retriever: whose scores? one of {', '.join(known)}")
            return known[0]
        if name not in known:
            raise UnknownName("retriever with candidates", name, known)
        return name

    def need_negatives(self, scopes: Sequence[Scope]) -> None:
        """`ReleaseError` if a language of judgements has no mined negatives."""
        for lang in dict.fromkeys(lang for scope in scopes for lang in self.judged(scope)):
            if "negatives" not in self.release.tables(lang):
                raise ReleaseError(
                    f"{self.release.folder}: {lang} has no negatives; mine them first (dsbuild mine --src {self.release.folder} …), "
                    "or leave the language out with --langs"
                )

    def examples(self, scope: Scope, split: str, retriever: str | None = None) -> Iterator[Example]:
        """Every query of a split, also one without passages; under `robin` once for each language that has a positive.

        Scores are those of `retriever`. A positive that it did not return has the anchor that was recorded with the negatives, if it is the query's
        only positive.
        """
        queries = Pairs(self.release, self.base, scope, self.selection).queries(split, retriever)
        yield from examples_of(heapq.merge(*map(self.stream, queries), key=itemgetter(0, 1, 2, 3, 4)), scope)

    def stream(self, query: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, a block in memory at a time."""
        for batch in self.base.cursor().sql(query).to_arrow_reader(_ROWS):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)

    def _known(self, langs: Sequence[str], option: str) -> tuple[str, ...]:
        for lang in langs:
            if lang not in self.release.languages:
                raise UnknownName(f"language in this release ({option})", lang, self.release.languages)
        return tuple(dict.fromkeys(langs))

    def _missing(self, lang: str, tables: Sequence[str]) -> list[str]:
        return [table for table in tables if table not in self.release.tables(lang)]


@contextmanager
def open_views(folder: Path, selection: Selection, scratch: Path) -> Iterator[Views]:
    """Open a release folder for export; what does not fit in memory goes to `scratch`, which is made."""
    import duckdb

    if selection.mix is not None and selection.mix not in MIXES:
        raise UnknownName("way to mix languages", selection.mix, MIXES)
    found = api.load(folder)
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".dsbuild-export-", dir=scratch) as temporary:
        config = {"memory_limit": MEMORY, "temp_directory": temporary, "threads": 2}
        with duckdb.connect(str(Path(temporary) / "pairs.duckdb"), config=config) as base:  # type: ignore[arg-type]
            # It would draw on standard output, where JSON goes.
            base.execute("SET enable_progress_bar = false")
            try:
                yield Views(found, selection, base)
            except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
                raise StoreError(
                    f"{scratch}: {str(error).splitlines()[0]}; free some space and run it again"
                ) from error
            except duckdb.Error as error:
                raise ReleaseError(f"{folder}: cannot be exported: {str(error).splitlines()[0]}") from error
