"""The ratio margin of sentence embeddings: how much nearer two texts are to each other than to their neighbours.

`2 k cos(x, y) / (sum of cos(x, its k nearest targets) + sum of cos(y, its k nearest sources))`. Around 1 a pair is no nearer than
its neighbours. Source: M. Artetxe and H. Schwenk 2019. Where the vectors come from is the caller's business.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Vectors = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

# Rows of one side whose likeness to all of the other is held at once.
_BLOCK = 1024


def ratio_margin(sources: Vectors, targets: Vectors, k: int = 4) -> pa.Array:
    """The margin of each pair of rows among all rows; null where a vector is zero or not finite, or fewer than two pairs are left.

    sources, targets: arrays of the same shape, pairs x dimensions; they need not be of length one. Memory: a block of the table of
    likeness at a time.
    """
    if sources.ndim != 2 or sources.shape != targets.shape:
        raise ValueError(f"two arrays of pairs x dimensions are wanted, these are {sources.shape} and {targets.shape}")
    (one, usable), (two, other) = (_normal(side) for side in (sources, targets))
    usable &= other
    result = np.full(len(one), np.nan)
    one, two = one[usable], two[usable]
    if len(one) > 1:
        near = min(k, len(one))
        around = _neighbours(one, two, near) + _neighbours(two, one, near)
        with np.errstate(divide="ignore", invalid="ignore"):
            result[usable] = 2 * near * np.sum(one * two, axis=1) / around
    return pa.array(result, mask=~np.isfinite(result))


def _normal(vectors: Vectors) -> tuple[Vectors, npt.NDArray[np.bool_]]:
    """Vectors of length one, in single precision at least, and which of them there are."""
    values = vectors.astype(np.result_type(vectors.dtype, np.float32), copy=False)
    lengths = np.linalg.norm(values, axis=1)
    usable = np.isfinite(lengths) & (lengths > 0)
    return values / np.where(usable, lengths, 1)[:, None], usable


def _neighbours(one: Vectors, two: Vectors, k: int) -> Floats:
    """For each row the sum of its likeness to the k rows of the other side that are nearest."""
    total = np.empty(len(one))
    for start in range(0, len(one), _BLOCK):
        likeness = one[start : start + _BLOCK] @ two.T
        nearest = np.partition(likeness, likeness.shape[1] - k, axis=1)[:, likeness.shape[1] - k :]
        total[start : start + _BLOCK] = nearest.sum(axis=1, dtype=np.float64)
    return total
