"""Candidate pairs from band hashes, and the exact Jaccard index of each: nothing is called a duplicate on a signature alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsbuild.filters.shingles import Hashes
from dsbuild.filters.utf8 import Offsets, compiled

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Up to this many rows with the same band hash are all compared with each other; of more, each is compared with the first
# of them and its neighbours, so that pairs stay linear in the rows.
BUCKET = 256
_NEIGHBOURS = 8


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs of rows to compare, left < right, each once and in order. big_buckets: how many were too large to compare all."""

    left: Rows
    right: Rows
    big_buckets: int


def candidates(bands: Iterable[Hashes], places: Rows | None = None, *, bucket: int = BUCKET) -> Candidates:
    """The pairs of rows that agree in a band, taken one band at a time.

    bands: for each band one hash a row; places: the rows' places in the order of keepers, for the first row of a large bucket
    (None: their own order). Memory: about 24 bytes a row besides the pairs.
    """
    found = np.empty(0, np.uint64)
    big = 0
    for hashes in bands:
        if len(hashes) >= 1 << 32:
            raise ValueError("more than 4,294,967,295 rows in one search for near duplicates")
        order = np.argsort(hashes)
        pairs, larger = _band_pairs(hashes, order, np.arange(len(hashes)) if places is None else places, bucket)
        big += int(larger)
        found = np.union1d(found, pairs)
    return Candidates((found >> np.uint64(32)).astype(np.int64), (found & np.uint64(0xFFFFFFFF)).astype(np.int64), big)


@compiled
def _band_pairs(hashes: Hashes, order: Rows, places: Rows, bucket: int) -> tuple[Hashes, int]:
    total = big = 0
    for filling in range(2):
        out = np.empty(total if filling else 0, np.uint64)
        size = start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and hashes[order[end]] == hashes[order[start]]:
                end += 1
            many = end - start > bucket
            if not filling:
                count = end - start
                size += (count - 1) * (_NEIGHBOURS + 1) if many else count * (count - 1) // 2
                big += many
            elif end - start > 1:
                rows = order[start:end]
                if many:
                    rows = rows[np.argsort(places[rows])]
                for second in range(1, len(rows)):
                    for first in range(max(0, second - _NEIGHBOURS) if many else 0, second):
                        out[size] = _packed(rows[first], rows[second])
                        size += 1
                    if many and second > _NEIGHBOURS:
                        out[size] = _packed(rows[0], rows[second])
                        size += 1
            start = end
        total = size
    return out[:total], big


@compiled
def _packed(one: int, other: int) -> np.uint64:
    return np.uint64(min(one, other)) << np.uint64(32) | np.uint64(max(one, other))


@compiled
def jaccard(hashes: Hashes, bounds: Offsets, one: int, other: int, threshold: float) -> float:
    """The Jaccard index of two sorted sets, or 0 as soon as it is known to be below the threshold."""
    left, left_end = bounds[one], bounds[one + 1]
    right, right_end = bounds[other], bounds[other + 1]
    total = (left_end - left) + (right_end - right)
    # |A ∩ B| that makes J = threshold; what has been passed over on both sides may not be more than the rest.
    needed = threshold * total / (1.0 + threshold)
    spare = total - 2.0 * needed + 1e-6
    if abs((left_end - left) - (right_end - right)) > spare:
        return 0.0
    common = skipped = 0
    while left < left_end and right < right_end:
        here, there = hashes[left], hashes[right]
        if here == there:
            common += 1
            left += 1
            right += 1
            continue
        left += here < there
        right += there < here
        skipped += 1
        if skipped > spare:
            return 0.0
    found = common / (total - common)
    return found if found >= threshold else 0.0


@compiled
def jaccards(hashes: Hashes, bounds: Offsets, left: Rows, right: Rows, threshold: float) -> Floats:
    """The Jaccard index of each pair of sets, 0 where it is below the threshold."""
    out = np.empty(len(left), np.float64)
    for pair in range(len(left)):
        out[pair] = jaccard(hashes, bounds, left[pair], right[pair], threshold)
    return out
