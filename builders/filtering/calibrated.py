"""What is learned from texts that are known to be good: thresholds (`dsbuild calibrate`), a classifier (`dsbuild train-classifier`)."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsbuild import languages
from dsbuild.builders.sources.flat import open_flat
from dsbuild.errors import SourceError

# Quantiles and a classifier need no more, and this is held in memory.
_MAX_ROWS = 200_000


def calibrate_source(
    src: str, lang: str, out: Path, *, drop: float, columns: dict[str, str], seed: int
) -> dict[str, Any]:
    """Learn thresholds from the first 200,000 texts of a table and write them to `out`; the texts are trusted to be good ones."""
    from dsbuild.filters.calibration import calibrate

    code = languages.get(lang).code
    texts = _first_texts(src, columns)
    found = calibrate(texts, code, drop=drop, seed=seed, name=Path(out).stem)
    found.write(out)
    return {
        "out": str(out),
        "lang": code,
        "texts": len(texts),
        "thresholds": {key: asdict(entry) for key, entry in found.entries.items()},
    }


def train_on(positives: str, negatives: str, out: Path, *, seed: int, share: float) -> dict[str, Any]:
    """Train a quality classifier from two tables of texts and write its model to `out`; the first 200,000 rows of each are read."""
    from dsbuild.filters.selection import train

    good, bad = (_first_texts(spec, {}).to_pylist() for spec in (positives, negatives))
    return asdict(train(good, bad, out, seed=seed, share=share))


def _first_texts(src: str, columns: dict[str, str]) -> pa.Array:
    """The texts of a table's first rows; what comes after them is not read."""
    texts: list[pa.Array] = []
    total = 0
    for rows in open_flat(src, "documents", columns=columns).read():
        chosen = rows["text"].slice(0, _MAX_ROWS - total)
        texts += chosen.chunks
        total += len(chosen)
        if total >= _MAX_ROWS:
            break
    if not total:
        raise SourceError(f"{src}: no rows")
    return pa.concat_arrays(texts)
