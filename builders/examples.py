"""A few source/translation pairs to look at: the same ones for the same release."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from dsbuild import release
from dsbuild.builders.translated import ID_COLUMNS, Prepared

N_SAMPLES = 3
_MAX_CHARS = 160
_LOOK_AT = 5_000


def pick(folder: Path, prepared: Prepared) -> list[Mapping[str, str]]:
    """Three rows over all languages, chosen by the hash of their key among the first of each table, with their sources."""
    best: list[tuple[int, str, str, str, str]] = []
    for number, lang in enumerate(prepared.recipe.langs):
        wanted = max(1, N_SAMPLES // len(prepared.recipe.langs) + (number < N_SAMPLES % len(prepared.recipe.langs)))
        found: list[tuple[int, str, str, str, str]] = []
        for table in prepared.recipe.tables():
            for shard in itertools.islice(
                release.read_part(folder, f"{lang}-{table}/", [ID_COLUMNS[table], "text"]), 1
            ):
                rows = shard.slice(0, _LOOK_AT)
                for row_id, text in zip(rows[ID_COLUMNS[table]].to_pylist(), rows["text"].to_pylist(), strict=True):
                    found.append(
                        (xxhash.xxh3_64_intdigest(f"{lang} {table} {row_id}".encode()), lang, table, row_id, text)
                    )
        best += sorted(found)[:wanted]
    best = best[:N_SAMPLES]
    sources = _sources(folder, prepared.src, {(table, row_id) for _, _, table, row_id, _ in best})
    return [
        {
            "lang": lang,
            "table": table,
            "id": row_id,
            "source": _short(sources.get((table, row_id), "")),
            "translation": _short(text),
        }
        for _, lang, table, row_id, text in best
    ]


def _sources(folder: Path, src: str, keys: set[tuple[str, str]]) -> dict[tuple[str, str], str]:
    texts: dict[tuple[str, str], str] = {}
    for table in sorted({table for table, _ in keys}):
        wanted = pa.array(sorted(row_id for name, row_id in keys if name == table))
        for shard in release.read_part(folder, f"{src}-{table}/", [ID_COLUMNS[table], "text"]):
            shard = shard.filter(pc.is_in(shard[ID_COLUMNS[table]], wanted))
            for row_id, text in zip(shard[ID_COLUMNS[table]].to_pylist(), shard["text"].to_pylist(), strict=True):
                texts[table, row_id] = text
    return texts


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_CHARS else f"{line[: _MAX_CHARS - 1]}…"
