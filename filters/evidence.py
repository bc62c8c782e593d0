"""Is this a translation of that text at all? Several weak signs, added up as log-odds.

Each sign is a likelihood ratio between "unrelated text of the same kind" and "translation": how far the length lies from
the prior, how many names and numbers come back, whether both ask. Positive means unrelated. The densities are broad
on purpose, and signs that go together (several names of one sentence) are tempered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

# Lengths: Student's t with these degrees of freedom for translations, a normal of this spread for unrelated texts.
_FREEDOM = 8
_STUDENT = math.lgamma((_FREEDOM + 1) / 2) - math.lgamma(_FREEDOM / 2) - 0.5 * math.log(_FREEDOM * math.pi)
_UNRELATED_SPREAD = 3.5
_LENGTH_LIMIT = 7.0
_NAMES_TEMPER = 0.5
# How likely numbers mismatch (by more than half) in a translation, and agree in an unrelated text.
_NUMBERS_WRONG, _NUMBERS_BY_CHANCE = 0.04, 0.03
# The words of a sentence go together, and the lexicon knows few senses: its odds count half, within limits.
_WORDS_TEMPER, _WORDS_LIMIT = 0.5, 5.0
_QUESTION_WRONG, _QUESTION_BY_CHANCE = 0.04, 0.25
# For quotation marks and brackets: how often a translation loses them, gains them, and any text has them.
_QUOTES = (0.2, 0.06, 0.2)
_BRACKETS = (0.25, 0.025, 0.08)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The signs of a column of pairs; NaN where a sign is silent.

    length_z: standard deviations from the prior; number_share: numbers without partner, in [0, 1]; names_found: share of
    names
    found, n_names: how many there are; question: 1 one side asks, -1 both, 0 neither; words: log-odds from the lexicon;
    quotes and brackets: pairs (source has some, target has some).
    """

    length_z: Floats
    number_share: Floats
    names_found: Floats
    n_names: Floats
    question: Floats
    words: Floats
    quotes: tuple[Bools, Bools]
    brackets: tuple[Bools, Bools]


def unrelated(evidence: Evidence, name_rates: tuple[float, float]) -> Floats:
    """The log-odds of each pair being unrelated, with even odds before looking."""
    total = _length(evidence.length_z)
    wrong, chance = _NUMBERS_WRONG, _NUMBERS_BY_CHANCE
    share = np.nan_to_num(evidence.number_share, nan=0.5)
    total += np.where(
        np.isnan(evidence.number_share),
        0.0,
        share * np.log((1 - chance) / wrong) + (1 - share) * np.log(chance / (1 - wrong)),
    )
    count = np.minimum(evidence.n_names, 6.0)
    hits = np.nan_to_num(evidence.names_found) * count
    total += _NAMES_TEMPER * _found(hits, count - hits, *name_rates)
    total += np.clip(_WORDS_TEMPER * np.nan_to_num(evidence.words), -_WORDS_LIMIT, _WORDS_LIMIT)
    total += _marks(*evidence.quotes, *_QUOTES) + _marks(*evidence.brackets, *_BRACKETS)
    asked = np.nan_to_num(evidence.question)
    total += np.where(asked > 0, np.log(_QUESTION_BY_CHANCE / _QUESTION_WRONG), np.where(asked < 0, np.log(0.1), 0.0))
    return total


def _found(hits: Floats, misses: Floats, true: float, chance: float) -> Floats:
    """Log-odds of being unrelated from how many items were found and missed; nothing where the rates do not differ."""
    if true <= chance:
        return np.zeros(len(hits))
    chance, true = max(chance, 0.002), min(true, 0.95)
    result: Floats = hits * math.log(chance / true) + misses * math.log((1 - chance) / (1 - true))
    return result


def _marks(source: Bools, target: Bools, lost: float, gained: float, usual: float) -> Floats:
    """Log-odds of being unrelated from the presence of a kind of sign on each side."""
    absent = np.where(source, math.log((1 - usual) / lost), math.log((1 - usual) / (1 - gained)))
    present = np.where(source, math.log(usual / (1 - lost)), math.log(usual / gained))
    result: Floats = np.where(target, present, absent)
    return result


def _length(z: Floats) -> Floats:
    # Very far out both densities are guesses: the evidence is held at what it is at the limit.
    z = np.clip(z, -_LENGTH_LIMIT, _LENGTH_LIMIT)
    related = _STUDENT - (_FREEDOM + 1) / 2 * np.log1p(z**2 / _FREEDOM)
    other = -0.5 * (z / _UNRELATED_SPREAD) ** 2 - math.log(_UNRELATED_SPREAD * math.sqrt(2 * math.pi))
    result: Floats = other - related
    return result
