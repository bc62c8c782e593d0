"""Connected components: which rows are linked, directly or through others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dsbuild.filters.utf8 import compiled

Rows = npt.NDArray[np.int64]


def components(n_rows: int, left: Rows, right: Rows) -> Rows:
    """The component of each row, named by its smallest row. left, right: the two ends of each link.

    >>> components(5, np.array([4, 1]), np.array([3, 4])).tolist()
    [0, 1, 2, 1, 1]
    """
    found: Rows = _components(n_rows, left.astype(np.int64), right.astype(np.int64))
    return found


@compiled
def _components(n_rows: int, left: Rows, right: Rows) -> Rows:
    parents = np.arange(n_rows)
    for link in range(len(left)):
        one, other = left[link], right[link]
        while parents[one] != one:
            parents[one] = parents[parents[one]]
            one = parents[one]
        while parents[other] != other:
            parents[other] = parents[parents[other]]
            other = parents[other]
        parents[max(one, other)] = min(one, other)
    # A parent is never larger than its child, so one pass upwards finds every root.
    for row in range(n_rows):
        parents[row] = parents[parents[row]]
    return parents
