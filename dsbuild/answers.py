"""Answers of language models that were paid for once: kept in the store, found again by what was asked."""

from __future__ import annotations

import errno
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from dsbuild import files
from dsbuild.errors import StoreError
from dsbuild.language_model import Call, Said
from dsbuild.stage import digest

FOLDER = "answers"
_BUSY_S = 60.0  # how long another process may hold the file
_MAKE = "CREATE TABLE IF NOT EXISTS answers (asked BLOB PRIMARY KEY, said TEXT NOT NULL) WITHOUT ROWID"


def digest_of(call: Call) -> bytes:
    """What an answer is found by: 16 bytes of all that decides it beside the model."""
    sampling = call.sampling
    said = [
        [[one.role, one.text] for one in call.messages], sampling.temperature, sampling.top_p, sampling.max_tokens, sampling.stop, call.seed,
        call.schema, call.logprobs, call.continuation,
    ]  # fmt: skip
    return bytes.fromhex(digest(json.dumps(said, sort_keys=True)))


class AnswerStore:
    """The answers of one model by the digest of the call, in `answers/<digest of the fingerprint>.sqlite` under `root` (a store).

    Builds share them, so another parser, a larger budget or another selection asks nothing twice. Each answer is written on its own before it
    is handed on (SQLite with a write-ahead log): a killed process loses none, a power cut may lose the last ones. Any number of threads and
    processes may read and write; memory does not grow. `StoreError` for a file that is damaged or cannot be written.
    """

    def __init__(self, root: Path, fingerprint: Mapping[str, Any]) -> None:
        named = digest(json.dumps(dict(fingerprint), sort_keys=True))
        self.path = root / FOLDER / f"{named}.sqlite"
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise files.disk_error(self.path, error) from error
        with self._one_line():
            self._held = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                # Two processes that open a new file at once would both change its mode.
                with files.turn(self.path.with_suffix(".lock")):
                    self._held.execute("PRAGMA journal_mode = WAL")
                    self._held.execute("PRAGMA synchronous = NORMAL")
                    self._held.execute(_MAKE)
            except BaseException:
                self._held.close()
                raise

    def __enter__(self) -> AnswerStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        with self._lock, self._one_line():
            return int(self._held.execute("SELECT count(*) FROM answers").fetchone()[0])

    def get(self, asked: bytes) -> Said | None:
        """What was said to the call with this digest (`digest_of`), as it came; None if nobody asked."""
        with self._lock, self._one_line():
            row = self._held.execute("SELECT said FROM answers WHERE asked = ?", (asked,)).fetchone()
        return None if row is None else _unpacked(row[0])

    def put(self, asked: bytes, said: Said) -> Said:
        """Keep an answer; it is written when this returns. What another process kept before stands, and is returned."""
        files.failpoint("before-answer")
        with self._lock, self._one_line():
            written = self._held.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (asked, _packed(said))).rowcount
        files.failpoint("after-answer")
        return said if written else self.get(asked) or said

    def close(self) -> None:
        """Close the file; safe to call twice."""
        with self._lock:
            self._held.close()

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "full" in str(error):
                raise files.disk_error(self.path, OSError(errno.ENOSPC, "disk full")) from error
            raise StoreError(
                f"{self.path}: {error}; see that the folder can be written, or name another --store"
            ) from error
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{self.path}: damaged ({error}); delete it, and its answers are asked for again"
            ) from error


def _packed(said: Said) -> str:
    # ASCII, so that half a character, which JSON can write, is no text that SQLite refuses.
    return json.dumps([said.text, said.problem, said.detail, said.n_asked, said.n_said, said.logprob])


def _unpacked(written: str) -> Said:
    text, problem, detail, n_asked, n_said, logprob = json.loads(written)
    return Said(text, None, problem, detail, n_asked, n_said, logprob)
