"""Declared normalisation for comparing texts: what two texts may differ in and still be duplicates.

Two forms. "spaced": runs of white space are one space, canonical equivalents are equal, nothing else is changed. "folded":
besides, letter case, full-width and presentation forms, tatweel, zero-width and other format characters, and variation
selectors do not count, digits of every script are 0-9, Malayalam chillus equal consonant + virama, and white space, punctuation and
control characters are one separator. Combining marks, symbols and digits' values are kept in both: they carry meaning.
Canonical equivalence is by decomposition of single code points; two marks in an unusual order and Hangul written as single
jamo stay different from their usual form. Source: Unicode Standard, sections 3.7 and 3.11, and Unicode Standard Annex 44.
"""

from __future__ import annotations

import sys
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from dsbuild.filters.utf8 import CODES, Bytes, Offsets, compiled, decode, digit_table, lower_table
from dsbuild.text import class_ranges

Form = Literal["spaced", "folded"]
Codes = npt.NDArray[np.uint32]

# Classes of a folded code point, in the bits above the code point itself.
SEPARATOR, BASE, MARK, ALONE, DROPPED, MANY = 0, 1, 2, 3, 4, 5
CLASS_SHIFT = 21
CODE_MASK = (1 << CLASS_SHIFT) - 1
# One table entry per code point, then room for what some of them become, three codes each.
_MOST = 3

# Letters of scripts that are written without spaces: each with its marks is a word of its own.
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"
_PATTERNS = (
    (r"[\p{L}\p{N}]", BASE),
    (r"\p{M}", MARK),
    (r"\p{S}--[`´^¨¯¸]", ALONE),
    (rf"[{_UNSPACED}&&[\p{{L}}\p{{N}}]]", ALONE),
    (r"[[\p{Cf}ـ\p{Variation_Selector}\u034f]]", DROPPED),
)
_CHILLUS = dict(zip("ൺൻർൽൾൿ", "ണനരലളക", strict=True))
_VIRAMA = "\u0d4d"
# Full-width and half-width forms, Arabic presentation forms, Latin ligatures: the same letters in another typeface.
_TYPEFACES = r"[\uff01-\uffee\ufb50-\ufdfb\ufe70-\ufefc\ufb00-\ufb06\u3000]"


@dataclass(frozen=True, slots=True)
class FoldTable:
    """What each code point becomes: class and code, or (class MANY) where its three entries in `many` begin."""

    one: Codes
    many: Codes


@lru_cache(maxsize=2)
def fold_table(form: Form) -> FoldTable:
    """The table of a form of normalisation."""
    classes = np.full(CODES, ALONE, np.uint32)  # unassigned, private and surrogate code points are kept, each by itself
    if form == "spaced":
        classes[:] = BASE
        for start, end in class_ranges(r"\s"):
            classes[start:end] = SEPARATOR
        codes = np.arange(CODES, dtype=np.uint32)
    else:
        for start, end in class_ranges(r"[\p{P}\p{Z}\p{Cc}`´^¨¯¸]"):
            classes[start:end] = SEPARATOR
        for pattern, kind in _PATTERNS:
            for start, end in class_ranges(f"[{pattern}]"):
                classes[start:end] = kind
        codes = lower_table().astype(np.uint32)
        digits = digit_table()
        codes = np.where(digits >= 0, digits.astype(np.uint32) + ord("0"), codes).astype(np.uint32)
        classes[digits >= 0] = BASE
    # The class is the lower-case letter's, which may be spaced where the capital is unknown, and so on.
    table: Codes = (classes[codes] << CLASS_SHIFT | codes).astype(np.uint32)
    table[classes == DROPPED] = DROPPED << CLASS_SHIFT
    table[classes == SEPARATOR] = SEPARATOR << CLASS_SHIFT | ord(" ")
    many: list[int] = []
    for code, parts in _expansions(form).items():
        entries = [int(table[ord(part)]) for part in parts]
        if len(entries) == 1:
            table[code] = entries[0]
        else:
            table[code] = MANY << CLASS_SHIFT | len(many)
            many += [*entries, *[DROPPED << CLASS_SHIFT] * (_MOST - len(entries))]
    for array in (found := FoldTable(table, np.array(many, np.uint32))).one, found.many:
        array.flags.writeable = False
    return found


def _expansions(form: Form) -> dict[int, str]:
    """Code points that become others: canonical composites, and when folding, other typefaces and chillus."""
    typefaces = (
        {code for start, end in class_ranges(_TYPEFACES) for code in range(start, end)} if form == "folded" else set()
    )
    lower = lower_table()
    found = {}
    for code in range(min(0x30000, sys.maxunicode)):
        letter = chr(int(lower[code])) if form == "folded" else chr(code)
        if 0xAC00 <= code < 0xD7A4 or (unicodedata.decomposition(letter) == "" and code not in typefaces):
            continue
        parts = unicodedata.normalize("NFKD" if code in typefaces else "NFD", letter)
        if parts != letter and len(parts) <= _MOST:
            found[code] = parts
    if form == "folded":
        found |= {ord(chillu): base + _VIRAMA for chillu, base in _CHILLUS.items()}
    return found


@compiled
def room(n_bytes: int) -> int:
    """Codes that a text of so many bytes can become at most (two bytes may be three codes), and one that is written over."""
    return n_bytes + n_bytes // 2 + 1


@compiled
def fold(data: Bytes, start: int, end: int, one: Codes, many: Codes, out: Codes) -> int:
    """Write the folded codes of the text `data[start:end]` into `out`, with their classes; returns how many.

    Separators stand only between other codes, one at a time. `out` needs room for `room(end - start)` codes.
    """
    size = 0
    # Whether a separator may not be written: at the beginning, and after one.
    apart = True
    index = start
    while index < end:
        if data[index] < 0x80:
            # Written without branches: where words end cannot be foreseen. No ASCII is of the classes DROPPED, MARK and MANY.
            entry = one[data[index]]
            index += 1
            separator = entry >> CLASS_SHIFT == SEPARATOR
            out[size] = entry
            size += not (separator & apart)
            apart = separator
            continue
        code, index = decode(data, index)
        entry = one[code]
        kind = entry >> CLASS_SHIFT
        if kind == SEPARATOR:
            out[size] = entry
            size += not apart
            apart = True
        elif kind == MANY:
            first = entry & CODE_MASK
            for place in range(first, first + 3):
                out[size] = many[place]
                size += many[place] >> CLASS_SHIFT != DROPPED
            apart = False
        elif kind != DROPPED:
            out[size] = entry
            size += 1
            apart = False
    return size - (apart and size > 0)


@compiled
def fold_all(data: Bytes, offsets: Offsets, one: Codes, many: Codes) -> tuple[Codes, Offsets]:
    """The folded codes of all texts end to end, and where each text's begin."""
    bounds = np.zeros(len(offsets), np.int64)
    out = np.empty(room(offsets[-1] - offsets[0]) + _MOST, np.uint32)
    for text in range(len(offsets) - 1):
        size = fold(data, offsets[text], offsets[text + 1], one, many, out[bounds[text] :])
        bounds[text + 1] = bounds[text] + size
    return out[: bounds[-1]], bounds


def folded(text: str, form: Form = "folded") -> str:
    """A text as it is compared.

    >>> folded("Ｃａｆé —  ५ «Ŵ»!"), folded("हिंदी   ॥ में")
    ('café 5 ŵ', 'हिंदी में')
    """
    from dsbuild.filters.utf8 import encode

    table = fold_table(form)
    codes, _ = fold_all(*encode([text]), table.one, table.many)
    letters = (codes & CODE_MASK).astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
    return unicodedata.normalize("NFC", letters)
