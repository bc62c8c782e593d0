"""How likely an answer is to be exact: a small model fitted on named gold, and what may be promised where that gold says little.

Logistic regression over `project/span_evidence.py`'s features (Newton's method with an L2 penalty), its out-of-fold scores mapped to
probabilities by Platt scaling (Platt 1999). One model for each kind of evidence (`setup`). What it was fitted on is in the file, and how sure and
how often right each answer was when its text was held out: what may be promised has to be shown there, too (`Calibration.least`). How far another
set is from that gold is told without labels, by the features of its best answers; far away nothing is promised.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dsbuild.errors import RecipeError
from dsbuild.project.gold_options import GoldOptions, digest
from dsbuild.project.projection_evaluation import calibration_error
from dsbuild.project.span_evidence import FEATURES
from dsbuild.shares import wilson

Floats = npt.NDArray[np.float64]
# calibrated: a language and kind of set that the gold shows. lower_bound: another one that looks alike. uncalibrated: unlike the gold.
Status = Literal["calibrated", "lower_bound", "uncalibrated"]

_PENALTY = 3.0
_FOLDS = 5
# Coverages at which held-out answers are counted.
_POINTS = 40
# Mean distance of features, in standard deviations of the gold: halves of one set lie 0.1 apart, other domains beyond 0.2.
_NEAR, _FAR = 0.2, 0.45
# Error that is added, and by what the model's own is multiplied, for what may be promised: near the gold in its language, near in another, further.
# Further off annotators draw the edges of spans by other rules (articles, prepositions, class words), which no answer can foresee.
_NEAR_SAME, _NEAR_OTHER, _FURTHER = (0.005, 1.5), (0.02, 2.0), (0.05, 2.5)


@dataclass(frozen=True, slots=True)
class Held:
    """Held-out answers that are at least so sure: their number, and how many of them are exact."""

    probability: float
    n: int
    right: int


@dataclass(frozen=True, slots=True)
class Gold:
    """What a model is fitted on. name: for people; langs: target languages; files: name, size and sha256 of each, with spaces between."""

    name: str
    langs: tuple[str, ...]
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Calibration:
    """A fitted model.

    weights, bias: of standardised features; slope, shift: Platt's; means, scales: of all options; near_means, near_scales: of the best
    options of the gold. held: how answers fared in texts that they were not fitted on, from the surest on, cumulated; ece: their expected
    calibration error; texts: digests of the gold's target texts.
    """

    setup: str
    gold: Gold
    n_spans: int
    weights: Floats
    bias: float
    means: Floats
    scales: Floats
    slope: float
    shift: float
    near_means: Floats
    near_scales: Floats
    held: tuple[Held, ...]
    ece: float
    texts: frozenset[str]

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
        return "calibrated" if distance <= _NEAR and lang.split("-")[0] in self.gold.langs else "lower_bound"

    def bounds(self, probabilities: Floats, status: Status, distance: float) -> Floats:
        """What may be promised of each answer, never more than its probability; 0 for all where nothing may."""
        if status == "uncalibrated":
            return np.zeros_like(probabilities)
        near = _NEAR_SAME if status == "calibrated" else _NEAR_OTHER
        added, factor = near if distance <= _NEAR else _FURTHER
        return np.clip(1 - added - factor * (1 - probabilities), 0.0, 1.0)

    def least(self, target: float) -> float:
        """The least probability from which on held-out gold shows the precision; infinite where there is none.

        Shown is what the lower end of a 95 % interval reaches (one-sided: 97.5 %). More answers are let in as long as each step passes (fixed
        sequence testing, Angelopoulos et al. 2021), once from the fewest that could show it on and once from half of the gold on, so that a slip
        among the very first is not the end: 95 % for the search as a whole.
        """
        n_able = next(
            (place for place, one in enumerate(self.held) if (wilson(one.n, one.n)[0] or 0.0) >= target), len(self.held)
        )
        found = float("inf")
        for start in (n_able, max(n_able, len(self.held) // 2)):
            for point in self.held[start:]:
                if (wilson(point.right, point.n)[0] or 0.0) < target:
                    break
                found = min(found, point.probability)
        return found

    def seen(self, texts: Iterable[str]) -> int:
        """How many of the target texts it was fitted on."""
        return sum(digest(text) in self.texts for text in texts)

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "gold": self.gold.name, "langs": list(self.gold.langs), "files": list(self.gold.files), "n_spans": self.n_spans,
            "slope": round(self.slope, 5), "shift": round(self.shift, 5), "bias": round(self.bias, 5),
            "held": [[round(one.probability, 6), one.n, one.right] for one in self.held], "ece": self.ece, "texts": " ".join(sorted(self.texts)),
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
            f"calibration {path or 'calibration.json'}: cannot be read ({error}); make one: dsbuild calibrate-projection"
        ) from None


def _read(setup: str, one: Mapping[str, Any]) -> Calibration:
    columns = np.array([one["features"][name] for name in FEATURES], float).T
    return Calibration(
        setup, Gold(one["gold"], tuple(one["langs"]), tuple(one["files"])), one["n_spans"], columns[0], one["bias"], columns[1], columns[2],
        one["slope"], one["shift"], columns[3], columns[4], tuple(Held(*point) for point in one["held"]), one["ece"], frozenset(one["texts"].split()),
    )  # fmt: skip


def fit(setup: str, gold: Gold, options: GoldOptions) -> Calibration:
    """Fit on the options of gold. Folds are of whole texts, so a held-out answer's text was not looked at."""
    features, right = options.features, options.right
    means, scales = features.mean(0), features.std(0)
    scales = np.where(scales < 1e-6, 1.0, scales)
    made = (features - means) / scales
    folds = options.texts % _FOLDS
    held = np.zeros(len(features))
    for fold in range(_FOLDS):
        weights, bias = _logistic(made[folds != fold], right[folds != fold], _PENALTY)
        held[folds == fold] = made[folds == fold] @ weights + bias
    weights, bias = _logistic(made, right, _PENALTY)
    best = best_of(held, options.spans)
    slope, shift = _platt(held[best], right[best])
    sure = np.zeros(len(best))
    for fold in range(_FOLDS):
        mine = folds[best] == fold
        other_slope, other_shift = _platt(held[best][~mine], right[best][~mine])
        sure[mine] = _sigmoid(other_slope * held[best][mine] + other_shift)
    chosen = features[best]
    return Calibration(
        setup, gold, len(best), weights, bias, means, scales, slope, shift, chosen.mean(0), np.maximum(chosen.std(0), 0.05),
        _cumulated(sure, right[best]), _error(sure, right[best]), frozenset(options.digests),
    )  # fmt: skip


def _platt(scores: Floats, right: npt.NDArray[np.bool_]) -> tuple[float, float]:
    slope, shift = _logistic(scores[:, None], right, 1e-6)
    return float(slope[0]), shift


def _error(sure: Floats, right: npt.NDArray[np.bool_]) -> float:
    found = calibration_error(list(zip(sure.tolist(), right.tolist(), strict=True)))
    return float(found["ece"]) if found else 0.0


def _cumulated(sure: Floats, right: npt.NDArray[np.bool_]) -> tuple[Held, ...]:
    """Counts at equal steps of coverage; equals stay together."""
    order = np.argsort(-sure, kind="stable")
    ordered, total = sure[order], np.cumsum(right[order])
    ends = {
        int(np.flatnonzero(ordered >= ordered[max(0, round(len(sure) * step / _POINTS) - 1)])[-1])
        for step in range(1, _POINTS + 1)
    }
    return tuple(Held(round(float(ordered[end]), 6), end + 1, int(total[end])) for end in sorted(ends))


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
