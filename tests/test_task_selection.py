"""Task selection: the predictions against a plain regression, the stop rules, and tables that cannot be used."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from dsbuild.builders.evaluation.task_selection import predicted, read_scores, select
from dsbuild.errors import SourceError, UnknownName
from tests.small_set import cli

MODELS = [f"model-{number}" for number in range(12)]


def scores() -> dict[str, np.ndarray]:
    """Two skills; four tasks of the first, two of the second, and one of chance."""
    draw = np.random.default_rng(4)
    first, second = draw.normal(0, 1, 12), draw.normal(0, 1, 12)
    made = {f"a{number}": 0.5 + 0.1 * first + draw.normal(0, 0.005, 12) for number in range(4)}
    made |= {f"b{number}": 0.4 + 0.1 * second + draw.normal(0, 0.005, 12) for number in range(2)}
    return {**made, "chance": draw.random(12)}


def write(path: Path, columns: dict[str, list], first: str = "model", names: list[str] = MODELS) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([first, *columns])
        writer.writerows([name, *row] for name, row in zip(names, zip(*columns.values(), strict=True), strict=True))
    return path


def plain(table: np.ndarray, task: int) -> tuple[float, float, float]:
    """A regression with an intercept, by least squares of least norm on centred values, one model after the other."""
    guessed = []
    for model in range(len(table)):
        x, y = np.delete(np.delete(table, task, 1), model, 0), np.delete(table[:, task], model)
        weights = np.linalg.lstsq(x - x.mean(0), y - y.mean(), rcond=1e-12)[0]
        guessed.append((np.delete(table[model], task) - x.mean(0)) @ weights + y.mean())
    y = table[:, task]
    scale = [(values - y.mean()) / y.std() for values in (y, np.array(guessed))]
    return stats.spearmanr(y, guessed)[0], stats.pearsonr(y, guessed)[0], float(np.mean((scale[0] - scale[1]) ** 2))


@pytest.mark.parametrize(("models", "tasks"), [(12, 5), (6, 9)])
def test_predictions_are_those_of_a_plain_regression(models: int, tasks: int) -> None:
    draw = np.random.default_rng(0)
    table = draw.random((models, 1)) + 0.1 * draw.random((models, tasks))
    for task, found in enumerate(predicted(table)):
        np.testing.assert_allclose([found.spearman, found.pearson, found.mse], plain(table, task), rtol=1e-6)


def test_tasks_go_until_the_rest_is_not_predicted(tmp_path: Path) -> None:
    table = read_scores(write(tmp_path / "s.csv", {name: list(one) for name, one in scores().items()}))
    found = select(table)
    gone = [one["task"] for one in found["removed"]]
    assert "chance" in found["selected"]
    assert len([name for name in found["selected"] if name.startswith("a")]) == 1
    assert len([name for name in found["selected"] if name.startswith("b")]) == 1
    assert [one["left"] for one in found["removed"]] == [6, 5, 4, 3]
    # Each step again, by hand: the best predicted of what was there.
    there = list(table.tasks)
    for name in gone:
        columns = np.stack([table.scores[:, table.tasks.index(one)] for one in there], axis=1)
        ranked = [plain(columns, at) for at in range(len(there))]
        best = max(range(len(there)), key=lambda at: (round(ranked[at][0], 9), -ranked[at][2]))
        assert there[best] == name
        assert ranked[best][0] >= 0.8
        assert ranked[best][2] <= 0.5
        there.remove(name)
    assert found == select(table), "the same again"


def test_tasks_to_keep_and_the_last_of_a_type_stay(tmp_path: Path) -> None:
    made = scores()
    rows = {name: [values[at] for values in made.values()] for at, name in enumerate(MODELS)}
    types = {"type": ["pair" if name in ("a0", "a1") else "search" for name in made]}
    path = write(tmp_path / "s.csv", {**types, **rows}, "task", list(made))
    table = read_scores(path, "type")
    np.testing.assert_allclose(table.scores, np.stack(list(made.values()), axis=1))
    found = select(table, keep=["a2"])
    assert "a2" in found["selected"]
    assert len({"a0", "a1"} & set(found["selected"])) == 1
    because = {one["task"]: one["because"] for one in found["kept"]}
    assert because["a2"] == "to be kept"
    assert "the last of its type" in because.values()
    strict = select(table, min_spearman=1.0, max_mse=0.0)
    assert strict["removed"] == []
    assert len(select(table, min_spearman=-1.0, max_mse=1e9)["selected"]) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model,a,b\nm1,1,2\nm2,,3\nm3,1,1\nm4,2,2\n", r":3: 'm2' has no score in 'a'"),
        ("model,a,b\nm1,1,2\nm2,good,3\nm3,1,1\nm4,2,2\n", r":3: 'good' of 'm2' in 'a' is not a number"),
        ("model,a,b\nm1,1,2\nm2,nan,3\n", "not a finite number"),
        ("model,a,b\nm1,1,2\n", "scores of 1 model; "),
        ("model,a,a\nm1,1,2\n", "two columns are called 'a'"),
        ("model,a,b\nm1,1,2\nm1,1,3\n", "two rows are called 'm1'"),
        ("model,a,b\nm1,1,1\nm2,2,2\nm3,3,3\nm4,1,1\n", "'a' and 'b' have the same scores"),
        ("model,a,b\nm1,1,1\nm2,1,2\nm3,1,3\nm4,1,1\n", "every model has the same score in task 'a'"),
        ("model,a,b\nm1,1\n", ":2: 2 cells, the first line has 3"),
        ("model,a\nm1,1\nm2,2\nm3,3\nm4,4\n", "one task"),
        ("", "no table of scores"),
    ],
)
def test_tables_that_cannot_be_used_are_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(SourceError, match=said):
        read_scores(path)


def test_the_command(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", {name: list(one) for name, one in scores().items()})
    code, out, _ = cli("select-tasks", path, "--format", "json")
    assert code == 0
    assert json.loads(out)["removed"]
    assert "tasks stay" in cli("select-tasks", path, "--keep", "a0,a1")[1]
    code, _, err = cli("select-tasks", path, "--keep", "a9")
    assert code == 2
    assert "a0" in err
    assert len(err.strip().splitlines()) == 1
    assert cli("select-tasks", tmp_path / "none.csv")[0] == 2
    with pytest.raises(UnknownName):
        read_scores(path, "typ")
