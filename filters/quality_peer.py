"""One text as datatrove 0.10 counts it, over white-space tokens: the `peer` variant of the quality rules, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dsbuild.filters import characters as chars
from dsbuild.filters.repetition_kernel import BASE, WEIGHT, mix, power
from dsbuild.filters.utf8 import Bytes, compiled, decode
from dsbuild.filters.word_kernel import stop_place

Hashes = npt.NDArray[np.uint64]

_SHORT_LINE = 30
_LF, _CR, _HASH, _DOT, _ELLIPSIS, _BULLET, _DASH = 10, 13, 0x23, 0x2E, 0x2026, 0x2022, 0x2D


@compiled
def scan_peer(
    data: Bytes,
    start: int,
    end: int,
    bits: Any,
    stops: Hashes,
    first: int,
    past: int,
    seen: Any,
    tag: int,
    words: Any,
    out: Any,
) -> Any:
    """Count one text as datatrove does; returns (words, lines, empty lines, paragraphs, characters, newlines)."""
    seq, cat, at, weight, _, line_hash, line_length, line_blank, part_hash, part_length = words
    n_words, n_chars, n_lines, n_parts, newlines = 0, 0, 0, 0, 0
    raw, letters, sequence = np.uint64(0), np.uint64(0), np.uint64(0)
    word_length, n_letters, tokens, token_chars, with_alpha, found = 0, 0, 0, 0, 0, 0
    symbol_only, alpha = True, False
    hashes, dots, ellipses = 0, 0, 0
    rows, bullets, ending, row_first, row_open = 0, 0, 0, True, False
    tail = 0  # how the row ends so far: 1, 2, 3 dots, or 3 for an ellipsis
    segment, segment_at, blank, filled, terminal, short = raw, 0, True, 0, 0, 0
    last: Any = 0
    part, part_at, run, run_hash, run_at = raw, -1, 0, raw, 0
    ink, ink_at, ink_parts, ink_part, ink_part_at = raw, 0, 0, raw, -1
    index, empties = start, 0
    before: Any = 0
    while index < end:
        code, index = decode(data, index)
        kind = bits[code]
        previous = raw
        raw = raw * BASE + np.uint64(code + 1)
        n_chars += 1
        if code == _HASH:
            hashes += 1
        if code == _DOT:
            dots += 1
            if dots == 3:
                ellipses += 1
                dots = 0
        else:
            dots = 0
            ellipses += code == _ELLIPSIS
        # Rows, as str.splitlines makes them.
        if kind & chars.BREAK:
            if not (code == _LF and before == _CR):
                rows += 1
                ending += tail >= 3
            row_first, row_open, tail = True, False, 0
        else:
            row_open = True
            if not kind & chars.SPACE:
                if row_first:
                    bullets += (code == _BULLET) | (code == _DASH)
                    row_first = False
                tail = (
                    3
                    if code == _ELLIPSIS
                    else (min(tail + 1, 3) if code == _DOT and before == _DOT else int(code == _DOT))
                )
        before = code
        # Lines and paragraphs, as splits at \n+ and \n{2,} make them.
        if code == _LF:
            newlines += 1
            if n_chars == 1:
                empties += 1
            if run == 0:
                run_hash, run_at = previous, n_chars - 1
                if n_chars > 1:
                    line_hash[n_lines] = previous - segment * power(n_chars - 1 - segment_at)
                    line_length[n_lines] = n_chars - 1 - segment_at
                    line_blank[n_lines] = blank
                    if not blank:
                        filled += 1
                        terminal += (bits[last] & chars.TERMINAL) > 0
                        short += line_length[n_lines] <= _SHORT_LINE
                    n_lines += 1
            run += 1
        else:
            if run > 0 or n_chars == 1:
                if run > 1 and part_at >= 0:
                    part_hash[n_parts] = run_hash - part * power(run_at - part_at)
                    part_length[n_parts] = run_at - part_at
                    n_parts += 1
                    part, part_at = previous, n_chars - 1
                segment, segment_at, blank = previous, n_chars - 1, True
                run = 0
            last = code
        if not kind & chars.SPACE:
            blank = False
            if part_at < 0:
                part, part_at = previous, n_chars - 1
            ink, ink_at, ink_parts, ink_part, ink_part_at = raw, n_chars, n_parts, part, part_at
            letters = letters * BASE + np.uint64(code + 1)
            word_length += 1
            symbol_only = symbol_only and (kind & chars.PUNCTUATION) > 0
            alpha = alpha or (kind & chars.ALPHA) > 0
        if word_length > 0 and (kind & chars.SPACE or index >= end):
            key = mix(letters - cat[n_words] * power(word_length))
            sequence = sequence * BASE + key
            n_letters += word_length
            if not symbol_only:
                tokens += 1
                token_chars += word_length
            with_alpha += alpha
            place = stop_place(stops, first, past, key)
            if place >= 0 and seen[place] != tag:
                seen[place] = tag
                found += 1
            n_words += 1
            seq[n_words], cat[n_words], at[n_words], weight[n_words] = sequence, letters, n_letters, WEIGHT * n_words
            word_length, symbol_only, alpha = 0, True, False
    if row_open:
        rows += 1
        ending += tail >= 3
    if run == 0 and n_chars > 0:
        line_hash[n_lines] = raw - segment * power(n_chars - segment_at)
        line_length[n_lines] = n_chars - segment_at
        line_blank[n_lines] = blank
        if not blank:
            filled += 1
            terminal += (bits[last] & chars.TERMINAL) > 0
            short += line_length[n_lines] <= _SHORT_LINE
        n_lines += 1
    elif n_chars > 0:
        empties += 1
    n_parts = ink_parts
    part_hash[n_parts] = ink - ink_part * power(max(ink_at - ink_part_at, 0)) if ink_part_at >= 0 else np.uint64(0)
    part_length[n_parts] = ink_at - ink_part_at if ink_part_at >= 0 else 0
    n_parts += 1
    out[0] = tokens
    if tokens > 0:
        out[1] = token_chars / tokens
    if n_words > 0:
        out[2], out[3], out[6], out[7] = hashes / n_words, ellipses / n_words, with_alpha / n_words, found
    if rows > 0:
        out[4], out[5] = bullets / rows, ending / rows
    if filled > 0:
        out[21], out[22], out[24] = terminal / filled, short / filled, newlines / n_words
    return n_words, n_lines, empties, n_parts, n_chars, newlines
