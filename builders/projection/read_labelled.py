"""The first stages of a projection: the labelled set, and the texts of an existing translation without their labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, ClassVar

import pyarrow as pa

from dsbuild.builders.labelled.formats import LabelledSource
from dsbuild.builders.labelled.labelled_rows import SHARD_ROWS, TARGETS, as_item, as_row, packed
from dsbuild.builders.labelled.pairs import paired
from dsbuild.builders.labelled.splits import of_splits
from dsbuild.errors import SourceError
from dsbuild.spans import Labelled
from dsbuild.stage import Result, Shard, Shards, Workspace


@dataclass(frozen=True)
class ReadLabelled:
    """Read a labelled set in its own order, each row checked. What decides the output are the files, not where they lie."""

    kind: str
    lang: str
    files: tuple[str, ...]
    options: Mapping[str, str]
    limit: int
    source: LabelledSource = field(compare=False)

    name: ClassVar[str] = "read_labelled"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = True

    @classmethod
    def of(
        cls, source: LabelledSource, lang: str, files: tuple[str, ...], options: Mapping[str, str], limit: int = 0
    ) -> ReadLabelled:
        """The stage for an open set; limit: of each split, 0: all rows."""
        return cls(source.kind, lang, files, dict(options), limit, source)

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """Nothing -> out (`ITEMS`, with a column `split` where the set has several)."""
        facts: dict[str, Any] = {"left_out": False, "notes": []}
        return Result({"out": map(Shard, packed(self._items(facts)))}, facts=facts)

    def _items(self, facts: dict[str, Any]) -> Iterator[tuple[str, Labelled]]:
        # One more than wanted of each split shows that something is left out.
        counts: Counter[str] = Counter()
        for split, item in of_splits(self.source, self.limit and self.limit + 1):
            counts[split] += 1
            if self.limit and counts[split] > self.limit:
                facts["left_out"] = True
                continue
            yield split, replace(item, lang=self.lang)
        if not counts:
            raise SourceError(f"{self.source.path}: no text in it, so there is nothing to project")
        facts["notes"] = self.source.notes()


@dataclass(frozen=True)
class ReadTarget:
    """Read the texts of an existing translation in the order of the source's rows; their labels are not looked at."""

    kind: str
    lang: str
    files: tuple[str, ...]
    options: Mapping[str, str]
    limited: bool
    source: LabelledSource = field(compare=False)

    name: ClassVar[str] = "read_target"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = True

    @classmethod
    def of(
        cls, source: LabelledSource, lang: str, files: tuple[str, ...], options: Mapping[str, str], *, limited: bool
    ) -> ReadTarget:
        """The stage for an open set; limited: whether the source was cut, so that the target may go on."""
        return cls(source.kind, lang, files, dict(options), limited, source)

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows (`ITEMS`) -> out (`TARGETS`), shard by shard beside them."""
        return Result({"out": map(Shard, self._shards(inputs["rows"]))})

    def _shards(self, rows: Shards) -> Iterator[pa.Table]:
        def sources() -> Iterator[Labelled]:
            for shard in rows:
                yield from map(as_item, shard.to_pylist())

        pairs = paired(
            sources(), self.source.targets(), limited=self.limited, names=("the source", str(self.source.path))
        )
        empty = True
        while block := list(islice(pairs, SHARD_ROWS)):
            empty = False
            made = [as_row(replace(two, id=one.id, lang=self.lang)) for one, two in block]
            yield pa.Table.from_pylist([{name: row[name] for name in TARGETS.names} for row in made], schema=TARGETS)
        if empty:
            yield TARGETS.empty_table()
