"""A rule over several retrievers: candidates that enough of them rank high, and none scores like the positive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dsbuild.builders.mining.rule_scores import check_percent, share_of
from dsbuild.builders.mining.rules import Picking, below, check_count
from dsbuild.builders.retrieval.candidates import Candidates, Floats, Mask
from dsbuild.errors import RecipeError


@dataclass(frozen=True)
class Agreement(Picking):
    """Candidates that at least `least` retrievers return among their first `top`, under the share of the positive's score in all.

    percent: as in percpos; 1 asks only for a score below the positive's, none for no condition on scores.
    """

    least: int = 2
    top: int = 30
    percent: float | None = 0.95

    name: ClassVar[str] = "agreement"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("least", self.least, 1)
        check_count("top", self.top, 1)
        if self.percent is not None:
            check_percent(self.percent)

    def passing(self, block: Candidates, anchors: Floats) -> Mask:
        """Returned high by enough of them, and under the bound of each."""
        if len(block.retrievers) < self.least:
            raise RecipeError(
                f"rule.least={self.least}: only {len(block.retrievers)} retriever; name more, as in --retriever bm25,lsa"
            )
        agreeing = ((block.ranks > 0) & (block.ranks <= self.top)).sum(axis=0) >= self.least
        if self.percent is None:
            return np.asarray(agreeing, np.bool_)
        return np.asarray(agreeing & below(block, share_of(anchors, self.percent)), np.bool_)
