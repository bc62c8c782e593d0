"""Is this a translation of that text at all? Several weak signs, added up as log-odds.

Each sign is a likelihood ratio between "unrelated text of the same kind" and "translation": how far the length lies from
the prior, how many names and numbers come back, whether both ask. Positive means unrelated. The densities are broad
on purpose, and signs that go together (several names of one sentence) are tempered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Lengths: Student's t with 4 degrees of freedom for translations, a normal of this spread for unrelated texts.
_UNRELATED_SPREAD = 3.5
_LENGTH_LIMIT = 7.0
_NAMES_TEMPER = 0.75
# How likely numbers mismatch (by more than half) in a translation, and agree in an unrelated text.
_NUMBERS_WRONG, _NUMBERS_BY_CHANCE = 0.04, 0.03
_QUESTION_WRONG, _QUESTION_BY_CHANCE = 0.04, 0.25


@dataclass(frozen=True, slots=True)
class Evidence:
    """The signs of a column of pairs; NaN where a sign is silent.

    length_z: standard deviations from the prior; number_share: numbers without partner, in [0, 1]; names_found: share of
    names found, n_names: how many there are; question: 1 one side asks, -1 both, 0 neither.
    """

    length_z: Floats
    number_share: Floats
    names_found: Floats
    n_names: Floats
    question: Floats


def unrelated(evidence: Evidence, name_rates: tuple[float, float]) -> Floats:
    """The log-odds of each pair being unrelated, with even odds before looking."""
    total = _length(evidence.length_z)
    wrong, chance = _NUMBERS_WRONG, _NUMBERS_BY_CHANCE
    share = np.nan_to_num(evidence.number_share, nan=0.5)
    total += np.where(np.isnan(evidence.number_share), 0.0, share * np.log((1 - chance) / wrong) + (1 - share) * np.log(chance / (1 - wrong)))
    found, count = np.nan_to_num(evidence.names_found), np.minimum(evidence.n_names, 6.0)
    true, random = name_rates
    if true > random:
        hits, misses = found * count, (1 - found) * count
        total += _NAMES_TEMPER * (hits * np.log(random / true) + misses * np.log((1 - random) / (1 - true)))
    asked = np.nan_to_num(evidence.question)
    total += np.where(asked > 0, np.log(_QUESTION_BY_CHANCE / _QUESTION_WRONG), np.where(asked < 0, np.log(0.1), 0.0))
    return total


def _length(z: Floats) -> Floats:
    related = np.log(3 / 8) - 2.5 * np.log1p(z**2 / 4)
    other = -0.5 * (z / _UNRELATED_SPREAD) ** 2 - np.log(_UNRELATED_SPREAD * np.sqrt(2 * np.pi))
    # Very far out both densities are guesses: the evidence is held at what it is at the limit.
    at = np.abs(z) > _LENGTH_LIMIT
    edge = np.log(3 / 8) - 2.5 * np.log1p(_LENGTH_LIMIT**2 / 4)
    edge_other = -0.5 * (_LENGTH_LIMIT / _UNRELATED_SPREAD) ** 2 - np.log(_UNRELATED_SPREAD * np.sqrt(2 * np.pi))
    result: Floats = np.where(at, edge_other - edge, other - related)
    return result
