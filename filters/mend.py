"""Mend text that was decoded wrongly (mojibake): a declared stage, with a verdict for every row it changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from dsbuild.filters.data import mending_version
from dsbuild.stage import Result, Shard, Workspace, verdict


@dataclass(frozen=True)
class MendMojibake:
    """Undo wrong decodings (UTF-8 read as Latin-1 or Windows-1252) with ftfy's `fix_encoding`.

    Only the encoding is mended: no normal form, no quotes, no white space. The verdict `repaired` keeps the text as it
    came, so nothing is lost. Source of the method: ftfy (R. Speer).
    """

    table: str
    id_column: str
    fields: tuple[str, ...]
    library: str = field(default_factory=mending_version)

    name: ClassVar[str] = "mend"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows -> out: the same rows, mended."""
        from ftfy import fix_encoding

        rows: pa.Table = inputs["rows"]
        ids = rows[self.id_column].to_pylist()
        langs = rows["lang"].to_pylist()
        verdicts = []
        for name in self.fields:
            texts = rows[name].to_pylist()
            mended = [text if text.isascii() else fix_encoding(text) for text in texts]
            changed = [
                index for index, (before, after) in enumerate(zip(texts, mended, strict=True)) if before != after
            ]
            if not changed:
                continue
            rows = rows.set_column(
                rows.column_names.index(name),
                pa.field(name, pa.string(), nullable=False),
                pa.array(mended, pa.string()),
            )
            verdicts += [
                verdict(self.table, langs[index], ids[index], self.name, "repaired", "mojibake",
                        detail=json.dumps({"field": name, "before": texts[index]}, ensure_ascii=False))
                for index in changed
            ]  # fmt: skip
        return Result({"out": [Shard(rows)]}, verdicts, facts={"repaired": len({entry["id"] for entry in verdicts})})
