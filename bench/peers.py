"""Peers in environments of their own: the pinned packages are installed once and driven by a script in a process of theirs.

A script of `bench/peers/` is called as `python SCRIPT REQUEST.json` and prints one JSON document as its last line.
It times itself (CPU seconds of itself and its children), so that neither start-up nor hand-over counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent / ".work" / "peers"


class NotRun(Exception):
    """The peer could not be installed or did not work here: the figure is "not run", never a guess."""


def environment(name: str, packages: Sequence[str]) -> Path:
    """The interpreter of the peer's environment, made at first use with exactly these packages."""
    folder = ENVIRONMENTS / name
    python, stamp = folder / "bin" / "python", folder / "packages.txt"
    wanted = "\n".join(packages) + "\n"
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return python
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise NotRun(f"{name}: {last}")
    stamp.write_text(wanted, "utf-8")
    return python


def ask(python: Path, script: str, request: Mapping[str, Any], *, threads: int = 1, path: Path | None = None) -> Any:
    """What the script `bench/peers/SCRIPT` answers to the request; path: a folder of packages that go before those of the environment."""
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "request.json"
        asked.write_text(json.dumps(request), "utf-8")
        done = subprocess.run(
            [str(python), str(HERE / "peers" / script), str(asked)],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env={
                **os.environ,
                "OMP_NUM_THREADS": str(threads),
                "NUMBA_NUM_THREADS": str(threads),
                "PYTHONPATH": str(path or ""),
            },
        )
    if done.returncode:
        raise NotRun(f"{script}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
