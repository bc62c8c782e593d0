"""The last decision on rows: those that a filter of the whole table found join those that fell to their own scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.filters.decide_texts import DROPPED
from dsbuild.filters.score_rows import one_array, put
from dsbuild.stage import Counts, Result, Shard, Workspace, verdict

COLUMNS = {
    "duplicate_of": "id of the row that was kept in this one's place; null for all others",
    "duplicate_jaccard": "exact Jaccard index of the two texts' shingles (1 for exact duplicates)",
}
_RULES = {"exact": "exact_duplicate", "near": "near_duplicate"}


@dataclass(frozen=True)
class Settle:
    """Drop the rows that are duplicates of a kept one, and count every row once.

    jaccard: the index from which near duplicates were looked for; source: where that threshold comes from.
    """

    table: str
    id_column: str
    lang_column: str = "lang"
    jaccard: float = 1.0
    source: str = "default"

    name: ClassVar[str] = "settle"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows, what was found among them (`DUPLICATES`; exact, near), and near of all rows (near_all) -> out: the rows with their final fate.

        The keeper of an exact duplicate may be a near duplicate of a third row: that one is then the keeper of both.
        """
        rows: pa.Table = inputs["rows"]
        n_rows = rows.num_rows
        at = np.full(n_rows, -1)
        keepers: list[pa.Array] = []
        values: list[pa.Array] = []
        verdicts: list[dict[str, Any]] = []
        held = 0
        for name in ("exact", "near"):
            found: pa.Table | None = inputs.get(name)
            if found is None or not found.num_rows:
                continue
            places = found["row"].to_numpy()
            at[places] = np.arange(held, held + len(places))
            held += len(places)
            if name == "exact":
                found = _followed(found, inputs.get("near_all", ()))
            keepers.append(one_array(found["keeper"]))
            values.append(one_array(found["jaccard"]))
            bound, source = (self.jaccard, self.source) if name == "near" else (1.0, "definition")
            langs = one_array(rows[self.lang_column]).take(one_array(found["row"])).to_pylist()
            verdicts += [
                verdict(self.table, lang, row["id"], self.name, "dropped", _RULES[row["kind"]],
                        value=1.0 if name == "exact" else row["jaccard"], op=">=", threshold=bound, threshold_source=source,
                        detail=row["keeper"])
                for row, lang in zip(found.to_pylist(), langs, strict=True)
            ]  # fmt: skip
        gone = pa.array(at >= 0)
        place = pa.array(at, mask=at < 0)
        fates = pc.if_else(gone, DROPPED, one_array(rows["fate"]))
        keeper = pa.concat_arrays(keepers) if keepers else pa.array([], pa.string())
        value = pa.concat_arrays(values) if values else pa.array([], pa.float64())
        out = put(rows, "duplicate_of", keeper.take(place))
        out = put(out, "duplicate_jaccard", value.take(place))
        column = out.column_names.index("fate")
        out = out.set_column(column, out.schema.field(column), fates)
        n_dropped = pc.sum(pc.equal(fates, DROPPED)).as_py() or 0
        return Result({"out": [Shard(out)]}, verdicts, Counts(n_rows, n_rows - n_dropped, n_dropped))


def _followed(exact: pa.Table, near: Iterable[pa.Table]) -> pa.Table:
    """Exact duplicates with the row that is really kept, and its Jaccard index."""
    keeper, jaccard = one_array(exact["keeper"]), one_array(exact["jaccard"])
    for shard in near:
        if shard.num_rows:
            place = pc.index_in(keeper, one_array(shard["id"]))
            jaccard = pc.coalesce(one_array(shard["jaccard"]).take(place), jaccard)
            keeper = pc.coalesce(one_array(shard["keeper"]).take(place), keeper)
    return exact.set_column(exact.column_names.index("keeper"), "keeper", keeper).set_column(
        exact.column_names.index("jaccard"), "jaccard", jaccard
    )
