"""Where a draft release goes, held by one run at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dsbuild import files, release


@contextmanager
def held_folder(out: Path | None, title: str) -> Iterator[Path]:
    """The folder of a draft release, `outputs/<title>/0.0.0-draft` if none is named; a second run on it is refused meanwhile.

    Raises `StoreError` for a folder that holds something else.
    """
    folder = out or Path("outputs") / title / "0.0.0-draft"
    if folder.name in ("", ".."):
        folder = folder.resolve()
    release.check_folder(folder)
    lock = folder.with_name(f".{folder.name}.lock")
    with files.locked(lock, f"{folder}: another run is writing it; wait for it or name another --out"):
        yield folder
