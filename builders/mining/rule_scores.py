"""Rules that compare a candidate's score with a number, or with the score of the labelled positive (NV-Retriever, arXiv 2407.15831)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dsbuild.builders.mining.rules import Picking, Sampling, below
from dsbuild.builders.retrieval.candidates import Candidates, Floats, Mask
from dsbuild.errors import RecipeError


@dataclass(frozen=True)
class Absolute(Picking):
    """Candidates whose score lies between two numbers on the scale of the retriever; with several, in the scale of each."""

    max_score: float | None = None
    min_score: float | None = None

    name: ClassVar[str] = "absolute"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_score is None and self.min_score is None:
            raise RecipeError("the rule absolute needs a bound: --set rule.max_score=0.7, or min_score")

    def passing(self, block: Candidates, anchors: Floats) -> Mask:
        """Under max_score and not under min_score, by every retriever that returned it."""
        returned = block.ranks > 0
        inside = np.ones_like(returned)
        if self.max_score is not None:
            inside &= block.scores < self.max_score
        if self.min_score is not None:
            inside &= block.scores >= self.min_score
        return np.asarray((inside | ~returned).all(axis=0), np.bool_)


@dataclass(frozen=True)
class MarginPos(Picking):
    """TopK-MarginPos: candidates whose score is under the positive's by more than a margin."""

    margin: float = 0.05

    name: ClassVar[str] = "marginpos"

    def passing(self, block: Candidates, anchors: Floats) -> Mask:
        """score < anchor - margin."""
        return below(block, anchors - self.margin)


@dataclass(frozen=True)
class PercPos(Picking):
    """TopK-PercPos: candidates whose score is under a share of the positive's.

    The bound is anchor - |anchor| (1 - percent): under the positive's score also where that is negative, which percent times the score is not.
    """

    percent: float = 0.95

    name: ClassVar[str] = "percpos"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_percent(self.percent)

    def passing(self, block: Candidates, anchors: Floats) -> Mask:
        """score < anchor - |anchor| (1 - percent)."""
        return below(block, share_of(anchors, self.percent))


@dataclass(frozen=True)
class SimANS(Picking):
    """SimANS (arXiv 2210.11773): draw with weights exp(-a (score - anchor - b)^2), so that ambiguous candidates come most.

    The weight is that of the retriever which is least willing. a counts in squares of the retriever's scale: 0.5 is for scores that
    differ by whole numbers, such as BM25's.
    """

    a: float = 0.5
    b: float = 0.0
    sampling: Sampling = "random"

    name: ClassVar[str] = "simans"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampling != "random":
            raise RecipeError(f"rule.sampling={self.sampling}: simans draws; leave it out")
        if self.a < 0:
            raise RecipeError(f"rule.a={self.a:g}: 0 or more")

    def passing(self, block: Candidates, anchors: Floats) -> Mask:
        """Rows whose every retriever knows the positive's score."""
        return below(block, np.where(np.isnan(anchors), np.nan, np.inf))

    def costs(self, block: Candidates, anchors: Floats, seed: int) -> Floats:
        """Exponential draws divided by the weight: the smallest n are a weighted sample without replacement (Efraimidis and Spirakis 2006)."""
        distance = block.scores - anchors[:, block.query_of] - self.b
        logs = np.where(block.ranks > 0, self.a * distance**2, -np.inf).max(axis=0)
        drawn: Floats = np.log(-np.log(block.draws(seed))) + logs
        return drawn


def share_of(anchors: Floats, percent: float) -> Floats:
    """The bound that lies below each anchor by 1 - percent of its size."""
    return np.asarray(anchors - np.abs(anchors) * (1 - percent), np.float64)


def check_percent(percent: float) -> None:
    """Refuse a share that is none."""
    if not 0 < percent <= 1:
        raise RecipeError(f"rule.percent={percent:g}: a share above 0, at most 1, such as 0.95")
