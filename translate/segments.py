"""From rows to segments: the stage that cuts the texts of a table into what an engine translates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pyarrow as pa

from dsbuild.sentences import rules_digest
from dsbuild.stage import Result, Shard, Workspace
from dsbuild.translate.segment import segment

SEGMENTS = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),  # row of the unit's table
        pa.field("field", pa.string(), nullable=False),  # column that the segment was cut from
        pa.field("start", pa.int32(), nullable=False),  # code points of that column's text, half-open
        pa.field("end", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class SegmentRows:
    """Cut each field of each row into segments; what lies between them is kept by `assemble`.

    fields: columns to cut; unit: "sentence", or "passage" for engines that want whole texts; queries are
    never split, so they are cut with "passage". keep: a column of spans (start, end) of the text that no cut may fall into, ""
    for none. A text without a letter has no segment: it is copied.
    """

    lang: str
    fields: tuple[str, ...]
    unit: Literal["sentence", "passage"] = "sentence"
    keep: str = ""
    rules: str = field(default_factory=rules_digest)

    name: ClassVar[str] = "segment"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows -> out (`SEGMENTS`), ordered by row, field and position."""
        table: pa.Table = inputs["rows"]
        rows: list[int] = []
        fields: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        texts: list[str] = []
        columns = {name: table[name].to_pylist() for name in self.fields}
        held = table[self.keep].to_pylist() if self.keep else [()] * table.num_rows
        for row in range(table.num_rows):
            whole = [(span["start"], span["end"]) for span in held[row]]
            for name in self.fields:
                text = columns[name][row]
                for start, end in self._ranges(text, whole):
                    rows.append(row)
                    fields.append(name)
                    starts.append(start)
                    ends.append(end)
                    texts.append(text[start:end])
        out = pa.table([rows, fields, starts, ends, texts], schema=SEGMENTS)
        return Result({"out": [Shard(out)]})

    def _ranges(self, text: str, keep: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        if self.unit == "passage":
            start = len(text) - len(text.lstrip())
            whole = [(start, start + len(text.strip()))]
        else:
            whole = segment(text, self.lang, keep=keep)
        return [(start, end) for start, end in whole if any(character.isalpha() for character in text[start:end])]
