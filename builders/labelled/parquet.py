"""`parquet:` labelled tables: a file, a folder of files, or the labelled table of a release.

Columns: id, text, lang, spans (list of span_id, start, end, label) and relations (list of head, tail, label), as everywhere in a release;
further columns are in `extra` under their names, and a column `extra` holds what else a row's format said, as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from dsbuild.builders.labelled.formats import LabelledFile, Sound, as_json
from dsbuild.errors import SourceError
from dsbuild.files import write_atomically
from dsbuild.spans import Labelled, from_row, to_row
from dsbuild.tables import LABELLED

BATCH_ROWS = 4_096
EXTRA = "extra"
_OWN = frozenset(LABELLED.names)
_SCHEMA = pa.schema([*LABELLED, pa.field(EXTRA, pa.string(), nullable=False)])


@dataclass
class LabelledParquet(LabelledFile):
    """Texts with any spans. split: of a folder or a release, the files of one split; all where it is empty."""

    split: str = ""

    kind: ClassVar[str] = "parquet"

    def read(self) -> Iterator[Labelled]:
        """See `LabelledSource`."""
        return self._rows(None)

    def targets(self) -> Iterator[Labelled]:
        """See `LabelledSource`: the columns of labels are not read."""
        return self._rows(("spans", "relations"))

    def _rows(self, without: tuple[str, ...] | None) -> Iterator[Labelled]:
        sound = Sound(self.path, empty=without is not None)
        for path in self.files():
            number = 0
            for batch in _batches(path, without):
                for row in batch.to_pylist():
                    number += 1
                    where = f"{path}: row {number}"
                    item = _item(row, where)
                    lang = self.said_lang(item.lang, where)
                    yield sound(Labelled(item.id, item.text, lang, item.spans, item.relations, item.extra))

    def files(self) -> list[Path]:
        """The files to be read, in order."""
        if self.path.is_file():
            return [self.path]
        if not self.path.is_dir():
            raise SourceError(f"{self.path}: no such file or folder")
        tables = sorted(one for one in self.path.glob("*-labelled") if one.is_dir())
        folder = self.path
        if tables:
            langs = [one.name.removesuffix("-labelled") for one in tables]
            if self.lang is None and len(langs) > 1:
                raise SourceError(f"{self.path}: it holds {', '.join(langs)}; say which language to read")
            if self.lang is not None and self.lang not in langs:
                raise SourceError(f"{self.path}: no {self.lang}-labelled in it; it holds {', '.join(langs)}")
            folder = self.path / f"{self.lang or langs[0]}-labelled"
        found = sorted(
            one
            for one in folder.glob("*.parquet")
            if not self.split or one.name.startswith((f"{self.split}-", f"{self.split}."))
        )
        if not found:
            raise SourceError(f"{folder}: no Parquet file{f' of the split {self.split!r}' if self.split else ''} in it")
        return found

    def write(self, items: Iterable[Labelled], path: Path) -> int:
        """See `LabelledSource`: one file, `extra` as JSON."""
        count = 0

        def put(temporary: Path) -> None:
            nonlocal count
            with pq.ParquetWriter(temporary, _SCHEMA, compression="zstd") as writer:
                for rows in _groups(items):
                    writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))
                    count += len(rows)

        write_atomically(path, put)
        return count


def _groups(items: Iterable[Labelled]) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    for item in items:
        plain = to_row(Labelled(item.id, item.text, item.lang, item.spans, item.relations))
        rows.append({**plain, EXTRA: as_json(dict(item.extra))})
        if len(rows) == BATCH_ROWS:
            yield rows
            rows = []
    if rows:
        yield rows


def _batches(path: Path, without: tuple[str, ...] | None) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if missing := [
                name for name in LABELLED.names if name not in names and name not in (*(without or ()), "relations")
            ]:
                raise SourceError(
                    f"{path}: no column {', '.join(missing)}; it has {', '.join(names)}; is it a labelled table?"
                )
            columns = [name for name in names if name not in (without or ())]
            yield from file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(
            f"{path}: cannot be read as Parquet ({(str(error).splitlines() or ['damaged'])[0]}); fetch it again"
        ) from error


def _item(row: Mapping[str, Any], where: str) -> Labelled:
    if not isinstance(row.get("text"), str):
        raise SourceError(f"{where}: no text; it must be there and be a text")
    try:
        said = json.loads(row.get(EXTRA) or "{}")
        plain = from_row({"spans": (), "relations": (), **{name: row[name] for name in row.keys() & _OWN}})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SourceError(
            f"{where}: spans, relations or extra are not as they must be ({type(error).__name__}: {error})"
        ) from None
    except SourceError as error:
        raise SourceError(f"{where}: {error}") from None
    others = {name: value for name, value in row.items() if name not in _OWN and name != EXTRA}
    return Labelled(plain.id, plain.text, plain.lang, plain.spans, plain.relations, {**said, **others})
