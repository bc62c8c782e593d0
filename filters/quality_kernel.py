"""The one pass over a column of texts that the Gopher, repetition and FineWeb rules are counted in, compiled.

A scanner fills tables of words, lines and paragraphs and most of the columns; the columns of repetition follow from the tables.
What the columns `NAMES` mean is in `dsbuild.filters.quality`. NaN: the scorer abstains.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dsbuild.filters.quality_peer import scan_peer
from dsbuild.filters.quality_unicode import scan_unicode
from dsbuild.filters.repetition_kernel import WEIGHT, duplicates, repeated_ngrams, table_mask, top_ngram
from dsbuild.filters.utf8 import Bytes, Offsets, compiled
from dsbuild.filters.word_kernel import DIGITS, SPACED, begins, extends

Hashes = npt.NDArray[np.uint64]

# The word scanner moved to `dsbuild.filters.word_kernel`; these are its names of before.
_BASE, _DIGITS, _begins, _extends = SPACED, DIGITS, begins, extends

NAMES = (
    "gopher_words", "gopher_mean_word_length", "gopher_hash_ratio", "gopher_ellipsis_ratio", "gopher_bullet_lines", "gopher_ellipsis_lines",
    "gopher_alpha_words", "gopher_stop_words",
    "repetition_dup_paragraphs", "repetition_dup_paragraph_chars", "repetition_dup_lines", "repetition_dup_line_chars",
    "repetition_top_2gram", "repetition_top_3gram", "repetition_top_4gram",
    "repetition_dup_5gram", "repetition_dup_6gram", "repetition_dup_7gram", "repetition_dup_8gram", "repetition_dup_9gram",
    "repetition_dup_10gram",
    "fineweb_terminal_lines", "fineweb_short_lines", "fineweb_dup_line_chars", "fineweb_newline_ratio",
)  # fmt: skip


@compiled
def measure(
    data: Bytes, offsets: Offsets, tables: Any, peer: bool, stops: Hashes, spans: Any, langs: Any, least_words: int, least_lines: int,
    repetition: bool, out: Any,
) -> None:  # fmt: skip
    """Fill one row of `out` per text. spans: where each language's stop words stand in `stops`; langs: its index per row."""
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    keys = np.empty(table_mask(longest + 2) + 1, np.uint64)
    counts = np.empty(2 * len(keys), np.int64)
    slots, flags = np.empty(longest + 2, np.int64), np.empty(longest + 2, np.bool_)
    seq, cat = np.zeros(longest + 2, np.uint64), np.zeros(longest + 2, np.uint64)
    at, weight, length = (
        np.zeros(longest + 2, np.int64),
        np.zeros(longest + 2, np.int64),
        np.zeros(longest + 2, np.int64),
    )
    line_hash, line_length = np.empty(longest + 2, np.uint64), np.empty(longest + 2, np.int64)
    part_hash, part_length = np.empty(longest + 2, np.uint64), np.empty(longest + 2, np.int64)
    line_blank, part_blank = np.empty(longest + 2, np.bool_), np.zeros(longest + 2, np.bool_)
    words = (seq, cat, at, weight, length, line_hash, line_length, line_blank, part_hash, part_length)
    seen = np.full(len(stops), -1, np.int64)
    for row in range(len(offsets) - 1):
        start, end = offsets[row], offsets[row + 1]
        values = out[row]
        first, past = spans[langs[row]], spans[langs[row] + 1]
        if peer:
            n_words, n_lines, empties, n_parts, size, newlines = scan_peer(
                data, start, end, tables[1], stops, first, past, seen, row, words, values
            )
            spread = at
        else:
            n_words, n_lines, empties, n_parts, size, newlines = scan_unicode(
                data, start, end, tables, stops, first, past, seen, row, words, values
            )
            spread = length
        if size == 0 or not repetition:
            continue
        # Only texts without words have no lines; in datatrove's split a text of line feeds alone has two empty ones.
        dup, dup_chars, filled = duplicates(line_hash, line_length, line_blank, n_lines, keys)
        if peer:
            dup += max(empties - 1, 0)
            values[10], values[11] = dup / (n_lines + empties), dup_chars / size
            if values[22] >= 0:
                values[23] = filled / (size - newlines)
        else:
            values[23] = dup_chars / size
            if n_lines >= least_lines:
                values[10], values[11] = dup / n_lines, dup_chars / size
        if peer or n_parts >= least_lines:
            dup, dup_chars, _ = duplicates(part_hash, part_length, part_blank, n_parts, keys)
            values[8], values[9] = dup / n_parts, dup_chars / size
        if not peer and values[0] < least_words:
            continue
        for n in range(2, 5):
            top = top_ngram(seq, weight, spread, n_words, n, peer, keys, counts, slots, flags)
            values[10 + n] = top / size if peer else min(max(top - n * WEIGHT, 0) / size, 1.0)
        repeated = 1
        for n in range(5, 11):
            if peer:
                repeated = repeated_ngrams(cat, at, weight, spread, n_words, n, True, keys, flags)
                values[10 + n] = repeated / size
            else:
                # Where no n-gram recurs, no longer one does.
                repeated = repeated and repeated_ngrams(seq, at, weight, spread, n_words, n, False, keys, flags)
                values[10 + n] = max(repeated - n * WEIGHT, 0) / size
