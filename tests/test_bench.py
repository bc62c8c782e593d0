"""The benches run on a toy size and print what they promise; what they measure there means nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


def run_bench(name: str, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / name), "--quick", "--format", "json", *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_rows() -> None:
    found = run_bench("rows.py")
    assert found["rows"] == 3_000
    assert found["ratio"]["median"] > 0
    assert found["resume_s_per_million_rows"]["median"] > 0


def test_llm() -> None:
    found = run_bench("llm.py")
    assert found["kept"] == found["calls"] * len(found["runs"])
    assert all(found["median"][name] > 0 for name in ("full", "journal", "found_again_per_s"))


def test_memory() -> None:
    found = run_bench("memory.py")
    assert [run["kept"] for run in found["runs"]] == [run["rows"] + 200 for run in found["runs"]]
    assert found["runs"][1]["rows"] > found["runs"][0]["rows"]
    assert 0 < found["ratio"] < 3


@pytest.mark.skipif(
    find_spec("torch") is None or find_spec("transformers") is None, reason="the model is made with the extra [convert]"
)
def test_translate() -> None:
    found = run_bench("translate.py")
    assert set(found["ratios"]) == {
        "pipeline_over_bare",
        "pipeline_over_bare_no_scores",
        "pipeline_over_transformers",
        "whole_over_bare_with_repeats",
    }
    assert all(ratio["median"] > 0 for ratio in found["ratios"].values())


def test_constrained() -> None:
    found = run_bench("constrained.py", "--scorer", "mini")
    assert 0 < found["scored"] <= found["places"]
    # Another batch rounds otherwise, so of two places that are as good either may be best.
    assert found["largest_regret_nats"] < 0.1


def test_markers() -> None:
    if not (ROOT.parent / "shared/data/projection/xquad/xquad.en.json.gz").exists():
        pytest.skip("needs ../shared/data/projection/xquad")
    found = run_bench("markers.py")
    assert {one == total for counts in found["whole"].values() for one, total in counts.values()} == {True}
    assert all("wrong" not in counts for counts in found["spoiled"].values())


def test_funnel() -> None:
    if not (ROOT.parent / "shared/data/retrieval/beir_slices").exists():
        pytest.skip("needs ../shared/data/retrieval")
    found = run_bench("funnel.py")
    assert [sum(run["ended"].values()) for run in found["runs"]] == [run["rows"] for run in found["runs"]]
    assert {"form", "language", "copied", "leaked", "alone", "duplicates", "round_trip", "kept"} <= set(
        found["runs"][0]["ended"]
    )
    assert 0 < found["memory_ratio"] < 3
