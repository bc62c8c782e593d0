"""Digests of input files, remembered so that a finished run resumes without reading its inputs again."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import xxhash

from dsbuild import files
from dsbuild.errors import SourceError

# A file written less than this long ago may change again without a new time stamp: its digest is not remembered.
_SETTLED_NS = 2_000_000_000


def file_sha256(path: Path, cache: Path | None) -> str:
    """The sha256 of a file's bytes, in hexadecimal.

    cache: a folder with one small file per digest, named by (path, size, mtime_ns, inode); None: always read.
    A file that changes while it is read is a `SourceError`.
    """
    try:
        before = path.stat()
        entry = cache / f"{_key(path, before)}.sha256" if cache else None
        if entry and (known := _known(entry)):
            return known
        with path.open("rb", buffering=0) as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
        after = path.stat()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error})") from error
    if (before.st_size, before.st_mtime_ns, before.st_ino) != (after.st_size, after.st_mtime_ns, after.st_ino):
        raise SourceError(f"{path}: changed while it was read; wait until it is written and run again")
    if entry and time.time_ns() - before.st_mtime_ns > _SETTLED_NS:
        files.write_text(entry, digest)
    return digest


def folder_sha256(folder: Path, endings: tuple[str, ...]) -> str:
    """The sha256 over the files of a folder with one of these endings: names and contents, no paths. Folders in it are left out."""
    chosen = sorted(file for file in folder.iterdir() if file.suffix in endings and file.is_file())
    said = "\n".join(f"{file.name} {file_sha256(file, None)}" for file in chosen)
    return hashlib.sha256(said.encode("utf-8", "surrogateescape")).hexdigest()


def _key(path: Path, stat: os.stat_result) -> str:
    named = f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ino}"
    return xxhash.xxh3_128_hexdigest(named.encode("utf-8", "surrogateescape"))


def _known(entry: Path) -> str | None:
    try:
        digest = entry.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return None
    return digest if len(digest) == 64 else None
