"""What a judge's answers to a stratified sample say of all mined negatives, and how many answers a wanted precision takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dsbuild.builders.retrieval.candidates import Floats

# Answers by which the rate of a stratum is drawn to what the guess lets expect.
_DRAWN = 4.0
_STEPS = 50
# Shares of false negatives that a plan is made for: what is drawn from ranks below the first ones, from the first with a margin, from the top.
PLANNED = (0.03, 0.1, 0.3)


@dataclass(frozen=True)
class Answered:
    """The answers of each stratum: negatives in it, how many were judged, how many of these are relevant, and what was guessed.

    guesses: the mean chance of being relevant, between 0 and 1; only their order and spacing count.
    """

    sizes: Sequence[int]
    judged: Sequence[int]
    relevant: Sequence[int]
    guesses: Sequence[float]


def interval(answered: Answered) -> tuple[float, float, float]:
    """The share of relevant ones among all negatives and its 95 % interval, from a simple sample of each stratum.

    The share is that of the sample alone. Its interval is Wilson's with a quantile of Student's t, on the effective size of the sample:
    that of a simple sample with the variance of the stratified one (as E. Korn and B. Graubard do for Clopper and Pearson's, 1998). For
    the variance a stratum's rate is drawn by four answers to a logistic curve over the guesses, fitted to all answers: a stratum without a
    relevant answer is not taken for certain, nor for as bad as the others. Finite strata count as such. Strata without an answer join
    their neighbours.
    """
    sizes, judged, relevant, guesses = _joined(answered)
    if not judged.sum():
        return 0.0, 0.0, 1.0
    share = float((sizes / sizes.sum() * relevant / judged).sum())
    rates = (relevant + _DRAWN * _curve(judged, relevant, guesses)) / (judged + _DRAWN)
    variance = _variance(sizes, judged, rates)
    return _wilson(share, variance, int(judged.sum()), len(judged))


def judgements_for(answered: Answered, half: float = 0.05) -> int:
    """About how many judgements give an interval of `half` on either side, by the width that the answers so far give; 0 where they do already.

    In tens, and never more than there are negatives: a variance falls as 1 / n - 1 / N. What no design can do is told by this: at a rate
    of 0.12 in every stratum 100 judgements give 6.4 points.
    """
    _, low, high = interval(answered)
    n, total = sum(answered.judged), sum(answered.sizes)
    if not n or high - low <= 2 * half:
        return 0
    return _wanted((high - low) / 2, n, total, half)


def planned(sizes: Sequence[int], taken: Sequence[int], guesses: Sequence[float], share: float) -> tuple[float, int]:
    """Before anybody judges: the expected half-width if `share` of the negatives are relevant, and about how many judgements give 5 points.

    The guesses are moved by one term of their log odds so that their mean is `share`; 0 judgements where there are no negatives.
    """
    kept = [row for row in zip(sizes, taken, guesses, strict=True) if row[1]]
    if not kept:
        return 0.0, 0
    size, judged, guess = np.array(kept, np.float64).T
    odds = _odds(guess)
    low, high = -40.0, 40.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if (size * _share(odds + middle)).sum() < share * size.sum() else (low, middle)
    variance = _variance(size, judged, _share(odds + low))
    _, below, above = _wilson(share, variance, int(judged.sum()), len(judged))
    half = (above - below) / 2
    return half, _wanted(half, int(judged.sum()), int(size.sum()), 0.05) if half else int(judged.sum())


def _wanted(width: float, n: int, total: int, half: float) -> int:
    wanted = 1 / ((half / width) ** 2 * (1 / n - 1 / total) + 1 / total)
    return int(min(total, np.ceil(wanted / 10) * 10))


def _variance(sizes: Floats, judged: Floats, rates: Floats) -> float:
    weights = sizes / sizes.sum()
    return float((weights**2 * (1 - judged / sizes) * rates * (1 - rates) / np.maximum(1, judged - 1)).sum())


def _wilson(share: float, variance: float, n: int, strata: int) -> tuple[float, float, float]:
    from scipy.special import stdtrit

    if variance <= 0:
        return share, share, share
    size = max(1.0, share * (1 - share) / variance) if 0 < share < 1 else float(n)
    wide = float(stdtrit(max(1.0, n - strata), 0.975))
    square = wide**2 / size
    centre = (share + square / 2) / (1 + square)
    half = wide / (1 + square) * np.sqrt(share * (1 - share) / size + square / (4 * size))
    return share, max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _curve(judged: Floats, relevant: Floats, guesses: Floats) -> Floats:
    """Rates of a logistic curve over the guesses' log odds: its height from the answers, its slope a priori 1 with a standard deviation of 1."""
    place = _odds(guesses)
    place -= (place * judged).sum() / judged.sum()
    matrix = np.stack([np.ones(len(place)), place])
    at, prior, weight = np.array([_odds((relevant.sum() + 0.5) / (judged.sum() + 1)), 1.0]), 1.0, np.array([1e-4, 1.0])
    expected = np.array([0.0, prior])
    for _ in range(_STEPS):
        rates = _share(at @ matrix)
        slope = matrix @ (relevant - judged * rates) - weight * (at - expected)
        curve = (matrix * (judged * rates * (1 - rates))) @ matrix.T + np.diag(weight)
        step = np.linalg.solve(curve, slope)
        # Far from the top Newton's step goes too far.
        step *= min(1.0, 2 / max(1e-12, float(np.abs(step).max())))
        at = at + step
        if np.abs(step).max() < 1e-9:
            break
    return _share(at @ matrix)


def _odds(rates: Floats | float) -> Floats:
    return np.asarray(np.log(rates / (1 - np.asarray(rates))), np.float64)


def _share(odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))), np.float64)


def _joined(answered: Answered) -> tuple[Floats, Floats, Floats, Floats]:
    rows: list[list[float]] = []
    for size, *row, guess in zip(answered.sizes, answered.judged, answered.relevant, answered.guesses, strict=True):
        if rows and (not row[0] or not rows[-1][1]):
            before = rows[-1]
            mean = (before[0] * before[3] + size * guess) / (before[0] + size)
            rows[-1] = [before[0] + size, before[1] + row[0], before[2] + row[1], mean]
        elif size:
            rows.append([size, *row, guess])
    sizes, judged, relevant, guesses = np.array(rows, np.float64).reshape(-1, 4).T
    return sizes, judged, relevant, guesses
