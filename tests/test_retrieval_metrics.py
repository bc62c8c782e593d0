"""Measures of rankings worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dsbuild.builders.evaluation import retrieval_metrics as of

FOUND = np.array([[0, 2, 0, 1], [3, 0, 0, 0], [0, 0, 0, 0], [0, -1, 1, 0.0]])
IDEAL = np.array([[1, 2, 1], [3, 0, 0], [0, -1, 0], [1, -1, 1.0]])


def test_ndcg() -> None:
    best = 2 + 1 / math.log2(3) + 1 / 2
    found = of.ndcg(FOUND, IDEAL, 10)
    assert found[0] == pytest.approx((2 / math.log2(3) + 1 / math.log2(5)) / best)
    assert found[1] == 1.0
    assert np.isnan(found[2])
    assert found[3] == pytest.approx((1 / 2) / (1 + 1 / math.log2(3)))
    assert of.ndcg(FOUND, IDEAL, 2)[0] == pytest.approx(2 / math.log2(3) / (2 + 1 / math.log2(3)))


def test_mrr_recall_and_average_precision() -> None:
    np.testing.assert_allclose(of.mrr(FOUND, IDEAL, 10), [1 / 2, 1, np.nan, 1 / 3])
    np.testing.assert_allclose(of.mrr(FOUND, IDEAL, 1), [0, 1, np.nan, 0])
    np.testing.assert_allclose(of.recall(FOUND, IDEAL, 3), [1 / 3, 1, np.nan, 1 / 2])
    np.testing.assert_allclose(of.average_precision(FOUND, IDEAL, 4), [(1 / 2 + 2 / 4) / 3, 1, np.nan, (1 / 3) / 2])


def test_nothing_found() -> None:
    none = np.zeros((2, 0))
    for measure in (of.ndcg, of.mrr, of.recall, of.average_precision):
        np.testing.assert_array_equal(measure(none, np.array([[1.0], [0.0]]), 10), [0.0, np.nan])
