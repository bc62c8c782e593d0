"""What rows are linked by: the texts of each, signed, so that equal and nearly equal ones are found in any language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.filters.duplicates import joined
from dsbuild.filters.minhash import sign
from dsbuild.filters.near_duplicates import Near
from dsbuild.filters.ngram_units import MIN_WEIGHT, weights
from dsbuild.filters.score_rows import one_array
from dsbuild.filters.sign_rows import digests
from dsbuild.filters.utf8 import buffers
from dsbuild.stage import Counts, Result, Shard, Shards, Workspace

# Which text of a row it is: all of its fields together, or one side of a pair.
TOGETHER = -1


def links_schema(near: Near) -> pa.Schema:
    """row: its index in the shard; side: the field, or `TOGETHER`; digest: 128 bits of the folded text; a column for each band."""
    return pa.schema(
        [
            pa.field("row", pa.int64(), nullable=False),
            pa.field("side", pa.int8(), nullable=False),
            pa.field("digest", pa.binary(16), nullable=False),
            *(pa.field(name, pa.uint64(), nullable=False) for name in near.band_names()),
        ]
    )


def side_texts(rows: pa.Table, fields: tuple[str, ...], side: int) -> pa.Array:
    """The text of one side, or of all fields together."""
    return joined(rows, fields if side == TOGETHER else (fields[side],))


@dataclass(frozen=True)
class SignTexts:
    """Sign the texts that link rows: a text, or each side of a pair and both together.

    A side of a pair links only if it weighs three words or more: a thousand pairs may say "Yes." and have nothing in common; pairs that
    are alike on both sides are linked however short. Texts without a letter, digit or symbol link nothing. With an input
    `qrels`, only rows that are judged relevant are signed.
    """

    id_column: str
    fields: tuple[str, ...]
    near: Near
    sides: bool = False

    name: ClassVar[str] = "sign_texts"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows (and qrels) -> keys, one row for each text."""
        rows: pa.Table = inputs["rows"]
        taking = np.ones(rows.num_rows, np.bool_)
        judged: Shards | None = inputs.get("qrels")
        if judged is not None:
            taking[:] = False
            for shard in judged:
                positive = shard.filter(pc.greater(shard["relevance"], 0))
                taking |= pc.is_in(rows[self.id_column], one_array(positive[self.id_column])).to_numpy()
        parts = [
            self._keys(rows, side, taking)
            for side in ([TOGETHER, *range(len(self.fields))] if self.sides else [TOGETHER])
        ]
        total = rows.num_rows
        return Result({"keys": [Shard(pa.concat_tables(parts).combine_chunks())]}, counts=Counts(total, total))

    def _keys(self, rows: pa.Table, side: int, taking: npt.NDArray[np.bool_]) -> pa.Table:
        weight = weights(*buffers(side_texts(rows, self.fields, side)))
        # A text of symbols only has units that weigh nothing, one without units has the weight -1.
        places = np.flatnonzero(taking & (weight >= (0 if side == TOGETHER else MIN_WEIGHT)))
        chosen = rows.select(list(self.fields)).take(pa.array(places))
        data, offsets = buffers(side_texts(chosen, self.fields, side))
        bands = sign(data, offsets, self.near.shingling, self.near.bands)
        return pa.table(
            [
                pa.array(places), pa.array(np.full(len(places), side, np.int8)), digests(data, offsets, "folded"),
                *(pa.array(band) for band in bands.T.copy()),
            ],
            schema=links_schema(self.near),
        )  # fmt: skip
