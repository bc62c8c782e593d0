"""Shingles: a text as the set of its n-grams of words or graphemes, each a 64-bit hash.

Two texts' Jaccard index is |A ∩ B| / |A ∪ B| of these sets. The text is folded first (`dsbuild.filters.folding`). Units:

- graphemes: a base with its marks, a separator between words being one of them;
- words: runs of letters, marks and digits; a letter of a script that is written without spaces, and a symbol, is a word of its own;
- whitespace: the same without that rule, as tools that split at spaces have it.

A text of fewer than n units is one shingle, the whole of it; one without any unit is one shingle, its bytes. So every text
has a shingle, and texts that are too short for n-grams are near duplicates of their equals only.
Source: A. Broder, On the resemblance and containment of documents, 1997.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from dsbuild.filters.folding import ALONE, BASE, CLASS_SHIFT, CODE_MASK, MARK, SEPARATOR, Codes, fold, fold_table, room
from dsbuild.filters.utf8 import Bytes, Offsets, compiled

Unit = Literal["graphemes", "words", "whitespace"]
Hashes = npt.NDArray[np.uint64]

UNITS: dict[Unit, int] = {"graphemes": 0, "words": 1, "whitespace": 2}
# Graphemes: the length that judges the same edit most alike in English, Hindi, Marathi and Tamil: of 304 parallel passages of three
# sentences (NTREX) one changed word leaves all at J >= 0.8 (with 8 graphemes 99 to 100 %, with 5 words 53 to 94 %).
# Words: what datatrove, FineWeb and text-dedup use.
DEFAULT_N: dict[Unit, int] = {"graphemes": 5, "words": 5, "whitespace": 5}

# Odd constants: the 64-bit golden ratio and the multipliers of SplitMix64's finaliser (G. Steele et al. 2014, D. Stafford's mix 13).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_FACTOR = np.uint64(0xD6E8FEB86659FD93)
_PLACES = np.random.Generator(np.random.PCG64(0x91ACE)).integers(0, 1 << 64, 64, np.uint64) | np.uint64(1)


@dataclass(frozen=True, slots=True)
class Shingling:
    """How texts become shingles. n: units a shingle, 0 for the unit's default."""

    unit: Unit = "graphemes"
    n: int = 0

    @property
    def size(self) -> int:
        """Units a shingle."""
        return self.n or DEFAULT_N[self.unit]

    def sets(self, data: Bytes, offsets: Offsets) -> tuple[Hashes, Offsets]:
        """The distinct shingles of each text, sorted, end to end; set i is `hashes[bounds[i]:bounds[i + 1]]`."""
        table = fold_table("folded")
        hashes, bounds = _shingles(data, offsets, table.one, table.many, UNITS[self.unit], self.size)
        # numpy sorts with vector instructions, compiled Python code does not.
        for start, end in pairwise(bounds.tolist()):
            hashes[start:end].sort()
        return hashes[: _pack(hashes, bounds)], bounds


@compiled
def mix(value: np.uint64) -> np.uint64:
    """Spread 64 bits so that each depends on all (SplitMix64's finaliser)."""
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return value ^ (value >> np.uint64(31))


@compiled
def shingle(
    data: Bytes, start: int, end: int, one: Codes, many: Codes, unit: int, n: int, codes: Codes, units: Hashes
) -> int:
    """Write the shingles of the text `data[start:end]`, in order and with repeats, over `units`; returns how many, at least 1.

    unit: its number in `UNITS`; `codes` and `units` are room to work in, `room(end - start) + 1` entries each.
    """
    size = fold(data, start, end, one, many, codes)
    count = graphemes(codes, size, units) if unit == 0 else words(codes, size, unit == 1, units)
    if count == 0:
        value = np.uint64(end - start)
        for index in range(start, end):
            value = (value ^ np.uint64(data[index])) * _GOLDEN
            value ^= value >> np.uint64(32)
        units[0] = mix(value)
        return 1
    if count <= n:
        value = np.uint64(count)
        for index in range(count):
            value = value * _FACTOR + units[index]
        units[0] = mix(value)
        return 1
    # A polynomial that rolls: add the unit that comes, take away the one that goes.
    power = np.uint64(1)
    value = np.uint64(n)
    for index in range(n):
        power *= _FACTOR
        value = value * _FACTOR + units[index]
    offset = power * np.uint64(n) * (_FACTOR - np.uint64(1))
    for index in range(n, count):
        going = units[index - n]
        units[index - n] = mix(value)
        value = value * _FACTOR + units[index] - going * power - offset
    units[count - n] = mix(value)
    return count - n + 1


@compiled
def graphemes(codes: Codes, size: int, out: Hashes) -> int:
    """Write the hash of each grapheme of folded codes; a separator is one."""
    count = 0
    for index in range(size):
        entry = codes[index]
        if entry >> CLASS_SHIFT == MARK and count:
            # Mixed: the polynomial over units is linear, and would take "ab" + mark for "ba" + mark.
            out[count - 1] = mix(out[count - 1] + np.uint64(entry & CODE_MASK))
        else:
            out[count] = np.uint64(entry & CODE_MASK) * _GOLDEN
            count += 1
    return count


@compiled
def words(codes: Codes, size: int, alone: bool, out: Hashes) -> int:
    """Write the hash of each word of folded codes; alone: whether letters of unspaced scripts and symbols are words themselves."""
    count = np.uint64(0)
    single = False
    # A multilinear hash: each letter times the number of its place, so that no product waits for the one before. The shingle is
    # mixed, so the word need not be. Written without branches: where words end cannot be foreseen.
    value = place = np.uint64(0)
    for index in range(size):
        entry = codes[index]
        kind = entry >> CLASS_SHIFT
        if alone:
            if place and (kind == ALONE or (single and kind == BASE)):
                out[count] = value
                count += np.uint64(1)
                value = place = np.uint64(0)
            single = kind == ALONE if place == 0 else single
        out[count] = value
        separator = np.uint64(kind == SEPARATOR)
        count += separator
        inside = separator - np.uint64(1)
        value = (value + np.uint64(entry) * _PLACES[place]) & inside
        place = (place + np.uint64(1)) & inside
        if place == np.uint64(len(_PLACES)):
            value = mix(value)
            place = np.uint64(1)
    if place:
        out[count] = value
        count += np.uint64(1)
    return int(np.int64(count))


@compiled
def _shingles(data: Bytes, offsets: Offsets, one: Codes, many: Codes, unit: int, n: int) -> tuple[Hashes, Offsets]:
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    codes = np.empty(room(longest) + 1, np.uint32)
    units = np.empty(room(longest) + 1, np.uint64)
    bounds = np.zeros(len(offsets), np.int64)
    out = np.empty(1024, np.uint64)
    for text in range(len(offsets) - 1):
        count = shingle(data, offsets[text], offsets[text + 1], one, many, unit, n, codes, units)
        place = bounds[text]
        if place + count > len(out):
            larger = np.empty(2 * (place + count), np.uint64)
            larger[:place] = out[:place]
            out = larger
        out[place : place + count] = units[:count]
        bounds[text + 1] = place + count
    return out[: bounds[-1]], bounds


@compiled
def _pack(hashes: Hashes, bounds: Offsets) -> int:
    """Take the repeats out of sorted sets, in place; returns how many hashes are left."""
    size = start = 0
    for text in range(len(bounds) - 1):
        end = bounds[text + 1]
        for index in range(start, end):
            if index == start or hashes[index] != hashes[index - 1]:
                hashes[size] = hashes[index]
                size += 1
        start = end
        bounds[text + 1] = size
    return size
