"""The bench of language identification: its data are read as they are meant, and a toy run prints what it promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data" / "lid"


def run(**environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "filters.py"), "lid", "--quick", "--format", "json"],
        capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin", **environment},
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_without_data_it_says_so(tmp_path: Path) -> None:
    assert run(DSBUILD_LID_DATA=str(tmp_path / "none"))["ratio"] == "not run: no data (DSBUILD_LID_DATA)"


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the language samples beside the project")
def test_a_toy_run() -> None:
    pytest.importorskip("fasttext", reason="fastText is not installed")
    found = run(DSBUILD_LID_DATA=str(DATA))
    assert found["ratio"].startswith("not run")
    assert found["languages"] > 100
    assert found["right"] > 0.8
    assert found["confidently_wrong_three_words"] <= 0.01
    assert found["three_words"]["texts"] > 1000
