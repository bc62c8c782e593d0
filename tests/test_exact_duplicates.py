from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.filters.exact_duplicates import _RECORD, duplicates_of


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 2), st.booleans()), max_size=12))
def test_the_best_of_each_digest_stays(rows: list[tuple[int, int, int, bool]]) -> None:
    records = np.array(
        [(high, low, merit, safe, place) for place, (high, low, merit, safe) in enumerate(rows)], _RECORD
    )
    dropped, keepers = duplicates_of(records)
    wanted = {}
    for place, (high, low, _, safe) in enumerate(rows):
        same = [other for other, one in enumerate(rows) if one[:2] == (high, low)]
        best = min(same, key=lambda other: (not rows[other][3], -rows[other][2], other))
        if place != best and not safe:
            wanted[place] = best
    assert dict(zip(dropped.tolist(), keepers.tolist(), strict=True)) == wanted
