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

# Rows whose texts are Python objects at a time: a unit of long rows would hold too many of them.
_SLICE_ROWS = 4_096

# How the columns of `TRANSLATED` and of the checks become columns of a row: a sum, or the worst.
_SUMS = ("n_src_tokens", "n_tgt_tokens", "n_unknown", "terms_missing", "n_examples", "url_mismatch", "sentence_delta")


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
        row_of = segments["row"].to_numpy()
        said = _beside(inputs["translated"], inputs["checked"])
        places = np.searchsorted(said["uid"].to_numpy(), inputs["uids"]["uid"].to_numpy())
        parts = [
            self._texts(rows, segments, said, places, row_of, start)
            for start in range(0, max(1, len(rows)), _SLICE_ROWS)
        ]
        out = rows
        for name in self.fields:
            out = out.set_column(
                out.column_names.index(name),
                pa.field(name, pa.string(), nullable=False),
                pa.chunked_array([texts[name] for texts, _, _ in parts], pa.string()),
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
        out = out.append_column(
            pa.field("n_segments", pa.int32(), nullable=False),
            pa.array(np.bincount(row_of, minlength=len(rows)).astype(np.int32)),
        )
        failures = pa.chunked_array([failures for _, failures, _ in parts], pa.string())
        out = out.append_column(pa.field("failure", pa.string(), nullable=False), failures)
        for name in said.column_names:
            if name not in ("uid", "text", "failure"):
                column = said[name].take(pa.array(places))
                out = out.append_column(name, _to_rows(name, column, row_of, weights, len(rows)))
        mapped = pa.concat_tables([mapped for _, _, mapped in parts])
        return Result({"out": [Shard(out)], "map": [Shard(mapped)]}, counts=Counts(len(rows), len(rows)))

    def _texts(
        self, whole: pa.Table, all_segments: pa.Table, said: pa.Table, places: npt.NDArray[np.int64],
        row_of: npt.NDArray[np.int32], start_row: int,
    ) -> tuple[dict[str, pa.Array], pa.Array, pa.Table]:  # fmt: skip
        """For `_SLICE_ROWS` rows: the new text of every field, the first failure of every row, and the map of segments."""
        rows = whole.slice(start_row, _SLICE_ROWS)
        first, last = np.searchsorted(row_of, (start_row, start_row + len(rows))).tolist()
        segments = all_segments.slice(first, last - first)
        joined = said.select(["text", "failure"]).take(pa.array(places[first:last]))
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
            row -= start_row
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
            {name: pa.array(column, pa.string()) for name, column in texts.items()},
            pa.array(failures, pa.string()),
            pa.table(
                [pa.array(column, kind.type) for column, kind in zip(columns_of_map, SEGMENT_MAP, strict=True)],
                schema=SEGMENT_MAP,
            ),
        )


def _beside(translated: Any, checked: Any) -> pa.Table:
    """The translations with their checks beside them; both come in the needed shards only, in ascending order of uid."""
    if not len(translated):
        return pa.table(
            {"uid": pa.array([], pa.int64()), "text": pa.array([], pa.string()), "failure": pa.array([], pa.string())}
        )
    left = pa.concat_tables([translated[shard] for shard in range(len(translated))])
    right = pa.concat_tables([checked[shard] for shard in range(len(checked))])
    for name in right.column_names:
        if name != "uid":
            left = left.append_column(name, right[name])
    return left.combine_chunks()  # else every `take` would join the chunks again


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
