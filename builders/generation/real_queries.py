"""Queries of people, counted by length and kind: what generated ones are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import release
from dsbuild.builders.sources.opened import RELEASE, as_spec
from dsbuild.builders.sources.source import open_source
from dsbuild.errors import SourceError
from dsbuild.filters.query_shapes import Shapes

_COLUMNS = ("text", "lang", "origin")


def real_shapes(said: str, lang: str | None = None) -> dict[str, Shapes]:
    """The queries of a retrieval set or a release by language; those that were generated do not count.

    said: KIND:PATH or a folder; lang: its language, where it does not say it. `SourceError` where there are none.
    """
    spec = as_spec(said)
    kind, _, path = spec.partition(":")
    if kind == RELEASE:
        shards = _of_release(Path(path).expanduser())
    else:
        shards = (pa.Table.from_batches([batch]) for batch in open_source(spec, lang=lang).read("queries"))
    found = shapes_of(shards)
    if not found:
        raise SourceError(f"{said}: no queries of people in it; name another set")
    return found


def shapes_of(shards: Iterator[pa.Table]) -> dict[str, Shapes]:
    """The shapes of queries by language; shards: rows of the canonical table of queries."""
    found: dict[str, Shapes] = {}
    for shard in shards:
        shard = shard.filter(pc.not_equal(shard["origin"], "generated"))
        for code in pc.unique(shard["lang"]).to_pylist():
            texts = shard.filter(pc.equal(shard["lang"], code))["text"].to_pylist()
            found.setdefault(code, Shapes()).add(texts, code)
    return found


def _of_release(folder: Path) -> Iterator[pa.Table]:
    for config in release.read_manifest(folder)["configs"].values():
        if config["table"] == "queries":
            yield from release.read_part(folder, f"{config['lang']}-queries/", list(_COLUMNS))
