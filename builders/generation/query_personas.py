"""Queries in two steps: a model chooses who would ask what about a passage, and then writes that person's query (Qwen3-Embedding)."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from dsbuild.builders.generation.generation import Item, drawn
from dsbuild.builders.generation.queries import PassageQueries, language_slots, passage_data
from dsbuild.builders.retrieval.bm25 import BM25
from dsbuild.builders.retrieval.postings import Postings, Weights, ask, invert, search
from dsbuild.builders.retrieval.retriever import Collection
from dsbuild.stage import digest

_PERSONAS = Path(__file__).with_name("personas.tsv")
CHOICE = "steps/persona-choice"
# How many people a model chooses among; the prompt and its schema say the same number.
OFFERED = 5
# Words of a query: which of these is drawn, and of a query of keywords always the first.
LENGTHS = ("2 to 4", "5 to 8", "9 to 14", "15 to 25")
_KEYWORDS = "keywords"


@dataclass(frozen=True)
class PersonaChoice(PassageQueries):
    """The first step: a row for each choice, with the passage that the second step asks about.

    Five people are offered: those whose subjects fit a passage best by BM25 (Qwen3-Embedding compares vectors), and where fewer share a word with it,
    others by a seeded draw. Subjects are English, so about passages in other languages all five are drawn.
    """

    style: ClassVar[str] = "persona-choice"
    file: ClassVar[str] = "queries_persona_choice"
    columns: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("number", pa.int32(), nullable=False),  # of the choice among those of its passage
            *(
                pa.field(name, pa.string(), nullable=False)
                for name in ("title", "passage", "passage_lang", "persona", "question_type", "difficulty")
            ),
        ]
    )

    @property
    def shown(self) -> str:
        """The digest of all people."""
        return digest(_PERSONAS.read_bytes())

    def items(self, rows: pa.Table, lang: str, seed: int) -> Iterator[Item]:
        """`per_passage` items for each passage, the same people in each."""
        offers = _offers(Collection.of(rows, "doc_id", lang), seed)
        for row, people in zip(rows.select(["doc_id", "title", "text", "lang"]).to_pylist(), offers, strict=True):
            listed = {str(place): personas()[one][0] for place, one in enumerate(people, 1)}
            data = {"people": listed, **passage_data(row)}
            for number in range(self.per_passage):
                yield Item(row["doc_id"], lang, number, data, {}, {"passage_lang": row["lang"]})

    def read(self, item: Item, value: Any) -> Sequence[Mapping[str, Any]] | str:
        """The choice; its text is the persona."""
        persona = item.data["people"][str(int(value["persona"]))]
        said = {"persona": persona, "question_type": value["question_type"], "difficulty": value["difficulty"]}
        passage = {"title": item.data.get("title", ""), "passage": item.data["passage"], "passage_lang": item.details["passage_lang"]}  # fmt: skip
        return [{"text": persona, "number": item.number, **passage, **said}]


@dataclass(frozen=True)
class Persona(PassageQueries):
    """A query for each choice of persona, question type and difficulty, with a drawn length, in the language asked for (Qwen3-Embedding)."""

    style: ClassVar[str] = "persona"
    file: ClassVar[str] = "queries_persona"
    steps: ClassVar[tuple[str, ...]] = (CHOICE,)

    @property
    def shown(self) -> str:
        """Nothing: who asks is in the rows."""
        return ""

    @property
    def step_options(self) -> Mapping[str, Mapping[str, Any]]:
        """A choice for each query."""
        return {CHOICE: {"per_passage": self.per_passage, "temperature": self.temperature}}

    def items(self, rows: pa.Table, lang: str, seed: int) -> Iterator[Item]:
        """One item for each row of `PersonaChoice`."""
        for row in rows.to_pylist():
            said = {name: row[name] for name in ("persona", "question_type", "difficulty")}
            at = drawn(seed, "words", row["parent_id"], lang, row["number"]) % len(LENGTHS)
            said["words"] = LENGTHS[0 if row["question_type"] == _KEYWORDS else at]
            data = {**said, **passage_data({"title": row["title"], "text": row["passage"]})}
            details = {"passage_lang": row["passage_lang"], **said}
            yield Item(row["parent_id"], lang, row["number"], data, language_slots(lang), details)


@cache
def personas() -> tuple[tuple[str, str], ...]:
    """The people of `personas.tsv` with their subjects (words of English), written for dsbuild."""
    with _PERSONAS.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        return tuple((row["persona"], row["subjects"]) for row in rows)


@cache
def _index() -> tuple[Postings, Weights]:
    found = invert(pa.array([subjects for _, subjects in personas()], pa.large_string()))
    return found, BM25().weigh(found)


def _offers(passages: Collection, seed: int) -> Iterator[list[int]]:
    """`OFFERED` people for each passage, as rows of the file."""
    postings, weights = _index()
    found, _ = search(postings, weights, ask(passages.texts, postings.vocabulary), OFFERED)
    for doc_id, hits in zip(passages.ids.to_pylist(), found, strict=True):
        people = [int(one) for one in hits[hits >= 0]]
        others = np.setdiff1d(np.arange(len(personas())), people).tolist()
        others.sort(key=lambda one: drawn(seed, "persona", doc_id, one))
        yield people + others[: OFFERED - len(people)]
