"""The first stages of a build on one table of texts: read it, and check its ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from dsbuild.builders.sources.flat import ID_COLUMNS, SCHEMAS, FlatSource, FlatTable
from dsbuild.builders.sources.read import cut
from dsbuild.builders.sources.source import SourceFile
from dsbuild.builders.sources.validate import database, refuse_repeated, view
from dsbuild.errors import SourceError
from dsbuild.parquet import reslice
from dsbuild.stage import UNIT_ROWS, Counts, Result, Shard, Shards, Workspace


@dataclass(frozen=True)
class ReadFlat:
    """Read one table in its own order. What decides the output are the files and how they are read, not where they lie.

    columns: canonical column -> the files' column; header: whether a TSV names its columns; limit: the first rows only (0: all).
    """

    form: str
    table: FlatTable
    files: tuple[str, ...]
    columns: Mapping[str, str]
    header: bool
    limit: int
    source: FlatSource = field(compare=False)

    name: ClassVar[str] = "read"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = True

    @classmethod
    def of(cls, source: FlatSource, files: tuple[SourceFile, ...], limit: int) -> ReadFlat:
        """The stage for an open source."""
        named = tuple(f"{file.name} {file.size_bytes} {file.sha256}" for file in files)
        return cls(source.form, source.table, named, dict(source.columns), source.header, limit, source)

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """Nothing -> out: the rows."""
        return Result({"out": self._shards()})

    def _shards(self) -> Iterator[Shard]:
        empty = True
        for table in reslice(self._limited(), UNIT_ROWS):
            for rows in cut(table, text=SCHEMAS[self.table].names[1]):
                empty = False
                yield Shard(rows)
        if empty:
            raise SourceError(f"{self.source.spec}: no rows")

    def _limited(self) -> Iterator[pa.Table]:
        left = self.limit or None
        for table in self.source.read():
            if left is not None:
                table = table.slice(0, left)
                left -= table.num_rows
            yield table
            if left == 0:
                return


@dataclass(frozen=True)
class CheckIds:
    """Every id stands once; `SourceError` names the first that does not. The facts hold the number of rows."""

    table: FlatTable

    name: ClassVar[str] = "sound"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows -> nothing but the certainty."""
        rows: Shards = inputs["rows"]
        with database(work.scratch() / "spill") as connection:
            total = view(connection, self.table, rows.paths)
            refuse_repeated(connection, self.table, ID_COLUMNS[self.table])
        nothing = pa.table({ID_COLUMNS[self.table]: pa.array([], pa.string())})
        return Result({"out": [Shard(nothing)]}, counts=Counts(total, total), facts={"rows": total})
