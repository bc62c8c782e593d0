"""One text by the words, lines and paragraphs of any script: the `unicode` variant of the quality rules, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dsbuild.filters import characters as chars
from dsbuild.filters.repetition_kernel import BASE, WEIGHT, mix, power
from dsbuild.filters.utf8 import Bytes, compiled, decode
from dsbuild.filters.word_kernel import DIGITS, NONE, SPACED, begins, extends, stop_place

Hashes = npt.NDArray[np.uint64]

_SHORT_LINE = 30
_LF, _HASH, _WIDE_HASH, _DOT = 10, 0x23, 0xFF03, 0x2E
_NOT_INSIDE = ~(chars.ALPHA | chars.NUMERAL)


@compiled
def scan_unicode(
    data: Bytes,
    start: int,
    end: int,
    tables: Any,
    stops: Hashes,
    first: int,
    past: int,
    seen: Any,
    tag: int,
    words: Any,
    out: Any,
) -> Any:
    """Count one text by words, lines and paragraphs of any script; returns the same counts as `scan_peer`."""
    kinds, bits, sizes, fold = tables
    seq, _, at, weight, length, line_hash, line_length, line_blank, part_hash, part_length = words
    n_words, n_lines, n_parts, n_chars = 0, 0, 0, 0
    raw, letters, sequence = np.uint64(0), np.uint64(0), np.uint64(0)
    state, spaced, spaced_size, dense_size, dense_alpha, spaced_alpha, symbols, found = NONE, 0, 0, 0, 0, 0, 0, 0
    word_size, alpha, dense, weighed = 0, False, False, 0
    chunk, chunk_words = False, 0
    hashes, ellipses, dots, dotted = 0, 0, 0, False
    bullets, ending, terminal, judged, short, empty_run = 0, 0, 0, 0, 0, 1
    line, line_at, line_size, line_words, ink, ink_at, tail, tail_bits, bare = raw, -1, 0, 0, raw, 0, 0, 0, False
    part, part_size = np.uint64(0), 0
    before, before_nd, index = np.int64(0), False, start
    code: Any
    while True:
        done = index >= end
        if done:
            code, kind, bit = _LF, 0, chars.SPACE | chars.BREAK
        else:
            code, index = decode(data, index)
            kind, bit = kinds[code], bits[code]
        n_chars += 1
        # Most code points are letters inside a word: what follows, cut down to what they change.
        if state == SPACED and 0 < kind <= chars.MARK and not bit & _NOT_INSIDE:
            letters = letters * BASE + np.uint64(fold[code] + 1)
            raw = raw * BASE + np.uint64(code + 1)
            word_size += sizes[code]
            line_size += sizes[code]
            alpha = alpha or (bit & chars.ALPHA) > 0
            before, before_nd = code, (bit & chars.NUMERAL) > 0
            dots, dotted, tail, tail_bits = 0, False, 0, bit
            ink, ink_at = raw, n_chars
            continue
        # Words.
        following = NONE
        if state != NONE:
            following = NONE if done else extends(state, kind, code, before, before_nd, data, index, end, kinds, bits)
            if following == NONE:
                key = mix(letters)
                sequence = sequence * BASE + key
                if dense:
                    dense_size += word_size
                    dense_alpha += word_size
                    weighed += max(word_size, 1)
                else:
                    spaced += 1
                    spaced_size += word_size
                    spaced_alpha += alpha
                    line_words += 1
                    weighed += WEIGHT
                place = stop_place(stops, first, past, key)
                if place >= 0 and seen[place] != tag:
                    seen[place] = tag
                    found += 1
                n_words += 1
                seq[n_words], at[n_words], weight[n_words] = sequence, n_words, weighed
                length[n_words] = spaced_size + dense_size
        if following == NONE:
            following = NONE if done else begins(kind)
            if following != NONE:
                letters, word_size, alpha, chunk_words = np.uint64(0), 0, False, chunk_words + 1
                dense = (following != SPACED and following != DIGITS) or kind == chars.TIBETAN
                bare = chars.CONSONANT <= kind <= chars.LEADING
        state = following
        if state != NONE:
            letters = letters * BASE + np.uint64(fold[code] + 1)
            word_size += sizes[code]
            line_size += sizes[code]
            alpha = alpha or (bit & chars.ALPHA) > 0
        before_nd = (bit & chars.NUMERAL) > 0
        before = code
        # Signs that stand alone between spaces count as tokens without letters.
        if bit & chars.SPACE:
            symbols += chunk and chunk_words == 0
            chunk, chunk_words = False, 0
        else:
            chunk = True
        hashes += (code == _HASH) | (code == _WIDE_HASH)
        if code == _DOT:
            dots += 1
            ellipses += dots == 3
        else:
            dots = 0
            ellipses += (bit & chars.DOTS) > 0 and not dotted
        dotted = (bit & chars.DOTS) > 0
        # Lines without the space around them; paragraphs are parted by blank lines.
        previous = raw
        if not bit & chars.SPACE:
            raw = raw * BASE + np.uint64(code + 1)
            if line_at < 0:
                line, line_at = previous, n_chars - 1
                bullets += (bit & chars.BULLET) > 0
            ink, ink_at = raw, n_chars
            if not bit & chars.CLOSER:
                tail = 3 if bit & chars.DOTS else (min(tail + 1, 3) if code == _DOT else 0)
                tail_bits = bit
        elif not bit & chars.BREAK:
            raw = raw * BASE + np.uint64(code + 1)
        if bit & chars.BREAK:
            if line_at >= 0:
                key = ink - line * power(ink_at - line_at)
                line_hash[n_lines], line_length[n_lines] = key, line_size
                line_blank[n_lines] = line_size == 0
                ending += tail >= 3
                short += line_size + line_words <= _SHORT_LINE
                if not bare or tail_bits & chars.TERMINAL:
                    judged += 1
                    terminal += (tail_bits & chars.TERMINAL) > 0 or tail >= 3
                n_lines += 1
                part = part * BASE + mix(key)
                part_size += line_size
                empty_run = 0
            else:
                empty_run += 1
            if (empty_run > 0 or done) and part_size > 0:
                part_hash[n_parts], part_length[n_parts] = part, part_size
                n_parts += 1
                part, part_size = np.uint64(0), 0
            line_at, line_size, line_words, tail, tail_bits, bare = -1, 0, 0, 0, 0, False
        if done:
            break
    size = spaced_size + dense_size
    counted = max(spaced + dense_size / WEIGHT, size / WEIGHT)
    tokens = spaced + dense_size / WEIGHT + symbols
    out[0] = counted
    if spaced > 0 and 2 * spaced_size >= size:
        out[1] = spaced_size / spaced
    if tokens > 0:
        weighty = max(tokens, counted)
        out[2], out[3] = hashes / weighty, ellipses / weighty
        out[6] = (spaced_alpha + dense_alpha / WEIGHT) / tokens
        if past - first > 1:
            out[7] = found
    if n_lines > 0:
        out[4], out[5], out[22] = bullets / n_lines, ending / n_lines, short / n_lines
        if judged > 0:
            out[21] = terminal / judged
        if counted > 0:
            out[24] = (n_lines - 1) / counted
    return n_words, n_lines, 0, n_parts, size, 0
