"""From how alike words are to links: mutual best, iterated; a threshold on both softmaxes; the heaviest matching.

Sources: Jalili Sabet et al. 2020 (SimAlign: argmax, itermax, match), Dou and Neubig 2021 (awesome-align: softmax).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from dsbuild.errors import UnknownName
from dsbuild.project.alignment import Link

Array = npt.NDArray[np.float64]
Matching = Literal["argmax", "itermax", "match", "softmax"]
MATCHINGS: tuple[Matching, ...] = get_args(Matching)
_ROUNDS = 2
_FADED = 0.9
_BOTH = 0.001


def links(alike: Array, how: Matching) -> dict[Link, float]:
    """Links of a table [source, target] and how alike their ends are.

    argmax: each the other's best. itermax: then, with what is linked taken out and what has one end linked faded, twice again. match: one to
    one with the largest sum. softmax: likely both ways (`alike` are then logits, and scores the geometric mean of both probabilities);
    else `alike` lies in [0, 1].

    >>> sorted(links(np.array([[0.9, 0.2], [0.3, 0.8]]), "argmax"))
    [(0, 0), (1, 1)]
    """
    if how not in MATCHINGS:
        raise UnknownName("matching", how, MATCHINGS)
    if not alike.size:
        return {}
    if how == "softmax":
        forward, backward = _softmax(alike, 1), _softmax(alike, 0)
        likely = np.argwhere((forward > _BOTH) & (backward > _BOTH)).tolist()
        return {(i, j): float(np.sqrt(forward[i, j] * backward[i, j])) for i, j in likely}
    if how == "match":
        from scipy.optimize import linear_sum_assignment

        rows, columns = linear_sum_assignment(alike, maximize=True)
        return {(int(i), int(j)): float(alike[i, j]) for i, j in zip(rows, columns, strict=True)}
    chosen = _mutual(alike)
    # Of two words or fewer nothing is left to find.
    if how == "itermax" and min(alike.shape) > _ROUNDS:
        for _ in range(_ROUNDS):
            rows, columns = chosen.any(1, keepdims=True), chosen.any(0, keepdims=True)
            faded = np.where(rows & columns, 0.0, np.where(rows | columns, alike * _FADED, alike))
            more = _mutual(faded) & (faded > 0)
            if not (more & ~chosen).any():
                break
            chosen |= more
    return {(i, j): float(alike[i, j]) for i, j in np.argwhere(chosen).tolist()}


def _mutual(alike: Array) -> npt.NDArray[np.bool_]:
    """Where a cell is the best of its row and of its column; of equal ones the first."""
    found = np.zeros(alike.shape, bool)
    best, other = alike.argmax(1), alike.argmax(0)
    rows = np.flatnonzero(other[best] == np.arange(len(best)))
    found[rows, best[rows]] = True
    return found


def _softmax(values: Array, axis: int) -> Array:
    raised = np.exp(values - values.max(axis, keepdims=True))
    return np.asarray(raised / raised.sum(axis, keepdims=True))
