"""What a translation model looked at while it made a translation that was there already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from dsbuild.spans import Piece


@dataclass(frozen=True, slots=True)
class Attention:
    """What a translation model looked at while it made each target piece.

    src, tgt: where its pieces stand in the two texts; weights: [target pieces, source pieces], each row summing to at most 1. A pair that the model
    cannot read has no pieces.
    """

    src: Sequence[Piece]
    tgt: Sequence[Piece]
    weights: npt.NDArray[np.float64]


@runtime_checkable
class Attending(Protocol):
    """A translation model that shows its attention for translations that are given."""

    name: str

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """What decides the attention."""

    def attend(self, sources: Sequence[str], targets: Sequence[str], src: str, tgt: str) -> list[Attention]:
        """The attention of each pair; languages are BCP-47."""

    def close(self) -> None:
        """Free the model; safe to call twice."""
