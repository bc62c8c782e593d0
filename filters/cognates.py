"""Words that look alike in both languages: `information` and `información`, `commission` and `Kommission`, `computer` and `kompyuta`.

For languages in Latin script without a lexicon. A long lower-case English word has a look-alike in the translation if a word of it
begins with the same four letters, once accents, doubled letters and spellings of one sound are made equal. How often that is so
in translations, and for any word of any text, is counted by `bench/fit_priors.py`.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import regex

Floats = npt.NDArray[np.float64]

HEAD = 4
_LONG = regex.compile(r"(?<![\p{L}\p{M}\p{N}_@./-])\p{Ll}{5,}+(?![\p{L}\p{N}_@/])")
_WORD = regex.compile(r"\p{L}{4}[\p{L}\p{M}]*+")
_DOUBLED = regex.compile(r"(.)\1+")
_SOUNDS = (
    ("ph", "f"),
    ("th", "t"),
    ("ck", "k"),
    ("qu", "k"),
    ("c", "k"),
    ("y", "i"),
    ("j", "i"),
    ("w", "v"),
    ("z", "s"),
)
# A text has that many chances at most, so that long texts are not judged by words alone.
_MOST = 40


def cognates(text: str) -> list[str]:
    """The beginnings of the long lower-case words of an English text, each once.

    >>> cognates("The Information commission of 1984 published it")
    ['komi', 'publ']
    """
    return list(dict.fromkeys(_folded(word) for word in _LONG.findall(text)))


def beginnings(text: str) -> list[str]:
    """The beginnings of the words of four letters and more of a text in Latin script."""
    return [_folded(word) for word in _WORD.findall(text.lower())]


def cognate_odds(sources: Sequence[str], targets: Sequence[str], rates: tuple[float, float]) -> Floats:
    """Log-odds from look-alikes that each target is unrelated to its English source; NaN without long words.

    rates: how often a word has a look-alike in a translation, and how often one word of any text is a look-alike of another.
    """
    result = np.full(len(sources), np.nan)
    for index, (source, target) in enumerate(zip(sources, targets, strict=True)):
        wanted = cognates(source)[:_MOST]
        if wanted:
            found = beginnings(target)
            result[index] = odds(wanted, found, rates)
    return result


def odds(wanted: Sequence[str], found: Iterable[str], rates: tuple[float, float]) -> float:
    """The same for the beginnings of one pair."""
    words = list(found)
    true = min(rates[0], 0.9)
    chance = max(0.002, 1 - math.exp(-rates[1] * len(words)))
    if chance >= true:
        return 0.0
    present = set(words)
    hits = sum(word in present for word in wanted)
    return hits * math.log(chance / true) + (len(wanted) - hits) * math.log((1 - chance) / (1 - true))


@lru_cache(maxsize=65536)
def _folded(word: str) -> str:
    plain = "".join(letter for letter in unicodedata.normalize("NFD", word) if not unicodedata.combining(letter))
    for spelling, sound in _SOUNDS:
        plain = plain.replace(spelling, sound)
    return str(_DOUBLED.sub(r"\1", plain))[:HEAD]
