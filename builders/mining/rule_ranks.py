"""Rules that look at ranks alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dsbuild.builders.mining.rules import Picking, Sampling, check_count


@dataclass(frozen=True)
class Naive(Picking):
    """The hardest candidates: top k without the positives. With `pool=10, sampling=random` a draw from the first ten."""

    name: ClassVar[str] = "naive"


@dataclass(frozen=True)
class RandomInWindow(Picking):
    """A draw from a window of ranks: 10-110 as in JaColBERT and RAGatouille, 10-210 as in FlagEmbedding."""

    window: str = "10-110"
    sampling: Sampling = "random"

    name: ClassVar[str] = "random"


@dataclass(frozen=True)
class Shifted(Picking):
    """Top k shifted by N (NV-Retriever, arXiv 2407.15831; its best is 10): raw ranks above `by`, positives counted."""

    by: int = 10

    name: ClassVar[str] = "shifted"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("by", self.by)

    def ranks(self) -> tuple[int, int]:
        """The window, from the shift on."""
        first, last = super().ranks()
        return max(first, self.by), last
