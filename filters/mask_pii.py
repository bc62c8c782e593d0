"""Mask, drop or flag personal data: a declared stage, with a verdict for every row that holds some."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import pyarrow as pa

from dsbuild.errors import RecipeError, UnknownName
from dsbuild.filters.data import personal_digest
from dsbuild.filters.pii import PERSONAL, candidates, find, mask, phone_library, split_regions
from dsbuild.filters.pii_context import KINDS
from dsbuild.filters.score_rows import one_array
from dsbuild.stage import Counts, Result, Shard, Workspace, verdict

Policy = Literal["mask", "drop", "flag"]


@dataclass(frozen=True)
class MaskPii:
    """Treat rows that hold personal data in one of `fields`.

    policy: "mask" puts a fixed placeholder for each piece (`<EMAIL>`), "drop" drops the row, "flag" only reports it; kinds: which
    are meant; regions: ISO 3166 codes separated by commas, "" for those of the text's language; protected: splits whose rows are flagged
    and never dropped; lang_columns: one for all fields, or one for each.
    The verdict says kind and place of each piece, in the text as it came, and never the piece itself. A row's fate and text depend on that
    row alone.
    """

    table: str
    id_column: str
    fields: tuple[str, ...]
    policy: Policy = "mask"
    kinds: tuple[str, ...] = PERSONAL
    regions: str = ""
    protected: tuple[str, ...] = ()
    lang_columns: tuple[str, ...] = ("lang",)
    library: str = field(default_factory=phone_library, init=False)
    data: str = field(default_factory=personal_digest, init=False)

    name: ClassVar[str] = "pii"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy):
            raise RecipeError(f"policy {self.policy!r}: there are mask, drop and flag")
        for kind in self.kinds:
            if kind not in KINDS:
                raise UnknownName("kind of personal data", kind, KINDS)
        object.__setattr__(self, "regions", ",".join(split_regions(self.regions)))

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows -> out: the same rows, masked; without those that hold personal data if the policy is "drop"."""
        rows: pa.Table = inputs["rows"]
        ids = rows[self.id_column].to_pylist()
        spoken = [rows[name].to_pylist() for name in self.lang_columns]
        langs = spoken[-1]
        splits = rows["split"].to_pylist() if "split" in rows.column_names else [""] * rows.num_rows
        keep = np.ones(rows.num_rows, np.bool_)
        masked_rows: set[int] = set()
        verdicts = []
        for number, name in enumerate(self.fields):
            said = spoken[number] if len(spoken) > 1 else langs
            column = one_array(rows[name])
            texts = column.to_pylist()
            changed = False
            for row in candidates(column).tolist():
                found = [
                    one
                    for one in find(texts[row], said[row], regions=split_regions(self.regions))
                    if one.kind in self.kinds
                ]
                if not found:
                    continue
                outcome = {"mask": "repaired", "drop": "dropped", "flag": "flagged"}[self.policy]
                if outcome == "dropped" and splits[row] in self.protected:
                    outcome = "flagged"
                keep[row] &= outcome != "dropped"
                if outcome == "repaired":
                    texts[row], changed = mask(texts[row], found, self.kinds), True
                    masked_rows.add(row)
                places = [{"kind": one.kind, "start": one.start, "end": one.end} for one in found]
                verdicts.append(
                    verdict(
                        self.table, langs[row], ids[row], self.name, outcome, "personal_data", value=float(len(found)), op=">",
                        threshold=0.0, threshold_source="default", detail=json.dumps({"field": name, "found": places}),
                    )
                )  # fmt: skip
            if changed:
                place = rows.column_names.index(name)
                rows = rows.set_column(place, rows.schema.field(name), pa.array(texts, column.type))
        n_dropped = int((~keep).sum())
        if n_dropped:
            rows = rows.filter(pa.array(keep))
        return Result(
            {"out": [Shard(rows)]}, verdicts, Counts(len(ids), len(ids) - n_dropped, n_dropped), facts={"masked": len(masked_rows)}
        )  # fmt: skip
