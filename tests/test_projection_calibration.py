import json
import math

import numpy as np
import pytest

from dsbuild.project import calibration
from dsbuild.project.span_evidence import FEATURES


def made_up(n_spans=600, seed=3):
    """Options of spans, whose first feature says how likely they are exact."""
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(2 * n_spans, len(FEATURES)))
    right = draw.random(2 * n_spans) < 1 / (1 + np.exp(-2 * features[:, 0]))
    return features, right, np.repeat(np.arange(n_spans), 2)


def test_a_fitted_model_is_calibrated_and_survives_its_file(tmp_path):
    fitted = calibration.fit("made-up", "numbers drawn for the test", ("es",), *made_up())
    features, right, groups = made_up(seed=4)
    sure = fitted.probabilities(features)
    best = calibration.best_of(sure, groups)
    assert abs(sure[best].mean() - right[best].mean()) < 0.05
    (tmp_path / "c.json").write_text(json.dumps({"made-up": fitted.plain()}), "utf-8")
    read = calibration.load(str(tmp_path / "c.json"))["made-up"]
    assert np.allclose(read.probabilities(features), sure, atol=1e-3)
    assert (read.gold, read.n_spans) == ("numbers drawn for the test", 600)


def test_distance_and_status():
    fitted = calibration.fit("made-up", "gold", ("es",), *made_up())
    features, _, groups = made_up(seed=5)
    best = features[calibration.best_of(fitted.probabilities(features), groups)]
    near, far = fitted.distance(best), fitted.distance(best + 1)
    assert near < 0.2 < 0.45 < far
    assert [fitted.status(lang, near) for lang in ("es", "es-MX", "fr")] == ["calibrated", "calibrated", "lower_bound"]
    assert (fitted.status("es", 0.3), fitted.status("es", far)) == ("lower_bound", "uncalibrated")


def test_bounds_never_promise_more_than_the_probability():
    fitted = calibration.fit("made-up", "gold", ("es",), *made_up())
    sure = np.linspace(0, 1, 50)
    before = sure
    for status, distance in (("calibrated", 0.1), ("lower_bound", 0.1), ("lower_bound", 0.3), ("uncalibrated", 0.6)):
        bounds = fitted.bounds(sure, status, distance)
        assert (bounds <= before).all()
        assert (np.diff(bounds) >= 0).all()
        before = bounds
    assert not before.any()


def test_threshold():
    assert calibration.threshold(np.array([0.99, 0.97, 0.9, 0.2]), 0.95) == 0.9
    assert calibration.threshold(np.array([0.9, 0.9]), 0.95) == math.inf
    assert calibration.threshold(np.array([]), 0.5) == math.inf


def test_the_shipped_calibration_names_its_gold():
    held = calibration.load()
    assert set(held) == {"eflomal", "built-in", "links+eflomal", "links+built-in"}
    for one in held.values():
        assert "train" in one.gold
        assert one.n_spans == pytest.approx(1740, abs=20)
        assert one.langs == ("es",)
