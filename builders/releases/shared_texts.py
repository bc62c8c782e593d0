"""Texts that stand in more than one split of a language's table: what was seen in training is no test.

Texts are compared by the 128-bit keys of their folded forms (`dsbuild.filters.folding`), as `dsbuild split` compares them: letter case,
white space, punctuation and the like make no other text. Of a passage title and text count, of a pair both sides together. A text without
a letter, digit or symbol is nobody's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dsbuild.builders.sources.opened import FIELDS
from dsbuild.builders.sources.validate import database
from dsbuild.tables import ID_COLUMNS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

WAYS_OUT = "split the rows anew (dsbuild split), or say why they stay when the release is cut: --accept-leakage TEXT"

# Texts that are signed at a time.
_BATCH_ROWS = 16_384
_KEYS = pa.schema([("key", pa.binary(16)), ("split", pa.int16()), ("id", pa.string())])


@dataclass(frozen=True, slots=True)
class Shared:
    """texts: how many stand in several splits of a configuration; rows: theirs, by split; first: an id of the first of them in each split."""

    texts: int
    rows: Mapping[str, int]
    first: Mapping[str, str]

    def told(self) -> str:
        """In words.

        >>> Shared(1, {"test": 1, "train": 2}, {"test": "q1", "train": "q7"}).told()
        "1 text stands in more than one split (test: 1 row, such as 'q1'; train: 2 rows, such as 'q7')"
        """
        rows = "; ".join(
            f"{split}: {number:,} row{'' if number == 1 else 's'}, such as {self.first[split]!r}"
            for split, number in self.rows.items()
        )
        return f"{self.texts:,} text{' stands' if self.texts == 1 else 's stand'} in more than one split ({rows})"


def shared_texts(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Shared]:
    """What each configuration of a release shares between its splits; those that share nothing, or have one split, are left out.

    Every text is read once; DuckDB holds the keys in bounded memory and puts the rest on disk.
    """
    asked = {
        name: config
        for name, config in manifest["configs"].items()
        if config["table"] in ID_COLUMNS and config["table"] in FIELDS and len(config["splits"]) > 1
    }
    found: dict[str, Shared] = {}
    if asked:
        with TemporaryDirectory() as spill, database(Path(spill)) as base:
            for name, config in asked.items():
                if (shared := _shared(base, folder, config)) is not None:
                    found[name] = shared
    return found


def check_shared(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """One line for each configuration with shared texts that nobody accepted, or of which other numbers were accepted."""
    accepted = accepted_texts(manifest)
    found = shared_texts(folder, manifest)
    for name in sorted({*found, *accepted}):
        shared = found.get(name)
        if shared is not None and name not in accepted:
            yield f"{name}: {shared.told()}; {WAYS_OUT}"
        elif (texts := shared.texts if shared else 0) != accepted[name]:
            yield f"{name}: {texts:,} texts stand in more than one split, {accepted[name]:,} were accepted"


def accepted_texts(manifest: Mapping[str, Any]) -> Mapping[str, int]:
    """Texts by configuration that whoever cut the release knew to stand in several splits."""
    said = (manifest.get("release") or {}).get("accepted") or {}
    texts: Mapping[str, int] = said.get("texts", {})
    return texts


def _shared(base: DuckDBPyConnection, folder: Path, config: Mapping[str, Any]) -> Shared | None:
    paths = {split: [folder / path for path in one["files"]] for split, one in config["splits"].items()}
    reader = pa.RecordBatchReader.from_batches(_KEYS, _keys(config["table"], paths))
    base.register("reader", reader)
    base.execute("CREATE OR REPLACE TEMP TABLE keys AS SELECT * FROM reader")
    base.unregister("reader")
    base.execute(
        "CREATE OR REPLACE TEMP TABLE twice AS SELECT key FROM keys GROUP BY key HAVING min(split) <> max(split)"
    )
    # All rows are fetched: a result that is left half read keeps the next table from being registered.
    ((texts,),) = base.execute("SELECT count(*) FROM twice").fetchall()
    if not texts:
        return None
    rows = base.execute("SELECT split, count(*) FROM keys SEMI JOIN twice USING (key) GROUP BY split").fetchall()
    # Ids of one text where it stands; a split that does not have it shows a text of its own.
    first = "SELECT key FROM keys SEMI JOIN twice USING (key) ORDER BY id, split LIMIT 1"
    shown = dict(
        base.execute("SELECT split, min(id) FROM keys SEMI JOIN twice USING (key) GROUP BY split").fetchall()
        + base.execute(f"SELECT split, min(id) FROM keys WHERE key = ({first}) GROUP BY split").fetchall()
    )
    names = list(paths)
    counts = dict(sorted((names[split], int(number)) for split, number in rows))
    return Shared(int(texts), counts, {name: str(shown[names.index(name)]) for name in counts})


def _keys(table: str, paths: Mapping[str, Sequence[Path]]) -> Iterator[pa.RecordBatch]:
    """Key, split and id of every text that says something."""
    from dsbuild.filters.duplicates import joined
    from dsbuild.filters.ngram_units import weights
    from dsbuild.filters.score_rows import one_array
    from dsbuild.filters.sign_rows import digests
    from dsbuild.filters.utf8 import buffers

    fields, id_column = FIELDS[table], ID_COLUMNS[table]
    for split, path in ((split, path) for split, those in enumerate(paths.values()) for path in those):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=[id_column, *fields]):
                rows = pa.Table.from_batches([batch])
                texts = joined(rows, fields)
                speaking = np.flatnonzero(weights(*buffers(texts)) >= 0)
                kept = texts.take(pa.array(speaking))
                ids = rows[id_column].take(pa.array(speaking)).cast(pa.string())
                splits = pa.repeat(pa.scalar(split, pa.int16()), len(kept))
                yield pa.record_batch([digests(*buffers(kept), "folded"), splits, one_array(ids)], schema=_KEYS)
