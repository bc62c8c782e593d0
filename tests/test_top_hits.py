from __future__ import annotations

import numpy as np
import pytest

from dsbuild.builders.retrieval.top_hits import offer, settle


@pytest.mark.parametrize("k", [1, 2, 7, 64, 500])
def test_the_best_are_kept_in_order_with_ties_by_row(k: int) -> None:
    draw = np.random.default_rng(k)
    for size in (0, 1, 63, 64, 65, 400):
        found = draw.integers(-4, 5, size).astype(np.float32)
        scores, rows = np.empty(k, np.float32), np.empty(k, np.int64)
        held = 0
        for start in range(0, size, 70):
            held = offer(scores, rows, held, found[start : start + 70], start, np.float32(-np.inf))
        settle(scores, rows, held)
        wanted = sorted(range(size), key=lambda row: (-found[row], row))[:k]
        assert rows[: len(wanted)].tolist() == wanted
        assert scores[: len(wanted)].tolist() == [found[row] for row in wanted]
        assert (rows[len(wanted) :] == -1).all()
        assert np.isneginf(scores[len(wanted) :]).all()


def test_scores_at_the_least_are_no_hits() -> None:
    scores, rows = np.empty(3, np.float32), np.empty(3, np.int64)
    held = offer(scores, rows, 0, np.array([0, 2, 0, -1], np.float32), 0, np.float32(0))
    settle(scores, rows, held)
    assert rows.tolist() == [1, -1, -1]
