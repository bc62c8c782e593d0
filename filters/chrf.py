"""chrF of single sentences: how much of a text comes back from a round trip through another language.

The F-score of character n-grams of one to six, recall counted twice (beta = 2), white space left out: the sentence score of sacreBLEU's
chrF2 with its defaults. Source: M. Popović 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsbuild.filters.utf8 import CODES, Bytes, Offsets, class_bits, compiled, decode, encode

Floats = npt.NDArray[np.float64]

ORDER, BETA = 6, 2


def round_trip_chrf(
    sources: pa.Array | Sequence[str | None], back_translations: pa.Array | Sequence[str | None]
) -> pa.Array:
    """chrF2 in [0, 100] of each back-translation against its source; null where either is null.

    >>> round_trip_chrf(["the cat sat", "abc", None], ["the cat sat", "xyz", "a"]).to_pylist()
    [100.0, 0.0, None]
    """
    one, two = (list(side.to_pylist() if isinstance(side, pa.Array) else side) for side in (sources, back_translations))
    absent = np.array([left is None or right is None for left, right in zip(one, two, strict=True)], np.bool_)
    data, offsets = encode([text or "" for text in one])
    other, others = encode([text or "" for text in two])
    scores = _chrf(data, offsets, other, others, _spaces())
    return pa.array(scores, mask=absent)


def _spaces() -> Bytes:
    table = np.array(class_bits({r"[\s\x1c-\x1f]": 1}))
    assert len(table) == CODES
    table.flags.writeable = False
    return table


@compiled
def _codes(data: Bytes, start: int, end: int, spaces: Bytes, out: Any) -> int:
    n, index = 0, start
    while index < end:
        code, index = decode(data, index)
        if not spaces[code]:
            out[n] = code
            n += 1
    return n


@compiled
def _chrf(data: Bytes, offsets: Offsets, other: Bytes, others: Offsets, spaces: Bytes) -> Floats:
    rows = len(offsets) - 1
    out = np.zeros(rows)
    longest = 1
    for row in range(rows):
        longest = max(longest, offsets[row + 1] - offsets[row], others[row + 1] - others[row])
    left, right = np.empty(longest, np.int32), np.empty(longest, np.int32)
    for row in range(rows):
        n = _codes(data, offsets[row], offsets[row + 1], spaces, left)
        m = _codes(other, others[row], others[row + 1], spaces, right)
        precision, recall, orders = 0.0, 0.0, 0
        for order in range(1, ORDER + 1):
            ours, theirs = n - order + 1, m - order + 1
            # An order counts where both sides have n-grams of it.
            if ours <= 0 or theirs <= 0:
                continue
            both = _matches(_hashes(left, n, order), _hashes(right, m, order))
            precision += both / theirs
            recall += both / ours
            orders += 1
        if orders > 0:
            precision, recall = precision / orders, recall / orders
            if precision + recall > 0:
                out[row] = 100 * (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall)
    return out


@compiled
def _hashes(codes: Any, n: int, order: int) -> Any:
    """The n-grams as sorted hashes of 64 bits."""
    out = np.empty(n - order + 1, np.uint64)
    for start in range(n - order + 1):
        state = np.uint64(0)
        for place in range(start, start + order):
            state = (state ^ np.uint64(codes[place])) * np.uint64(0x9E3779B97F4A7C15)
            state ^= state >> np.uint64(29)
        out[start] = state
    out.sort()
    return out


@compiled
def _matches(one: Any, two: Any) -> int:
    """How many n-grams two sorted lists share, each as often as both have it."""
    i, j, both = 0, 0, 0
    while i < len(one) and j < len(two):
        if one[i] == two[j]:
            both, i, j = both + 1, i + 1, j + 1
        elif one[i] < two[j]:
            i += 1
        else:
            j += 1
    return both
