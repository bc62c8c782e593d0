"""Questions with answer and reasoning about passages, each answer looked for in its passage (IndicRAGSuite)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import pyarrow as pa

from dsbuild.builders.generation.found_answers import Passage
from dsbuild.builders.generation.generation import Item
from dsbuild.builders.generation.queries import PassageQueries, language_slots, passage_data
from dsbuild.errors import UnknownName
from dsbuild.prompts import Example

# Whose language an answer is in, where question and passage differ in it.
AnswersIn = Literal["passage", "question"]


@dataclass(frozen=True)
class IndicRag(PassageQueries):
    """Up to three questions a passage with one short answer each and the reasoning, or none (IndicRAGSuite).

    answers: the language of answer and reasoning is the passage's or the question's, where they differ. An answer in another language than the
    passage is not looked for: its scores are null.
    """

    max_tokens: int = 1_024
    answers: AnswersIn = "passage"

    name: ClassVar[str] = "qa"
    style: ClassVar[str] = "indic-rag"
    file: ClassVar[str] = "qa_indic_rag"
    funnel: ClassVar[Mapping[str, Any]] = {"answer": True}
    columns: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("answer", pa.string(), nullable=False),
            pa.field("answer_lang", pa.string(), nullable=False),
            pa.field("reasoning", pa.string(), nullable=False),
            pa.field("answer_found", pa.bool_()),  # stands in the passage in one piece
            pa.field("answer_start", pa.int32()),  # where: half-open code points of the passage's text as it came
            pa.field("answer_end", pa.int32()),
            pa.field(
                "answer_overlap", pa.float64()
            ),  # the share of its words that the passage has, 1 where it was found
            pa.field("quotes_found", pa.float64()),  # of the quotations in the reasoning; null where there are none
        ]
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.answers not in get_args(AnswersIn):
            raise UnknownName("style.answers", self.answers, get_args(AnswersIn))

    @property
    def shown(self) -> str:
        """Nothing but the prompt's own examples."""
        return ""

    def items(self, rows: pa.Table, lang: str, seed: int) -> Iterator[Item]:
        """`per_passage` items for each row of a corpus table."""
        del seed
        for row in rows.select(["doc_id", "title", "text", "lang"]).to_pylist():
            said_in = row["lang"] if self.answers == "passage" else lang
            slots = {
                **language_slots(lang),
                **{f"answer_{name}": said for name, said in language_slots(said_in).items()},
            }
            details = {"passage_lang": row["lang"], "answer_lang": said_in}
            for number in range(self.per_passage):
                yield Item(row["doc_id"], lang, number, passage_data(row), slots, details)

    def examples(self, item: Item) -> Sequence[Example]:
        """The prompt's own in the language asked for; across languages an English passage, if answers are in its language."""
        own = super().examples(item)
        if item.details["passage_lang"] == item.lang:
            return own
        if item.details["answer_lang"] == item.lang:
            return ()
        if self.prompt_file:  # what its examples can be mixed with is not known
            return own
        english = [one for one in self.prompt.examples if one.lang == "en"]
        return [_across(one, other) for one, other in zip(english, own, strict=False)]

    def read(self, item: Item, value: Any) -> Sequence[Mapping[str, Any]] | str:
        """A row for each question, whatever its answer's scores: the funnel decides. [] where the model found nothing to ask."""
        passage = Passage(item.data["passage"]) if item.details["answer_lang"] == item.details["passage_lang"] else None
        said_in = {"answer_lang": item.details["answer_lang"]}
        said = [[one[name].strip() for name in ("question", "answer", "reasoning")] for one in value["questions"]]
        return [
            {"text": question, "answer": answer, "reasoning": reasoning, **said_in, **_looked_for(passage, answer, reasoning)}
            for question, answer, reasoning in said
        ]  # fmt: skip


def _across(english: Example, own: Example) -> Example:
    """Questions of one example about the same passage in English, with the English answers."""
    questions = [
        {**answered, "question": asked["question"]}
        for answered, asked in zip(english.answer["questions"], own.answer["questions"], strict=False)
    ]
    return Example(own.lang, english.data, {"questions": questions})


def _looked_for(passage: Passage | None, answer: str, reasoning: str) -> dict[str, Any]:
    if passage is None:
        return dict.fromkeys(("answer_found", "answer_start", "answer_end", "answer_overlap", "quotes_found"))
    places, n = passage.quotes(reasoning)
    found = passage.find(answer, near=tuple(places))
    return {
        "answer_found": found.verbatim, "answer_start": found.start, "answer_end": found.end, "answer_overlap": found.overlap,
        "quotes_found": len(places) / n if n else None,
    }  # fmt: skip
