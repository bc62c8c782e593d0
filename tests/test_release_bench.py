"""The bench of releases runs on a toy size and finds what was put in."""

from __future__ import annotations

from tests.test_bench import run_bench


def test_release() -> None:
    found = run_bench("release.py")
    assert found["differing"] == {"added": 200, "removed": 200, "changed": 200}
    assert set(found["ratios"]) == {"release_over_bare_write", "diff_over_bare_join"}
    assert all(ratio["median"] > 0 for ratio in found["ratios"].values())
