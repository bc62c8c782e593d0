"""Word links that a user's aligner made: a Pharaoh file, one line for each row, as code-point ranges of both texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from dsbuild.builders.labelled.formats import numbered_lines
from dsbuild.builders.labelled.labelled_rows import LINKS, places_of
from dsbuild.errors import SourceError
from dsbuild.stage import Result, Shard, Shards, Workspace

_SHOWN = 40


@dataclass(frozen=True)
class ReadLinks:
    """Read a Pharaoh file; its words are the tokens of the labelled files, else the words of the texts.

    digest: of the file; limited: whether the set was cut, so that links may go on.
    """

    digest: str
    limited: bool
    path: Path = field(compare=False)

    name: ClassVar[str] = "read_links"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = True

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows (`ITEMS`), targets (`TARGETS`) -> out (`LINKS`), shard by shard beside them."""
        return Result({"out": map(Shard, self._shards(inputs["rows"], inputs["targets"]))})

    def _shards(self, rows: Shards, targets: Shards) -> Iterator[pa.Table]:
        lines = numbered_lines(self.path)
        number = 0
        for sources, translations in zip(rows, targets, strict=True):
            made = []
            for source, target in zip(sources.to_pylist(), translations.to_pylist(), strict=True):
                number, line = next(lines, (number, None))
                if line is None:
                    raise SourceError(
                        f"{self.path}: ends after {number} lines, at row {source['id'][:_SHOWN]!r}; it needs one line for each row"
                    )
                made.append(_row(line, source, target, f"{self.path}:{number}: row {source['id'][:_SHOWN]!r}"))
            yield pa.Table.from_pylist(made, schema=LINKS)
        if not self.limited and next(lines, None) is not None:
            raise SourceError(
                f"{self.path}:{number + 1}: a line more than the set has rows ({number}); it needs one line for each row"
            )


def _row(line: str, source: Mapping[str, Any], target: Mapping[str, Any], where: str) -> dict[str, list[int]]:
    from dsbuild.project.alignment import parse_links, placed

    src, tgt = (places_of(row["text"], row["lang"], json.loads(row["extra"])) for row in (source, target))
    found = placed(parse_links(line, where), src, tgt, where)
    return {"src": list(chain.from_iterable(found.src)), "tgt": list(chain.from_iterable(found.tgt))}
