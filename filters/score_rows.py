"""The stage that scores texts: each filter adds its columns, none drops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import pyarrow as pa

from dsbuild.filters import PAIRWISE
from dsbuild.filters.data import scorers_digest
from dsbuild.stage import Result, Shard, Workspace


class RowScorer(Protocol):
    """A filter of single texts: a frozen dataclass whose fields are its parameters.

    `score` is pure and returns columns as long as `texts`, null where it abstains; `langs` are BCP-47, "und" where unknown.
    """

    name: ClassVar[str]
    version: ClassVar[int]

    def score(self, texts: pa.Array, langs: Sequence[str]) -> dict[str, pa.Array]:
        """Score columns by name."""


class PairScorer(Protocol):
    """A filter of pairs of texts, otherwise like `RowScorer`."""

    name: ClassVar[str]
    version: ClassVar[int]

    def score(self, a: pa.Array, b: pa.Array, lang_a: Sequence[str], lang_b: Sequence[str]) -> dict[str, pa.Array]:
        """Score columns by name."""


@dataclass(frozen=True)
class ScoreRows:
    """Add the columns of some filters to each row.

    scorers: by group, in order; versions: theirs, so that a changed filter runs again; fields: the text column, or the two of a
    pair; lang_columns: where the language of each field stands; data: digest of the word lists and tables that scorers read.
    Of a pair, filters of single texts score both, in columns that end in `_a` and `_b`.
    """

    scorers: Mapping[str, Any]
    versions: Mapping[str, int]
    fields: tuple[str, ...] = ("text",)
    lang_columns: tuple[str, ...] = ("lang",)
    data: str = field(default_factory=scorers_digest)

    name: ClassVar[str] = "score"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    @classmethod
    def of(
        cls, scorers: Mapping[str, Any], fields: tuple[str, ...] = ("text",), lang_columns: tuple[str, ...] = ("lang",)
    ) -> ScoreRows:
        """The stage for some filters."""
        return cls(scorers, {group: scorer.version for group, scorer in scorers.items()}, fields, lang_columns)

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows -> out: the rows with the score columns after their own."""
        rows: pa.Table = inputs["rows"]
        texts = [one_array(rows[name]) for name in self.fields]
        langs = [rows[name].to_pylist() for name in self.lang_columns]
        for group, scorer in self.scorers.items():
            if hasattr(scorer, "score_rows"):
                # A score that the rows came with is read from them, not made from their texts.
                found = scorer.score_rows(rows)
            elif len(texts) == 1 or group in PAIRWISE:
                found = scorer.score(*texts, *langs)
            else:
                found = {
                    f"{name}_{side}": values
                    for side, text, lang in zip("ab", texts, langs, strict=True)
                    for name, values in scorer.score(text, lang).items()
                }
            for name, values in found.items():
                rows = put(rows, name, values)
        return Result({"out": [Shard(rows)]})


def put(rows: pa.Table, column: pa.Field | str, values: pa.Array) -> pa.Table:
    """The rows with a column at their end; one of that name that they came with, such as an older score, gives way."""
    name = column if isinstance(column, str) else column.name
    return (rows.drop_columns([name]) if name in rows.column_names else rows).append_column(column, values)


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array."""
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
