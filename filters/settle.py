"""The last decision on rows: those that a filter of the whole table found join those that fell to their own scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from dsbuild.filters.decide_texts import DROPPED
from dsbuild.filters.score_rows import one_array
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
        """rows, and what was found among them (`DUPLICATES`; inputs exact, near) -> out: the rows with their final fate."""
        rows: pa.Table = inputs["rows"]
        n_rows = rows.num_rows
        fates = np.array(rows["fate"].to_pylist(), object)
        keeper, jaccard = np.full(n_rows, None, object), np.full(n_rows, np.nan)
        langs = rows[self.lang_column]
        verdicts: list[dict[str, Any]] = []
        for name in ("exact", "near"):
            found: pa.Table = inputs.get(name)
            if found is None or not found.num_rows:
                continue
            places = found["row"].to_numpy()
            fates[places] = DROPPED
            keeper[places] = found["keeper"].to_pylist()
            jaccard[places] = found["jaccard"].to_numpy()
            bound, source = (self.jaccard, self.source) if name == "near" else (1.0, "definition")
            verdicts += [
                verdict(self.table, lang, row["id"], self.name, "dropped", _RULES[row["kind"]], value=row["jaccard"], op=">=", threshold=bound,
                        threshold_source=source, detail=row["keeper"])
                for row, lang in zip(found.to_pylist(), one_array(langs).take(found["row"]).to_pylist(), strict=True)
            ]  # fmt: skip
        out = rows.append_column("duplicate_of", pa.array(keeper.tolist(), pa.string()))
        out = out.append_column("duplicate_jaccard", pa.array(jaccard, pa.float64(), mask=np.isnan(jaccard)))
        at = out.column_names.index("fate")
        out = out.set_column(at, out.schema.field(at), pa.array(fates.tolist(), pa.string()))
        n_dropped = int((fates == DROPPED).sum())
        return Result({"out": [Shard(out)]}, verdicts, Counts(n_rows, n_rows - n_dropped, n_dropped))
