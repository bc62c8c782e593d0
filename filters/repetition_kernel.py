"""Repeated lines and n-grams of one text, compiled: hashes in, shares of repetition out.

A text comes as prefix hashes of its words, so the hash of any run of words is one subtraction. An n-gram is as many words as
weigh `n * WEIGHT`: a word between spaces weighs WEIGHT, a unit of a script without spaces its letters, so that an n-gram is
about as much text in every script. Tables are open-addressed, sized to the text and emptied for each use.
Sources: Rae et al. 2021, table A1 (the measures); Karp and Rabin 1987 (prefix hashes, here modulo 2 ** 64).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dsbuild.filters.utf8 import compiled

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

# What one word weighs: the letters of a word of average length (English news: 4.8).
WEIGHT = 5

# Any odd numbers with well spread bits serve; these are the 64-bit golden ratio and two constants of splitmix64.
BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)
_ONE = np.uint64(1)


def _powers() -> Hashes:
    table = np.ones(4096, np.uint64)
    for place in range(1, len(table)):
        table[place] = np.uint64(int(table[place - 1]) * int(BASE) & 0xFFFF_FFFF_FFFF_FFFF)
    return table


_POWERS = _powers()


@compiled
def mix(value: Any) -> Any:
    """Spread a 64-bit value over all bits (the finaliser of splitmix64)."""
    value = (value ^ (value >> _S30)) * _MIX_1
    value = (value ^ (value >> _S27)) * _MIX_2
    return value ^ (value >> _S31)


@compiled
def power(exponent: int) -> Any:
    """BASE ** exponent modulo 2 ** 64."""
    if exponent < 4096:
        return _POWERS[exponent]
    result = _ONE
    factor = BASE
    while exponent > 0:
        if exponent & 1:
            result *= factor
        factor *= factor
        exponent >>= 1
    return result


@compiled
def _slot(keys: Hashes, mask: int, key: Any) -> Any:
    """Where `key` stands in an open-addressed table, or the empty place (0) where it belongs."""
    place = np.int64(key >> np.uint64(16)) & mask
    while keys[place] != 0 and keys[place] != key:
        place = (place + 1) & mask
    return place


@compiled
def table_mask(n: int) -> int:
    """The highest index of a table that stays at most half full with n entries."""
    size = 16
    while size < 2 * n:
        size *= 2
    return size - 1


@compiled
def duplicates(hashes: Hashes, lengths: Ints, blank: Any, n: int, keys: Hashes) -> tuple[int, int, int]:
    """How many of n elements stood before, their length together, and the length of those among them that are not blank."""
    mask = table_mask(n)
    keys[: mask + 1] = 0
    count, total, filled = 0, 0, 0
    for index in range(n):
        key = mix(hashes[index] + np.uint64(lengths[index])) | _ONE
        place = _slot(keys, mask, key)
        if keys[place] == key:
            count += 1
            total += lengths[index]
            if not blank[index]:
                filled += lengths[index]
        else:
            keys[place] = key
    return count, total, filled


@compiled
def top_ngram(
    seq: Hashes,
    weights: Ints,
    lengths: Ints,
    n_words: int,
    n: int,
    peer: bool,
    keys: Hashes,
    counts: Ints,
    slots: Ints,
    flags: Any,
) -> Any:
    """The characters of the most frequent n-gram, all its occurrences together.

    peer: as datatrove counts (the most frequent, the first of several; with the spaces between its words; one occurrence
    counts). Otherwise the largest product among those that occur more than once. `flags[j]` says on entry, for n > 2, whether
    the (n - 1)-gram at j occurs more than once, on return whether the n-gram does.
    """
    mask = table_mask(n_words)
    keys[: mask + 1] = 0
    best, first, end, last, largest = 0, n_words, 0, 0, 0
    for j in range(n_words):
        if end < j:
            end = j
        while end < n_words and weights[end] - weights[j] < n * WEIGHT:
            end += 1
        if weights[end] - weights[j] < n * WEIGHT:
            break
        last = j + 1
        if n > 2 and not flags[j]:
            slots[j] = -1
            continue
        key = mix(seq[end] - seq[j] * power(end - j)) | _ONE
        place = _slot(keys, mask, key)
        if keys[place] != key:
            keys[place] = key
            counts[2 * place] = 0
            counts[2 * place + 1] = j
        counts[2 * place] += 1
        slots[j] = place
        seen, start = counts[2 * place], counts[2 * place + 1]
        if seen > best or (seen == best and start < first):
            best, first = seen, start
        if seen > 1:
            largest = max(largest, seen * (lengths[end] - lengths[j]))
    for j in range(n_words):
        flags[j] = j < last and slots[j] >= 0 and counts[2 * slots[j]] > 1
    if not peer:
        return largest
    if last == 0:
        return 0
    if best < 2:  # none recurs, so the first one is the most frequent
        best, first = 1, 0
    return (lengths[first + n] - lengths[first] + n - 1) * best


@compiled
def repeated_ngrams(
    hashes: Hashes,
    places: Ints,
    weights: Ints,
    lengths: Ints,
    n_words: int,
    n: int,
    peer: bool,
    keys: Hashes,
    flags: Any,
) -> Any:
    """The characters in n-grams that stood before, left to right without overlap.

    `places` are the prefix lengths that `hashes` were made with. Unless peer, only words with `flags` are looked at.
    """
    mask = table_mask(n_words)
    keys[: mask + 1] = 0
    total, j, end = 0, 0, 0
    while j < n_words:
        if end < j:
            end = j
        while end < n_words and weights[end] - weights[j] < n * WEIGHT:
            end += 1
        if weights[end] - weights[j] < n * WEIGHT:
            break
        if not peer and not flags[j]:
            j += 1
            continue
        key = mix(hashes[end] - hashes[j] * power(places[end] - places[j])) | _ONE
        place = _slot(keys, mask, key)
        if keys[place] == key:
            total += lengths[end] - lengths[j]
            j = end
        else:
            keys[place] = key
            j += 1
    return total
