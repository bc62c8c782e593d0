"""The bench of the rule `calibrated` runs on a toy size, its four runs in this process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    monkeypatch.delitem(sys.modules, "calibrated", raising=False)
    import calibrated

    monkeypatch.setattr(calibrated, "mined", calibrated.alone)
    found = calibrated.calibrated(quick=True, full=False)
    assert (found["queries"], found["documents"], found["depth"]) == (150, 600, 100)
    for part in ("first", "again"):
        assert found[f"{part}_ratio_seconds"] > 0
        assert found[f"{part}_ratio_peak"] > 0
        assert found[f"{part}_calibrated_fill"] == 1.0
    # Percpos at 90 % of the positive's score takes less than at 95 %, and a goal of 3 % fewer false negatives than one of 5 %.
    assert found["again_percpos_fill"] <= found["first_percpos_fill"]
    assert found["again_calibrated_fn"] <= found["first_calibrated_fn"]
    monkeypatch.delitem(sys.modules, "calibrated", raising=False)
