"""Calibrated thresholds: quantiles, their intervals, what thin data borrows, and the file."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dsbuild.errors import RecipeError, SourceError
from dsbuild.filters.calibration import Calibration, calibrate, read_calibration
from dsbuild.filters.quality import Quality


def _texts(n: int, seed: int = 1) -> list[str]:
    rng = random.Random(seed)
    vocabulary = ["".join(rng.choices("abcdefghij", k=rng.randint(2, 9))) for _ in range(400)]
    return [
        "\n".join(" ".join(rng.choices(vocabulary, k=9)) + rng.choice(".. ") for _ in range(rng.randint(5, 12)))
        for _ in range(n)
    ]


def test_each_rule_drops_at_most_the_share_asked_for() -> None:
    texts = _texts(600)
    found = calibrate(pa.array(texts), "en", name="mine", drop=0.05)
    columns = Quality().score(texts, ["en"] * 600)
    for key, column, op in (
        ("gopher.min_words", "gopher_words", "<"), ("gopher.max_mean_word_length", "gopher_mean_word_length", ">"),
        ("fineweb.min_terminal_lines", "fineweb_terminal_lines", "<"), ("repetition.max_top_2gram", "repetition_top_2gram", ">"),
    ):  # fmt: skip
        entry = found.entries[key]
        values = np.array([value for value in columns[column].to_pylist() if value is not None])
        failed = (values < entry.value if op == "<" else values > entry.value).mean()
        assert failed <= 0.05, key
        if len(set(values)) > 300:
            assert failed > 0.04, key
        assert (entry.source, entry.n) == ("calibrated:mine", len(values))
        assert entry.low is not None
        assert entry.high is not None
        assert entry.low <= entry.value <= entry.high
    assert found.thresholds("en")["gopher.min_words"].source == "calibrated:mine"
    assert found.thresholds("de") == {}


def test_the_interval_is_that_of_resampling() -> None:
    texts = _texts(500)
    entry = calibrate(texts, "en", n_bootstrap=4000).entries["gopher.min_mean_word_length"]
    values = np.sort(Quality().score(texts, ["en"] * 500)["gopher_mean_word_length"].to_numpy(zero_copy_only=False))
    rng = np.random.default_rng(9)
    drawn = np.sort(rng.choice(values, (2000, 500)), axis=1)[:, 25]
    assert entry.value == values[25]
    assert (entry.low, entry.high) == pytest.approx(tuple(np.quantile(drawn, (0.025, 0.975))), rel=0.01)


def test_thin_data_borrows_and_says_from_where() -> None:
    few = _texts(20)
    own = calibrate(few, "hi").entries["gopher.min_alpha_words"]
    assert own.source == "fineweb2:hin_Deva (thin: 20 of 500 values)"
    assert (own.value, own.n, own.low) == (0.837, 20, None)
    assert calibrate(few, "mag").entries["gopher.min_alpha_words"].source.startswith("script:Deva (thin")
    assert calibrate(few, "xx").entries["gopher.min_words"].source.startswith("default (thin")
    none = calibrate([], "en").entries
    assert {entry.n for entry in none.values()} == {0}
    # Rules that abstain on this sample (no paragraphs) are thin although the sample is not.
    many = calibrate(_texts(500), "en").entries
    assert many["repetition.max_dup_paragraphs"].source == "default (thin: 0 of 500 values)"


def test_the_file_reads_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "thresholds.json"
    found = calibrate(_texts(500), "en", seed=3)
    found.write(path)
    assert read_calibration(path) == found
    again = calibrate(_texts(500), "en", seed=3)
    again.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "x"}, "not a calibration"), ({"version": 9}, "version 9"), ({"more": 1}, "more: no such key"),
        ({"lang": 3}, "lang: 3 is not str"),
        ({"thresholds": {"gopher.max_wrds": {}}}, "thresholds.gopher.max_wrds: no such setting"),
        ({"thresholds": {"gopher.min_words": {"value": "50"}}}, "thresholds.gopher.min_words.high: missing"),
        ({"thresholds": {"gopher.min_words": {"value": float("nan"), "source": "", "n": 1, "low": None, "high": None}}}, "nan is not"),
        ({"thresholds": {"gopher.min_words": {"value": True, "source": "", "n": 1, "low": None, "high": None}}}, "True is not"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_calibration_is_named(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = tmp_path / "thresholds.json"
    Calibration("en", "en", 0.05, 0, 10, 0, {}).write(path)
    document = {**json.loads(path.read_text("utf-8")), **change}
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(SourceError, match=said):
        read_calibration(path)


def test_files_and_shares_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not a calibration"):
        read_calibration(tmp_path / "none.json")
    (tmp_path / "list.json").write_text("[]", "utf-8")
    with pytest.raises(SourceError, match="not a calibration"):
        read_calibration(tmp_path / "list.json")
    with pytest.raises(RecipeError, match=r"between 0 and 0\.5"):
        calibrate(["x"], "en", drop=0.9)
