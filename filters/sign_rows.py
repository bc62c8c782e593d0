"""Sign rows: what duplicates are found by, for each row that takes part, without its text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from dsbuild.errors import SourceError
from dsbuild.filters.duplicates import joined
from dsbuild.filters.folding import Form, fold_all, fold_table
from dsbuild.filters.keepers import Policy, merits
from dsbuild.filters.minhash import sign
from dsbuild.filters.near_duplicates import Near
from dsbuild.filters.utf8 import Bytes, Offsets, buffers
from dsbuild.stage import Result, Shard, Workspace

# Bytes of text that are folded at a time.
_BLOCK = 8 << 20


def keys_schema(near: Near | None) -> pa.Schema:
    """The columns of the keys. row: index in the shard; digest: 128 bits; merit, protected: see `keepers`; a column for each band."""
    return pa.schema(
        [
            pa.field("row", pa.int64(), nullable=False),
            pa.field("id", pa.string(), nullable=False),
            pa.field("digest", pa.binary(16), nullable=False),
            pa.field("merit", pa.float64(), nullable=False),
            pa.field("protected", pa.bool_(), nullable=False),
            *(pa.field(name, pa.uint64(), nullable=False) for name in (near.band_names() if near else ())),
        ]
    )


@dataclass(frozen=True)
class SignRows:
    """Digest and band hashes of each row.

    fields: the columns that are a row's text, joined by line feeds; form: in what two texts may differ and still be exact
    duplicates (`dsbuild.filters.folding`); near: None if only exact duplicates are wanted; policy: which row is rather kept, with
    `score_column` where it is "best"; protected: values of `split_column` whose rows are never dropped. Of rows with a column
    `fate`, those that are "kept" take part; a boolean column `protected` protects like a split.
    """

    id_column: str
    fields: tuple[str, ...]
    form: Form = "spaced"
    near: Near | None = None
    policy: Policy = "longest"
    score_column: str = ""
    split_column: str = "split"
    protected: tuple[str, ...] = ()

    name: ClassVar[str] = "sign"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows -> keys, one row for each that takes part."""
        rows: pa.Table = inputs["rows"]
        index = np.arange(rows.num_rows)
        if "fate" in rows.column_names:
            index = index[np.asarray(pc.equal(rows["fate"], "kept").to_numpy(), np.bool_)]
            rows = rows.take(pa.array(index))
        data, offsets = buffers(joined(rows, self.fields))
        if self.score_column and self.score_column not in rows.column_names:
            raise SourceError(
                f"no column {self.score_column!r} to keep the best row by: the rows have {', '.join(rows.column_names)}"
            )
        scores = rows[self.score_column] if self.score_column else None
        protected = np.zeros(len(index), np.bool_)
        if self.protected and self.split_column in rows.column_names:
            protected = np.asarray(pc.is_in(rows[self.split_column], pa.array(self.protected)).to_numpy(), np.bool_)
        if "protected" in rows.column_names:
            protected = protected | np.asarray(rows["protected"].to_numpy(), np.bool_)
        bands = (
            sign(data, offsets, self.near.shingling, self.near.bands)
            if self.near
            else np.empty((len(index), 0), np.uint64)
        )
        keys = pa.table(
            [
                pa.array(index), rows[self.id_column].cast(pa.string()), digests(data, offsets, self.form),
                pa.array(merits(self.policy, data, offsets, scores)), pa.array(protected), *(pa.array(band) for band in bands.T.copy()),
            ],
            schema=keys_schema(self.near),
        )  # fmt: skip
        return Result({"keys": [Shard(keys)]})


def digests(data: Bytes, offsets: Offsets, form: Form) -> pa.Array:
    """The 128-bit hash (XXH3) of each text in a form of normalisation, as 16 bytes."""
    table = fold_table(form)
    parts = []
    for start, end in _blocks(offsets):
        codes, bounds = fold_all(data, offsets[start : end + 1], table.one, table.many)
        view = codes.view(np.uint8).data
        places = (4 * bounds).tolist()
        parts += [xxhash.xxh3_128_digest(view[places[one] : places[one + 1]]) for one in range(len(places) - 1)]
    return pa.array(parts, pa.binary(16))


def _blocks(offsets: Offsets) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(offsets) - 1:
        end = max(start + 1, int(np.searchsorted(offsets, offsets[start] + _BLOCK, "right")) - 1)
        yield start, end
        start = end
