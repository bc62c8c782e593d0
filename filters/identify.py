"""The stage that says in what language each text is: it fills `lang`, or weighs the language that was said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.digests import file_sha256
from dsbuild.filters.data import checks_digest
from dsbuild.filters.score_rows import one_array, put
from dsbuild.stage import Result, Shard, Workspace

UNKNOWN = "und"

COLUMNS = {
    "language_label": 'BCP-47 of the language that the text seems to be in; "" where there is too little to say',
    "language_score": "the model's probability of that label, in [0, 1]",
    "language_margin": "its lead over the second label",
    "language_script": "the most frequent script, ISO 15924",
    "language_agreement": "whether script and closed-class words agree with the label; null where they are silent",
    "language_fit": "how well the text agrees with the language that was said, in [0, 1]; null: abstains, or none was said",
}


@dataclass(frozen=True)
class IdentifyRows:
    """Identify the language of each text; texts of three words or fewer get none.

    text: the text column; lang: the language that the user said, "auto" to take what is found ("und" where nothing is), ""
    to take the column that the rows have; target: the column that holds it; model: a fastText model with `__label__xx`
    labels, "" for the shipped one (what counts is the file's content, `weights`); scored: whether the columns are wanted, or only
    `target`; suffix: of the columns, for the
    texts of a pair; data: digest of the shipped model and the word lists.
    """

    text: str = "text"
    lang: str = "auto"
    target: str = "lang"
    model: str = field(default="", compare=False)
    scored: bool = True
    suffix: str = ""
    data: str = field(default_factory=checks_digest)
    weights: str = field(default="", init=False)

    name: ClassVar[str] = "identify"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.model:
            object.__setattr__(self, "weights", file_sha256(Path(self.model).expanduser(), None))

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows -> out: the rows with `target` and the columns of `COLUMNS`."""
        rows: pa.Table = inputs["rows"]
        if not self.scored and self.lang != "auto":
            said = pa.repeat(pa.scalar(self.lang), rows.num_rows) if self.lang else _known(rows[self.target])
            return Result({"out": [Shard(_placed(rows, self.target, said, after=self.text))]})
        langs, columns = self._identified(rows)
        rows = _placed(rows, self.target, langs, after=self.text)
        for name, values in columns.items():
            rows = put(rows, name, values)
        return Result({"out": [Shard(rows)]})

    def score_rows(self, rows: pa.Table) -> dict[str, pa.Array]:
        """The columns of `COLUMNS` alone, with the suffix: one filter among those of `ScoreRows`."""
        return self._identified(rows)[1]

    def _identified(self, rows: pa.Table) -> tuple[pa.Array, dict[str, pa.Array]]:
        """The language of each row, and the columns."""
        from dsbuild.filters.language import LanguageId

        texts = rows[self.text].to_pylist()
        identify = LanguageId(Path(self.model).expanduser() if self.model else None)
        found = identify.identify(texts)
        if self.lang == "auto":
            langs = [one.label or UNKNOWN for one in found]
        elif self.lang:
            langs = [self.lang] * len(texts)
        else:
            langs = _known(rows[self.target]).to_pylist()
        columns = {
            "label": pa.array([one.label for one in found], pa.string()),
            "score": pa.array([one.score for one in found], pa.float64()),
            "margin": pa.array([one.margin for one in found], pa.float64()),
            "script": pa.array([one.script for one in found], pa.string()),
            "agreement": pa.array([one.agreement for one in found], pa.bool_()),
            "fit": self._fit(identify, texts, langs),
        }
        return pa.array(langs, pa.string()), {f"language_{name}{self.suffix}": one for name, one in columns.items()}

    def _fit(self, identify: Any, texts: list[str], langs: list[str]) -> pa.Array:
        """The evidence for the language that each row is said to be in."""
        result: list[float | None] = [None] * len(texts)
        if self.lang != "auto":
            for lang in sorted(set(langs) - {UNKNOWN}):
                places = [index for index, one in enumerate(langs) if one == lang]
                scores = identify.evidence([texts[index] for index in places], lang).to_pylist()
                for index, score in zip(places, scores, strict=True):
                    result[index] = score
        return pa.array(result, pa.float64())


def _known(column: pa.ChunkedArray) -> pa.Array:
    """The languages that rows bring along, "und" for none."""
    return one_array(pc.if_else(pc.equal(pc.fill_null(column, ""), ""), UNKNOWN, column))


def _placed(rows: pa.Table, name: str, values: pa.Array, *, after: str) -> pa.Table:
    field_ = pa.field(name, values.type, nullable=False)
    if name in rows.column_names:
        return rows.set_column(rows.column_names.index(name), field_, values)
    return rows.add_column(rows.column_names.index(after) + 1, field_, values)
