"""How likely an answer is to be exact: a small model fitted on named gold, and what may be promised where that gold says little.

Logistic regression over `project/span_evidence.py`'s features (Newton's method with an L2 penalty), its out-of-fold scores mapped to
probabilities by Platt scaling (Platt 1999). One model for each kind of evidence (`setup`). What it was fitted on is in the file. How far another
set is from that gold is told without labels, by the features of its best answers; far away nothing is promised.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dsbuild.errors import RecipeError
from dsbuild.project.span_evidence import FEATURES

Floats = npt.NDArray[np.float64]
# calibrated: a language and kind of set that the gold shows. lower_bound: another one that looks alike. uncalibrated: unlike the gold.
Status = Literal["calibrated", "lower_bound", "uncalibrated"]

_PENALTY = 3.0
_FOLDS = 5
# Mean distance of features, in standard deviations of the gold: halves of one set lie 0.1 apart, other domains beyond 0.2.
_NEAR, _FAR = 0.2, 0.45
# Error that is added, and by what the model's own is multiplied, for what may be promised: near the gold in its language, near in another, further.
# Further off annotators draw the edges of spans by other rules (articles, prepositions, class words), which no answer can foresee.
_NEAR_SAME, _NEAR_OTHER, _FURTHER = (0.005, 1.5), (0.02, 2.0), (0.05, 2.5)


@dataclass(frozen=True)
class Calibration:
    """A fitted model.

    weights, bias: of standardised features; slope, shift: Platt's; means, scales: of all options; near_means, near_scales: of the best
    options of the gold. gold: what it was fitted on, for people; langs: its target languages.
    """

    setup: str
    gold: str
    langs: tuple[str, ...]
    n_spans: int
    weights: Floats
    bias: float
    means: Floats
    scales: Floats
    slope: float
    shift: float
    near_means: Floats
    near_scales: Floats

    def probabilities(self, features: Floats) -> Floats:
        """How likely each option [options, features] is exact."""
        return _sigmoid(self.slope * self._scores(features) + self.shift)

    def _scores(self, features: Floats) -> Floats:
        return np.asarray((features - self.means) / self.scales @ self.weights + self.bias, np.float64)

    def distance(self, best: Floats) -> float:
        """How far the best options [spans, features] of a set are from those of the gold: mean distance of the features' means, in deviations."""
        return float(np.abs((best.mean(0) - self.near_means) / self.near_scales).mean()) if len(best) else 0.0

    def status(self, lang: str, distance: float) -> Status:
        """What the gold says of a set in a language at that distance."""
        if distance > _FAR:
            return "uncalibrated"
        return "calibrated" if distance <= _NEAR and lang.split("-")[0] in self.langs else "lower_bound"

    def bounds(self, probabilities: Floats, status: Status, distance: float) -> Floats:
        """What may be promised of each answer, never more than its probability; 0 for all where nothing may."""
        if status == "uncalibrated":
            return np.zeros_like(probabilities)
        near = _NEAR_SAME if status == "calibrated" else _NEAR_OTHER
        added, factor = near if distance <= _NEAR else _FURTHER
        return np.clip(1 - added - factor * (1 - probabilities), 0.0, 1.0)

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "gold": self.gold, "langs": list(self.langs), "n_spans": self.n_spans, "slope": round(self.slope, 5), "shift": round(self.shift, 5),
            "bias": round(self.bias, 5),
            "features": {
                name: [round(float(column[place]), 5) for column in (self.weights, self.means, self.scales, self.near_means, self.near_scales)]
                for place, name in enumerate(FEATURES)
            },
        }  # fmt: skip


def load(path: str = "") -> dict[str, Calibration]:
    """The calibrations of a file by setup; without a path the shipped ones. `RecipeError` for a file of another kind."""
    try:
        held = (
            Path(path).read_text("utf-8")
            if path
            else files("dsbuild.project").joinpath("calibration.json").read_text("utf-8")
        )
        return {setup: _read(setup, one) for setup, one in json.loads(held).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecipeError(
            f"calibration {path or 'calibration.json'}: cannot be read ({error}); make one as docs/projection.md says"
        ) from None


def _read(setup: str, one: Mapping[str, Any]) -> Calibration:
    columns = np.array([one["features"][name] for name in FEATURES], float).T
    return Calibration(
        setup, one["gold"], tuple(one["langs"]), one["n_spans"], columns[0], one["bias"], columns[1], columns[2], one["slope"], one["shift"],
        columns[3], columns[4],
    )  # fmt: skip


def fit(
    setup: str,
    gold: str,
    langs: Sequence[str],
    features: Floats,
    right: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.int64],
) -> Calibration:
    """Fit on options [options, features]: which are exact, and which span (`groups`, rising) each belongs to."""
    means, scales = features.mean(0), features.std(0)
    scales = np.where(scales < 1e-6, 1.0, scales)
    made = (features - means) / scales
    folds = np.unique(groups, return_inverse=True)[1] % _FOLDS
    held = np.zeros(len(features))
    for fold in range(_FOLDS):
        weights, bias = _logistic(made[folds != fold], right[folds != fold], _PENALTY)
        held[folds == fold] = made[folds == fold] @ weights + bias
    weights, bias = _logistic(made, right, _PENALTY)
    best = best_of(held, groups)
    slope, shift = _logistic(held[best][:, None], right[best], 1e-6)
    chosen = features[best]
    spread = np.maximum(chosen.std(0), 0.05)
    return Calibration(
        setup,
        gold,
        tuple(langs),
        len(best),
        weights,
        bias,
        means,
        scales,
        float(slope[0]),
        shift,
        chosen.mean(0),
        spread,
    )


def best_of(scores: Floats, groups: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The place of the highest score of each group, the first of equals; groups in rising order."""
    order = np.lexsort((np.arange(len(scores)), -scores, groups))
    return order[np.concatenate([[True], np.diff(groups[order]) > 0])] if len(order) else order


def threshold(bounds: Floats, target: float) -> float:
    """The least bound such that what reaches it keeps the target on average; infinite where nothing does.

    >>> threshold(np.array([0.99, 0.95, 0.8]), 0.95)
    0.95
    """
    ordered = np.sort(bounds)[::-1]
    reached = np.flatnonzero(np.cumsum(ordered) / np.arange(1, len(ordered) + 1) >= target - 1e-12)
    return float(ordered[reached[-1]]) if len(reached) else float("inf")


def _logistic(features: Floats, right: npt.NDArray[np.bool_], penalty: float) -> tuple[Floats, float]:
    """Weights and bias with the least penalised log loss."""
    table = np.hstack([features, np.ones((len(features), 1))])
    held = np.zeros(table.shape[1])
    ridge = np.diag([penalty] * features.shape[1] + [1e-9])
    for _ in range(50):
        said = _sigmoid(table @ held)
        weight = np.maximum(said * (1 - said), 1e-9)
        step = np.linalg.solve((table * weight[:, None]).T @ table + ridge, table.T @ (right - said) - ridge @ held)
        held = held + step
        if np.abs(step).max() < 1e-8:
            break
    return held[:-1], float(held[-1])


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))), np.float64)
