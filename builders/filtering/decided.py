"""What other thresholds would make of the rows of a table: counted beside what the release did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa


@dataclass
class Decided:
    """The rows of one table, in order: id, whether the release keeps them, whether the other thresholds would; and why not."""

    ids: list[str] = field(default_factory=list)
    was_kept: list[bool] = field(default_factory=list)
    stays: list[bool] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, ids: Sequence[str], was_kept: bool, stays: Sequence[bool]) -> None:
        """Rows of one part of the release."""
        self.ids += ids
        self.was_kept += [was_kept] * len(ids)
        self.stays += stays

    def fates(self, id_column: str) -> pa.Table:
        """As the cascade reads it."""
        return pa.table(
            [
                pa.array(self.ids, pa.string()),
                pa.array(["kept" if one else "dropped" for one in self.stays], pa.string()),
            ],
            names=[id_column, "fate"],
        )

    def counts(self, extra: Mapping[str, str]) -> dict[str, Any]:
        """The numbers, less the rows that the cascade takes along (id -> rule)."""
        both = self._both(extra)
        then = both[True, True] + both[False, True]
        return {
            "in": len(self.ids), "kept": sum(self.was_kept), "kept_then": then,
            "newly_dropped": both[True, False], "newly_kept": both[False, True],
            "reasons": dict((self.reasons + Counter(extra.values())).most_common()),
        }  # fmt: skip

    def newly_kept(self, extra: Mapping[str, str]) -> int:
        """How many rows would be kept that the release lost."""
        return self._both(extra)[False, True]

    def _both(self, extra: Mapping[str, str]) -> Counter[tuple[bool, bool]]:
        """Rows by whether the release keeps them, and whether the other thresholds would."""
        then = (stays and row_id not in extra for row_id, stays in zip(self.ids, self.stays, strict=True))
        return Counter(zip(self.was_kept, then, strict=True))
