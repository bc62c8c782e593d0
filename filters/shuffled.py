"""A number for each row that a seed draws: which of several equal rows stays is then no matter of where they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import xxhash

SHUFFLED = "shuffled"


@dataclass(frozen=True)
class Shuffled:
    """Add a number in [0, 1) from the seed and the row's id."""

    seed: int

    name: ClassVar[str] = "shuffled"
    version: ClassVar[int] = 1

    def score_rows(self, rows: pa.Table) -> Mapping[str, pa.Array]:
        """The column `SHUFFLED`."""
        seed = self.seed & (2**64 - 1)
        return {
            SHUFFLED: pa.array(
                [xxhash.xxh3_64_intdigest(one.encode(), seed) / 2**64 for one in rows["id"].to_pylist()], pa.float64()
            )
        }
