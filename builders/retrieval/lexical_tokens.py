"""Texts as the numbered terms that lexical retrievers match: words where a script has spaces, n-grams of characters where it has none.

A text is folded (`dsbuild.filters.folding`: case, full-width forms, digits of every script, canonical equivalents, zero-width characters and
tatweel), and for search some more: Arabic and Hebrew points go, and Arabic letters that are written in several ways are one (alef with
and without hamza, alef maksura and yeh, teh marbuta and heh, Persian yeh and keheh), as Lucene's Arabic and Persian normalisers have it. Marks
of all other scripts stay in their words: without them Indic words fall apart. Then

- a run of letters, marks and digits is a word;
- a run of Chinese, Japanese or Korean characters is its overlapping pairs, the whole run if it is one character;
- a run of Thai, Lao, Khmer or Burmese is its overlapping triples of letters with their marks.

Terms are 64-bit hashes, numbered in the order in which they come; two of ten million share a hash once in 370,000 collections.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsbuild.filters.folding import (
    ALONE,
    BASE,
    CLASS_SHIFT,
    CODE_MASK,
    DROPPED,
    MARK,
    SEPARATOR,
    FoldTable,
    fold,
    fold_table,
    room,
)
from dsbuild.filters.shingles import mix
from dsbuild.filters.utf8 import Bytes, Offsets, buffers, compiled
from dsbuild.text import class_ranges

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int32]

# Version of what terms are: it enters the fingerprints of the retrievers that use them.
VERSION = 1
# Classes of a folded code point beside those of `dsbuild.filters.folding`.
_PAIRED, _TRIPLED = 6, 7
_PAIRS, _TRIPLES = 2, 3
_CLASSES = (
    (r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}ー]", _PAIRED),
    (r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]", _TRIPLED),
)
_POINTS = r"[\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7]"
_SAME = {"ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه", "ٱ": "ا"}
_FACTOR = np.uint64(0xD6E8FEB86659FD93)
# Texts whose terms are made at once: bounds the memory for them.
_BLOCK_BYTES = 16 << 20


@lru_cache(maxsize=1)
def search_table() -> FoldTable:
    """The table of folding for search: class and code of what each code point becomes."""
    table = fold_table("folded")
    one, many = table.one.copy(), table.many.copy()
    separator = np.uint32(SEPARATOR << CLASS_SHIFT | ord(" "))
    classes = np.full(len(one), SEPARATOR, np.uint32)
    for pattern, kind in ((r"[\p{L}\p{N}]", BASE), (r"\p{M}", MARK)):
        for start, end in class_ranges(pattern):
            classes[start:end] = kind
    for pattern, kind in _CLASSES:
        for start, end in class_ranges(f"[{pattern}&&[\\p{{L}}\\p{{N}}]]"):
            classes[start:end] = kind
    codes = np.arange(len(one), dtype=np.uint32)
    same = {ord(letter): ord(other) for letter, other in _SAME.items()}
    for letter, other in same.items():
        codes[letter] = other
    for start, end in class_ranges(_POINTS):
        classes[start:end] = DROPPED
    # What a code point became is looked up again: its class for search, and the letter that stands for it.
    for entries in (one, many):
        kinds = entries >> CLASS_SHIFT
        plain = (kinds == BASE) | (kinds == MARK) | (kinds == ALONE)
        becomes = codes[entries[plain] & CODE_MASK]
        found = classes[becomes] << CLASS_SHIFT | becomes
        found[classes[becomes] == SEPARATOR] = separator
        found[classes[becomes] == DROPPED] = DROPPED << CLASS_SHIFT
        entries[plain] = found
    for entries in (one, many):
        entries.flags.writeable = False
    return FoldTable(one, many)


@compiled
def scan(codes: Any, size: int, hashes: Any, starts: Any, ends: Any, units: Any, places: Any) -> int:
    """The terms of a folded text: hash, and where in the codes each begins and ends; returns how many.

    units, places: room to work in, as long as `codes`. A text has at most as many terms as codes.
    """
    count = 0
    index = 0
    while index < size:
        kind = codes[index] >> CLASS_SHIFT
        if kind == SEPARATOR:
            index += 1
            continue
        begin = index
        if kind in (BASE, MARK):
            value = np.uint64(0)
            while index < size and (codes[index] >> CLASS_SHIFT in (BASE, MARK)):
                value = (value + np.uint64(codes[index] & CODE_MASK) + np.uint64(1)) * _FACTOR
                value ^= value >> np.uint64(29)
                index += 1
            hashes[count], starts[count], ends[count] = mix(value), begin, index
            count += 1
            continue
        n = _PAIRS if kind == _PAIRED else _TRIPLES
        run = 0
        while index < size and codes[index] >> CLASS_SHIFT == kind:
            places[run] = index
            value = np.uint64(codes[index] & CODE_MASK) + np.uint64(1)
            index += 1
            while index < size and codes[index] >> CLASS_SHIFT == MARK:
                value = value * _FACTOR + np.uint64(codes[index] & CODE_MASK) + np.uint64(1)
                index += 1
            units[run] = mix(value)
            run += 1
        wide = min(n, run)
        for first in range(run - wide + 1):
            value = np.uint64(wide)
            for unit in range(first, first + wide):
                value = value * _FACTOR + units[unit]
            hashes[count], starts[count] = mix(value), places[first]
            ends[count] = places[first + wide] if first + wide < run else index
            count += 1
    return count


@compiled
def _terms(data: Bytes, offsets: Offsets, one: Any, many: Any) -> tuple[Hashes, Offsets]:
    most = 0
    for text in range(len(offsets) - 1):
        most = max(most, offsets[text + 1] - offsets[text])
    size = room(most) + 3
    codes = np.empty(size, np.uint32)
    places, starts, ends = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
    units = np.empty(size, np.uint64)
    out = np.empty(max(16, (offsets[-1] - offsets[0]) // 4), np.uint64)
    own = np.empty(size, np.uint64)
    bounds = np.zeros(len(offsets), np.int64)
    for text in range(len(offsets) - 1):
        length = fold(data, offsets[text], offsets[text + 1], one, many, codes)
        count = scan(codes, length, own, starts, ends, units, places)
        begin = bounds[text]
        if begin + count > len(out):
            grown = np.empty(2 * (begin + count), np.uint64)
            grown[:begin] = out[:begin]
            out = grown
        out[begin : begin + count] = own[:count]
        bounds[text + 1] = begin + count
    return out[: bounds[-1]], bounds


def term_hashes(texts: pa.Array) -> tuple[Hashes, Offsets]:
    """The hashes of the terms of some texts, end to end; text i has `hashes[bounds[i]:bounds[i + 1]]`."""
    table = search_table()
    data, offsets = buffers(texts)
    hashes: Hashes
    bounds: Offsets
    hashes, bounds = _terms(data, offsets, table.one, table.many)
    return hashes, bounds


def ngram_hashes(texts: pa.Array, n: int) -> tuple[Hashes, Offsets]:
    """The hashes of the n-grams of characters of some texts, as `term_hashes`; one of a script of whole syllables or words counts as two."""
    table = search_table()
    data, offsets = buffers(texts)
    hashes: Hashes
    bounds: Offsets
    hashes, bounds = _ngrams(data, offsets, table.one, table.many, n)
    return hashes, bounds


@compiled
def _ngrams(data: Bytes, offsets: Offsets, one: Any, many: Any, n: int) -> tuple[Hashes, Offsets]:
    most = 0
    for text in range(len(offsets) - 1):
        most = max(most, offsets[text + 1] - offsets[text])
    codes = np.empty(room(most) + 3, np.uint32)
    out = np.empty(room(offsets[-1] - offsets[0]) + len(offsets), np.uint64)
    bounds = np.zeros(len(offsets), np.int64)
    count = 0
    for text in range(len(offsets) - 1):
        size = fold(data, offsets[text], offsets[text + 1], one, many, codes)
        before = count
        for first in range(size):
            value, width, last = np.uint64(n), 0, first
            while last < size and width < n:
                value = (value + np.uint64(codes[last] & CODE_MASK) + np.uint64(1)) * _FACTOR
                value ^= value >> np.uint64(29)
                width += 2 if codes[last] >> CLASS_SHIFT == _PAIRED else 1
                last += 1
            # Only the whole of a text may be shorter.
            if width >= n or first == 0:
                out[count] = mix(value)
                count += 1
        bounds[text + 1] = count
        if size == 0:
            bounds[text + 1] = count = before
    return out[:count], bounds


def blocks(texts: pa.Array, size_bytes: int = _BLOCK_BYTES) -> Iterator[pa.Array]:
    """Runs of texts of about so many bytes each, a longer text by itself."""
    _, offsets = buffers(texts)
    start = 0
    while start < len(texts):
        end = int(np.searchsorted(offsets, offsets[start] + size_bytes, "right")) - 1
        end = min(max(end, start + 1), len(texts))
        yield texts.slice(start, end - start)
        start = end


def terms(text: str) -> list[str]:
    """The terms of a text as strings, in order, NFD: what two texts must share to match.

    >>> terms("Ｃａｆｅ in हिन्दी में: ५"), terms("東京都へ"), terms("مُدَرِّسَةٌ")
    (['cafe', 'in', 'हिन्दी', 'में', '5'], ['東京', '京都', '都へ'], ['مدرسه'])
    """
    from dsbuild.filters.utf8 import encode

    table = search_table()
    data, _ = encode([text])
    size = int(room(len(data))) + 3
    codes = np.empty(size, np.uint32)
    hashes, units = np.empty(size, np.uint64), np.empty(size, np.uint64)
    starts, ends, places = (np.empty(size, np.int64) for _ in range(3))
    length = fold(data, 0, len(data), table.one, table.many, codes)
    count = scan(codes, length, hashes, starts, ends, units, places)
    letters = codes & CODE_MASK
    return [
        letters[starts[term] : ends[term]].astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
        for term in range(count)
    ]


class Vocabulary:
    """Numbers of terms, in the order in which they were first seen."""

    def __init__(self) -> None:
        self.size = 0
        self._keys = np.zeros(1 << 12, np.uint64)
        self._numbers = np.zeros(1 << 12, np.int32)

    def number(self, hashes: Hashes, *, add: bool) -> Numbers:
        """The number of each term; a new one gets the next number, or without `add` -1."""
        if add and 2 * (self.size + len(hashes)) > len(self._keys):
            # Most terms of a block are known: room for all of them is made only where that many are new.
            distinct = len(np.unique(hashes)) if len(hashes) else 0
            capacity = len(self._keys)
            while 2 * (self.size + distinct) > capacity:
                capacity *= 2
            if capacity > len(self._keys):
                self._keys, self._numbers = _rehash(self._keys, self._numbers, capacity)
        numbers, self.size = _number(hashes, self._keys, self._numbers, self.size, add)
        found: Numbers = numbers
        return found


@compiled
def _rehash(keys: Hashes, numbers: Numbers, capacity: int) -> tuple[Hashes, Numbers]:
    new_keys, new_numbers = np.zeros(capacity, np.uint64), np.zeros(capacity, np.int32)
    mask = np.uint64(capacity - 1)
    for place in range(len(keys)):
        if keys[place] != 0:
            at = keys[place] & mask
            while new_keys[at] != 0:
                at = (at + np.uint64(1)) & mask
            new_keys[at], new_numbers[at] = keys[place], numbers[place]
    return new_keys, new_numbers


@compiled
def _number(hashes: Hashes, keys: Hashes, numbers: Numbers, size: int, add: bool) -> tuple[Numbers, int]:
    out = np.empty(len(hashes), np.int32)
    mask = np.uint64(len(keys) - 1)
    for index in range(len(hashes)):
        value = hashes[index]
        if value == 0:  # marks an empty place
            value = np.uint64(1)
        at = value & mask
        while keys[at] != 0 and keys[at] != value:
            at = (at + np.uint64(1)) & mask
        if keys[at] == 0:
            if not add:
                out[index] = -1
                continue
            keys[at], numbers[at] = value, size
            size += 1
        out[index] = numbers[at]
    return out, size
