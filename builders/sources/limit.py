"""`--limit N`: a small set that is still a retrieval set. Judged documents come first and nothing dangles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import parquet
from dsbuild.builders.sources.validate import database, view
from dsbuild.stage import UNIT_ROWS, Counts, Result, Shard, Shards, Workspace
from dsbuild.tables import RETRIEVAL, RETRIEVAL_TABLES, RetrievalTable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_JUDGED = """
    CREATE TABLE judged AS
    SELECT doc_id, relevance, queries.n AS q, qrels.n AS n, query_id FROM qrels JOIN queries USING (query_id)
"""
_POSITIVES = "SELECT DISTINCT doc_id FROM judged WHERE relevance > 0 ORDER BY doc_id"
_BY_QUERY = "SELECT list(DISTINCT doc_id ORDER BY doc_id) FROM judged WHERE relevance > 0 GROUP BY q ORDER BY q"
_QUERIES = """
    SELECT DISTINCT query_id FROM judged SEMI JOIN docs USING (doc_id) WHERE relevance > 0 ORDER BY query_id
"""
_OTHERS_JUDGED = """
    SELECT doc_id FROM judged SEMI JOIN kept USING (query_id) ANTI JOIN docs USING (doc_id)
    WHERE relevance <= 0 GROUP BY doc_id ORDER BY min((q, n)) LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class _Choice:
    """What stays: judged documents, queries, and `spare` other documents that are not in `avoid`."""

    docs: pa.Array
    queries: pa.Array
    spare: int
    avoid: pa.Array


@dataclass(frozen=True)
class LimitSet:
    """Cut a checked set to at most `n` documents; rows keep their order.

    Kept first are documents with a grade over 0, then those judged 0 or less for kept queries, then others in
    source order. Where not even the positives fit, whole queries are taken in source order, as long as all their
    positives fit (of the first query as many as fit, if none does). Kept queries are those with a kept
    positive; qrels are those between kept rows. Without qrels the first `n` documents and queries stay.
    Memory: the kept ids, and what DuckDB may use before it spills.
    """

    n: int

    name: ClassVar[str] = "limit"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """corpus, queries, qrels -> the same, cut; the facts hold how many rows of each were left out."""
        tables: dict[RetrievalTable, Shards] = {table: inputs[table] for table in RETRIEVAL_TABLES}
        with database(work.scratch() / "spill") as connection:
            n_in = {table: view(connection, table, shards.paths) for table, shards in tables.items()}
            choice = _choose(connection, self.n) if n_in["qrels"] else None
            kept = _count(connection, choice) if choice else {table: min(self.n, n_in[table]) for table in n_in}
        left_out = {table: n_in[table] - kept[table] for table in n_in}
        total = sum(kept.values())
        return Result(
            {table: _shards(table, self._rows(table, shards, choice)) for table, shards in tables.items()},
            counts=Counts(total + sum(left_out.values()), total, sum(left_out.values())),
            facts={"left_out": left_out},
        )

    def _rows(self, table: RetrievalTable, shards: Shards, choice: _Choice | None) -> Iterator[pa.Table]:
        spare = choice.spare if choice else self.n
        for rows in shards:
            if choice is None:
                part = rows.slice(0, spare)
                spare -= part.num_rows
            elif table == "corpus":
                mask, spare = _with_spare(rows["doc_id"], choice, spare)
                part = rows.filter(mask)
            else:
                mask = pc.is_in(rows["query_id"], choice.queries)
                if table == "qrels":
                    mask = pc.and_(mask, pc.is_in(rows["doc_id"], choice.docs))
                part = rows.filter(mask)
            yield part


def _shards(table: RetrievalTable, rows: Iterator[pa.Table]) -> Iterator[Shard]:
    """The rows in shards of one unit each; an empty table is one empty shard."""
    empty = True
    for part in parquet.reslice(rows, UNIT_ROWS):
        empty = False
        yield Shard(part)
    if empty:
        yield Shard(RETRIEVAL[table].empty_table())


def _choose(connection: DuckDBPyConnection, n: int) -> _Choice:
    connection.execute(_JUDGED)
    docs = _column(connection, _POSITIVES)
    all_fit = len(docs) <= n
    if not all_fit:
        docs = _whole_queries(connection, n)
    connection.register("docs", pa.table({"doc_id": docs}))
    queries = _column(connection, _QUERIES)
    connection.register("kept", pa.table({"query_id": queries}))
    others = _column(connection, _OTHERS_JUDGED, [n - len(docs)])
    # A positive that did not fit may not fill a place: its query would be kept without the rest of its positives.
    avoid = pa.array([], pa.string())
    if not all_fit:
        avoid = _column(connection, f"SELECT doc_id FROM ({_POSITIVES}) ANTI JOIN docs USING (doc_id)")
    docs = pa.concat_arrays([docs, others])
    return _Choice(docs, queries, n - len(docs), avoid)


def _whole_queries(connection: DuckDBPyConnection, n: int) -> pa.Array:
    """The positives of the queries that fit as a whole, in source order."""
    chosen: set[str] = set()
    first: list[str] = []
    # A cursor of its own, because it is left before its end.
    with connection.cursor() as cursor:
        cursor.execute(_BY_QUERY)
        while len(chosen) < n and (row := cursor.fetchone()):
            first = first or row[0]
            if len(chosen.union(row[0])) <= n:
                chosen.update(row[0])
    return pa.array(sorted(chosen or first[:n]), pa.string())


def _count(connection: DuckDBPyConnection, choice: _Choice) -> dict[RetrievalTable, int]:
    """Rows of each table that the choice keeps."""
    connection.register("docs", pa.table({"doc_id": choice.docs}))
    connection.register("kept", pa.table({"query_id": choice.queries}))
    connection.register("avoid", pa.table({"doc_id": choice.avoid}))
    questions: dict[RetrievalTable, str] = {
        "corpus": "corpus ANTI JOIN docs USING (doc_id) ANTI JOIN avoid USING (doc_id)",
        "queries": "queries SEMI JOIN kept USING (query_id)",
        "qrels": "qrels SEMI JOIN kept USING (query_id) SEMI JOIN docs USING (doc_id)",
    }
    found: dict[RetrievalTable, int] = {}
    for table, rows in questions.items():
        (found[table],) = connection.execute(f"SELECT count(*) FROM {rows}").fetchone() or (0,)
    found["corpus"] = len(choice.docs) + min(choice.spare, found["corpus"])
    return found


def _column(connection: DuckDBPyConnection, sql: str, values: list[int] | None = None) -> pa.Array:
    table: pa.Table = connection.sql(sql, params=values or []).to_arrow_table()
    column = table.column(0).cast(pa.string())
    return column.combine_chunks() if column.num_chunks else pa.array([], pa.string())


def _with_spare(ids: pa.ChunkedArray, choice: _Choice, spare: int) -> tuple[pa.ChunkedArray, int]:
    """Which documents stay: the chosen, and of the others the first while there are places; and the places left."""
    chosen = pc.is_in(ids, choice.docs)
    if not spare:
        return chosen, 0
    other = pc.invert(pc.or_(chosen, pc.is_in(ids, choice.avoid)))
    filling = pc.and_(other, pc.less_equal(pc.cumulative_sum(other.cast(pa.int64())), spare))
    return pc.or_(chosen, filling), spare - (pc.sum(filling, min_count=0).as_py() or 0)
