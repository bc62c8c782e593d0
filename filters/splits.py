"""Splits without leakage: rows that are linked, directly or through others, go to the same split.

Linked rows form a component, whose key is its smallest id. Components are taken from the largest to the smallest, those of one size in the
order of the hash of seed and key; each goes to the split that is then furthest behind its share. So large and small components spread
over the splits alike, the smallest even out what the larger ones left uneven, and neither the order of the rows nor the number
of workers changes anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from dsbuild.filters.lsh import Floats, Rows
from dsbuild.filters.utf8 import compiled

# A component of up to so many rows is no chain, however small the set.
SMALL_COMPONENT = 3


@dataclass(frozen=True, slots=True)
class Assigned:
    """What became of each row.

    split: a number, -1 for a row that takes none; leaked_into: for a row that had to go, the protected row of its component with the
    smallest id, -1 for all others.
    """

    split: Rows
    leaked_into: Rows


def assign(
    component: Rows, keys: Sequence[str], shares: Sequence[float], seed: int, official: Rows, protected: npt.NDArray[np.bool_],
    counted: npt.NDArray[np.bool_],
) -> Assigned:  # fmt: skip
    """Give each counted row a split.

    component: of each row, named by its smallest row; keys: of the components that occur, in ascending order of their names;
    shares: of the splits 0, 1, ...; official: the split that a row comes with, -1 where none (numbers from len(shares) on are
    splits that get no new rows); protected: of each split's number, whether its rows stay whatever is linked to them.

    A row that is protected by its official split keeps it. Where a component has such a row, its other rows leak into that one and
    take no split. Other official splits are kept; rows without one follow those of their component.
    """
    names, of_row = np.unique(component, return_inverse=True)
    has = np.full(len(names), -1, np.int64)
    guard = np.full(len(names), -1, np.int64)
    known = np.flatnonzero((official >= 0) & counted)
    safe = known[protected[official[known]]] if len(known) else known
    # Reversed, so that the smallest row of a component is the one that stays written.
    has[of_row[known[::-1]]] = official[known[::-1]]
    guard[of_row[safe[::-1]]] = safe[::-1]
    sizes = np.bincount(of_row[counted], minlength=len(names))
    free = np.flatnonzero((has < 0) & (guard < 0) & (sizes > 0))
    hashes = np.fromiter(
        (xxhash.xxh3_64_intdigest(f"{seed}\0{keys[name]}".encode()) for name in free.tolist()), np.uint64, len(free)
    )
    order = free[np.lexsort((hashes, -sizes[free]))]
    has[order] = _balance(sizes[order], np.asarray(shares, np.float64))
    split = np.where(official >= 0, official, has[of_row])
    lost = counted & (guard[of_row] >= 0)
    lost[safe] = False
    split[lost | ~counted] = -1
    return Assigned(split, np.where(lost, guard[of_row], -1))


@compiled
def _balance(sizes: Rows, shares: Floats) -> Rows:
    out = np.empty(len(sizes), np.int64)
    filled = np.zeros(len(shares), np.float64)
    total = 0.0
    for index in range(len(sizes)):
        total += sizes[index]
        best = -1
        for split in range(len(shares)):
            if shares[split] <= 0:
                continue
            if best < 0 or shares[split] * total - filled[split] > shares[best] * total - filled[best]:
                best = split
        out[index] = best
        filled[best] += sizes[index]
    return out
