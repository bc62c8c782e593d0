"""fastText models: lines, held-out shares, training that repeats, loading that says what is wrong."""

from __future__ import annotations

import random
import resource
from pathlib import Path

import numpy as np
import pytest

from dsbuild.errors import EngineError, RecipeError, StoreError
from dsbuild.filters.fasttext_model import LABEL, MAX_WORDS, fit, is_held_out, label_names, load, probabilities, to_line

pytest.importorskip("fasttext", reason="fastText is not installed")


def rows(n: int) -> list[tuple[tuple[str, ...], str]]:
    draw = random.Random(4)
    return [
        (("ab"[place % 2],), " ".join(draw.choices(("one two three", "four five six")[place % 2].split(), k=8)))
        for place in range(n)
    ]


def test_lines() -> None:
    assert to_line("  Don't STOP;\n\tहिन्दी में १२ \x00\ud800") == "don't stop हिन्दी में १२"
    assert to_line("भाषा") == "भाषा"
    assert to_line("ไทย中文") == "ไ ท ย 中 文".replace("ไ ท", "ไท")
    assert to_line(f"{LABEL}x {LABEL} {LABEL}{LABEL}y") == "x y"
    assert len(to_line("a b " * 5_000_000).split()) == MAX_WORDS


def test_held_out() -> None:
    lines = [f"line {number}" for number in range(3_000)]
    held = [is_held_out(line, 0.2, 1) for line in lines]
    assert 0.17 < np.mean(held) < 0.23
    assert held != [is_held_out(line, 0.2, 2) for line in lines]
    assert not any(is_held_out(line, 0, 1) for line in lines)


def test_fit_and_load(tmp_path: Path) -> None:
    first, second = tmp_path / "deep" / "one.bin", tmp_path / "two.bin"
    options = {"seed": 3, "word_ngrams": 2, "dim": 10, "bucket": 10, "epoch": 5, "lr": 0.5, "thread": 1}
    fit(rows(200), first, **options)  # type: ignore[arg-type]
    # Free memory of odd content does not get into the second model.
    junk = [bytearray(random.Random(1).randbytes(1 << 20)) * 30 for _ in range(2)]
    del junk
    fit(reversed(rows(200)), second, **options)  # type: ignore[arg-type]
    assert first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "two.bin"]
    model = load(second, ["a", "b"])
    assert label_names(model) == ["a", "b"]
    found = probabilities(model, ["one two three", "", "four five six"])
    assert found[0, 0] > 0.5 > found[2, 0]
    assert np.isnan(found[1]).all()
    assert np.allclose(found[[0, 2]].sum(axis=1), 1, atol=1e-3)
    assert probabilities(model, []).shape == (0, 2)
    data = second.read_bytes()
    for name, content in (
        ("empty", b""),
        ("cut", data[:1_000]),
        ("text", b"text\n" * 9),
        ("zip", b"PK\x03\x04" + data),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(EngineError, match="not a fastText classifier") as caught:
            load(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(EngineError, match="no such model file"):
        load(tmp_path)


def test_a_full_disk_leaves_the_model_that_was_there(tmp_path: Path) -> None:
    options = {"seed": 3, "word_ngrams": 2, "dim": 10, "bucket": 10, "epoch": 1, "lr": 0.5, "thread": 1}
    out = tmp_path / "m.bin"
    out.write_text("the model of before", "utf-8")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000_000, hard))
    try:
        with pytest.raises(StoreError, match=r"m.bin: disk full"):
            fit(rows(200), out, **options)  # type: ignore[arg-type]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [(path.name, path.read_text("utf-8")) for path in tmp_path.iterdir()] == [("m.bin", "the model of before")]
    with pytest.raises(StoreError, match="a file stands where a folder is needed"):
        fit(rows(200), out / "deep" / "m.bin", **options)  # type: ignore[arg-type]


def test_refusals(tmp_path: Path) -> None:
    options = {"seed": 3, "dim": 10, "bucket": 10, "epoch": 1, "lr": 0.5, "thread": 1}
    with pytest.raises(RecipeError, match="n-grams of 2 words"):
        fit(rows(10), tmp_path / "m.bin", word_ngrams=1, **options)  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="cannot train on 0 texts"):
        fit([], tmp_path / "m.bin", word_ngrams=2, **options)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
