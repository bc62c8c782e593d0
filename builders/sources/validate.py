"""Is the set sound? Ids while rows are read; whole tables, in bounded memory, once they are shards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsbuild.builders.sources.rows import Chunk
from dsbuild.errors import SourceError, StoreError
from dsbuild.tables import RetrievalTable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

OnMissing = Literal["stop", "drop"]

# Characters that cannot stand in an id: it would break a line, a table or a terminal. Slashes are legal.
_CONTROL = r"[\p{Cc}\x{2028}\x{2029}]"
# UTF-8 that was read as Latin-1 or Windows-1252, and the replacement character.
_LEAD = r"[\x{C2}-\x{C5}]"
_TRAIL = r"[\x{80}-\x{BF}\x{2018}-\x{201E}\x{2020}-\x{2022}\x{2026}\x{20AC}\x{2122}]"
_MOJIBAKE = rf"{_LEAD}{_TRAIL}|\x{{E2}}[\x{{20AC}}\x{{80}}\x{{201A}}\x{{82}}]|\x{{FFFD}}"
LONG_CHARS = 1_000_000

# What DuckDB may hold before it spills to disk.
MEMORY = "512MB"

NO_QRELS = "add judgements, or say that there are none: --set source.options.qrels=none"

ORPHANS = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("relevance", pa.int32(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("missing", pa.string(), nullable=False),  # query, doc, or both
    ]
)


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that does not stop the run: how many rows, and the id of the first."""

    table: RetrievalTable
    rule: str
    count: int
    first_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Findings:
    """Rows of each table, warnings, and with `on_missing="drop"` the qrels that name a missing row (`ORPHANS`)."""

    n_rows: dict[RetrievalTable, int]
    warnings: tuple[Warned, ...]
    orphaned: pa.Table


def check_ids(chunk: Chunk, column: str) -> pa.Array:
    """The ids of a chunk; an empty one, or one with a control character, is a `SourceError` naming file and line."""
    ids = chunk.columns[column]
    for bad, what in (
        (pc.equal(ids, ""), "is empty"),
        (pc.match_substring_regex(ids, _CONTROL), "has a line end, tab or control character"),
    ):
        if pc.any(bad, min_count=0).as_py():
            row = pc.index(bad, True).as_py()
            said = repr(ids[row].as_py()[:80])
            raise SourceError(f"{chunk.where(row)}: {column} {said} {what}; give the row an id of printable characters")
    return ids


def check_tables(
    corpus: Sequence[Path],
    queries: Sequence[Path],
    qrels: Sequence[Path] | None,
    *,
    on_missing: OnMissing = "stop",
    work_dir: Path,
    memory: str = MEMORY,
) -> Findings:
    """Check canonical Parquet shards as one set.

    qrels: None when the user said that there are none. on_missing: whether qrels to rows that are not there stop
    the run, or are listed for the caller to drop. work_dir: where DuckDB spills what is over `memory`.
    Raises `SourceError` for an empty table, an id that is there twice, contradicting grades, dangling qrels.
    """
    with database(work_dir, memory) as connection:
        shards: dict[RetrievalTable, Sequence[Path]] = {"corpus": corpus, "queries": queries, "qrels": qrels or ()}
        n_rows = {table: view(connection, table, paths) for table, paths in shards.items()}
        for table in ("corpus", "queries"):
            if not n_rows[table]:
                raise SourceError(f"{table}: no rows; name a source whose {table} has some")
        if qrels is not None and not n_rows["qrels"]:
            raise SourceError(f"qrels: no rows; {NO_QRELS}")
        refuse_repeated(connection, "corpus", "doc_id")
        refuse_repeated(connection, "queries", "query_id")
        warnings = [*_row_warnings(connection, "corpus"), *_row_warnings(connection, "queries")]
        orphaned = ORPHANS.empty_table()
        if n_rows["qrels"]:
            warnings += _judgements(connection)
            orphaned = _orphans(connection, on_missing)
    return Findings(n_rows, tuple(warnings), orphaned)


@contextlib.contextmanager
def database(work_dir: Path, memory: str = MEMORY) -> Iterator[DuckDBPyConnection]:
    """A DuckDB database that uses at most `memory` and spills the rest to `work_dir`."""
    import duckdb

    work_dir.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(
        ":memory:", config={"memory_limit": memory, "temp_directory": str(work_dir), "threads": 2}
    ) as it:
        it.execute("SET enable_progress_bar = false")
        try:
            yield it
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            # DuckDB tells of a full disk in words, not by a number.
            said = str(error).splitlines()[0]
            full = "space" in said.lower() or isinstance(error, duckdb.OutOfMemoryException)
            hint = "free some space" if full else "see that the folder can be written"
            raise StoreError(
                f"{work_dir}: {said}; {hint} and run the same command again: finished units are kept"
            ) from error


def view(connection: DuckDBPyConnection, table: str, paths: Sequence[Path]) -> int:
    """Make a view of shards, `n` being the row's number (1-based) in the whole table; returns the number of rows."""
    total = 0
    parts = []
    for path in paths:
        rows = pq.read_metadata(path).num_rows
        if rows:
            name = str(path).replace("'", "''")
            shard = f"read_parquet(['{name}'], file_row_number = true)"
            parts.append(f"SELECT * EXCLUDE (file_row_number), file_row_number + {total + 1} AS n FROM {shard}")
        total += rows
    if parts:
        connection.execute(f"CREATE VIEW {table} AS {' UNION ALL '.join(parts)}")
    return total


def refuse_repeated(connection: DuckDBPyConnection, table: str, column: str) -> None:
    """`SourceError` for the first id of a view that stands in two rows."""
    # In two steps: counting ids spills to disk when there are many, collecting their places does not.
    connection.execute(
        f"CREATE TEMP TABLE twice AS SELECT {column} AS again FROM {table} GROUP BY 1 HAVING count(*) > 1"
    )
    repeated = f"SELECT again AS id, min(n, 2) AS places FROM {table} JOIN twice ON {column} = again GROUP BY 1"
    found = f"SELECT count(*) OVER (), id, places FROM ({repeated}) ORDER BY places[2] LIMIT 1"
    row = connection.execute(found).fetchone()
    connection.execute("DROP TABLE twice")
    if row:
        count, row_id, (first, second) = row
        raise SourceError(
            f"{table}: {column} {row_id!r} is there twice, rows {first} and {second} "
            f"(ids that are repeated: {count}); make the ids unique"
        )


def _row_warnings(connection: DuckDBPyConnection, table: RetrievalTable) -> list[Warned]:
    column, text = ("doc_id", "title || chr(10) || text") if table == "corpus" else ("query_id", "text")
    what = "neither title nor text" if table == "corpus" else "no text"
    rules = {
        "empty": (f"regexp_full_match({text}, '\\s*')", f"with {what}"),
        "mojibake": (f"regexp_matches({text}, '{_MOJIBAKE}')", "with wrongly decoded text (mojibake)"),
        "long": (f"length({text}) > {LONG_CHARS}", f"of more than {LONG_CHARS:,} characters"),
    }
    fields = [f"count(*) FILTER ({test}), arg_min({column}, n) FILTER ({test})" for test, _ in rules.values()]
    found = connection.execute(f"SELECT {', '.join(fields)} FROM {table}").fetchone() or ()
    return [
        Warned(table, rule, count, first, f"{count} {'row' if count == 1 else 'rows'} {said}, first {first!r}")
        for (rule, (_, said)), count, first in zip(rules.items(), found[::2], found[1::2], strict=True)
        if count
    ]


def _judgements(connection: DuckDBPyConnection) -> list[Warned]:
    """Contradicting grades stop; repeated qrels and queries without qrels are warned of."""
    connection.execute("""
        CREATE TEMP TABLE repeated AS
        SELECT query_id, doc_id, min(relevance) AS low, max(relevance) AS high, min(n, 2) AS places
        FROM qrels SEMI JOIN (SELECT query_id, doc_id, split FROM qrels GROUP BY ALL HAVING count(*) > 1)
            USING (query_id, doc_id, split)
        GROUP BY query_id, doc_id, split
    """)
    first = (
        "SELECT count(*) OVER (), query_id, doc_id, low, high, places FROM repeated WHERE {} ORDER BY places[2] LIMIT 1"
    )
    if row := connection.execute(first.format("low <> high")).fetchone():
        count, query, doc, low, high, (one, two) = row
        raise SourceError(
            f"qrels: query {query!r} and document {doc!r} are judged {low} and {high}, rows {one} and {two} "
            f"(such pairs: {count}); keep one grade of each"
        )
    warned: list[Warned] = []
    if row := connection.execute(first.format("low = high")).fetchone():
        text = f"pairs that are judged more than once with one grade: {row[0]}, first query {row[1]!r}"
        warned.append(Warned("qrels", "repeated", row[0], row[1], text))
    row = connection.execute(
        "SELECT count(*), arg_min(query_id, n) FROM queries ANTI JOIN qrels USING (query_id)"
    ).fetchone()
    if row and row[0]:
        warned.append(
            Warned("queries", "unjudged", row[0], row[1], f"queries without qrels: {row[0]}, first {row[1]!r}")
        )
    return warned


def _orphans(connection: DuckDBPyConnection, on_missing: OnMissing) -> pa.Table:
    """Qrels that name a missing row, or a `SourceError` that counts them."""
    for column, table in (("query_id", "queries"), ("doc_id", "corpus")):
        missing = f"SELECT DISTINCT {column} FROM qrels ANTI JOIN {table} USING ({column})"
        connection.execute(f"CREATE TEMP TABLE no_{column} AS {missing}")
    connection.execute("""
        CREATE TEMP TABLE orphans AS
        SELECT n, qrels.query_id, qrels.doc_id, relevance, split,
            no_query_id.query_id IS NOT NULL AS no_query, no_doc_id.doc_id IS NOT NULL AS no_doc
        FROM qrels LEFT JOIN no_query_id USING (query_id) LEFT JOIN no_doc_id USING (doc_id)
        WHERE no_query OR no_doc
    """)
    if on_missing == "stop":
        for test, table, column in (("no_query", "queries", "query_id"), ("no_doc", "corpus", "doc_id")):
            first = f"SELECT count(*) OVER (), n, query_id, doc_id FROM orphans WHERE {test} ORDER BY n LIMIT 1"
            if row := connection.execute(first).fetchone():
                raise SourceError(
                    f"qrels: {row[0]} judgements name a {column} that is not in {table}, first row {row[1]} "
                    f"(query {row[2]!r}, document {row[3]!r}); add the rows, or leave those judgements out: "
                    "--set source.on_missing=drop"
                )
        return ORPHANS.empty_table()
    found: pa.Table = connection.sql("""
        SELECT query_id, doc_id, relevance, split,
            CASE WHEN no_query AND no_doc THEN 'both' WHEN no_query THEN 'query' ELSE 'doc' END AS missing
        FROM orphans ORDER BY n
    """).to_arrow_table()
    return found.cast(ORPHANS)
