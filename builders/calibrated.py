"""What is learned from texts that are known to be good: thresholds (`dsbuild calibrate`), a classifier (`dsbuild train-classifier`)."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsbuild import languages
from dsbuild.builders.flat import open_flat
from dsbuild.errors import SourceError

# Quantiles need no more, and this is held in memory.
_MAX_ROWS = 200_000


def calibrate_source(
    src: str, lang: str, out: Path, *, drop: float, columns: dict[str, str], seed: int
) -> dict[str, Any]:
    """Learn thresholds from the first 200,000 texts of a table and write them to `out`; the texts are trusted to be good ones."""
    from dsbuild.filters.calibration import calibrate

    code = languages.get(lang).code
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
    found = calibrate(pa.concat_arrays(texts), code, drop=drop, seed=seed, name=Path(out).stem)
    found.write(out)
    return {
        "out": str(out),
        "lang": code,
        "texts": total,
        "thresholds": {key: asdict(entry) for key, entry in found.entries.items()},
    }


def train_on(positives: str, negatives: str, out: Path, *, seed: int, share: float) -> dict[str, Any]:
    """Train a quality classifier from two tables of texts and write its model to `out`; the first 200,000 rows of each are read."""
    from dsbuild.filters.selection import train

    texts = [
        [text for rows in open_flat(spec, "documents").read() for text in rows["text"].to_pylist()][:_MAX_ROWS]
        for spec in (positives, negatives)
    ]
    return asdict(train(texts[0], texts[1], out, seed=seed, share=share))
