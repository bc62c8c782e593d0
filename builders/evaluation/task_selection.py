"""Select the tasks of a benchmark: take out, one by one, the task whose scores the other tasks predict best.

Source: K. Enevoldsen et al., MMTEB: Massive Multilingual Text Embedding Benchmark, 2025 (inter-task correlation), and its selection code.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dsbuild.errors import SourceError, UnknownName

Floats = npt.NDArray[np.float64]

# With two models less than two are left to fit a line through and rank.
_LEAST_MODELS = 4


@dataclass(frozen=True)
class ScoreTable:
    """Scores of models on tasks: (models, tasks). types: of each task, "" where the table does not say."""

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    types: tuple[str, ...]
    scores: Floats


def read_scores(path: Path, type_column: str | None = None) -> ScoreTable:
    """Read a CSV or TSV file: one row a model and one column a task, or with a column of task types one row a task and one column a model.

    The first column holds names. `SourceError` that names row and column for an empty cell, one that is no finite number, a row that is too short or
    long, a name that is there twice, tasks with equal scores, a task on which all models are equal, and fewer than four models.
    """
    rows = _rows(path)
    header, body = rows[0][1], rows[1:]
    typed = header.index(type_column) if type_column in header else None
    if type_column is not None and not typed:
        raise UnknownName(f"column of types in {path}", type_column, header[1:])
    columns = [at for at in range(1, len(header)) if at != typed]
    names = [header[at] for at in columns]
    firsts = [row[0] for _, row in body]
    for what, some in (("column", names), ("row", firsts)):
        if twice := next((name for name in some if some.count(name) > 1), None):
            raise SourceError(f"{path}: two {what}s are called {twice!r}")
    cells = np.array(
        [[_number(path, line, row[0], header[at], row[at]) for at in columns] for line, row in body]
    ).reshape(len(body), len(columns))
    if typed is None:
        table = ScoreTable(tuple(firsts), tuple(names), ("",) * len(names), cells)
    else:
        types = tuple(row[typed].strip() for _, row in body)
        if "" in types:
            raise SourceError(f"{path}: task {firsts[types.index('')]!r} has no {type_column}")
        table = ScoreTable(tuple(names), tuple(firsts), types, cells.T.copy())
    _check(path, table)
    return table


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """The lines with something in them, with their numbers; all as long as the first."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    mark = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    reader = csv.reader(text.splitlines(keepends=True), delimiter=mark)
    try:
        rows = [
            (reader.line_num, [cell.strip() for cell in row]) for row in reader if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise SourceError(f"{path}:{reader.line_num}: not a line of CSV ({error})") from None
    if len(rows) < 2 or len(rows[0][1]) < 2:
        raise SourceError(
            f"{path}: no table of scores; wanted are a line of names and a line for each model (separated by {mark!r})"
        )
    for line, row in rows:
        if len(row) != len(rows[0][1]):
            raise SourceError(f"{path}:{line}: {len(row)} cells, the first line has {len(rows[0][1])}")
    return rows


def _number(path: Path, line: int, row: str, column: str, cell: str) -> float:
    if not cell:
        raise SourceError(f"{path}:{line}: {row!r} has no score in {column!r}; leave out the row or the column")
    try:
        value = float(cell)
    except ValueError:
        raise SourceError(f"{path}:{line}: {cell[:40]!r} of {row!r} in {column!r} is not a number") from None
    if not math.isfinite(value):
        raise SourceError(f"{path}:{line}: {cell!r} of {row!r} in {column!r} is not a finite number")
    return value


def _check(path: Path, table: ScoreTable) -> None:
    if len(table.models) < _LEAST_MODELS:
        raise SourceError(
            f"{path}: scores of {len(table.models)} model{'s' if len(table.models) != 1 else ''}; predicting a task needs at least {_LEAST_MODELS}"
        )
    if len(table.tasks) < 2:
        raise SourceError(f"{path}: one task; there is nothing to select from")
    seen: dict[bytes, str] = {}
    for name, scores in zip(table.tasks, table.scores.T, strict=True):
        if (scores == scores[0]).all():
            raise SourceError(
                f"{path}: every model has the same score in task {name!r}, so it ranks nothing; leave it out"
            )
        if other := seen.get(scores.tobytes()):
            raise SourceError(f"{path}: tasks {other!r} and {name!r} have the same scores; leave one out")
        seen[scores.tobytes()] = name


@dataclass(frozen=True)
class Predicted:
    """How well the other tasks predict one: correlations of predicted and observed scores, and the mean squared error in standard deviations."""

    spearman: float
    pearson: float
    mse: float

    def as_data(self) -> dict[str, float]:
        """As JSON has it, to six digits."""
        return {name: round(getattr(self, name), 6) for name in ("spearman", "pearson", "mse")}


def predicted(scores: Floats) -> list[Predicted]:
    """For each task: a linear regression on all other tasks is fitted without a model and predicts that model; so for every model.

    Where tasks are as many as models or more, the fit is the one of least norm, as that of scikit-learn's LinearRegression. A prediction
    that is the same for every model has no correlation and counts as 0.
    """
    n = len(scores)
    others = np.array([[row for row in range(n) if row != model] for model in range(n)])
    found = []
    for task in range(scores.shape[1]):
        x, y = np.delete(scores, task, axis=1), scores[:, task]
        inside, known = x[others], y[others]
        middle, mean = inside.mean(axis=1, keepdims=True), known.mean(axis=1, keepdims=True)
        weights = (
            np.linalg.pinv(inside - middle, rcond=max(inside.shape[1:]) * np.finfo(float).eps)
            @ (known - mean)[..., None]
        )
        guessed = ((x[:, None, :] - middle) @ weights)[:, 0, 0] + mean[:, 0]
        found.append(
            Predicted(
                _correlation(_ranked(y), _ranked(guessed)),
                _correlation(y, guessed),
                float(((y - guessed) ** 2).mean() / y.var()),
            )
        )
    return found


def _ranked(values: Floats) -> Floats:
    from dsbuild.builders.evaluation.rank_statistics import ranks

    return -ranks(values)


def _correlation(left: Floats, right: Floats) -> float:
    left, right = left - left.mean(), right - right.mean()
    size = math.sqrt(float((left**2).sum() * (right**2).sum()))
    return float((left * right).sum()) / size if size > 1e-12 else 0.0


def select(
    table: ScoreTable, keep: Sequence[str] = (), min_spearman: float = 0.8, max_mse: float = 0.5
) -> dict[str, Any]:
    """Take out the task with the highest Spearman correlation of predicted and observed scores until none may go.

    A task stays if it is in `keep`, the last of its type (where types are known), predicted with a Spearman correlation below
    `min_spearman` or with an error above `max_mse`; then the next best predicted one is looked at. Ties: the smaller error, then the name.
    Two tasks stay at least, because each is predicted from others. Returns JSON values: removed in order with how each was predicted, kept
    with the reason, and why it stopped.
    """
    for name in keep:
        if name not in table.tasks:
            raise UnknownName("task (--keep)", name, table.tasks)
    there = list(range(len(table.tasks)))
    removed: list[dict[str, Any]] = []
    while True:
        scores = predicted(table.scores[:, there])
        order = sorted(range(len(there)), key=lambda at: (-scores[at].spearman, scores[at].mse, table.tasks[there[at]]))
        reasons = [_stays(table, there, at, scores[at], keep, min_spearman, max_mse) for at in range(len(there))]
        going = next((at for at in order if not reasons[at]), None)
        if going is None or len(there) == 2:
            break
        removed.append(
            {
                "task": table.tasks[there[going]],
                "type": table.types[there[going]],
                **scores[going].as_data(),
                "left": len(there) - 1,
            }
        )
        del there[going]
    kept = [
        {
            "task": table.tasks[there[at]],
            "type": table.types[there[at]],
            **scores[at].as_data(),
            "because": reasons[at] or "two tasks stay",
        }
        for at in sorted(range(len(there)), key=lambda at: there[at])
    ]
    why = "no task that may go is predicted well enough" if going is None else "two tasks are left"
    return {
        "models": len(table.models), "tasks": len(table.tasks), "min_spearman": min_spearman, "max_mse": max_mse, "removed": removed, "kept": kept,
        "selected": [one["task"] for one in kept], "stopped": f"{len(kept)} of {len(table.tasks)} tasks stay: {why}",
    }  # fmt: skip


def _stays(
    table: ScoreTable, there: list[int], at: int, score: Predicted, keep: Sequence[str], min_spearman: float, max_mse: float
) -> str:  # fmt: skip
    """Why a task may not go; "" if it may."""
    task = there[at]
    if table.tasks[task] in keep:
        return "to be kept"
    if table.types[task] and sum(table.types[one] == table.types[task] for one in there) == 1:
        return "the last of its type"
    if score.spearman < min_spearman:
        return f"Spearman below {min_spearman:g}"
    return f"error above {max_mse:g}" if score.mse > max_mse else ""
