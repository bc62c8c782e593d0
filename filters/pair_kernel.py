"""What the cheap rules of pairs count in one text, compiled: words, letters, marks of punctuation, tags, digits.

Two variants. `peer`: OpusFilter's definitions (white-space words, code points, ASCII digits, `. ? ! …`). `unicode`: the words of
`dsbuild.text.words`, lengths in letters of an alphabet, and digits and full stops of every script.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dsbuild.filters.characters import MARK, SPACE, TERMINAL, TIBETAN
from dsbuild.filters.utf8 import Bytes, Offsets, compiled, decode
from dsbuild.filters.word_kernel import DIGITS as NUMBER
from dsbuild.filters.word_kernel import SPACED, begins, extends

Floats = npt.NDArray[np.float64]
Digits = npt.NDArray[np.int8]

# What is counted of a text, column by column; NaN where it abstains.
WORDS, SIZE, LONGEST, MEAN, TAGS, ALPHABET, SCRIPT, STOPS = range(8)
N_COUNTS = 8
# Bits of the table that the kernel is given, beside those of `dsbuild.filters.characters`.
ALPHABETIC, INK = 64, 128
# Digits of one text that are compared one by one; of more, only how often each occurs.
MOST_DIGITS = 199

_WEIGHT = 5  # letters to a word where words are not written apart
_LESS, _GREATER, _BANG, _QUERY, _SLASH, _DASH, _EQUALS, _DOUBLE, _SINGLE = b"<>!?/-=\"'"
# Where a tag that is not closed yet may be: outside values, after an equals sign, in a value in quotes.
_PLAIN, _VALUED, _IN_DOUBLE, _IN_SINGLE = 1, 2, 4, 8


def pack(kinds: Bytes, bits: Bytes, sizes: Bytes, scripts: Bytes, values: Digits) -> npt.NDArray[np.int32]:
    """Tables over all code points as one: part in a word, bits, letters, script, and the value of a digit plus one."""
    table = kinds.astype(np.int32) | bits.astype(np.int32) << 8 | sizes.astype(np.int32) << 16
    table |= scripts.astype(np.int32) << 20 | (values.astype(np.int32) + 1) << 26
    table.flags.writeable = False
    return table


@compiled
def count(data: Any, offsets: Any, allowed: Any, packed: Any, kinds: Any, word_bits: Any, peer: bool) -> Any:
    """The counts of each text, and its digits but for zeros end to end with their bounds.

    allowed: for each text the scripts of its language, bit by bit; packed: `pack`, one look for all that is known of a code point;
    kinds, word_bits: the tables of the word kernel.
    """
    rows = len(offsets) - 1
    out = np.full((rows, N_COUNTS), np.nan)
    digits = np.empty(offsets[rows] - offsets[0], np.int8)
    bounds = np.zeros(rows + 1, np.int64)
    n_digits = 0
    one = np.uint64(1)
    for row in range(rows):
        start, end, scripts = offsets[row], offsets[row + 1], allowed[row]
        letters, own, inked, total, stops, angle = 0, np.uint64(0), 0, 0, 0, False
        words, length, longest, lengths, state, dense, dense_size = 0, 0, 0, 0, 0, False, 0
        before: Any = 0
        before_nd, stopped, index = False, False, start
        while index < end:
            code, index = decode(data, index)
            known: Any = packed[code]
            bit, value = known >> 8 & 0xFF, (known >> 26) - 1
            total += 1
            inked += (bit & INK) > 0
            angle = angle or code == _LESS
            if bit & ALPHABETIC:
                letters += 1
                own += (scripts >> np.uint64(known >> 20 & 0x3F)) & one
            if value > 0:
                digits[n_digits] = value
                n_digits += 1
            if peer:
                stops += (bit & TERMINAL) > 0
                if bit & SPACE:
                    words += length > 0
                    longest = max(longest, length)
                    length = 0
                else:
                    length += 1
                    lengths += 1
                continue
            # A run of full stops is one; a point inside a number is none.
            if bit & TERMINAL:
                inside = False
                if value < 0 and before_nd and index < end:
                    ahead, _ = decode(data, index)
                    inside = packed[ahead] >> 26 > 0
                stops += not stopped and not inside
                stopped = True
            else:
                stopped = False
            kind = known & 0xFF
            following = 0
            if state == SPACED and 0 < kind <= MARK:
                following = SPACED
            elif state != 0:
                following = extends(state, kind, code, before, before_nd, data, index, end, kinds, word_bits)
                if following == 0:
                    if dense:
                        dense_size += length
                    else:
                        words += 1
                        lengths += length
                        longest = max(longest, length)
            if following == 0:
                following = begins(kind)
                if following != 0:
                    length, dense = 0, (following not in (SPACED, NUMBER)) or kind == TIBETAN
            state = following
            if state != 0:
                length += known >> 16 & 0xF
            before, before_nd = code, value >= 0
        if peer and length > 0:
            words, longest = words + 1, max(longest, length)
        elif state != 0 and dense:
            dense_size += length
        elif state != 0:
            words, lengths, longest = words + 1, lengths + length, max(longest, length)
        if peer:
            out[row, WORDS], out[row, SIZE], out[row, LONGEST] = words, words, longest
            out[row, MEAN] = lengths / words if words > 0 else 0.0
            out[row, ALPHABET] = letters / total if total > 0 else 1.0
            out[row, SCRIPT] = own / letters if letters > 0 else 1.0
        else:
            size = lengths + dense_size
            out[row, WORDS], out[row, SIZE] = max(words + dense_size / _WEIGHT, size / _WEIGHT), size
            if words > 0:
                out[row, LONGEST] = longest
                if 2 * lengths >= size:
                    out[row, MEAN] = lengths / words
            if inked > 0:
                out[row, ALPHABET] = letters / inked
            if letters > 0 and scripts != 0:
                out[row, SCRIPT] = own / letters
        out[row, STOPS] = stops
        out[row, TAGS] = angle and has_tag(data, start, end)
        bounds[row + 1] = n_digits
    return out, digits[:n_digits], bounds


@compiled
def has_tag(data: Bytes, start: int, end: int) -> bool:
    """Whether a text has an opening tag of HTML, as a tolerant parser reads it; comments and declarations are none.

    Whether a tag is closed depends on all that follows it. Tags that are open are followed together, as a set of states, so that a
    text of nothing but `<a` takes linear time.
    """
    states, begin, resume, endless = 0, -1, start, False
    for index in range(start, end):
        byte = data[index]
        if index == begin:
            states |= _PLAIN
        if states:
            if byte == _GREATER and states & (_PLAIN | _VALUED):
                return True
            states = _inside(states, byte)
        if index < resume or byte != _LESS or index + 1 == end:
            continue
        ahead = data[index + 1]
        if 0x41 <= ahead & 0xDF <= 0x5A:
            begin = index + 2
        elif ahead in (_BANG, _QUERY, _SLASH):
            past = -1
            if not endless and ahead == _BANG and index + 3 < end and data[index + 2] == _DASH == data[index + 3]:
                past = _past_comment(data, index + 4, end)
                endless = past < 0
            resume = past if past > 0 else _past(data, index + 1, end)
    return False


@compiled
def _inside(states: int, byte: int) -> int:
    """The states of open tags after a byte that closes none: a `>` in a quoted value does not."""
    after = 0
    if states & _IN_DOUBLE:
        after |= _PLAIN if byte == _DOUBLE else _IN_DOUBLE
    if states & _IN_SINGLE:
        after |= _PLAIN if byte == _SINGLE else _IN_SINGLE
    if byte == _EQUALS:
        return after | (_VALUED if states & (_PLAIN | _VALUED) else 0)
    if states & _PLAIN:
        after |= _PLAIN
    if states & _VALUED:
        if byte == _DOUBLE:
            after |= _IN_DOUBLE
        elif byte == _SINGLE:
            after |= _IN_SINGLE
        else:
            after |= _PLAIN if byte > 0x20 else _VALUED
    return after


@compiled
def _past(data: Bytes, index: int, end: int) -> int:
    while index < end and data[index] != _GREATER:
        index += 1
    return index + 1


@compiled
def _past_comment(data: Bytes, index: int, end: int) -> int:
    """The index after a comment's end, -1 if it has none."""
    while index < end - 2:
        if data[index] == _DASH and data[index + 1] == _DASH and data[index + 2] == _GREATER:
            return index + 3
        index += 1
    return -1


@compiled
def numerals(one: Digits, bounds: Offsets, two: Digits, other_bounds: Offsets) -> Floats:
    """How alike the digits of both sides are: twice what matches over how many there are, 1 without any.

    Matching is the recursion on longest common stretches of Ratcliff and Obershelp (1988); with more than `MOST_DIGITS` on a side
    only the counts of each digit are compared.
    """
    rows = len(bounds) - 1
    out = np.ones(rows)
    run = np.zeros(MOST_DIGITS + 2, np.int64)
    stack = np.empty((4 * MOST_DIGITS + 8, 4), np.int64)
    for row in range(rows):
        a, b = one[bounds[row] : bounds[row + 1]], two[other_bounds[row] : other_bounds[row + 1]]
        if len(a) + len(b) == 0:
            continue
        matched = _matched(a, b, run, stack) if max(len(a), len(b)) <= MOST_DIGITS else _common(a, b)
        out[row] = 2.0 * matched / (len(a) + len(b))
    return out


@compiled
def _common(a: Digits, b: Digits) -> Any:
    counts = np.zeros((2, 10), np.int64)
    for digit in a:
        counts[0, digit] += 1
    for digit in b:
        counts[1, digit] += 1
    return np.minimum(counts[0], counts[1]).sum()


@compiled
def _matched(a: Digits, b: Digits, run: Any, stack: Any) -> int:
    total, depth = 0, 1
    stack[0, 0], stack[0, 1], stack[0, 2], stack[0, 3] = 0, len(a), 0, len(b)
    while depth > 0:
        depth -= 1
        low, high, left, right = stack[depth]
        if low >= high or left >= right:
            continue
        size, at, place = 0, 0, 0
        run[left : right + 1] = 0
        for i in range(low, high):
            diagonal = 0
            for j in range(left, right):
                above = run[j + 1]
                length = diagonal + 1 if a[i] == b[j] else 0
                run[j + 1] = length
                if length > size:
                    size, at, place = length, i - length + 1, j - length + 1
                diagonal = above
        if size == 0:
            continue
        total += size
        for first, past, begin, stop in ((low, at, left, place), (at + size, high, place + size, right)):
            stack[depth, 0], stack[depth, 1], stack[depth, 2], stack[depth, 3] = first, past, begin, stop
            depth += 1
    return total
