"""Which row of a group of duplicates is kept, and which kept row each of the others goes with."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.errors import RecipeError
from dsbuild.filters.components import components
from dsbuild.filters.lsh import Floats, Rows, jaccard
from dsbuild.filters.shingles import Hashes
from dsbuild.filters.utf8 import Bytes, Offsets, compiled, lengths

Policy = Literal["longest", "best", "earliest"]
POLICIES: tuple[Policy, ...] = ("longest", "best", "earliest")

# A row is compared with at most this many kept rows of its group that it was no candidate with.
_FURTHER = 64


def merits(policy: Policy, data: Bytes, offsets: Offsets, scores: Any = None) -> Floats:
    """A number for each row, from its text or its score: the higher, the rather it is kept.

    longest: the code points of its text; best: its score, a row without one last; earliest: 0 for all, so that order decides.
    """
    if policy == "earliest":
        return np.zeros(len(offsets) - 1)
    if policy == "longest":
        return lengths(data, offsets).astype(np.float64)
    if scores is None:
        raise RecipeError(
            "the keeper policy is best, but there is no score column; name one, such as --set exact.score=COLUMN, or choose longest or earliest"
        )
    column = scores if isinstance(scores, pa.Array | pa.ChunkedArray) else pa.array(scores)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_null(column.type)):
        raise RecipeError(f"the score column of the keeper policy best holds {column.type}: a score is a number")
    found = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
    return np.where(np.isnan(found), -np.inf, found)


def order_of(protected: npt.NDArray[np.bool_], merit: Floats) -> Rows:
    """The rows in the order in which they may become keepers: protected ones first, then by merit, ties as they stand."""
    return np.lexsort((-merit, ~protected))


def choose(
    order: Rows, protected: npt.NDArray[np.bool_], left: Rows, right: Rows, values: Floats, hashes: Hashes, bounds: Offsets,
    threshold: float,
) -> tuple[Rows, Floats, int, Rows]:  # fmt: skip
    """Give each row its keeper: itself, or a kept row whose Jaccard index with it reaches the threshold.

    Rows are taken in `order`. A row goes with the most similar of the kept rows that reach the threshold (ties: the one first in
    order), never with a dropped one, so similarity is not chained. Protected rows are kept. left, right, values: the verified
    pairs; kept rows of the same connected group that a row was not compared with are compared now, 64 of them at most.

    Returns the keeper of each row, the Jaccard index with it (1 with itself), how many pairs were compared besides, and the
    connected group of each row, named by its first row.
    """
    n_rows = len(order)
    place = np.empty(n_rows, np.int64)
    place[order] = np.arange(n_rows)
    ends = np.concatenate((left, right))
    others = np.concatenate((right, left))
    sort = np.lexsort((place[others], ends))
    starts = np.searchsorted(ends[sort], np.arange(n_rows + 1))
    groups = components(n_rows, left, right)
    keepers, found, further = _choose(
        order,
        protected,
        starts,
        others[sort],
        np.concatenate((values, values))[sort],
        groups,
        hashes,
        bounds,
        threshold,
    )
    return keepers, found, int(further), groups


@compiled
def _choose(
    order: Rows, protected: npt.NDArray[np.bool_], starts: Rows, others: Rows, values: Floats, groups: Rows, hashes: Hashes,
    bounds: Offsets, threshold: float,
) -> tuple[Rows, Floats, int]:  # fmt: skip
    keepers = np.full(len(order), -1, np.int64)
    found = np.ones(len(order), np.float64)
    # The kept rows of each group as a chain in order: its first and last row, and each row's next.
    firsts = np.full(len(order), -1, np.int64)
    lasts = np.full(len(order), -1, np.int64)
    nexts = np.full(len(order), -1, np.int64)
    further = 0
    for row in order:
        best, keeper = 0.0, row
        for edge in range(starts[row], starts[row + 1]):
            other = others[edge]
            if keepers[other] == other and values[edge] > best:
                best, keeper = values[edge], other
        group = groups[row]
        if keeper == row:
            other, tries = firsts[group], 0
            while other >= 0 and tries < _FURTHER and not protected[row]:
                value = jaccard(hashes, bounds, row, other, threshold)
                further += 1
                tries += 1
                if value > best:
                    best, keeper = value, other
                other = nexts[other]
        if protected[row] or keeper == row:
            keepers[row] = row
            if firsts[group] < 0:
                firsts[group] = row
            else:
                nexts[lasts[group]] = row
            lasts[group] = row
        else:
            keepers[row] = keeper
            found[row] = best
    return keepers, found, further
