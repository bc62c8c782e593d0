"""The stage that says in what language each text is: it fills `lang`, or weighs the language that was said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import languages
from dsbuild.digests import file_sha256
from dsbuild.errors import SourceError, UnknownName
from dsbuild.filters.data import checks_digest
from dsbuild.filters.score_rows import one_array, put
from dsbuild.stage import Result, Shard, Workspace

UNKNOWN = "und"
# Codes of ISO 639-2 that name no language: undetermined, several, none, one without a code.
_NO_LANGUAGE = (UNKNOWN, "mul", "zxx", "mis")
_FEW = 4
_IDS = ("doc_id", "pair_id", "query_id", "id")

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
    to take the column that the rows have (codes in the table's spelling; `SourceError` for what neither the table nor the model knows);
    target: the column that holds it; model: a fastText model with `__label__xx`
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
    version: ClassVar[int] = 4
    resident: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.model:
            object.__setattr__(self, "weights", file_sha256(Path(self.model).expanduser(), None))

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows -> out: the rows with `target` and the columns of `COLUMNS`."""
        rows: pa.Table = inputs["rows"]
        if not self.scored and self.lang != "auto":
            said = pa.repeat(pa.scalar(self.lang), rows.num_rows) if self.lang else self._said(rows)
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
            langs = self._said(rows).to_pylist()
        columns = {
            "label": pa.array([one.label for one in found], pa.string()),
            "score": pa.array([one.score for one in found], pa.float64()),
            "margin": pa.array([one.margin for one in found], pa.float64()),
            "script": pa.array([one.script for one in found], pa.string()),
            "agreement": pa.array([one.agreement for one in found], pa.bool_()),
            "fit": self._fit(identify, texts, langs),
        }
        return pa.array(langs, pa.string()), {f"language_{name}{self.suffix}": one for name, one in columns.items()}

    def _said(self, rows: pa.Table) -> pa.Array:
        """The languages that rows bring along in the table's spelling, "und" for none."""
        column = one_array(pc.fill_null(rows[self.target].cast(pa.string()), ""))
        coded = column.dictionary_encode()
        codes = [self._code(value, rows, column) for value in coded.dictionary.to_pylist()]
        return pa.array(codes, pa.string()).take(coded.indices)

    def _code(self, value: str, rows: pa.Table, column: pa.Array) -> str:
        """The code that a row's language is written with."""
        if value in ("", *_NO_LANGUAGE):
            return value or UNKNOWN
        try:
            return languages.get(value).code
        except UnknownName as unknown:
            if value in self._labels():
                return value
            said, _, known = str(unknown).partition(" Known: ")
            # A few are what a code of another system, a region or a bare "zh" may mean; many are all there are.
            wanted = f"write {known.replace(', ', ' or ')}" if known.count(",") < _FEW else "mend the column"
            key = next((name for name in _IDS if name in rows.column_names), self.text)
            row = rows[key][column.index(value).as_py()].as_py()
            raise SourceError(
                f"row {row!r}: {self.target}: {said.rstrip('.')}; {wanted}, or say --lang CODE or --lang auto for all rows"
            ) from None

    def _labels(self) -> frozenset[str]:
        """What the model calls languages, those of `auto` among them."""
        from dsbuild.filters import label_model
        from dsbuild.filters.language import MODEL

        model = label_model.load(str(Path(self.model).expanduser() if self.model else MODEL))
        return frozenset(meant[0] for meant in model.meanings)

    def _fit(self, identify: Any, texts: list[str], langs: list[str]) -> pa.Array:
        """The evidence for the language that each row is said to be in."""
        result: list[float | None] = [None] * len(texts)
        if self.lang != "auto":
            # Of a language that the model knows and the table does not, nothing says what its texts look like.
            for lang in sorted(set(langs) & set(languages.codes())):
                places = [index for index, one in enumerate(langs) if one == lang]
                scores = identify.evidence([texts[index] for index in places], lang).to_pylist()
                for index, score in zip(places, scores, strict=True):
                    result[index] = score
        return pa.array(result, pa.float64())


def _placed(rows: pa.Table, name: str, values: pa.Array, *, after: str) -> pa.Table:
    field_ = pa.field(name, values.type, nullable=False)
    if name in rows.column_names:
        return rows.set_column(rows.column_names.index(name), field_, values)
    return rows.add_column(rows.column_names.index(after) + 1, field_, values)
