import dataclasses
import json
import math

import numpy as np
import pytest

from dsbuild.project import calibration
from dsbuild.project.cascade import CascadeProjector
from dsbuild.project.gold_options import GoldOptions, gold_options
from dsbuild.project.span_evidence import FEATURES
from tests.small_cipher import sets


def made_up(n_spans=600, seed=3):
    """Options of spans, whose first feature says how likely they are exact."""
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(2 * n_spans, len(FEATURES)))
    right = draw.random(2 * n_spans) < 1 / (1 + np.exp(-2 * features[:, 0]))
    spans = np.repeat(np.arange(n_spans), 2)
    return GoldOptions(features, right, spans, spans // 2, ())


def test_a_fitted_model_is_calibrated_and_survives_its_file(tmp_path):
    fitted = calibration.fit("made-up", calibration.Gold("numbers drawn for the test", ("es",)), made_up())
    other = made_up(seed=4)
    features, right, groups = other.features, other.right, other.spans
    sure = fitted.probabilities(features)
    best = calibration.best_of(sure, groups)
    assert abs(sure[best].mean() - right[best].mean()) < 0.05
    (tmp_path / "c.json").write_text(json.dumps({"made-up": fitted.plain()}), "utf-8")
    read = calibration.load(str(tmp_path / "c.json"))["made-up"]
    assert np.allclose(read.probabilities(features), sure, atol=1e-3)
    assert (read.gold.name, read.n_spans, read.held, read.ece) == (
        "numbers drawn for the test",
        600,
        fitted.held,
        fitted.ece,
    )


def test_distance_and_status():
    fitted = calibration.fit("made-up", calibration.Gold("gold", ("es",)), made_up())
    other = made_up(seed=5)
    best = other.features[calibration.best_of(fitted.probabilities(other.features), other.spans)]
    near, far = fitted.distance(best), fitted.distance(best + 1)
    assert near < 0.2 < 0.45 < far
    assert [fitted.status(lang, near) for lang in ("es", "es-MX", "fr")] == ["calibrated", "calibrated", "lower_bound"]
    assert (fitted.status("es", 0.3), fitted.status("es", far)) == ("lower_bound", "uncalibrated")


def test_bounds_never_promise_more_than_the_probability():
    fitted = calibration.fit("made-up", calibration.Gold("gold", ("es",)), made_up())
    sure = np.linspace(0, 1, 50)
    before = sure
    for status, distance in (("calibrated", 0.1), ("lower_bound", 0.1), ("lower_bound", 0.3), ("uncalibrated", 0.6)):
        bounds = fitted.bounds(sure, status, distance)
        assert (bounds <= before).all()
        assert (np.diff(bounds) >= 0).all()
        before = bounds
    assert not before.any()


def test_what_is_shown_holds_in_texts_that_nothing_was_fitted_on():
    # Of eight draws of gold, a promise fails on new answers of the same kind in one at most: the lower end of a 95 % interval.
    failed = promised = 0
    for seed in range(8):
        fitted = calibration.fit("made-up", calibration.Gold("gold", ("es",)), made_up(1_200, seed=seed))
        least = fitted.least(0.85)
        if math.isinf(least):
            continue
        new = made_up(n_spans=4_000, seed=1_000 + seed)
        sure = fitted.probabilities(new.features)
        best = calibration.best_of(sure, new.spans)
        kept = best[sure[best] >= least]
        promised += 1
        failed += new.right[kept].mean() < 0.85
    assert promised >= 6
    assert failed <= 1


def test_few_answers_show_nothing_and_a_failure_ends_a_search():
    def held(*points):
        fitted = calibration.fit("made-up", calibration.Gold("gold", ("es",)), made_up(60))
        return dataclasses.replace(fitted, held=tuple(calibration.Held(*point) for point in points))

    assert held((0.99, 10, 10)).least(0.9) == math.inf
    assert held((0.99, 10, 10), (0.9, 100, 99), (0.8, 200, 198)).least(0.9) == 0.8
    assert held((0.99, 100, 99), (0.9, 200, 198), (0.8, 300, 240), (0.7, 3_000, 2_980)).least(0.9) == 0.9
    # A slip among the first does not end the search that begins at half of the gold.
    assert held((0.99, 50, 46), (0.9, 100, 96), (0.8, 500, 490), (0.7, 600, 585)).least(0.9) == 0.7


def test_answers_are_counted_in_texts_that_were_held_out():
    # Features that say nothing: a model that saw a text remembers it, one that did not is lost.
    draw = np.random.default_rng(1)
    texts = np.arange(200)
    features = draw.normal(size=(200, len(FEATURES)))
    options = GoldOptions(features, draw.random(200) < 0.5, texts, texts, ())
    fitted = calibration.fit("made-up", calibration.Gold("gold", ("es",)), options)
    remembered = ((features - fitted.means) / fitted.scales @ fitted.weights + fitted.bias > 0) == options.right
    assert remembered.mean() > 0.65
    assert fitted.held[-1].n == 200
    half = next(one for one in fitted.held if one.n >= 100)
    assert abs(half.right / half.n - 0.5) < 0.1


def test_places_are_right_as_the_evaluation_counts_them():
    pairs, gold = sets(20)
    units = CascadeProjector(aligner="built-in").units(pairs)
    options = gold_options(units, gold)
    assert options.spans.max() == 39
    assert options.texts.max() == 19
    assert 20 < options.right.sum() <= 40
    assert options.features.shape == (len(options.right), len(FEATURES))
    assert gold_options(units, [dataclasses.replace(one, spans=()) for one in gold]).right.sum() == 0


def test_threshold():
    assert calibration.threshold(np.array([0.99, 0.97, 0.9, 0.2]), 0.95) == 0.9
    assert calibration.threshold(np.array([0.9, 0.9]), 0.95) == math.inf
    assert calibration.threshold(np.array([]), 0.5) == math.inf


def test_the_shipped_calibration_names_its_gold():
    held = calibration.load()
    assert set(held) == {"eflomal", "built-in", "links+eflomal", "links+built-in"}
    for one in held.values():
        assert "train" in one.gold.name
        assert one.n_spans == pytest.approx(1740, abs=20)
        assert one.gold.langs == ("es",)
