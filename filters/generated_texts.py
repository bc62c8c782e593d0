"""The texts of a generated row that the funnel looks at, and a filter of single texts on one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from dsbuild.filters.score_rows import RowScorer, one_array

QUERY, DOCUMENT = "query", "document"
FIRST = ("text",)
# What the first text is called in the tables of a release, where it is not `text`.
_RELEASED = {"pairs": "text_a"}


@dataclass(frozen=True, slots=True)
class RowText:
    """One text. column: where it stands; kind: whose bounds fit it, a query's (or a sentence's) or a document's; ending: of its scores and rules."""

    column: str
    kind: str
    ending: str


_FIRST = RowText("text", QUERY, "")
_OTHERS = (
    RowText("text_b", QUERY, "_b"),
    RowText("positive", DOCUMENT, "_positive"),
    RowText("negative", DOCUMENT, "_negative"),
)


def texts_of(columns: Iterable[str]) -> tuple[RowText, ...]:
    """The first text, which every row has, and those of the others that are among some columns.

    >>> [one.ending for one in texts_of(["instruction", "positive", "negative"])]
    ['', '_positive', '_negative']
    """
    known = set(columns)
    return (_FIRST, *(one for one in _OTHERS if one.column in known))


def without_ending(name: str) -> str:
    """The name of a rule without the ending that says which text it looks at.

    >>> without_ending("few_words_positive"), without_ending("few_words")
    ('few_words', 'few_words')
    """
    return next((name.removesuffix(one.ending) for one in _OTHERS if name.endswith(one.ending)), name)


def released(column: str, table: str) -> str:
    """What a text's column is called in a table of a release.

    >>> released("text", "pairs"), released("text_b", "pairs"), released("text", "queries")
    ('text_a', 'text_b', 'text')
    """
    return _RELEASED.get(table, column) if column == _FIRST.column else column


@dataclass(frozen=True)
class OfText:
    """A filter of single texts on one text of a row, with that text's ending on its columns."""

    scorer: RowScorer
    column: str
    ending: str
    version: int

    name: ClassVar[str] = "of_text"

    @classmethod
    def of(cls, scorer: RowScorer, text: RowText) -> OfText:
        """The filter on a text."""
        return cls(scorer, text.column, text.ending, scorer.version)

    def score_rows(self, rows: pa.Table) -> Mapping[str, pa.Array]:
        """The filter's columns, as long as the rows; `lang` says the language of each."""
        found: Mapping[str, Any] = self.scorer.score(one_array(rows[self.column]), rows["lang"].to_pylist())
        return {f"{name}{self.ending}": values for name, values in found.items()}
