"""Thresholds of triples: chosen on one half, told on the other."""

from __future__ import annotations

import random

import pytest

from dsbuild.errors import RecipeError
from dsbuild.filters.entailment_threshold import choose
from dsbuild.shares import wilson


def judged(n: int, seed: int = 1) -> tuple[list[str], list[float | None], list[bool]]:
    """Rows whose score is the chance that they are right."""
    draw = random.Random(seed)
    scores = [draw.random() for _ in range(n)]
    return [f"r{number}" for number in range(n)], list(scores), [draw.random() < score for score in scores]


@pytest.mark.parametrize("precision", [0.6, 0.7, 0.8, 0.9])
def test_the_precision_asked_for_is_near_the_one_on_held_out_rows(precision: float) -> None:
    found = choose(*judged(20_000), precision=precision)
    assert found.precision is not None
    assert abs(found.precision - precision) < 0.03
    # Rows above t are right with (1 + t) / 2.
    assert abs(found.threshold - (2 * precision - 1)) < 0.06
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.precision <= found.high
    assert found.n_fit + found.n_held_out == 20_000


def test_without_a_precision_the_best_f1() -> None:
    found = choose(*judged(20_000))
    assert 0.25 < found.threshold < 0.5
    assert found.recall is not None
    assert found.recall > 0.8


def test_rows_without_a_score_are_never_kept() -> None:
    ids, scores, truth = judged(400)
    found = choose(ids, [None if number % 4 == 0 else score for number, score in enumerate(scores)], truth)
    assert found.coverage < 0.75


def test_equal_scores_stay_together() -> None:
    ids = [f"r{number}" for number in range(200)]
    found = choose(ids, [0.5] * 200, [number % 2 == 0 for number in range(200)])
    assert (found.threshold, found.coverage) == (0.5, 1.0)


def test_the_order_of_the_rows_does_not_matter() -> None:
    ids, scores, truth = judged(500)
    order = random.Random(2).sample(range(500), 500)
    assert choose(ids, scores, truth) == choose(
        [ids[i] for i in order], [scores[i] for i in order], [truth[i] for i in order]
    )


def test_what_cannot_be_chosen() -> None:
    with pytest.raises(RecipeError, match="at least 20"):
        choose(*judged(30))
    ids, scores, _ = judged(200)
    with pytest.raises(RecipeError, match="of both kinds"):
        choose(ids, scores, [True] * 200)
    with pytest.raises(RecipeError, match="the highest is"):
        choose(ids, [0.5] * 200, [number % 2 == 0 for number in range(200)], precision=0.99)


def test_wilson() -> None:
    low, high = wilson(9, 10)
    assert (round(low, 3), round(high, 3)) == (0.596, 0.982)
    assert wilson(0, 5)[0] == 0.0
    assert wilson(5, 5)[1] == 1.0
