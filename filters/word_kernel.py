"""The words of `dsbuild.text.words`, told apart code point by code point, and their hashes: compiled.

A word is in a state that says what else it may take up; a code point either extends the word or ends it, and may begin the
next one. The rules are those of the pattern in `dsbuild.text`, and tests/test_quality.py holds the two against each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dsbuild.filters import characters as chars
from dsbuild.filters.repetition_kernel import BASE, mix
from dsbuild.filters.utf8 import Bytes, compiled, decode

Hashes = npt.NDArray[np.uint64]

# The state of a word: none, between spaces, a run of katakana, closed but for marks, Thai or Lao consonant, leading vowel alone,
# Khmer, Burmese, digits of those scripts, closed.
NONE, SPACED, _RUN, _CLOSED, _THAI, _VOWEL, _KHMER, _MYANMAR, DIGITS, _FULL = range(10)

_LONG_MARK, _COENG, _VIRAMA, _ASAT, _DOT_BELOW = 0x30FC, 0x17D2, 0x1039, 0x103A, 0x1037


@compiled
def hash_word(data: Bytes, fold: Any) -> Any:
    """The hash of one word, as the scanners make it; `fold` maps code points to what they are compared as."""
    state = np.uint64(0)
    index = 0
    while index < len(data):
        code, index = decode(data, index)
        state = state * BASE + np.uint64(fold[code] + 1)
    return mix(state)


@compiled
def stop_place(keys: Hashes, start: int, end: int, key: Any) -> Any:
    """Where a word stands in its language's table of stop words, -1 if it does not."""
    mask = end - start - 1
    place = np.int64(key >> np.uint64(16)) & mask
    while keys[start + place] != 0:
        if keys[start + place] == key:
            return start + place
        place = (place + 1) & mask
    return -1


@compiled
def extends(
    state: Any,
    kind: Any,
    code: Any,
    before: Any,
    before_nd: bool,
    data: Bytes,
    index: int,
    end: int,
    kinds: Any,
    bits: Any,
) -> int:
    """The state of a word after it took up a code point, 0 if it ends before it; `index` is where the next one begins."""
    if state == SPACED:
        if 0 < kind <= chars.MARK or code == _LONG_MARK:
            return SPACED
        if kind >= chars.APOSTROPHE and index < end:
            ahead, _ = decode(data, index)
            if kind == chars.APOSTROPHE and bits[ahead] & chars.ALPHA:
                return SPACED
            if kind == chars.POINT and before_nd and bits[ahead] & chars.NUMERAL:
                return SPACED
        return NONE
    if state == _RUN and kind == chars.KATAKANA:
        return _RUN
    if kind == chars.MARK and state != DIGITS and state != _FULL and state != _VOWEL:
        return _CLOSED if state == _RUN else state
    if state == _THAI and kind == chars.FOLLOWING:
        return _FULL
    if state == _VOWEL and chars.CONSONANT <= kind <= chars.FOLLOWING:
        return _THAI
    if state == _KHMER and before == _COENG and bits[code] & chars.ALPHA:
        return _KHMER
    if state == _MYANMAR and before == _VIRAMA and bits[code] & chars.ALPHA:
        return _MYANMAR
    if state == _MYANMAR and kind == chars.MYANMAR and index < end:
        ahead, after = decode(data, index)
        if ahead == _DOT_BELOW and after < end:
            ahead, after = decode(data, after)
        if ahead == _ASAT:
            return _MYANMAR
    if state == DIGITS and kind == chars.SEA_DIGIT:
        return DIGITS
    return NONE


@compiled
def begins(kind: Any) -> int:
    """The state of a word that begins with a code point of this kind, 0 if none does."""
    if 0 < kind <= chars.TIBETAN:
        return SPACED
    if kind == chars.KATAKANA:
        return _RUN
    if chars.HAN <= kind <= chars.HIRAGANA:
        return _CLOSED
    if chars.CONSONANT <= kind <= chars.FOLLOWING:
        return _THAI
    if kind == chars.LEADING:
        return _VOWEL
    if kind == chars.KHMER:
        return _KHMER
    if kind == chars.MYANMAR:
        return _MYANMAR
    if kind == chars.SEA_DIGIT:
        return DIGITS
    return NONE
