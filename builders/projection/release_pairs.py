"""Rows of a projected release beside each other: a source row, its translation, and what was made of that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dsbuild import release
from dsbuild.builders.labelled.labelled_rows import as_item
from dsbuild.errors import ReleaseError
from dsbuild.spans import Labelled

TABLE = "labelled"


def splits_of(manifest: Mapping[str, Any], lang: str) -> tuple[str, ...]:
    """The splits of a language's labelled table that hold rows."""
    return tuple(manifest["configs"].get(f"{lang}-{TABLE}", {"splits": {}})["splits"])


def check_source(folder: Path, manifest: Mapping[str, Any]) -> None:
    """`ReleaseError` where a release came without its source's table."""
    src = manifest["source"]["lang"]
    if not splits_of(manifest, src):
        raise ReleaseError(
            f"{folder}: has no table {src}-{TABLE}, so there is nothing to stand beside the translations; "
            "build it with release.source_tables: true"
        )


def beside(folder: Path, langs: Sequence[str], split: str) -> Iterator[tuple[Labelled, ...]]:
    """The items of one split in several languages that have one id, in the order of the last language.

    Each table holds rows of the one before, in its order, so that all are read in step. `ReleaseError` for a row that the others lack.
    """
    streams = [_items(folder, lang, split) for lang in langs]
    for last in streams[-1]:
        found = []
        for lang, stream in zip(langs, streams[:-1], strict=False):
            item = next((one for one in stream if one.id == last.id), None)
            if item is None:
                raise ReleaseError(f"{folder}: {lang}-{TABLE} has no row {last.id[:60]!r}; see: dsbuild verify")
            found.append(item)
        yield (*found, last)


def _items(folder: Path, lang: str, split: str) -> Iterator[Labelled]:
    for table in release.read_part(folder, f"{lang}-{TABLE}/{split}-"):
        yield from map(as_item, table.to_pylist())
