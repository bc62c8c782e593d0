"""The server of `story_server` as a process that can be killed and started again, and the command that asks it about passages.

What was asked and answered is counted in the server's own log, by code that knows nothing of dsbuild.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.small_set import ROOT


class Served:
    """The server: it comes back on the same port.

    again: it is started anew whenever it dies by itself, as a supervisor of services does.
    """

    def __init__(self, folder: Path, place: Path, key: str = "", *, again: bool = False) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self.folder, self.log, self.control = folder, place / "log.jsonl", place / "faults.json"
        self.port, self.starts = 0, 0
        self.process: Any = None
        self._key, self._again = key, again
        self._turn = threading.Lock()
        self.faults()

    def faults(self, *faults: dict[str, Any]) -> None:
        """What goes wrong from now on."""
        partial = self.control.with_suffix(".new")
        partial.write_text(json.dumps(faults), "utf-8")
        partial.replace(self.control)

    def start(self) -> Served:
        """Wait until it listens."""
        command = [sys.executable, "-m", "tests.story_server", str(self.folder), str(self.log), str(self.control),
                   "--port", str(self.port), "--key", self._key]  # fmt: skip
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)
        self.port = int(self.process.stdout.readline())
        self.starts += 1
        if self._again:
            threading.Thread(target=self._watch, args=(self.process,), daemon=True).start()
        return self

    def kill(self) -> None:
        """As `kill -9` does."""
        with self._turn:
            self._again = False
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()

    def _watch(self, process: Any) -> None:
        process.wait()
        with self._turn:
            if self._again:
                process.stdout.close()
                self.start()

    @property
    def url(self) -> str:
        """Up to /v1."""
        return f"http://127.0.0.1:{self.port}/v1"

    def lines(self) -> list[dict[str, Any]]:
        """The log; a line that a kill cut off is none."""
        found = []
        for line in self.log.read_text("utf-8").splitlines() if self.log.is_file() else ():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def requests(self, mark: str = "passage") -> list[dict[str, Any]]:
        """The questions about passages, answered or not."""
        return [one for one in self.lines() if "request" in one and mark in one["said"]]

    def answered(self, mark: str = "passage") -> Counter[str]:
        """How often each question about a passage got a whole answer."""
        return Counter(one["said"] for one in self.lines() if "answered" in one and mark in one["said"])

    def wait_for(self, n: int) -> None:
        """Until n questions about passages were answered."""
        until = time.monotonic() + 60
        while self.answered().total() < n:
            if time.monotonic() > until:
                raise AssertionError("the server was not asked")
            time.sleep(0.02)


def texts(n: int) -> list[str]:
    """Passages, each another."""
    return [f"A passage about the dog number {k}, which likes to run in the park." for k in range(n)]


def write_passages(path: Path, passages: Sequence[str]) -> Path:
    """A table of texts with the ids d0, d1, …"""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ({"doc_id": f"d{k}", "text": text} for k, text in enumerate(passages))
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def command(served: Served, place: Path, source: Path, *more: str, store: Path | None = None) -> list[str]:
    """`dsbuild generate queries` with a funnel of one step and two requests in flight; the last of equal settings holds."""
    return [
        sys.executable, "-m", "dsbuild", "generate", "queries", "--src", f"jsonl:{source}", "--lang", "en", "--langs", "en",
        "--engine", "openai", "--base-url", served.url, "--model", "stories", "--out", str(place / "out"),
        "--store", str(store or place / "store"), "--format", "json", "--set", "funnel.stages=[form]", "--set", "generator.concurrency=2",
        "--set", "generator.retries=60", "--set", "generator.pause_s=0.05", "--set", "sampling.temperature=0", *more,
    ]  # fmt: skip


def run(line: Sequence[str], **more: Any) -> subprocess.CompletedProcess[str]:
    """The command, to its end."""
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120, **more)


def start(line: Sequence[str]) -> subprocess.Popen[str]:
    """The command, running."""
    return subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
