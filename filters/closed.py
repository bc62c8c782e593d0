"""Closed-class words and scripts of texts, counted in one compiled pass.

`closed_words.tsv` lists function words for languages that identification takes for each other. What counts is the
difference between two lists: a word that both have says nothing. Lists are written by hand from grammars' inventories,
not fitted to any test set; the shorter a language's list, the less it can say.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dsbuild.filters.utf8 import Bytes, Offsets, class_bits, compiled, decode, lower_table
from dsbuild.text import SCRIPT_CODES, script_table

Counts = npt.NDArray[np.int32]

# Bits of `_kinds`: what ends a token, what belongs to a word, what is a word by itself, an apostrophe.
_BREAK, _INSIDE, _SINGLE, _APOSTROPHE = 1, 2, 4, 8
# Signs that are written for an apostrophe count as one.
_QUOTES = "'’‘ʼʻ׳"
_START, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


@dataclass(frozen=True)
class Looked:
    """Counts for each text (rows).

    tokens: stretches between spaces, digits and control characters that hold a letter; words: runs of letters; listed,
    distinct: words and different words on each language's list (columns, in the order of `codes`); scripts: letters
    and marks of each script (columns, in the order of `SCRIPT_CODES`; the first is 0).
    """

    tokens: Counts
    words: Counts
    listed: Counts
    distinct: Counts
    scripts: Counts


def lists() -> dict[str, frozenset[str]]:
    """The closed-class words of each language that has a list."""
    lines = Path(__file__).with_name("closed_words.tsv").read_text("utf-8").splitlines()[1:]
    return {code: frozenset(listed.split()) for code, _, listed in (line.partition("\t") for line in lines)}


@lru_cache(maxsize=1)
def codes() -> dict[str, int]:
    """The languages that have a list, and the column of each."""
    return {code: column for column, code in enumerate(lists())}


def look(data: Bytes, offsets: Offsets) -> Looked:
    """Count the words and scripts of texts in UTF-8."""
    slots, ids, bounds, members = _table()
    return Looked(
        *_look(
            data, offsets, _kinds(), script_table(), lower_table(), slots, ids, bounds, members, len(codes()),
            len(SCRIPT_CODES),
        )
    )  # fmt: skip


@lru_cache(maxsize=1)
def breaks() -> npt.NDArray[np.bool_]:
    """For every code point whether it ends a token: spaces, digits and numerals, controls, surrogates."""
    return (_kinds() & _BREAK).astype(np.bool_)


@lru_cache(maxsize=1)
def _kinds() -> Bytes:
    bits = {
        r"[\s\p{N}\p{Cc}\p{Cs}]": _BREAK,
        r"[\p{M}\u200c\u200d]": _INSIDE,
        r"[\p{Han}\p{Hiragana}]": _SINGLE,
        f"[{_QUOTES}]": _APOSTROPHE,
    }
    table = class_bits(bits).copy()
    table[(script_table() > 0) & (table & (_SINGLE | _APOSTROPHE) == 0)] |= _INSIDE
    table[(table & _SINGLE > 0) & (script_table() == 0)] = 0
    # Ideographic zero and numbers such as 〇 are letters in a text.
    table[table & _SINGLE > 0] = _SINGLE
    return table


@lru_cache(maxsize=1)
def _table() -> tuple[npt.NDArray[np.uint64], Counts, Counts, Counts]:
    """An open hash table of all listed words, and the languages of each: `members[bounds[i]:bounds[i + 1]]`."""
    owners: dict[str, list[int]] = {}
    for column, listed in enumerate(lists().values()):
        for word in sorted(listed):
            owners.setdefault(word, []).append(column)
    size = 1 << (4 * len(owners)).bit_length()
    slots, ids = np.zeros(size, np.uint64), np.full(size, -1, np.int32)
    for number, word in enumerate(owners):
        value = _START
        for letter in word.lower():
            value = np.uint64(_mixed(value, ord("'" if letter in _QUOTES else letter)))
        value |= np.uint64(1)
        slot = int(value) & (size - 1)
        while slots[slot]:
            slot = (slot + 1) & (size - 1)
        slots[slot], ids[slot] = value, number
    lengths = [len(columns) for columns in owners.values()]
    bounds = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    return slots, ids, bounds, np.array([column for columns in owners.values() for column in columns], np.int32)


@compiled
def _mixed(value: np.uint64, code: Any) -> np.uint64:
    return (value ^ np.uint64(code)) * _PRIME


@compiled
def _look(
    data: Bytes, offsets: Offsets, kinds: Bytes, scripts: Bytes, lower: npt.NDArray[np.int32], slots: npt.NDArray[np.uint64],
    ids: Counts, bounds: Counts, members: Counts, n_languages: int, n_scripts: int,
) -> tuple[Counts, Counts, Counts, Counts, Counts]:  # fmt: skip
    n, mask = len(offsets) - 1, len(slots) - 1
    tokens, words = np.zeros(n, np.int32), np.zeros(n, np.int32)
    listed, distinct = np.zeros((n, n_languages), np.int32), np.zeros((n, n_languages), np.int32)
    histogram = np.zeros((n, n_scripts), np.int32)
    last_seen = np.full(len(bounds), -1, np.int64)
    for text in range(n):
        index, stop = offsets[text], offsets[text + 1]
        value, length, lettered = _START, 0, False
        while index <= stop:
            code, after, kind = np.int64(0), index + 1, np.uint8(_BREAK)
            if index < stop:
                code, after = decode(data, index)
                kind = kinds[code]
                if scripts[code]:
                    histogram[text, scripts[code]] += 1
                    lettered = True
            if kind & _INSIDE:
                value = _mixed(value, lower[code])
                length += 1
                index = after
                continue
            if kind & _APOSTROPHE and length and after < stop:
                following, _ = decode(data, after)
                if kinds[following] & _INSIDE:
                    value = _mixed(value, 39)
                    index = after
                    continue
            # A word ends here, and a sign that is a word by itself is one more.
            for turn in range(2):
                if turn == 1:
                    if not kind & _SINGLE:
                        break
                    value, length = _mixed(_START, code), 1
                if length:
                    words[text] += 1
                    value |= np.uint64(1)
                    slot = np.int64(value) & mask
                    while slots[slot] != 0 and slots[slot] != value:
                        slot = (slot + 1) & mask
                    if slots[slot] == value:
                        word = ids[slot]
                        for place in range(bounds[word], bounds[word + 1]):
                            listed[text, members[place]] += 1
                            if last_seen[word] != text:
                                distinct[text, members[place]] += 1
                        last_seen[word] = text
                value, length = _START, 0
            if kind & _BREAK:
                tokens[text] += lettered
                lettered = False
            index = after
    return tokens, words, listed, distinct, histogram
