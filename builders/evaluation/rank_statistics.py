"""How alike two rankings of systems are: Kendall's tau, AP correlation, significant pairs, rank changes, with bootstrap intervals by query.

Scores of systems are arrays (queries, systems); larger is better. A ranking is that of the systems' means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SAMPLES = 2_000
ALPHA = 0.05
# Means that differ by less are equal: the sums of the same values in another order.
_EQUAL = 1e-12
# Draws of queries that are in memory at once.
_BLOCK = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A value with a percentile bootstrap interval; None where it is not defined, such as the tau of systems that all tie."""

    value: float | None
    low: float | None
    high: float | None

    def as_data(self) -> dict[str, float | None]:
        """As JSON has it, to six digits."""
        return {
            name: None if (one := getattr(self, name)) is None else round(one, 6) for name in ("value", "low", "high")
        }


NOTHING = Interval(None, None, None)


def tau_b(reference: Floats, estimate: Floats) -> Floats:
    """Kendall's tau-b along the last axis: a pair that ties in a ranking leaves that ranking's part of the denominator.

    reference, estimate: (…, systems), n >= 2. NaN where all systems tie in one of them.
    Source: M. Kendall, The treatment of ties in ranking problems, 1945.
    """
    left, right = _signs(reference), _signs(estimate)
    whole = np.sqrt((left != 0).sum(axis=-1) * (right != 0).sum(axis=-1).astype(np.float64))
    agreed = (left * right).sum(axis=-1).astype(np.float64)
    return np.asarray(np.divide(agreed, whole, out=np.full(np.shape(agreed), np.nan), where=whole > 0), np.float64)


def tau_ap(reference: Floats, estimate: Floats) -> Floats:
    """AP correlation along the last axis: like tau, but errors near the top of the estimated ranking weigh more.

    For each system but the first: the share of those above it that the reference has above it too; their mean, scaled to -1..1. Systems
    that tie in the estimate: the mean over all orders of them; a pair that ties in the reference counts half.
    Source: E. Yilmaz, J. Aslam, S. Robertson, A new rank correlation coefficient for information retrieval, 2008; ties as tau_AP,a of
    J. Urbano, M. Marrero, The treatment of ties in AP correlation, 2017.
    """
    true, own = _order(reference), _order(estimate)  # (…, i, j): 1 where i is above j, 0 for a tie
    n = true.shape[-1]
    right = (1.0 + true) / 2.0
    over = own > 0
    tied = (own == 0) & ~np.eye(n, dtype=np.bool_)
    above, beside = over.sum(axis=-2), tied.sum(axis=-2)
    correct = (right * over).sum(axis=-2)
    # A system of a group that ties stands at each of its places equally often; within a group half the pairs are right on average.
    values = np.zeros(np.shape(above))
    for place in range(n):
        inside, rank = place <= beside, above + place
        share = np.divide(correct + place / 2.0, rank, out=np.zeros(np.shape(correct)), where=rank > 0)
        values += np.where(inside, share, 0.0) / (beside + 1)
    found: Floats = 2.0 * values.sum(axis=-1) / (n - 1) - 1.0
    return found


def rank_change(reference: Floats, estimate: Floats) -> tuple[int, float, float]:
    """The system whose rank changes most, the first of several, and its two ranks; systems that tie share the mean of their ranks."""
    before, after = ranks(reference), ranks(estimate)
    system = int(np.argmax(np.abs(before - after)))
    return system, float(before[system]), float(after[system])


def ranks(scores: Floats) -> Floats:
    """Ranks from 1 by the means of systems, the largest first; ties share the mean of their ranks."""
    own = _order(scores)
    return np.asarray((own > 0).sum(axis=-2) + ((own == 0).sum(axis=-2) + 1) / 2.0, np.float64)


@dataclass(frozen=True)
class Pairs:
    """Pairs of systems by whether they differ significantly.

    systems: all pairs; significant: those that differ before; of these kept: in the same direction after, lost: no longer, turned: the
    other way; new: after only.
    """

    systems: int
    significant: int
    kept: int
    lost: int
    turned: int
    new: int

    @property
    def share(self) -> float | None:
        """Kept ones among the significant, None without one."""
        return self.kept / self.significant if self.significant else None


def significant_pairs(before: Floats, after: Floats, alpha: float = ALPHA) -> Pairs:
    """Which pairs of systems a paired t-test over queries tells apart, before and after; no correction for many tests.

    The t-test keeps its error rates on such scores best among the usual paired tests: J. Urbano, H. Lima, A. Hanjalic, Statistical
    significance testing in information retrieval: an empirical analysis of type I, type II and type III errors, 2019.
    """
    first, second = _different(before, alpha), _different(after, alpha)
    was = first != 0
    return Pairs(
        len(first), int(was.sum()), int((was & (first == second)).sum()), int((was & (second == 0)).sum()),
        int((first * second < 0).sum()), int((~was & (second != 0)).sum()),
    )  # fmt: skip


def _different(scores: Floats, alpha: float) -> npt.NDArray[np.int8]:
    """For each pair of systems 1 or -1 where they differ significantly, else 0."""
    from scipy import special

    n = len(scores)
    left, right = np.triu_indices(scores.shape[1], 1)
    gaps = scores[:, left] - scores[:, right]
    if n < 2:
        return np.zeros(len(left), np.int8)
    mean, spread = gaps.mean(axis=0), gaps.std(axis=0, ddof=1)
    # Without spread every query says the same: a difference is certain, and none is none.
    certain = np.where(np.abs(mean) > _EQUAL, np.sign(mean) * np.finfo(float).max, 0.0)
    t = np.divide(mean * np.sqrt(n), spread, out=certain, where=spread > _EQUAL)
    p = 2.0 * special.stdtr(n - 1, -np.abs(t))
    return np.where(p < alpha, np.sign(mean), 0).astype(np.int8)


def resampled(scores: Sequence[Floats], seed: int, samples: int = SAMPLES) -> list[Floats]:
    """The means of systems in bootstrap samples of the queries, the same samples for all scores: (samples, systems) each."""
    n = len(scores[0])
    draw = np.random.Generator(np.random.PCG64(seed))
    found: list[list[Floats]] = [[] for _ in scores]
    for start in range(0, samples, _at_once(n)):
        # How often each query is drawn; drawn in blocks, whose borders do not change what is drawn.
        counts = draw.multinomial(n, np.full(n, 1.0 / n), size=min(_at_once(n), samples - start))
        for kept, one in zip(found, scores, strict=True):
            kept.append((counts @ one) / n)
    return [np.concatenate(one) for one in found]


def _at_once(n_queries: int) -> int:
    return max(1, _BLOCK // max(1, n_queries))


def interval(
    statistic: Callable[..., Floats], scores: Sequence[Floats], seed: int, samples: int = SAMPLES, level: float = 0.95
) -> Interval:
    """A statistic of means with its percentile bootstrap interval; queries are drawn with replacement, the same for all scores.

    statistic: of arrays (…, systems), one for each of `scores`, along the last axis. Samples in which it is not defined are left out.
    Source: B. Efron, R. Tibshirani, An introduction to the bootstrap, 1993.
    """
    return _interval(
        statistic(*(one.mean(axis=0) for one in scores)), statistic(*resampled(scores, seed, samples)), level
    )


def differences(
    before: Floats, after: Floats, seed: int, samples: int = SAMPLES, level: float = 0.95
) -> list[Interval]:
    """For each system, how much larger its mean is after, with the interval over queries, paired."""
    change = after - before
    (drawn,) = resampled([change], seed, samples)
    return [_interval(value, drawn[:, at], level) for at, value in enumerate(change.mean(axis=0))]


def _interval(value: Any, drawn: Floats, level: float) -> Interval:
    known = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not len(known):
        return Interval(None if np.isnan(value) else float(value), None, None)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high))


def _signs(scores: Floats) -> npt.NDArray[np.int8]:
    """For each pair of systems (i < j) 1 where i is the better, -1 where j is, 0 for a tie."""
    left, right = np.triu_indices(scores.shape[-1], 1)
    gaps = scores[..., left] - scores[..., right]
    return np.where(np.abs(gaps) <= _EQUAL, 0, np.sign(gaps)).astype(np.int8)


def _order(scores: Floats) -> npt.NDArray[np.int8]:
    """(…, i, j): 1 where system i is better than j, -1 where it is worse, 0 for a tie."""
    gaps = scores[..., :, None] - scores[..., None, :]
    return np.where(np.abs(gaps) <= _EQUAL, 0, np.sign(gaps)).astype(np.int8)
