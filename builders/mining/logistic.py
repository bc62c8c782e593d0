"""Logistic regression with a ridge, by Newton's method: small, and the same on every run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from dsbuild.filters.utf8 import compiled

Floats = npt.NDArray[np.float64]
_STEPS = 50
_HALVINGS = 30
_SMALL = 1e-7


@dataclass(frozen=True)
class Logistic:
    """A model of a yes or no: columns are centred and scaled, then weighted; a column without variance counts nothing."""

    bias: float
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]

    def chances(self, columns: Floats) -> Floats:
        """The chance of a yes for each row; columns: (columns, rows). A value that is not known (NaN) counts as the mean."""
        # Column after column: sums in one order, whatever the number of threads.
        sums = np.full(columns.shape[1], self.bias)
        for column, mean, scale, weight in zip(columns, self.means, self.scales, self.weights, strict=True):
            if weight:
                sums += np.nan_to_num((column - mean) * (weight / scale), nan=0.0)
        return np.asarray(1 / (1 + np.exp(-np.clip(sums, -40, 40))), np.float64)

    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "bias": self.bias,
            "means": list(self.means),
            "scales": list(self.scales),
            "weights": list(self.weights),
        }

    @classmethod
    def of(cls, facts: dict[str, Any]) -> Self:
        """From `facts`."""
        return cls(facts["bias"], *(tuple(facts[name]) for name in ("means", "scales", "weights")))

    @classmethod
    def fit(cls, columns: Floats, answers: npt.NDArray[np.bool_], ridge: float) -> Self:
        """The weights of the largest likelihood less ridge / 2 times their squares, rounded to nine digits."""
        known = ~np.isnan(columns)
        counts = np.maximum(1, known.sum(axis=1))
        filled = np.where(known, columns, 0.0)
        means = filled.sum(axis=1) / counts
        filled = np.where(known, columns - means[:, None], 0.0)
        scales = np.sqrt((filled**2).sum(axis=1) / counts)
        useful = scales > _SMALL
        scales = np.where(useful, scales, 1.0)
        matrix = np.ones((columns.shape[1], len(scales) + 1))
        matrix[:, 1:] = np.where(useful[:, None], filled / scales[:, None], 0.0).T
        penalty = np.append(_SMALL, np.full(len(scales), ridge))
        share = (answers.sum() + 0.5) / (len(answers) + 1.0)
        at = np.zeros(len(scales) + 1)
        at[0] = np.log(share / (1 - share))
        likelihood, slope, curve = _sums(matrix, answers, at)
        reached = likelihood - float((penalty * at**2).sum()) / 2
        for _ in range(_STEPS):
            step = np.linalg.solve(curve + np.diag(penalty), slope - penalty * at)
            # Newton's step may go too far where answers are nearly separated: half of it, until it is no step back.
            for _ in range(_HALVINGS):
                likelihood, slope, curve = _sums(matrix, answers, at + step)
                found = likelihood - float((penalty * (at + step) ** 2).sum()) / 2
                if found >= reached - _SMALL:
                    break
                step /= 2
            at, reached = at + step, found
            if np.abs(step).max() < _SMALL:
                break
        at[1:][~useful] = 0.0
        return cls(
            _rounded(at[0]), tuple(map(_rounded, means)), tuple(map(_rounded, scales)), tuple(map(_rounded, at[1:]))
        )


@compiled
def _sums(matrix: Any, answers: Any, at: Any) -> Any:
    """The logarithm of the likelihood, its slope and its curvature, in one pass and one order; matrix: (rows, columns)."""
    size = matrix.shape[1]
    slope, curve, likelihood = np.zeros(size), np.zeros((size, size)), 0.0
    for row in range(matrix.shape[0]):
        total = 0.0
        for one in range(size):
            total += matrix[row, one] * at[one]
        chance = 1.0 / (1.0 + np.exp(-total)) if total >= 0 else np.exp(total) / (1.0 + np.exp(total))
        signed = total if answers[row] else -total
        likelihood += min(0.0, signed) - np.log1p(np.exp(-abs(signed)))
        rest, weight = answers[row] - chance, chance * (1.0 - chance)
        for one in range(size):
            slope[one] += rest * matrix[row, one]
            part = weight * matrix[row, one]
            for other in range(one + 1):
                curve[one, other] += part * matrix[row, other]
    for one in range(size):
        for other in range(one):
            curve[other, one] = curve[one, other]
    return likelihood, slope, curve


def _rounded(value: float) -> float:
    return float(f"{value:.9g}")
