"""A source made of files whose layout is known: the reader behind every kind that is not SGML or a library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.builders.sources.rows import Chunk, TableFile, read_chunks
from dsbuild.builders.sources.source import (
    BATCH_ROWS,
    Opening,
    SourceFacts,
    SourceFile,
    as_table,
    batches,
    check_table,
    chosen_splits,
    constant,
    is_evaluation,
)
from dsbuild.builders.sources.validate import NO_QRELS, check_ids
from dsbuild.digests import file_sha256
from dsbuild.errors import SourceError
from dsbuild.tables import CORPUS, QRELS, QUERIES, RETRIEVAL, RetrievalTable

# The split of queries that no chosen split judges, where there are several splits to choose from.
UNJUDGED = "unjudged"


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of each table, in order; `root` is the folder that their names are relative to.

    default_split: the split of qrels whose file names none; remarks: what the user should know of the choice of files.
    """

    root: Path
    corpus: tuple[TableFile, ...]
    queries: tuple[TableFile, ...]
    qrels: tuple[TableFile, ...] = ()
    default_split: str = "train"
    remarks: tuple[str, ...] = ()

    def files(self, table: RetrievalTable) -> tuple[TableFile, ...]:
        """The files of one table."""
        return {"corpus": self.corpus, "queries": self.queries, "qrels": self.qrels}[table]


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a set apart from its files."""

    name: str
    lang: str
    license: str | None = None
    revision: str | None = None
    citation: str | None = None
    url: str | None = None


@dataclass
class FileSource:
    """A retrieval set in files.

    A query's split is what its row says, else its file's, else the first split whose qrels judge it (their query
    ids are held in memory). With chosen splits only the queries of those splits are read, and `notes` says how many
    were not.
    """

    opening: Opening
    about: About
    layout: Layout
    _judged_by: dict[str, pa.Array] | None = field(default=None, init=False, repr=False)
    _counted: dict[str, int] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Tell the splits and refuse a set that cannot be used."""
        self.kind = self.opening.kind
        self.spec = self.opening.spec
        self.judged = not self.opening.without_qrels
        for table in ("corpus", "queries"):
            if not self.layout.files(table):
                alone = self.layout.corpus[0].path if table == "queries" else None
                hint = (
                    f"; to generate from passages alone or to filter them, name their file: --src {alone}"
                    if alone
                    else ""
                )
                raise SourceError(f"{self.spec}: no {table} found in {self.layout.root}{hint}")
        if self.judged and not self.layout.qrels:
            raise SourceError(no_qrels(self.spec, str(self.layout.root)))
        files = self.layout.qrels if self.judged else ()
        self._row_splits = any("split" in file.columns for file in files)
        found = list(
            dict.fromkeys(file.split or self.layout.default_split for file in files if "split" not in file.columns)
        )
        if self._row_splits:
            found = list(dict.fromkeys([*found, *self._splits_in_rows()]))
        self._all_splits = found
        self._splits = (
            chosen_splits(self.spec, found, self.opening.splits) if self.judged else list(self.opening.splits or [])
        )

    def facts(self, digests: Path | None = None) -> SourceFacts:
        """The facts, with a digest of every file that is read."""
        paths = {file.path: None for table in RETRIEVAL for file in self._files(table)}
        files = tuple(
            SourceFile(relative_name(path, self.layout.root), size_of(path), file_sha256(path, digests))
            for path in paths
        )
        about = self.about
        evaluation = any(is_evaluation(split) for split in self._splits)
        return SourceFacts(
            about.name, about.lang, about.license, about.revision, about.citation, about.url, files, evaluation
        )

    def splits(self, table: RetrievalTable) -> list[str]:
        """The splits of a table; queries that no split judges come under "unjudged" where there are several."""
        check_table(table)
        if table == "corpus":
            return ["corpus"]
        if not self.judged:
            return [self.layout.default_split] if table == "queries" else []
        spare = table == "queries" and len(self._splits) > 1 and self.opening.splits is None
        return [*self._splits, UNJUDGED] if spare else list(self._splits)

    def notes(self) -> list[str]:
        """What was left out by the choice of splits."""
        said = list(self.layout.remarks)
        if left := self._counted.get("queries", 0):
            said.append(
                f"{left} queries are in none of the chosen splits ({', '.join(self._splits)}) and were not read"
            )
        return said

    def read(self, table: RetrievalTable, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The rows of the table in batches; raises `SourceError` at the first row that is not as said."""
        check_table(table)
        self._counted.pop(table, None)
        return batches(self._rows(table), RETRIEVAL[table], batch_rows)

    def _files(self, table: RetrievalTable) -> list[TableFile]:
        if table != "qrels":
            return list(self.layout.files(table))
        if not self.judged:
            return []
        return [
            file
            for file in self.layout.qrels
            if "split" in file.columns or (file.split or self.layout.default_split) in self._splits
        ]

    def _rows(self, table: RetrievalTable) -> Iterator[pa.Table]:
        make = {"corpus": self._corpus, "queries": self._queries, "qrels": self._qrels}[table]
        for file in self._files(table):
            for chunk in read_chunks(file):
                yield make(file, chunk)

    def _corpus(self, file: TableFile, chunk: Chunk) -> pa.Table:
        ids = check_ids(chunk, "doc_id")
        n_rows = len(chunk)
        groups = chunk.columns.get("group_id", ids)
        groups = pc.if_else(pc.equal(groups, ""), ids, groups)
        return as_table(
            CORPUS,
            doc_id=ids,
            title=chunk.columns.get("title", constant("", n_rows)),
            text=chunk.columns["text"],
            lang=constant(self.about.lang, n_rows),
            source=constant(self.about.name, n_rows),
            group_id=groups,
        )

    def _queries(self, file: TableFile, chunk: Chunk) -> pa.Table:
        ids = check_ids(chunk, "query_id")
        n_rows = len(chunk)
        said = self.opening.options.get("origin", "human")
        origin = chunk.columns.get("origin", constant(said, n_rows))
        table = as_table(
            QUERIES,
            query_id=ids,
            text=chunk.columns["text"],
            lang=constant(self.about.lang, n_rows),
            source=constant(self.about.name, n_rows),
            origin=pc.if_else(pc.equal(origin, ""), said, origin),
            split=self._query_splits(file, chunk, ids),
        )
        if self.opening.splits is None:
            return table
        kept = table.filter(pc.is_in(table["split"], pa.array(self._splits, pa.string())))
        self._counted["queries"] = self._counted.get("queries", 0) + n_rows - kept.num_rows
        return kept

    def _query_splits(self, file: TableFile, chunk: Chunk, ids: pa.Array) -> pa.Array:
        if "split" in chunk.columns:
            return chunk.columns["split"]
        if not self.judged:
            split = file.split or (self._splits[0] if self._splits else self.layout.default_split)
            return constant(split, len(chunk))
        if file.split in self._all_splits:
            return constant(str(file.split), len(chunk))
        if len(self._splits) == 1 and self.opening.splits is None:
            return constant(self._splits[0], len(chunk))
        split = constant(UNJUDGED, len(chunk))
        for name, judged in reversed(list(self._judged().items())):
            split = pc.if_else(pc.is_in(ids, judged), name, split)
        return split

    def _judged(self) -> Mapping[str, pa.Array]:
        """The judged query ids of each chosen split, in the order of the splits."""
        if self._judged_by is None:
            seen: dict[str, pa.ChunkedArray] = {name: pa.chunked_array([], pa.string()) for name in self._splits}
            for table in self._rows("qrels"):
                for name in pc.unique(table["split"]).to_pylist():
                    ids = table.filter(pc.equal(table["split"], name))["query_id"]
                    seen[name] = pa.chunked_array(
                        [pc.unique(pa.chunked_array([*seen[name].chunks, *ids.chunks], pa.string()))]
                    )
            self._judged_by = {name: ids.combine_chunks() for name, ids in seen.items()}
        return self._judged_by

    def _splits_in_rows(self) -> list[str]:
        found: dict[str, None] = {}
        for file in self.layout.qrels:
            if "split" in file.columns:
                for chunk in read_chunks(file):
                    found |= dict.fromkeys(pc.unique(chunk.columns["split"]).to_pylist())
        return list(found)

    def _qrels(self, file: TableFile, chunk: Chunk) -> pa.Table:
        n_rows = len(chunk)
        judge = chunk.columns.get("judge", constant("source", n_rows))
        table = as_table(
            QRELS,
            query_id=check_ids(chunk, "query_id"),
            doc_id=check_ids(chunk, "doc_id"),
            relevance=grades(chunk),
            judge=pc.if_else(pc.equal(judge, ""), "source", judge),
            split=chunk.columns.get("split", constant(file.split or self.layout.default_split, n_rows)),
        )  # fmt: skip
        return (
            table.filter(pc.is_in(table["split"], pa.array(self._splits, pa.string()))) if self._row_splits else table
        )


def no_qrels(spec: str, where: str) -> str:
    """The one line for a set without judgements."""
    return f"{spec}: no qrels found in {where}; {NO_QRELS}"


def grades(chunk: Chunk) -> pa.Array:
    """The grades of a chunk of qrels as int32; 1 where the layout has none."""
    values = chunk.columns.get("relevance")
    if values is None:
        return pa.repeat(pa.scalar(1, pa.int32()), len(chunk))
    if pa.types.is_string(values.type):
        values = pc.utf8_trim_whitespace(values)
        whole = pc.match_substring_regex(values, r"^[+-]?[0-9]{1,9}$")
        if not pc.all(whole, min_count=0).as_py():
            row = pc.index(whole, False).as_py()
            pair = f"query {chunk.columns['query_id'][row]}, document {chunk.columns['doc_id'][row]}"
            raise SourceError(
                f"{chunk.where(row)}: relevance {values[row].as_py()[:40]!r} ({pair}) is not a whole number; "
                "write the grade as 0, 1, 2, …"
            )
        values = pc.replace_substring_regex(values, r"^\+", "")
    return values.cast(pa.int32())


def relative_name(path: Path, root: Path) -> str:
    """A file's name relative to the source's folder, its bare name where it lies elsewhere."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def size_of(path: Path) -> int:
    """The size of an input file in bytes."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
