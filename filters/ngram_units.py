"""The units that n-grams of evaluation items are made of, with their weights and where they stand in the text."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dsbuild.filters.folding import (
    ALONE,
    BASE,
    CLASS_SHIFT,
    CODE_MASK,
    DROPPED,
    MANY,
    MARK,
    SEPARATOR,
    Codes,
    fold_table,
    room,
)
from dsbuild.filters.shingles import Hashes, mix
from dsbuild.filters.utf8 import CODES, Bytes, Offsets, compiled, decode
from dsbuild.text import class_ranges

Places = npt.NDArray[np.int32]

# A word is so many parts; letters of scripts without spaces weigh a part of a word.
WORD = 60
# Letters (with their marks) that say what one English word says, from parallel texts: NTREX (956 segments of Chinese and Japanese) and
# the Universal Declaration of Human Rights (the others). In the same texts a word of Hindi says 0.8, of German 1.0, of Tamil 1.4 English ones.
UNITS_A_WORD = {
    r"\p{Han}": 1.6, r"[\p{Hiragana}\p{Katakana}ー]": 2.9, r"\p{Thai}": 4.1, r"\p{Lao}": 4.5, r"\p{Khmer}": 3.5, r"\p{Myanmar}": 3.7,
    r"\p{Tibetan}": 3.7,
}  # fmt: skip
# What is less says too little to be looked for inside texts, or to link the pairs that have it on one side.
MIN_WORDS = 3
MIN_WEIGHT = MIN_WORDS * WORD

_FACTOR = np.uint64(0xD6E8FEB86659FD93)


@lru_cache(maxsize=1)
def load_table() -> npt.NDArray[np.uint8]:
    """The weight of a unit by its first code point; symbols weigh nothing."""
    table = np.full(CODES, WORD, np.uint8)
    for start, end in class_ranges(r"\p{S}"):
        table[start:end] = 0
    for pattern, count in UNITS_A_WORD.items():
        for start, end in class_ranges(rf"[{pattern}&&[\p{{L}}\p{{N}}]]"):
            table[start:end] = round(WORD / count)
    table.flags.writeable = False
    return table


@compiled
def cut(
    data: Bytes, start: int, end: int, one: Codes, many: Codes, table: Bytes, codes: Codes, firsts: Places, hashes: Hashes, loads: Bytes,
    begins: Places, ends: Places,
) -> int:  # fmt: skip
    """Cut the text `data[start:end]` into units; returns how many.

    Written over, for unit u: `hashes[u]`, weight `loads[u]`, its folded codes `codes[firsts[u]:firsts[u + 1]]`, its code points
    `begins[u]:ends[u]` of the text. All need `room(end - start) + 1` entries.
    """
    count = size = position = 0
    inside = single = False
    value = np.uint64(0)
    index = start
    while index < end:
        code, index = decode(data, index)
        entry = one[code]
        parts = 1
        where = np.int64(0)
        if entry >> CLASS_SHIFT == MANY:
            parts, where = 3, np.int64(entry & CODE_MASK)
        for part in range(parts):
            if parts == 3:
                entry = many[where + part]
            kind = entry >> CLASS_SHIFT
            if kind == DROPPED:
                continue
            if kind == SEPARATOR or not inside or (kind != MARK and (kind != BASE or single)):
                if inside:
                    hashes[count] = mix(value)
                    count += 1
                    inside = False
                if kind == SEPARATOR:
                    continue
                inside = True
                single = kind == ALONE
                value = np.uint64(0)
                firsts[count] = size
                begins[count] = position
                loads[count] = table[entry & CODE_MASK]
            codes[size] = entry & CODE_MASK
            size += 1
            ends[count] = position + 1
            value = (value + np.uint64(entry & CODE_MASK)) * _FACTOR
            value ^= value >> np.uint64(29)
        position += 1
    if inside:
        hashes[count] = mix(value)
        count += 1
    firsts[count] = size
    return count


def weights(data: Bytes, offsets: Offsets) -> npt.NDArray[np.int64]:
    """The weight of each text, `WORD` a word; -1 for a text without letters, digits and symbols."""
    table = fold_table("folded")
    found: npt.NDArray[np.int64] = _weights(data, offsets, table.one, table.many, load_table())
    return found


@compiled
def space_for(offsets: Offsets) -> int:
    """Entries that `cut` needs for the longest of some texts."""
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    return room(longest) + 2


@compiled
def _weights(data: Bytes, offsets: Offsets, one: Codes, many: Codes, table: Bytes) -> npt.NDArray[np.int64]:
    space = space_for(offsets)
    codes, firsts, hashes = np.empty(space, np.uint32), np.empty(space, np.int32), np.empty(space, np.uint64)
    loads, begins, ends = np.empty(space, np.uint8), np.empty(space, np.int32), np.empty(space, np.int32)
    out = np.empty(len(offsets) - 1, np.int64)
    for text in range(len(offsets) - 1):
        count = cut(
            data, offsets[text], offsets[text + 1], one, many, table, codes, firsts, hashes, loads, begins, ends
        )
        out[text] = 0 if count else -1
        for unit in range(count):
            out[text] += loads[unit]
    return out
