"""Kill -9 and run again: the short form of `bench/kill.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HARNESS = Path(__file__).parent.parent / "bench" / "kill.py"


def test_a_killed_run_ends_with_the_same_release() -> None:
    done = subprocess.run(
        [sys.executable, str(HARNESS), "--instants", "5", "--failpoint-hits", "3", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["different"] == []
    assert report["failpoints_reached"] == report["failpoints"], "every failpoint stopped a run"
