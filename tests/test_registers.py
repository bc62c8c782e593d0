"""Register labels: reading, training, adding."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dsbuild.errors import EngineError, RecipeError, SourceError
from dsbuild.filters.registers import (
    COLUMNS,
    RegisterLabels,
    TrainedRegisters,
    chosen,
    f1,
    read_labels,
    to_matrix,
    train_registers,
)

pytest.importorskip("fasttext", reason="fastText is not installed")

WORDS = {
    "NA": "then she went home and told her brother what happened yesterday".split(),
    "HI": "first mix flour then add eggs bake twenty minutes serve warm".split(),
    "IP": "order now our best product great price delivery guaranteed customers".split(),
}


def made(n: int, seed: int) -> tuple[list[str], list[str | None]]:
    draw = random.Random(seed)
    texts, cells = [], []
    for _ in range(n):
        labels = draw.sample(sorted(WORDS), draw.choice((1, 1, 1, 2)))
        texts.append(" ".join(word for label in labels for word in draw.choices(WORDS[label], k=15)))
        cells.append(" ".join(labels))
    return texts, cells


def small(path: Path) -> TrainedRegisters:
    texts, cells = made(300, 1)
    return train_registers(
        [*texts, "la la la", "no label", ""],
        [*cells, "LY", None, "NA"],
        path,
        dim=16,
        bucket=2_000,
        epoch=20,
        holdout=0.2,
    )


def test_cells() -> None:
    assert read_labels(["NA IP", "IP,NA;NA", " IN ", None, "", "a|b"]).to_pylist() == [
        ["IP", "NA"],
        ["IP", "NA"],
        ["IN"],
        None,
        [],
        ["a", "b"],
    ]
    assert read_labels(pa.array([["b", "a"], None], pa.list_(pa.string()))).to_pylist() == [["a", "b"], None]
    assert read_labels(pa.chunked_array([["x"], [None]])).to_pylist() == [["x"], None]
    with pytest.raises(SourceError, match="register label '__label__<x>'"):
        read_labels(["__label__<x>"])


def test_train_and_label(tmp_path: Path) -> None:
    trained = small(tmp_path / "one.bin")
    assert (trained.labels, trained.left_out) == (("HI", "IP", "NA"), ("LY",))
    assert 30 < trained.n_held_out < 100
    assert trained.f1_micro is not None
    assert trained.f1_micro > 0.9
    texts, cells = made(40, 9)
    rows = pa.array(["…", *texts, ""])
    columns = RegisterLabels(str(trained.path), trained.threshold).score(rows, [""] * len(rows))
    assert set(columns) == set(COLUMNS)
    found = columns["registers_labels"].to_pylist()
    assert (found[0], found[-1]) == (None, None)
    assert columns["registers_score"].is_null().to_pylist() == [True, *[False] * 40, True]
    right = [sorted((cell or "").split()) for cell in cells]
    assert sum(one == other for one, other in zip(found[1:-1], right, strict=True)) >= 32
    assert all(found[1:-1])
    assert small(tmp_path / "two.bin").path.read_bytes() == trained.path.read_bytes()


def test_scores() -> None:
    truth = to_matrix([["a"], ["a", "b"], []], ["a", "b", "c"])
    found = np.array([[True, False, False], [True, False, True], [False, True, False]])
    micro, macro, each = f1(found, truth)
    assert each == [1.0, 0.0, 0.0]
    assert macro == pytest.approx(1 / 3)
    assert micro == pytest.approx(2 * 2 / (4 + 3))
    scores = np.array([[0.6, 0.7], [0.1, 0.3], [np.nan, np.nan]])
    assert chosen(scores, 0.5).tolist() == [[True, True], [False, True], [False, False]]


def test_refusals(tmp_path: Path) -> None:
    texts, cells = made(30, 1)
    with pytest.raises(RecipeError, match="two are needed"):
        train_registers(texts, ["NA"] * 30, tmp_path / "m.bin")
    with pytest.raises(RecipeError, match="30 texts and 29 label cells"):
        train_registers(texts, cells[:29], tmp_path / "m.bin")
    with pytest.raises(EngineError, match="no such model file"):
        RegisterLabels(str(tmp_path / "m.bin"))
    with pytest.raises(RecipeError, match="probability"):
        RegisterLabels("m.bin", 0)
