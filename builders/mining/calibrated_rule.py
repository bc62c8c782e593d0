"""A rule that learns from hidden positives how likely a candidate is relevant, and takes the hardest ones that a goal allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dsbuild.builders.mining.chances import chances_of
from dsbuild.builders.mining.logistic import Logistic
from dsbuild.builders.mining.rules import Chosen, check_settings, rank_in_query, span
from dsbuild.builders.retrieval.candidates import Candidates, Floats, Mask
from dsbuild.errors import RecipeError, SourceError
from dsbuild.stage import Stage

if TYPE_CHECKING:
    from dsbuild.builders.mining.choose_negatives import Blocks


@dataclass(frozen=True)
class Calibrated:
    """Candidates with the least chance of being relevant + price x ln(rank), the chance learned on hidden positives of the same set.

    Either target_fn, the share of false negatives that may be expected (the largest price, so the hardest negatives, that keeps to it), or
    rank, the median rank in the union that must be kept (the smallest price that does). window: raw ranks that are looked at; evidence: retrievers
    whose scores count beside those that mine (a comma list, "": none).

    Chances come from a ridge-penalised logistic regression; for a goal on false negatives the price is set as in conformal risk control
    (A. Angelopoulos et al., 2022, arXiv 2208.02814), so that the expected share keeps to the target where queries are exchangeable.
    """

    target_fn: float | None = None
    rank: float | None = None
    window: str = ""
    evidence: str = "lsa"
    learned: Mapping[str, Any] | None = field(default=None, compare=False, init=False)

    name: ClassVar[str] = "calibrated"

    def __post_init__(self) -> None:
        check_settings(self)
        span(self.window)
        if (self.target_fn is None) == (self.rank is None):
            raise RecipeError(
                "the rule calibrated needs one goal: --target-fn 0.05, or --set rule.rank=20 for the median rank to keep"
            )
        if self.target_fn is not None and not 0 < self.target_fn < 1:
            raise RecipeError(f"target_fn={self.target_fn:g}: a share of false negatives between 0 and 1, such as 0.05")
        if self.rank is not None and self.rank < 1:
            raise RecipeError(f"rule.rank={self.rank:g}: a rank, 1 or more")

    def fitting(self, lang: str, blocks: Blocks, negatives: int, seed: int, anchor: str) -> Stage:
        """See `Fits`."""
        from dsbuild.builders.mining.fit_chances import FitChances

        return FitChances(lang, blocks, negatives, seed, self.target_fn, self.rank, self.window)

    def fitted(self, facts: Mapping[str, Any]) -> Calibrated:
        """See `Fits`; with `facts["folds"][i]` in the place of facts, what was learned without the queries of fold i."""
        made = replace(self)
        object.__setattr__(made, "learned", facts)
        return made

    def choose(self, block: Candidates, anchors: Floats, allowed: Mask, n: int, seed: int) -> Chosen:
        """At most n of the rows that are allowed and inside the window: the least sums of chance and price."""
        if self.learned is None or self.learned["model"] is None:
            found = 0 if self.learned is None else self.learned["queries"]
            raise SourceError(
                f"the rule calibrated learns from queries with two or more positives; this set has {found}: "
                "name another rule, such as random, and judge a sample of what it takes (--judge-budget 100)"
            )
        first, last = span(self.window)
        chances = chances_of(block, anchors, Logistic.of(self.learned["model"]))
        return cheapest(
            block, allowed & (block.place > first) & (block.place <= last), chances, self.learned["price"], n
        )


def cheapest(block: Candidates, allowed: Mask, chances: Floats, price: float, n: int) -> Chosen:
    """For each query the n allowed rows with the least chance + price x ln(rank), by rank."""
    rows = np.flatnonzero(allowed & ~np.isnan(chances))
    query, place = block.query_of[rows], block.place[rows]
    costs = chances[rows] + price * np.log(place)
    order = np.lexsort((block.docs[rows], place, costs, query))
    order = order[rank_in_query(query[order]) < n]
    rows = rows[order]
    rows = rows[np.lexsort((block.docs[rows], block.place[rows], block.query_of[rows]))]
    return Chosen(np.searchsorted(block.query_of[rows], np.arange(block.n_queries + 1)), rows)
