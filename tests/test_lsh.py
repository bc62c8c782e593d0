from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.filters.lsh import candidates, jaccards

SETS = st.lists(st.sets(st.integers(0, 30), min_size=1, max_size=20), min_size=2, max_size=8)


def pairs_of(bands: list[list[int]], **options: int) -> list[tuple[int, int]]:
    found = candidates([np.array(band, np.uint64) for band in bands], **options)
    return list(zip(found.left.tolist(), found.right.tolist(), strict=True))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), min_size=7, max_size=7), min_size=1, max_size=4))
def test_every_pair_that_agrees_in_a_band_once(bands: list[list[int]]) -> None:
    wanted = [(i, j) for i in range(7) for j in range(i + 1, 7) if any(band[i] == band[j] for band in bands)]
    assert pairs_of(bands) == wanted


def test_a_large_bucket_costs_pairs_in_proportion_to_its_rows() -> None:
    places = np.arange(1000)[::-1].copy()
    found = candidates([np.zeros(1000, np.uint64)], places, bucket=100)
    assert found.big_buckets == 1
    assert len(found.left) < 10 * 1000
    assert set(found.left.tolist()) | set(found.right.tolist()) == set(range(1000))
    first = 999  # the first in the order of keepers, with whom every other row is compared
    assert set(found.left[found.right == first].tolist()) == set(range(999))


def test_no_rows() -> None:
    assert pairs_of([[], []]) == []
    assert pairs_of([[5]]) == []


@settings(max_examples=150, deadline=None)
@given(SETS, st.sampled_from([0.1, 0.5, 0.8, 1.0]))
def test_jaccard_is_that_of_python_sets(sets: list[set[int]], threshold: float) -> None:
    hashes = np.array([item for one in sets for item in sorted(one)], np.uint64)
    bounds = np.concatenate(([0], np.cumsum([len(one) for one in sets])))
    pairs = [(i, j) for i in range(len(sets)) for j in range(len(sets))]
    left, right = np.array(pairs).T
    for (i, j), found in zip(pairs, jaccards(hashes, bounds, left.copy(), right.copy(), threshold), strict=True):
        true = len(sets[i] & sets[j]) / len(sets[i] | sets[j])
        assert found == (true if true >= threshold else 0.0)
