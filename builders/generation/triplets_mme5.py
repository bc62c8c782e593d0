"""Triplets from documents in one pass that judges and revises itself (mmE5, texts only)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from dsbuild.builders.generation.generation import Item
from dsbuild.builders.generation.queries import PassageQueries, language_slots, passage_data
from dsbuild.builders.generation.triplets import COLUMNS, one_triplet, settings
from dsbuild.language_model import Sampling

# What mmE5 asks a model to judge of its own draft.
JUDGED = ("relevance", "hard_negative", "clarity", "diversity")


@dataclass(frozen=True)
class MmE5(PassageQueries):
    """Interpret a document, write English instruction, query, positive and hard negative, judge and revise them, in one answer (mmE5).

    Rows hold what was revised; details the draft where it differs, the four scores (1 to 5) of the draft and what was to be better. The model's
    opinion of itself: nothing is lost by it.
    """

    max_tokens: int = 4_096

    name: ClassVar[str] = "triplets"
    style: ClassVar[str] = "mme5"
    file: ClassVar[str] = "triplets_mme5"
    columns: ClassVar[pa.Schema] = COLUMNS

    @property
    def shown(self) -> str:
        """Nothing but the prompt."""
        return ""

    @property
    def sampling(self) -> Sampling:
        """Temperature 1: what is written is not in the document."""
        return Sampling(1.0 if self.temperature is None else self.temperature, max_tokens=self.max_tokens)

    def items(self, rows: pa.Table, lang: str, seed: int) -> Iterator[Item]:
        """`per_passage` items for each row of a corpus table."""
        for row in rows.select(["doc_id", "title", "text", "lang"]).to_pylist():
            for number in range(self.per_passage):
                drawn = settings((row["doc_id"], lang, number), seed)
                details = {"passage_lang": row["lang"], **drawn}
                yield Item(row["doc_id"], lang, number, {**drawn, **passage_data(row)}, language_slots(lang), details)

    def read(self, item: Item, value: Any) -> Sequence[Mapping[str, Any]] | str:
        """The revised triplet; see `one_triplet` for what is wrong with one."""
        del item
        draft, final = value["draft"], value["final"]
        details = {
            "interpretation": value["interpretation"].strip(),
            "scores": {name: value["evaluation"][name] for name in JUDGED},
            "advice": value["evaluation"]["advice"].strip(),
        }
        changed = {name: text for name, text in draft.items() if text != final.get(name)}
        return one_triplet(final["instruction"], final, details | ({"draft": changed} if changed else {}))
