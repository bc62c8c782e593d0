"""Rows of a table of texts as a translation wants them: fields that are texts, labels that the recipe knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.errors import SourceError, UnknownName
from dsbuild.stage import Result, Shard, Workspace


@dataclass(frozen=True)
class CheckRecords:
    """Check the fields and labels of a table of documents.

    fields: columns that are translated; null becomes "". label: the column of labels, "" for none; labels: what may stand in it (one value, or
    a list of them), empty for anything. A `SourceError` names the first row that is otherwise.
    """

    fields: tuple[str, ...]
    label: str = ""
    labels: tuple[str, ...] = ()

    name: ClassVar[str] = "records"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows -> out: the same rows, with fields that are texts."""
        rows: pa.Table = inputs["rows"]
        for name in self.fields:
            values = _column(rows, name)
            if not pa.types.is_string(values.type):
                raise SourceError(f"column {name!r} holds {values.type}, not texts; leave it out of fields")
            rows = rows.set_column(
                rows.column_names.index(name), pa.field(name, pa.string(), nullable=False), pc.fill_null(values, "")
            )
        if self.label:
            self._check_labels(rows)
        return Result({"out": [Shard(rows)]})

    def _check_labels(self, rows: pa.Table) -> None:
        known = set(self.labels)
        for row_id, value in zip(rows["doc_id"].to_pylist(), _column(rows, self.label).to_pylist(), strict=True):
            for one in _values(value):
                if known and one not in known:
                    raise SourceError(
                        f"row {row_id}: {UnknownName('label', one, self.labels)}; name it in labels.names"
                    )


def _column(rows: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in rows.column_names:
        raise UnknownName("column", name, rows.column_names)
    return rows[name]


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _values(one)
    elif value is not None:
        yield str(value)
