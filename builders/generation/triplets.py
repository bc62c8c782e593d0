"""What all styles of generated triplets share: columns, drawn settings, and what makes a triplet useless."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from dsbuild.builders.generation.found_answers import Passage
from dsbuild.builders.generation.subjects import one_of
from dsbuild.normal import key

COLUMNS = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("instruction", "positive", "negative")])

# What E5-mistral (Wang et al. 2024) draws for each triplet of a retrieval task; words: of a document.
QUERY_TYPES = ("extremely rare", "rare", "common")
QUERY_WORDS = ("2 to 4", "5 to 15", "at least 10")
CLARITY = ("clear", "understandable with some effort", "ambiguous")
DIFFICULTY = ("high_school", "university", "phd")
DOCUMENT_WORDS = ("50", "100", "200", "300", "400", "500")


def settings(item: tuple[str, str, int], seed: int, document_words: tuple[str, ...] = DOCUMENT_WORDS) -> dict[str, str]:
    """The settings of an item (key, language, number), each drawn for itself."""
    choices = {
        "query_type": QUERY_TYPES, "query_words": QUERY_WORDS, "clarity": CLARITY, "difficulty": DIFFICULTY,
        "document_words": document_words,
    }  # fmt: skip
    return {name: one_of(known, name, item, seed) for name, known in choices.items()}


def one_triplet(
    instruction: str, said: Mapping[str, str], details: Mapping[str, Any]
) -> Sequence[Mapping[str, Any]] | str:
    """The row of a triplet, or what is wrong with it.

    said: query, positive, negative, and answer: the words of the positive that answer the query, "" where no words do. Compared by match keys:
    `empty`, `document_is_query`, `negative_is_positive` (InPars' toolkit never looks), `negative_holds_positive` (one document within the
    other, in whole words, whatever it ends in), `negative_holds_answer` (an answer that the positive has too; one that it has not says nothing).
    """
    texts = {name: said[name].strip() for name in ("query", "positive", "negative")}
    query, positive, negative = (key(text).text for text in texts.values())
    if not (query and positive and negative and instruction.strip()):
        return "empty"
    if query in (positive, negative):
        return "document_is_query"
    if positive == negative:
        return "negative_is_positive"
    good, bad = Passage(texts["positive"]), Passage(texts["negative"])
    if bad.holds(texts["positive"]) or good.holds(texts["negative"]):
        return "negative_holds_positive"
    answer = said.get("answer", "").strip()
    if answer and good.holds(answer) and bad.holds(answer):
        return "negative_holds_answer"
    row = {
        "text": texts["query"],
        "instruction": instruction.strip(),
        **{name: texts[name] for name in ("positive", "negative")},
    }
    return [{**row, "details": {**details, **({"answer": answer} if answer else {})}}]
