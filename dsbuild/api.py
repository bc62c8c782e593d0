"""The Python way into a release: `dsbuild.load(folder)` and its tables as Arrow, pandas or `datasets`, whole or as a stream.

Nothing is read before it is asked for: opening a release reads its manifest, a table knows its rows from it, and streams hold one row group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsbuild import parquet, release
from dsbuild.batches import BatchPlan, plan_batches
from dsbuild.errors import RecipeError, ReleaseError, UnknownName

if TYPE_CHECKING:
    import datasets
    import pandas as pd

BATCH_ROWS = 8_192


def load(folder: str | Path) -> Release:
    """Open a release folder (a draft, or `outputs/NAME/VERSION`); `ReleaseError` if it is none or lacks a file."""
    path = Path(folder)
    if not (path / release.MANIFEST).is_file():
        versions = sorted(one.parent.name for one in path.glob(f"*/{release.MANIFEST}"))
        if versions:
            raise ReleaseError(
                f"{path}: holds the releases {', '.join(versions)}; name one, such as {path / versions[-1]}"
            )
        if not path.is_dir():
            raise ReleaseError(f"{path}: no such folder")
    manifest = release.read_manifest(path)
    wrong = [said for said in release.damaged(path, manifest, deep=False) if not said.endswith("not in the manifest")]
    if wrong:
        raise ReleaseError(f"{path}: {wrong[0]}; see: dsbuild verify {path}")
    return Release(path, manifest)


@dataclass(frozen=True)
class Release:
    """A release folder that was opened. folder: where it lies; manifest: all that it says of itself."""

    folder: Path
    manifest: Mapping[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """The name of the set."""
        return str(self.manifest["name"])

    @property
    def version(self) -> str:
        """Its version; 0.0.0-draft before `dsbuild release`."""
        return str(self.manifest["version"])

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that have tables, the source's first; of pairs both, joined by a dash."""
        found = sorted({config["lang"] for config in self.manifest["configs"].values()})
        source = self.manifest["source"]["lang"]
        return tuple(sorted(found, key=lambda lang: (lang != source, lang)))

    def tables(self, lang: str) -> tuple[str, ...]:
        """The tables of a language, such as corpus, queries and qrels, negatives, documents, pairs or labelled."""
        found = tuple(one["table"] for _, one in sorted(self.manifest["configs"].items()) if one["lang"] == lang)
        if not found:
            raise UnknownName("language in this release", lang, self.languages)
        return found

    def table(self, lang: str, table: str, split: str | None = None) -> Table:
        """A table of a language: one split, or the rows of all splits one after another."""
        if table not in self.tables(lang):
            raise UnknownName(f"table of {lang}", table, self.tables(lang))
        config = next(one for one in self.manifest["configs"].values() if (one["lang"], one["table"]) == (lang, table))
        if split is not None and split not in config["splits"]:
            raise UnknownName(f"split of {lang}-{table}", split, config["splits"])
        files = [
            self.folder / path
            for name in ([split] if split else sorted(config["splits"]))
            for path in config["splits"][name]["files"]
        ]
        rows = sum(one["rows"] for name, one in config["splits"].items() if split in (None, name))
        return Table(f"{lang}-{table}", files, rows, tuple(sorted(config["splits"])), split)

    def qrels(self, lang: str, split: str | None = None) -> Table:
        """The judgements of a language: query_id, doc_id, relevance, judge."""
        return self.table(lang, "qrels", split)

    def judged_in(self, queries: str, passages: str) -> str:
        """Whose judgements, negatives and candidates join queries of one language and passages of another.

        Those of the passages, because a translated set has the same ids in every language; the queries' own where their language has judgements
        but no corpus: a generated set, whose queries are of the source's passages.
        """
        own = self.tables(queries)
        alone = "qrels" in own and "corpus" not in own and passages == self.manifest["source"]["lang"]
        return queries if alone else passages

    def dropped(self, lang: str, table: str) -> Table | None:
        """The rows of a table that the release does not keep, with their scores and their fate; None where all were kept."""
        known = self.manifest["accounting"]
        if lang not in known:
            raise UnknownName("language of which rows were counted", lang, known)
        if table not in known[lang]:
            raise UnknownName(f"table of {lang}", table, known[lang])
        return self._side(f"dropped/{lang}-{table}-")

    def verdicts(self) -> Table:
        """What happened to rows and why: table, lang, id, stage, outcome, rule, value, op, threshold and its source."""
        found = self._side("dropped/verdicts-")
        if found is None:
            raise ReleaseError(f"{self.folder}: holds no verdicts")
        return found

    def _side(self, prefix: str) -> Table | None:
        entries = [entry for entry in self.manifest["files"] if entry["path"].startswith(prefix)]
        files = [self.folder / entry["path"] for entry in entries]
        return Table(prefix.rstrip("-"), files, sum(entry["rows"] for entry in entries)) if files else None


@dataclass(frozen=True)
class Table:
    """Rows of a release, in a fixed order: that of `files`. `split` is None for all of `splits` together."""

    name: str
    files: Sequence[Path] = field(repr=False)
    num_rows: int
    splits: tuple[str, ...] = ()
    split: str | None = None

    def __len__(self) -> int:
        return self.num_rows

    @property
    def schema(self) -> pa.Schema:
        """Columns and types."""
        return pq.read_schema(self.files[0]).remove_metadata()

    @property
    def columns(self) -> list[str]:
        """Names of the columns: canonical ones first, then scores."""
        return list(self.schema.names)

    def arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows in memory, as Arrow."""
        wanted = self._wanted(columns)
        return pa.concat_tables([parquet.read(path, wanted).replace_schema_metadata(None) for path in self.files])

    def pandas(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The rows in memory, as pandas with Arrow-backed columns: texts are not copied and integers with gaps stay integers."""
        import pandas as pd

        found: pd.DataFrame = self.arrow(columns).to_pandas(types_mapper=pd.ArrowDtype)
        return found

    def dataset(self, columns: Sequence[str] | None = None, cache_dir: str | Path | None = None) -> datasets.Dataset:
        """The rows as a `datasets.Dataset`, memory-mapped from its cache: any size, rows by position.

        cache_dir: where `datasets` keeps the mapped file (None: its own place).
        """
        from datasets import Dataset

        wanted = self._wanted(columns)
        if not self.num_rows:
            return Dataset(self.arrow(columns))  # `datasets` makes no split without rows from a file
        cache = str(cache_dir) if cache_dir is not None else None
        found = Dataset.from_parquet([str(path) for path in self.files], columns=wanted, cache_dir=cache)
        return found if wanted is None else found.select_columns(wanted)

    def stream(self, columns: Sequence[str] | None = None, batch_rows: int = BATCH_ROWS) -> Iterator[pa.Table]:
        """The rows in tables of `batch_rows` (the last may be shorter); memory holds one row group and one such table."""
        if batch_rows < 1:
            raise RecipeError(f"batch_rows={batch_rows}: must be at least 1")
        return parquet.reslice(self._groups(self._wanted(columns)), batch_rows)

    def batches(
        self, batch_size: int, seed: int = 0, epoch: int = 0, drop_last: bool = False, group_by_length: bool | Iterable[str] = False
    ) -> BatchPlan:  # fmt: skip
        """Which rows each step reads: positions in `dataset()` or `arrow()`, shuffled by seed and epoch. See `dsbuild.batches`.

        No text is read, except with group_by_length, which streams the columns named (True: text and, where there is one, title;
        of pairs text_a and text_b), keeps their lengths in bytes and puts rows of like length together.
        """
        lengths = None
        if group_by_length:
            texts = [name for name in ("title", "text", "text_a", "text_b") if name in self.columns]
            lengths = self._lengths(texts if group_by_length is True else list(group_by_length))
        return plan_batches(self.num_rows, batch_size, seed=seed, epoch=epoch, drop_last=drop_last, lengths=lengths)

    def _lengths(self, columns: Sequence[str]) -> Any:
        if not columns:
            raise RecipeError(f"{self.name}: has no text whose length could be taken; name columns in group_by_length")
        import numpy as np

        found = np.zeros(self.num_rows, np.int64)
        start = 0
        for rows in self.stream(columns):
            for name in columns:
                if not (pa.types.is_string(rows[name].type) or pa.types.is_large_string(rows[name].type)):
                    raise RecipeError(f"group_by_length: {name} is {rows[name].type}, not text")
                found[start : start + rows.num_rows] += pc.fill_null(pc.binary_length(rows[name]), 0).to_numpy()
            start += rows.num_rows
        return found

    def _groups(self, columns: list[str] | None) -> Iterator[pa.Table]:
        for path in self.files:
            try:
                with pq.ParquetFile(path) as file:
                    for group in range(file.num_row_groups):
                        rows = file.read_row_group(group, columns=columns, use_threads=False)
                        yield rows.replace_schema_metadata(None)
            except (OSError, pa.ArrowInvalid) as error:
                raise ReleaseError(f"{path}: cannot be read as Parquet; see: dsbuild verify") from error

    def _wanted(self, columns: Sequence[str] | None) -> list[str] | None:
        if columns is None:
            return None
        known = self.columns
        for name in columns:
            if name not in known:
                raise UnknownName(f"column of {self.name}", name, known)
        return list(columns)
