"""Is a sentence missing, or one too many? Sentences of both sides are aligned by their lengths.

The best alignment without a gap is held against the best one in which exactly one sentence has no partner: the difference of their
log-likelihoods says how much better the gap explains the lengths. Sentences may be merged and split, up to three to one, or the
whole taken at once; lengths have the prior of the pair. Source: W. Gale and K. Church 1993, with the priors of `dsbuild.filters.priors`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from dsbuild.filters.priors import DOMAIN, PairPrior
from dsbuild.filters.utf8 import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Sentences of the source times those of the target, beyond which the check abstains.
MOST_CELLS = 40_000

# How often n sentences become m (Gale and Church's shares, rounded; three to one and the whole are guesses on the low side).
_ONE, _MERGED, _BOTH, _THREE, _WHOLE = (math.log(share) for share in (0.89, 0.045, 0.01, 0.004, 0.002))
# Student's t: log ratios have heavier tails than a normal.
_FREEDOM = 8.0
_STUDENT = math.lgamma((_FREEDOM + 1) / 2) - math.lgamma(_FREEDOM / 2) - 0.5 * math.log(_FREEDOM * math.pi)
# Density of a sentence's log length in any text, at its usual length: what an unaligned sentence costs.
_BACKGROUND = -0.5 * math.log(2 * math.pi * 0.6**2)
_NEVER = -1e30


def gaps(source: Ints, bounds: Ints, target: Ints, other_bounds: Ints, prior: PairPrior) -> tuple[Floats, Floats]:
    """Log-odds that a sentence of the source is missing in the target, and that one of the target has no source.

    source, target: the sizes of all sentences, end to end; those of pair i are `source[bounds[i]:bounds[i + 1]]`. NaN with one
    sentence on the side in question, and beyond `MOST_CELLS`.
    """
    facts = np.array([*prior.mean, *prior.variance], np.float64)
    missing, added = _gaps(source, bounds, target, other_bounds, facts)
    return missing, added


@compiled
def _fit(n: float, m: float, facts: Floats) -> float:
    """The log-likelihood of a target of this length for such a source, over that of its length in any text."""
    spread = math.sqrt(facts[2] + facts[3] / (n + 1) + DOMAIN)
    z = (math.log((m + 1) / (n + 1)) - facts[0] - facts[1] / (n + 1)) / spread
    return _STUDENT - (_FREEDOM + 1) / 2 * math.log(1 + z * z / _FREEDOM) - math.log(spread) - _BACKGROUND


@compiled
def _gaps(source: Ints, bounds: Ints, target: Ints, other_bounds: Ints, facts: Floats) -> Any:
    rows = len(bounds) - 1
    missing, added = np.full(rows, np.nan), np.full(rows, np.nan)
    for row in range(rows):
        ours, theirs = source[bounds[row] : bounds[row + 1]], target[other_bounds[row] : other_bounds[row + 1]]
        n, m = len(ours), len(theirs)
        if min(n, m) == 0 or max(n, m) == 1 or n * m > MOST_CELLS:
            continue
        # best[k]: without a gap, with one in the target, with one in the source.
        best = np.full((3, n + 1, m + 1), _NEVER)
        best[0, 0, 0] = 0.0
        for i in range(n + 1):
            for j in range(m + 1):
                for k in range(3):
                    value = best[k, i, j]
                    one = 0.0
                    for a in range(1, min(3, i) + 1):
                        one += ours[i - a]
                        two = 0.0
                        for b in range(1, min(3, j) + 1):
                            two += theirs[j - b]
                            if a + b > 4 or best[k, i - a, j - b] <= _NEVER:
                                continue
                            share = _ONE if a + b == 2 else (_MERGED if a + b == 3 else (_BOTH if a == b else _THREE))
                            value = max(value, best[k, i - a, j - b] + share + _fit(one, two, facts))
                    if k == 1 and i > 0:
                        value = max(value, best[0, i - 1, j])
                    if k == 2 and j > 0:
                        value = max(value, best[0, i, j - 1])
                    best[k, i, j] = value
        plain = max(best[0, n, m], _WHOLE + _fit(ours.sum(), theirs.sum(), facts))
        if n > 1:
            missing[row] = best[1, n, m] - plain
        if m > 1:
            added[row] = best[2, n, m] - plain
    return missing, added
