"""Sources: what a retrieval set is before it is worked on, and how `--src KIND:PATH` opens one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from dsbuild import languages
from dsbuild.builders import SOURCES
from dsbuild.builders.sources.columns import check_map
from dsbuild.errors import SourceError, UnknownName
from dsbuild.tables import RETRIEVAL_TABLES, RetrievalTable

BATCH_ROWS = 65_536

# What every kind understands; a kind may know more.
COMMON_OPTIONS = frozenset({"splits", "qrels", "origin"})

_NEEDS = {
    "robust04": "a folder: --src robust04:DIR",
    "beir": "a folder: --src beir:DIR",
    "parquet": "a folder: --src parquet:DIR",
    "release": "a release of dsbuild: --src release:DIR",
    "tsv": "a file: --src tsv:FILE",
    "jsonl": "a file: --src jsonl:FILE",
    "hf": "a data set of the Hub: --src hf:ORG/NAME or hf:ORG/NAME@REVISION",
    "irds": "an ir_datasets id: --src irds:ID",
}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """An input file: its name relative to the source's folder, its size and sha256."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What is known of a source before its rows are read.

    lang: BCP-47; license: the source's own terms, None if it states none; revision: the pinned commit of a
    Hub data set, else None; evaluation: a split of it is for testing, so judged rows are never dropped.
    """

    name: str
    lang: str
    license: str | None
    revision: str | None
    citation: str | None
    url: str | None
    files: tuple[SourceFile, ...]
    evaluation: bool


class Source(Protocol):
    """A retrieval set: three tables read in order, memory flat whatever their size.

    judged: False when the user said that the set has no qrels (`qrels=none`).
    """

    kind: str
    spec: str
    judged: bool

    def facts(self, digests: Path | None = None) -> SourceFacts:
        """Facts with the sha256 of every input file; `digests` is a folder that remembers them."""

    def splits(self, table: RetrievalTable) -> list[str]:
        """The splits of a table, in order; the corpus has none and says ["corpus"]."""

    def read(self, table: RetrievalTable, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The table in batches of exactly `batch_rows` rows (the last may be shorter), in its canonical schema."""

    def notes(self) -> list[str]:
        """What the reader did that the user should know; complete once the tables were read."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What the user said about a source: KIND, what follows the colon ("" if nothing), and how to read it."""

    kind: str
    path: str
    lang: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    splits: tuple[str, ...] | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def spec(self) -> str:
        """KIND or KIND:PATH."""
        return f"{self.kind}:{self.path}" if self.path else self.kind

    @property
    def without_qrels(self) -> bool:
        """Whether the user said `qrels=none`."""
        return self.options.get("qrels") == "none"

    def folder(self) -> Path:
        """The path as a folder that is there."""
        path = Path(self.path).expanduser()
        if not path.is_dir():
            reason = "is a file where a folder is needed" if path.exists() else "no such folder"
            raise SourceError(f"{self.spec}: {path}: {reason}")
        return path

    def only_options(self, *known: str) -> None:
        """Refuse options that this kind does not know."""
        for name in self.options:
            if name not in COMMON_OPTIONS | set(known):
                raise UnknownName(f"option of source {self.kind}", name, COMMON_OPTIONS | set(known))

    def no_columns(self) -> None:
        """Refuse a column map where the layout fixes the columns."""
        if self.columns:
            raise SourceError(
                f"{self.spec}: its columns are fixed; leave out --set source.columns, "
                "or read it as tsv:, jsonl: or parquet:"
            )


def open_source(
    spec: str,
    *,
    lang: str | None = None,
    columns: Mapping[str, str] | None = None,
    splits: Sequence[str] | None = None,
    options: Mapping[str, str] | None = None,
) -> Source:
    """Open KIND or KIND:PATH; files are found and their layout told, rows are not read.

    columns: canonical column (or `table.column`) -> column of the files; splits: of the qrels, all where None (also as
    the option `splits=train,dev`); options: `qrels=none` for a set without judgements, and what the kind knows.
    Raises `UnknownName` for a kind, column or option, `SourceError` for what cannot be read.
    """
    kind, _, path = spec.partition(":")
    opener = SOURCES.get(kind)
    given = dict(options or {})
    if splits is None and given.get("splits"):
        splits = [name.strip() for name in given["splits"].split(",") if name.strip()]
    if not path and kind in _NEEDS:
        raise SourceError(f"{kind} needs {_NEEDS[kind]}")
    if path and kind == "msmarco-sample":
        raise SourceError(f"{spec}: the sample is part of the package; for a folder of your own use msmarco:{path}")
    check_map(columns or {})
    source: Source = opener(
        Opening(kind, path, lang, dict(columns or {}), tuple(splits) if splits is not None else None, given)
    )
    return source


def is_evaluation(split: str) -> bool:
    """Whether a split is for testing: its name starts with test, dev, val or eval.

    >>> [is_evaluation(name) for name in ("train", "dev.small", "validation", "test-2019")]
    [False, True, True, True]
    """
    return split.lower().startswith(("test", "dev", "val", "eval"))


def chosen_splits(spec: str, found: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    """The splits to read: the wanted ones, each of which must be there, else all that were found."""
    for name in wanted or ():
        if name not in found:
            raise UnknownName(f"split of {spec}", name, found)
    return [name for name in found if wanted is None or name in wanted]


def batches(rows: Iterator[pa.Table], schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Tables of any height as record batches of exactly `batch_rows` rows (the last may be shorter)."""
    from dsbuild.parquet import reslice

    for table in reslice((table.select(schema.names).cast(schema) for table in rows), batch_rows):
        yield from table.to_batches()


def check_table(table: str) -> None:
    """Refuse a table that a retrieval set does not have."""
    if table not in RETRIEVAL_TABLES:
        raise UnknownName("table", table, RETRIEVAL_TABLES)


def stated_lang(spec: str, said: str | None, *known: str | None) -> str:
    """The source's language: what the user said, else what the set is known to be in; no default is assumed.

    A code that the language table lacks is `UnknownName`.
    """
    lang = said or next((one for one in known if one), None)
    if not lang:
        raise SourceError(
            f"{spec}: its language is not known; say it, for example --lang en (dsbuild translate: --src-lang en)"
        )
    return languages.get(lang).code


def constant(value: str, n_rows: int) -> pa.Array:
    """A string column that holds one value."""
    return pa.repeat(pa.scalar(value), n_rows)


def as_table(schema: pa.Schema, **columns: Any) -> pa.Table:
    """Columns by name as a table of the schema."""
    return pa.table([columns[name] for name in schema.names], schema=schema)
