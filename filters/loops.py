"""Repetition loops: the same words or characters again and again, one copy right after the other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from dsbuild.filters.letters import SPACE, Ints, Letters

Floats = npt.NDArray[np.float64]

# Longest period looked for: in words, and in characters (of scripts without spaces).
MAX_WORDS = 16
MAX_CHARACTERS = 8
MAX_UNSPACED = 40

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def repeated_share(column: Letters, *, unspaced: bool = False) -> Floats:
    """The share of each text that only repeats what stands right before it, in [0, 1].

    A repetition is a stretch of words that equals the stretch `period` words before it: at least one full copy for
    periods from three words, three copies for two, four for one (words are doubled and tripled for stress). Characters
    are looked at in the same way, so that "hahahaha" and "......" count. `unspaced`: the script has no spaces between
    words, longer periods of characters are tried. Linear in the length of the texts for fixed longest periods.
    """
    words, text_of = _words(column)
    share = _share(words, text_of, len(column), MAX_WORDS, _least_words)
    owner = np.repeat(np.arange(len(column)), np.diff(column.bounds))
    ink = (column.classes & SPACE) == 0
    characters = _share(column.codes[ink].astype(np.uint64), owner[ink], len(column),
                        MAX_UNSPACED if unspaced else MAX_CHARACTERS, _least_characters)  # fmt: skip
    return np.maximum(share, characters)


def _least_words(period: int) -> int:
    return {1: 3, 2: 4}.get(period, period)


def _least_characters(period: int) -> int:
    return max(6, 2 * period) if period < 5 else max(8, period)


def _words(column: Letters) -> tuple[npt.NDArray[np.uint64], Ints]:
    """A hash of every run of characters without space, and the text that it stands in."""
    ink = (column.classes & SPACE) == 0
    first = ink.copy()
    first[1:] &= ~ink[:-1]
    starts_of_texts = column.bounds[:-1][np.diff(column.bounds) > 0]
    first[starts_of_texts] = ink[starts_of_texts]
    starts = np.flatnonzero(first)
    if not starts.size:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    number = np.cumsum(first) - 1
    place = np.arange(len(column.codes)) - starts[np.maximum(number, 0)]
    with np.errstate(over="ignore"):
        mixed = (column.codes.astype(np.uint64) + np.uint64(1)) * _powers()[place % len(_powers())]
    mixed[~ink] = 0
    hashes = np.add.reduceat(mixed, starts)
    return hashes, np.searchsorted(column.bounds, starts, side="right") - 1


def _powers() -> npt.NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        return np.multiply.accumulate(np.full(1024, _MULTIPLIER, np.uint64))


def _share(
    items: npt.NDArray[np.uint64], text_of: Ints, n_texts: int, longest: int, least: Callable[[int], int]
) -> Floats:
    """For each text the largest share, over periods, of items in repeated stretches."""
    total = np.bincount(text_of, minlength=n_texts)
    best = np.zeros(n_texts)
    for period in range(1, min(longest, len(items) - 1) + 1):
        same = np.flatnonzero((items[period:] == items[:-period]) & (text_of[period:] == text_of[:-period]))
        if not same.size:
            continue
        breaks = np.flatnonzero(np.diff(same) != 1) + 1
        starts = np.concatenate(([0], breaks))
        lengths = np.diff(np.concatenate((starts, [same.size])))
        long = lengths >= least(period)
        covered = np.bincount(text_of[same[starts[long]]], weights=lengths[long], minlength=n_texts)
        best = np.maximum(best, covered / np.maximum(total, 1))
    return best
