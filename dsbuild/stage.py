"""Stages: what a step of the data path is, and what it hands back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pyarrow as pa
import xxhash

# Rows of a unit where no model runs, and distinct segments of a unit where one does.
UNIT_ROWS = 65_536
UNIT_SEGMENTS = 4_096

VERDICTS = pa.schema(
    [
        pa.field("table", pa.string(), nullable=False),
        pa.field("lang", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),  # dropped, failed, repaired, orphaned, flagged
        pa.field("rule", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("op", pa.string(), nullable=False),
        pa.field("threshold", pa.float64()),
        pa.field("threshold_source", pa.string(), nullable=False),
        pa.field("primary", pa.bool_(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
    ]
)


def verdict(
    table: str, lang: str, row_id: str, stage: str, outcome: str, rule: str, *, value: float | None = None, op: str = "",
    threshold: float | None = None, threshold_source: str = "", primary: bool = True, detail: str = "",
) -> dict[str, Any]:  # fmt: skip
    """One verdict row: what happened to (table, lang, id) at a stage, and why."""
    return {
        "table": table, "lang": lang, "id": row_id, "stage": stage, "outcome": outcome, "rule": rule, "value": value, "op": op,
        "threshold": threshold, "threshold_source": threshold_source, "primary": primary, "detail": detail,
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Counts:
    """Input keys of a unit by how they ended; each ends exactly once."""

    n_in: int = 0
    kept: int = 0
    dropped: int = 0
    failed: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.n_in + other.n_in, self.kept + other.kept, self.dropped + other.dropped, self.failed + other.failed
        )

    def balanced(self) -> bool:
        """Whether every input key ended kept, dropped or failed."""
        return self.n_in == self.kept + self.dropped + self.failed


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard of an output; `facts` are small JSON values that the units which read it may use."""

    table: pa.Table
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Result:
    """What a unit produced.

    outputs: the shards of each output by name, written as they come, so that a generator keeps memory
    flat; verdicts: rows of `VERDICTS`; counts: of input keys (None: the stage keeps every row). Verdicts, counts and facts may be filled in
    while outputs are made. facts: small JSON values about the unit; measured: seconds, tokens and the like, which never decide anything.
    """

    outputs: Mapping[str, Iterable[Shard]]
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    counts: Counts | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)


class Shards(Sequence[pa.Table]):
    """The shards of one table, read when they are asked for; `facts` of each are at hand."""

    def __init__(self, paths: Sequence[Path], facts: Sequence[Mapping[str, Any]] = ()) -> None:
        self.paths = list(paths)
        self.facts = list(facts)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        from dsbuild import parquet

        return parquet.read(self.paths[index])


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where a unit may leave its journal and temporary files; the same for every attempt at the unit."""

    key: str
    folder: Path
    store: Path

    def scratch(self) -> Path:
        """A folder for this unit's own files, removed when the unit is done."""
        path = self.folder / f"{self.key}.work"
        path.mkdir(parents=True, exist_ok=True)
        return path


class Stage(Protocol):
    """A step of the data path: a frozen dataclass whose fields are its parameters.

    `run` gets, by input name, a `pa.Table` (an aligned shard) or `Shards` (a whole table), and must be a
    pure function of them, its fields and its model. `resident`: it holds a model, so its units run
    one after another in one process; others may run in a pool.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    resident: ClassVar[bool]

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """Do the unit's work."""


def parameters(stage: Stage) -> dict[str, Any]:
    """The stage's fields as JSON values, `compare=False` fields left out: they do not decide the output."""
    plain: dict[str, Any] = _plain(stage)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value)}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value) if item.compare}
    return value


def digest(*parts: bytes | str) -> str:
    """A 128-bit hexadecimal digest of the parts, length-prefixed so that their borders count."""
    state = xxhash.xxh3_128()
    for part in parts:
        data = part.encode("utf-8") if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()
