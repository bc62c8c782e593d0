"""A few source/translation pairs to look at: the same ones for the same release."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from dsbuild import release
from dsbuild.builders.translation.translated import ID_COLUMNS, Prepared

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
            columns = [ID_COLUMNS[table], "text"]
            for path in release.part_files(folder, f"{lang}-{table}/")[:1]:
                with pq.ParquetFile(path) as file:
                    rows = next(file.iter_batches(_LOOK_AT, columns=columns), None)
                for row_id, text in zip(*(rows[name].to_pylist() for name in columns), strict=True) if rows else ():
                    place = xxhash.xxh3_64_intdigest(f"{lang} {table} {row_id}".encode())
                    found.append((place, lang, table, row_id, text))
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
    """The source texts of some rows; only the row groups that hold one are read."""
    texts: dict[tuple[str, str], str] = {}
    for table in sorted({table for table, _ in keys}):
        missing = {row_id for name, row_id in keys if name == table}
        for path in release.part_files(folder, f"{src}-{table}/"):
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    if not missing:
                        break
                    ids = file.read_row_group(group, [ID_COLUMNS[table]])[0]
                    places = pc.indices_nonzero(pc.is_in(ids, pa.array(sorted(missing), pa.string())))
                    if not len(places):
                        continue
                    said = file.read_row_group(group, ["text"])["text"].take(places).to_pylist()
                    for row_id, text in zip(ids.take(places).to_pylist(), said, strict=True):
                        texts[table, row_id] = text
                        missing.discard(row_id)
    return texts


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_CHARS else f"{line[: _MAX_CHARS - 1]}…"
