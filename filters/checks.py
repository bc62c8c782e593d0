"""The stage that scores translations: columns only, it never drops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from dsbuild.filters.data import checks_digest
from dsbuild.stage import Result, Shard, Workspace


@dataclass(frozen=True)
class CheckTranslations:
    """Score each distinct segment's translation against its source (`BitextChecks`); `data`: digest of what it reads."""

    src: str
    tgt: str
    data: str = field(default_factory=checks_digest)

    name: ClassVar[str] = "check"
    version: ClassVar[int] = 4
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """segments and translated, row by row -> out: uid and one column per check."""
        from dsbuild.filters.bitext import BitextChecks

        segments: pa.Table = inputs["segments"]
        translated: pa.Table = inputs["translated"]
        sources = segments["text"].to_pylist()
        columns = BitextChecks(self.src, self.tgt).score(sources, translated["text"].to_pylist())
        unknown = translated["n_unknown"].to_pylist()
        words = [max(1, len(text.split())) for text in sources]
        columns["unknown_share"] = pa.array(
            [None if count is None else min(1.0, count / total) for count, total in zip(unknown, words, strict=True)],
            pa.float64(),
        )
        return Result({"out": [Shard(pa.table({"uid": segments["uid"], **columns}))]})
