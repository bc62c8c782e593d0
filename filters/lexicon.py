"""Words of the source that should leave a trace in the target: a small table of associated words, for some pairs.

`lexicon.tsv` (made by `bench/fit_lexicon.py`, terms in `lexicon.LICENSE.md`) holds, for stems of English words, the beginnings of
the words that go with them in a language, how often one of them stands in a translation, and how often in any text.
A missing word proves nothing; a sentence in which hardly any expected word appears is a translation of something else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import regex

Floats = npt.NDArray[np.float64]

STEM = 4
# The pairs that the table was learned on are easier than most text.
_MOST = 0.7
_WORD = regex.compile(r"[\p{L}\p{M}\u200c\u200d]++")
_ENGLISH = regex.compile(r"[a-z]++")
_ENDINGS = ("ing", "ed", "es", "s")

# Stem -> (how often a translation has one of the heads, how often a word of any text is one of them, the heads).
Entries = dict[str, tuple[float, float, frozenset[str]]]


def english_stems(text: str) -> set[str]:
    """The stems of a text's English words of three letters or more.

    >>> sorted(english_stems("He asked for the houses"))
    ['ask', 'for', 'hous', 'the']
    """
    return {_stem(word) for word in _ENGLISH.findall(text.lower()) if len(word) > 2}


def heads(text: str) -> list[str]:
    """The first code points of each word of a text, `STEM` of them."""
    return [word[:STEM] for word in _WORD.findall(text)]


def word_odds(sources: Sequence[str], targets: Sequence[str], tgt: str) -> Floats:
    """Log-odds from words alone that each target is unrelated to its English source; NaN where the table says nothing."""
    result = np.full(len(sources), np.nan)
    table = entries().get(tgt)
    if not table:
        return result
    for index, (source, target) in enumerate(zip(sources, targets, strict=True)):
        # Sorted, because the last bits of a sum depend on its order, and that of a set changes from process to process.
        known = [entry for stem in sorted(english_stems(source)) if (entry := table.get(stem))]
        if not known:
            continue
        present = heads(target)
        unique = set(present)
        total = 0.0
        for share, rate, expected in known:
            true = min(share, _MOST)
            chance = min(0.9, 1 - math.exp(-rate * len(present)))
            if chance < true:
                total += (
                    math.log(chance / true) if not unique.isdisjoint(expected) else math.log((1 - chance) / (1 - true))
                )
        result[index] = total
    return result


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) >= len(ending) + 3:
            return word[: -len(ending)]
    return word[:-1] if word.endswith("e") and len(word) > 4 else word


@lru_cache(maxsize=1)
def entries() -> dict[str, Entries]:
    """The table: language -> stem -> entry."""
    found: dict[str, Entries] = {}
    for line in Path(__file__).with_name("lexicon.tsv").read_text("utf-8").splitlines()[1:]:
        lang, stem, true, rate, listed = line.split("\t")
        found.setdefault(lang, {})[stem] = (float(true), float(rate), frozenset(listed.split()))
    return found
