"""Rank correlations against scipy, all orders of ties, and cases worked by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from dsbuild.builders.evaluation import rank_statistics as of

A, B = np.array([0.9, 0.8, 0.7, 0.6]), np.array([0.9, 0.7, 0.8, 0.6])


def test_tau_by_hand() -> None:
    assert of.tau_b(A, A) == 1.0
    assert of.tau_b(A, -A) == -1.0
    assert of.tau_b(A, B) == pytest.approx((5 - 1) / 6)
    assert np.isnan(of.tau_b(A, np.ones(4)))


@pytest.mark.parametrize("seed", range(6))
def test_tau_b_is_that_of_scipy_with_ties(seed: int) -> None:
    draw = np.random.default_rng(seed)
    left, right = draw.integers(0, 5, (3, 9)).astype(float), draw.integers(0, 5, (3, 9)).astype(float)
    wanted = [stats.kendalltau(one, other).statistic for one, other in zip(left, right, strict=True)]
    np.testing.assert_allclose(of.tau_b(left, right), wanted, rtol=1e-12)


def test_sums_in_another_order_tie() -> None:
    assert of.tau_b(np.array([0.1 + 0.2, 0.3, 0.5]), np.array([1.0, 1.0, 2.0])) == 1.0


def test_ap_correlation_by_hand() -> None:
    # The estimate swaps the second and third of four: the third has one of the two above it right, the others all.
    assert of.tau_ap(A, B) == pytest.approx(2 * (1 + 1 / 2 + 1) / 3 - 1)
    # A swap at the top weighs more than one at the end.
    top, end = np.array([0.8, 0.9, 0.7, 0.6]), np.array([0.9, 0.8, 0.6, 0.7])
    assert of.tau_ap(A, top) == pytest.approx(2 * (0 + 1 + 1) / 3 - 1)
    assert of.tau_ap(A, end) == pytest.approx(2 * (1 + 1 + 2 / 3) / 3 - 1)
    assert of.tau_ap(A, -A) == -1.0


def _by_orders(reference: np.ndarray, estimate: np.ndarray) -> float:
    """The mean over all orders of systems that agree with the estimate."""
    found = []
    for order in itertools.permutations(range(len(reference))):
        if any(estimate[a] < estimate[b] for a, b in itertools.pairwise(order)):
            continue
        shares = []
        for place in range(1, len(order)):
            above = [reference[other] - reference[order[place]] for other in order[:place]]
            shares.append(sum(1.0 if gap > 0 else 0.5 if gap == 0 else 0.0 for gap in above) / place)
        found.append(2 * float(np.mean(shares)) - 1)
    return float(np.mean(found))


@pytest.mark.parametrize("seed", range(8))
def test_ap_correlation_with_ties_is_the_mean_over_their_orders(seed: int) -> None:
    draw = np.random.default_rng(seed)
    reference, estimate = draw.integers(0, 4, 6).astype(float), draw.integers(0, 4, 6).astype(float)
    assert of.tau_ap(reference, estimate) == pytest.approx(_by_orders(reference, estimate))


def test_ranks_and_the_largest_change() -> None:
    assert of.ranks(np.array([0.5, 0.9, 0.5, 0.1])).tolist() == [2.5, 1.0, 2.5, 4.0]
    assert of.rank_change(A, np.array([0.1, 0.8, 0.7, 0.6])) == (0, 1.0, 4.0)
    np.testing.assert_array_equal(of.ranks(B), stats.rankdata(-B))


def test_significant_pairs_are_those_of_the_paired_t_test() -> None:
    draw = np.random.default_rng(0)
    base = draw.normal(0, 0.2, (40, 1))
    before = base + draw.normal(0, 0.1, (40, 5)) + np.array([0.0, 0.01, 0.1, 0.2, 0.21])
    after = before + draw.normal(0, 0.08, (40, 5))
    after[:, [3, 0]] = after[:, [0, 3]]
    wanted = []
    for i, j in itertools.combinations(range(5), 2):
        said = []
        for scores in (before, after):
            test = stats.ttest_rel(scores[:, i], scores[:, j])
            said.append(int(np.sign(test.statistic)) if test.pvalue < 0.05 else 0)
        wanted.append(said)
    found = of.significant_pairs(before, after)
    assert found.systems == 10
    assert found.significant == sum(1 for was, _ in wanted if was)
    assert found.kept == sum(1 for was, now in wanted if was and was == now)
    assert found.turned == sum(1 for was, now in wanted if was * now < 0) > 0
    assert found.kept + found.lost + found.turned == found.significant
    assert found.new == sum(1 for was, now in wanted if not was and now)
    assert found.share == found.kept / found.significant


def test_pairs_without_spread() -> None:
    before = np.column_stack([np.full(5, 0.5), np.full(5, 0.5), np.full(5, 0.7)])
    found = of.significant_pairs(before, before)
    assert (found.systems, found.significant, found.kept) == (3, 2, 2)
    assert of.significant_pairs(before[:1], before[:1]).share is None


def test_intervals_repeat_hold_the_value_and_narrow_with_more_queries() -> None:
    draw = np.random.default_rng(1)

    def scores(n: int) -> np.ndarray:
        return draw.normal(0, 0.3, (n, 1)) + draw.normal(0, 0.3, (n, 6)) + np.linspace(0, 0.2, 6)

    few, many = scores(20), scores(2_000)
    small = of.interval(of.tau_b, (few, few + draw.normal(0, 0.2, few.shape)), 0)
    large = of.interval(of.tau_b, (many, many + draw.normal(0, 0.2, many.shape)), 0)
    assert small.value is not None
    assert small.low <= small.value <= small.high
    assert large.high - large.low < small.high - small.low
    assert of.interval(of.tau_b, (few, few), 3) == of.Interval(1.0, 1.0, 1.0)
    assert of.interval(of.tau_b, (few, np.ones_like(few)), 3) == of.Interval(None, None, None)


def test_a_difference_is_paired_and_its_interval_covers_as_often_as_it_says() -> None:
    draw = np.random.default_rng(2)
    inside = 0
    for seed in range(200):
        before = draw.normal(0, 1.0, (60, 1))
        (found,) = of.differences(before, before + draw.normal(0.05, 0.1, (60, 1)), seed, 400)
        inside += found.low <= 0.05 <= found.high
    assert inside >= 180
