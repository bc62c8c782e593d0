from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.errors import RecipeError
from dsbuild.filters.keepers import choose, merits, order_of
from dsbuild.filters.utf8 import encode

SETS = st.lists(st.sets(st.integers(0, 9), min_size=3, max_size=9), min_size=2, max_size=12)


def similarity(one: set[int], other: set[int]) -> float:
    return len(one & other) / len(one | other)


def chosen(
    sets: list[set[int]], protected: list[bool], merit: list[float], threshold: float, edges: set[tuple[int, int]]
):
    hashes = np.array([item for one in sets for item in sorted(one)], np.uint64)
    bounds = np.concatenate(([0], np.cumsum([len(one) for one in sets])))
    left, right = (np.array([edge[side] for edge in sorted(edges)], np.int64) for side in (0, 1))
    values = np.array([similarity(sets[i], sets[j]) for i, j in sorted(edges)], np.float64)
    safe = np.array(protected)
    order = order_of(safe, np.array(merit, np.float64))
    keepers, found, _, _ = choose(order, safe, left, right, values, hashes, bounds, threshold)
    return order.tolist(), keepers.tolist(), found.tolist()


@settings(max_examples=200, deadline=None)
@given(SETS, st.data())
def test_greedy_by_order_and_verified_against_the_keeper(sets: list[set[int]], data: st.DataObject) -> None:
    threshold = data.draw(st.sampled_from([0.5, 0.7, 0.9]))
    protected = data.draw(st.lists(st.booleans(), min_size=len(sets), max_size=len(sets)))
    merit = data.draw(st.lists(st.integers(0, 3), min_size=len(sets), max_size=len(sets)))
    pairs = [(i, j) for i in range(len(sets)) for j in range(i + 1, len(sets))]
    true = {(i, j) for i, j in pairs if similarity(sets[i], sets[j]) >= threshold}
    order, keepers, found = chosen(sets, protected, merit, threshold, true)

    assert order == sorted(range(len(sets)), key=lambda row: (not protected[row], -merit[row], row))
    kept: list[int] = []
    for row in order:
        near = [(-similarity(sets[row], sets[other]), place, other) for place, other in enumerate(kept)]
        near = [one for one in near if -one[0] >= threshold]
        if protected[row] or not near:
            assert keepers[row] == row
            kept.append(row)
        else:
            best = min(near)
            assert (keepers[row], found[row]) == (best[2], -best[0])


def test_similarity_is_not_chained_and_missing_pairs_are_compared() -> None:
    chain = [{1, 2, 3, 4}, {1, 2, 3, 5}, {1, 2, 5, 6}]
    _, keepers, _ = chosen(chain, [False] * 3, [3, 2, 1], 0.6, {(0, 1), (1, 2)})
    assert keepers == [0, 0, 2], "the third is near the second only, which goes"
    close = [{1, 2, 3, 4}, {1, 2, 3, 4, 5}, {1, 2, 3, 4, 6}]
    _, keepers, found = chosen(close, [False] * 3, [3, 2, 1], 0.6, {(0, 1), (1, 2)})
    assert keepers == [0, 0, 0], "the pair of the first and the third was no candidate"
    assert found[2] == 0.8


def test_merits() -> None:
    data, offsets = encode(["हिंदी", "abc", ""])
    assert merits("longest", data, offsets).tolist() == [5, 3, 0]
    assert merits("earliest", data, offsets).tolist() == [0, 0, 0]
    assert merits("best", data, offsets, pa.array([0.5, None, 2])).tolist() == [0.5, -np.inf, 2]
    with pytest.raises(RecipeError, match="score column"):
        merits("best", data, offsets)
    with pytest.raises(RecipeError, match="holds string: a score is a number"):
        merits("best", data, offsets, pa.array(["a", "b", "c"]))
