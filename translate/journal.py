"""The journal of a unit in work: each engine batch is in it whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import xxhash

from dsbuild.engine import Output
from dsbuild.files import disk_error, failpoint

# A kill loses nothing that was written; only a power cut can, and that much work is cheap to repeat.
_SYNC_EVERY_S = 2.0


class Journal:
    """An append-only file of finished batches. A torn last line is cut off when the journal is opened.

    Keys name a batch (rung, number and a digest of what it holds); values are JSON.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Any] = {}
        whole = 0
        if path.exists():
            with path.open("rb") as lines:
                for line in lines:
                    entry = _parse(line)
                    if entry is None:
                        break
                    self.entries[entry[0]] = entry[1]
                    whole += len(line)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = path.open("ab")
            self._handle.truncate(whole)
        except OSError as error:
            raise disk_error(path, error) from error
        self._synced = time.monotonic()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Entries are flushed as they are added: what a failing close still holds is one that `add` has refused.
        with contextlib.suppress(OSError):
            self._handle.close()

    def add(self, key: str, value: Any) -> None:
        """Append one entry; it is in the file when this returns."""
        body = json.dumps([key, value], ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        try:
            failpoint("before-journal")
            self._handle.write(b"%016x %s\n" % (xxhash.xxh3_64_intdigest(body), body))
            self._handle.flush()
            failpoint("after-journal")
            if time.monotonic() - self._synced > _SYNC_EVERY_S:
                os.fsync(self._handle.fileno())
                self._synced = time.monotonic()
        except OSError as error:
            raise disk_error(self.path, error) from error
        self.entries[key] = value


def _parse(line: bytes) -> tuple[str, Any] | None:
    checksum, space, body = line.rstrip(b"\n").partition(b" ")
    if not space or not line.endswith(b"\n") or checksum != b"%016x" % xxhash.xxh3_64_intdigest(body):
        return None
    key, value = json.loads(body)
    return key, value


def pack(outputs: list[Output]) -> list[list[Any]]:
    """Outputs as JSON values."""
    return [
        [one.text, one.finish, one.score, one.n_src_tokens, one.n_tgt_tokens, one.n_unknown, one.error]
        for one in outputs
    ]


def unpack(values: list[list[Any]]) -> list[Output]:
    """The outputs that `pack` wrote."""
    return [Output(*value) for value in values]
