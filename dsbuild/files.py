"""Files that are whole or absent: atomic writes, locks, and the instants at which a test may kill the run."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from dsbuild.errors import StoreError

_FAILPOINT = "DSBUILD_FAILPOINT"
_hits: dict[str, int] = {}


def failpoint(name: str) -> None:
    """Kill this process with SIGKILL here if the environment says so.

    `DSBUILD_FAILPOINT=NAME:N` kills at the N-th passage (1-based) through the point NAME; the kill
    tests use it to stop a run before and after each write, fsync and rename.
    """
    wanted = os.environ.get(_FAILPOINT)
    if not wanted:
        return
    point, _, count = wanted.partition(":")
    if point == name:
        _hits[name] = _hits.get(name, 0) + 1
        if _hits[name] == int(count or 1):
            os.kill(os.getpid(), signal.SIGKILL)


def disk_error(path: Path, error: OSError) -> StoreError:
    """The one line for a failed write: names the file, and says when the disk is full."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"{path}: disk full; free some space and run the same command again: finished units are kept")
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return StoreError(f"{path}: cannot write: a file stands where a folder is needed; name another place")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return StoreError(
            f"{path}: cannot write: {error.strerror}; see that the folder can be written, or name another"
        )
    return StoreError(f"{path}: cannot write: {error.strerror or error}")


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Make `path` by `write(temporary)`, fsync and rename, so that it is never seen half-written.

    Raises `StoreError` naming the file when the disk is full or not writable; the temporary file is removed.
    """
    if path.is_dir():
        raise StoreError(f"{path}: is a folder; name a file")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        failpoint("before-write")
        write(temporary)
        failpoint("after-write")
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        failpoint("after-fsync")
        temporary.replace(path)
        failpoint("after-rename")
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise disk_error(path, error) from error


def check_place(path: Path) -> None:
    """`StoreError` where a file `path` cannot be made: for commands that work long before they write. Its folder is made."""
    if path.is_dir():
        raise StoreError(f"{path}: is a folder; name a file")
    trial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise disk_error(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    write_atomically(path, lambda temporary: _put(temporary, text))


def _put(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8"))


def exchange(partial: Path, out: Path) -> None:
    """Put a new folder in the place of the old. A run that is killed between the two renames is mended by the next."""
    old = out.with_name(f".{out.name}.old")
    try:
        shutil.rmtree(old, ignore_errors=True)
        if out.exists():
            failpoint("before-exchange")
            out.rename(old)
        failpoint("between-exchange")
        partial.rename(out)
        sync_folder(out.parent)
        failpoint("after-exchange")
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise disk_error(out, error) from error


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait for an exclusive lock on `path`, and hold it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    except OSError as error:
        raise disk_error(path, error) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Hold an exclusive lock on `path`; raise `StoreError(busy)` at once if another process holds it.

    The lock goes with the process, so a killed run leaves none behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    except OSError as error:
        raise disk_error(path, error) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(busy) from None
        yield
