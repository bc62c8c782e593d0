"""The best hits so far of a query: a heap of bounded size, kept by compiled kernels.

A hit is better if its score is larger, and of two with one score the one with the smaller row. The worst stands first. Most scores are below the
worst of a full heap; runs of them are skipped by comparisons that the compiler turns into vector instructions
(0.2 ns a score; 0.8 ns when they are counted in a wide integer, which it does not).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dsbuild.filters.utf8 import compiled

# Scores that are compared with the worst hit at once.
_RUN = 64


@compiled
def worse(score: Any, row: Any, other_score: Any, other_row: Any) -> bool:
    """Whether a hit is worse than another one."""
    return bool(score < other_score or (score == other_score and row > other_row))


@compiled
def sink(scores: Any, rows: Any, place: int, size: int) -> None:
    """Let the hit at a place down until none below it is worse."""
    score, row = scores[place], rows[place]
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and worse(scores[child + 1], rows[child + 1], scores[child], rows[child]):
            child += 1
        if not worse(scores[child], rows[child], score, row):
            break
        scores[place], rows[place] = scores[child], rows[child]
        place = child
    scores[place], rows[place] = score, row


@compiled
def push(scores: Any, rows: Any, size: int, score: Any, row: Any) -> int:
    """Add a hit to a heap of `size` hits, in the place of the worst if the heap is full; returns the new size."""
    if size == len(scores):
        if worse(scores[0], rows[0], score, row):
            scores[0], rows[0] = score, row
            sink(scores, rows, 0, size)
        return size
    place = size
    while place > 0:
        parent = (place - 1) // 2
        if not worse(score, row, scores[parent], rows[parent]):
            break
        scores[place], rows[place] = scores[parent], rows[parent]
        place = parent
    scores[place], rows[place] = score, row
    return size + 1


@compiled
def offer(scores: Any, rows: Any, size: int, found: Any, first: Any, least: Any) -> int:
    """Offer the scores of the rows `first`, `first + 1`, … to a heap, those above `least` only; returns its new size."""
    full = len(scores)
    limit = scores[0] if size == full and scores[0] > least else least
    n = len(found)
    start = 0
    while start < n:
        end = min(start + _RUN, n)
        run = found[start:end]
        above = np.uint8(0)
        if len(run) == _RUN:  # a length that the compiler knows
            for index in range(_RUN):
                above |= np.uint8(run[index] > limit)
        else:
            for index in range(len(run)):
                above |= np.uint8(run[index] > limit)
        if above:
            # Rows only grow, so one with the score of the worst is no better than it.
            for index in range(start, end):
                if found[index] > limit:
                    size = push(scores, rows, size, found[index], first + index)
                    if size == full and scores[0] > limit:
                        limit = scores[0]
        start = end
    return size


@compiled
def settle(scores: Any, rows: Any, size: int) -> None:
    """Sort a heap, best first; what is not filled becomes -inf and -1."""
    for last in range(size - 1, 0, -1):
        scores[0], scores[last] = scores[last], scores[0]
        rows[0], rows[last] = rows[last], rows[0]
        sink(scores, rows, 0, last)
    for place in range(size, len(scores)):
        scores[place] = -np.inf
        rows[place] = -1
