"""Rows again: put the translated segments back, with the separators of the source and a map of both texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.stage import Counts, Result, Shard, Workspace

SEGMENT_MAP = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("field", pa.string(), nullable=False),
        pa.field("segment", pa.int32(), nullable=False),  # number within the field
        pa.field("src_start", pa.int32(), nullable=False),  # code points, half-open
        pa.field("src_end", pa.int32(), nullable=False),
        pa.field("tgt_start", pa.int32(), nullable=False),
        pa.field("tgt_end", pa.int32(), nullable=False),
    ]
)

# How the columns of `TRANSLATED` and of the checks become columns of a row: a sum, or the worst.
_SUMS = ("n_src_tokens", "n_tgt_tokens", "n_unknown", "terms_missing", "url_mismatch", "sentence_delta")


@dataclass(frozen=True)
class AssembleRows:
    """Join translations back to rows.

    A check column of a row is the mean over its segments, weighted by source length; counts are summed; booleans are
    true if one segment's is. `failure` is the first hard failure of a segment, "" if there is none: such a row fails.
    """

    tgt: str
    id_column: str
    fields: tuple[str, ...]
    origin: bool = False

    name: ClassVar[str] = "assemble"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """uids, rows, segments (each), translated and checked (needed) -> out (rows with score columns), map (`SEGMENT_MAP`)."""
        rows: pa.Table = inputs["rows"]
        segments: pa.Table = inputs["segments"]
        joined = _join(inputs["uids"]["uid"].to_numpy(), inputs["translated"], inputs["checked"])
        texts, failures, mapped = self._texts(rows, segments, joined)
        out = rows
        for name in self.fields:
            out = out.set_column(
                out.column_names.index(name),
                pa.field(name, pa.string(), nullable=False),
                pa.array(texts[name], pa.string()),
            )
        out = out.set_column(
            out.column_names.index("lang"),
            pa.field("lang", pa.string(), nullable=False),
            pa.array([self.tgt] * len(rows)),
        )
        if self.origin:
            out = out.set_column(
                out.column_names.index("origin"),
                pa.field("origin", pa.string(), nullable=False),
                pa.array(["translated"] * len(rows)),
            )
        weights = pc.utf8_length(segments["text"]).to_numpy().astype(np.float64)
        row_of = segments["row"].to_numpy()
        out = out.append_column(
            pa.field("n_segments", pa.int32(), nullable=False),
            pa.array(np.bincount(row_of, minlength=len(rows)).astype(np.int32)),
        )
        out = out.append_column(pa.field("failure", pa.string(), nullable=False), pa.array(failures))
        for name in joined.column_names:
            if name not in ("uid", "text", "failure"):
                out = out.append_column(name, _to_rows(name, joined[name], row_of, weights, len(rows)))
        return Result({"out": [Shard(out)], "map": [Shard(mapped)]}, counts=Counts(len(rows), len(rows)))

    def _texts(
        self, rows: pa.Table, segments: pa.Table, joined: pa.Table
    ) -> tuple[dict[str, list[str]], list[str], pa.Table]:
        """The new text of every field, the first failure of every row, and the map of segments."""
        texts = {name: rows[name].to_pylist() for name in self.fields}
        sources = {name: list(column) for name, column in texts.items()}
        failures = [""] * len(rows)
        ids = rows[self.id_column].to_pylist()
        mapped: list[tuple[str, str, int, int, int, int, int]] = []
        pieces: list[str] = []
        place: tuple[int, str] | None = None
        number = length = done = 0

        def finish() -> None:
            if place is not None:
                pieces.append(sources[place[1]][place[0]][done:])
                texts[place[1]][place[0]] = "".join(pieces)

        columns = (segments[name].to_pylist() for name in ("row", "field", "start", "end"))
        for row, field, start, end, text, failure in zip(
            *columns, joined["text"].to_pylist(), joined["failure"].to_pylist(), strict=True
        ):
            if place != (row, field):
                finish()
                place, pieces, number, length, done = (row, field), [], 0, 0, 0
            separator = sources[field][row][done:start]
            pieces += (separator, text)
            length += len(separator)
            mapped.append((ids[row], field, number, start, end, length, length + len(text)))
            number, length, done = number + 1, length + len(text), end
            if failure and not failures[row]:
                failures[row] = failure
        finish()
        columns_of_map = list(zip(*mapped, strict=True)) if mapped else [()] * len(SEGMENT_MAP)
        return (
            texts,
            failures,
            pa.table(
                [pa.array(column, kind.type) for column, kind in zip(columns_of_map, SEGMENT_MAP, strict=True)],
                schema=SEGMENT_MAP,
            ),
        )


def _join(uids: npt.NDArray[np.int64], translated: Any, checked: Any) -> pa.Table:
    """The translation and checks of each uid; both come in the needed shards only, in ascending order of uid."""
    if not len(translated):
        return pa.table(
            {"uid": pa.array([], pa.int64()), "text": pa.array([], pa.string()), "failure": pa.array([], pa.string())}
        )
    left = pa.concat_tables([translated[shard] for shard in range(len(translated))])
    right = pa.concat_tables([checked[shard] for shard in range(len(checked))])
    known = left["uid"].to_numpy()
    places = np.searchsorted(known, uids)
    for name in right.column_names:
        if name != "uid":
            left = left.append_column(name, right[name])
    return left.take(pa.array(places))


def _to_rows(
    name: str, column: pa.ChunkedArray, row_of: npt.NDArray[np.int32], weights: npt.NDArray[np.float64], n_rows: int
) -> pa.Array:
    """One column of segments as a column of rows; null where no segment of the row has a value."""
    present = pc.is_valid(column).to_numpy()
    rows = row_of[present]
    seen = np.bincount(rows, minlength=n_rows) > 0
    if pa.types.is_boolean(column.type):
        hits = np.bincount(
            rows, weights=column.drop_null().to_numpy(zero_copy_only=False).astype(np.float64), minlength=n_rows
        )
        return pa.array(hits > 0, mask=~seen)
    values = column.drop_null().to_numpy().astype(np.float64)
    if name in _SUMS:
        return pa.array(np.bincount(rows, weights=values, minlength=n_rows).astype(np.int32), mask=~seen)
    if name == "rung":
        worst = np.zeros(n_rows, np.int8)
        np.maximum.at(worst, rows, values.astype(np.int8))
        return pa.array(worst, mask=~seen)
    total = np.bincount(rows, weights=weights[present], minlength=n_rows)
    mean = np.bincount(rows, weights=values * weights[present], minlength=n_rows) / np.where(total > 0, total, 1.0)
    return pa.array(mean, mask=~seen)
