import numpy as np

from dsbuild.filters.splits import assign

SHARES = [0.9, 0.05, 0.05]


def given(sizes, seed=0, official=None):
    component = np.repeat(np.concatenate(([0], np.cumsum(sizes)[:-1])), sizes).astype(np.int64)
    n = len(component)
    keys = [f"documents:{row:07d}" for row in range(n)]
    official = np.full(n, -1) if official is None else np.array(official)
    return assign(component, keys, SHARES, seed, official, np.array([False, True, True]), np.ones(n, bool)), component


def test_shares_are_right_and_components_stay_whole():
    sizes = np.random.default_rng(1).geometric(0.4, 3000)
    found, component = given(sizes)
    for split, share in enumerate(SHARES):
        assert abs((found.split == split).sum() - share * sizes.sum()) <= 1
    for name in np.unique(component):
        assert len(set(found.split[component == name].tolist())) == 1


def test_large_components_go_to_small_splits_as_well():
    sizes = np.array([1] * 4000 + [5] * 400)
    found, component = given(sizes)
    large = np.isin(component, np.unique(component)[4000:])
    shares = [(found.split[large] == split).mean() for split in range(3)]
    assert shares[1] > 0.02
    assert shares[2] > 0.02


def test_the_seed_decides_and_the_same_seed_decides_alike():
    sizes = np.ones(500, int)
    assert (given(sizes)[0].split == given(sizes)[0].split).all()
    assert (given(sizes)[0].split != given(sizes, seed=1)[0].split).any()


def test_official_splits_are_kept_and_what_would_leak_into_them_is_lost():
    # Components: test + train + free; free alone; train + free; test + dev.
    official = [2, 0, -1, -1, 0, -1, 2, 1]
    component = np.array([0, 0, 0, 3, 4, 4, 6, 6])
    found = assign(
        component,
        [str(row) for row in range(8)],
        [1.0, 0.0, 0.0],
        0,
        np.array(official),
        np.array([False, True, True]),
        np.ones(8, bool),
    )
    assert found.split.tolist() == [2, -1, -1, 0, 0, 0, 2, 1]
    assert found.leaked_into.tolist() == [-1, 0, 0, -1, -1, -1, -1, -1]


def test_rows_that_only_link_take_no_split_and_no_part_in_the_shares():
    component = np.array([0, 0, 2, 3])
    counted = np.array([True, False, True, False])
    found = assign(component, list("abcd"), [0.5, 0.5], 0, np.full(4, -1), np.zeros(2, bool), counted)
    assert sorted(found.split.tolist()) == [-1, -1, 0, 1]


def test_nothing_at_all():
    found = assign(np.empty(0, np.int64), [], SHARES, 0, np.empty(0, np.int64), np.zeros(3, bool), np.empty(0, bool))
    assert len(found.split) == 0
