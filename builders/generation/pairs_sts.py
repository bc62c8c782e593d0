"""Pairs of texts of a wanted similarity (E5-mistral's STS data)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from dsbuild.builders.generation.generation import Item, drawn
from dsbuild.builders.generation.queries import PassageQueries, language_slots
from dsbuild.builders.generation.subjects import one_of, subjects_digest, told_of
from dsbuild.language_model import Sampling
from dsbuild.normal import key

# Similarities that are asked for, on the scale of SemEval's STS tasks: 0, 0.5, … 5.
BEST, STEPS = 5.0, 10
UNITS = ("short phrase", "sentence", "two sentences")


@dataclass(frozen=True)
class Graded(PassageQueries):
    """Two texts about a passage, or on drawn subjects where there is no source, with a similarity that is drawn before they are written.

    The column score is the wanted similarity by five: 0 to 1.
    """

    max_tokens: int = 512

    name: ClassVar[str] = "sts"
    style: ClassVar[str] = "graded"
    file: ClassVar[str] = "pairs_sts"
    needs_source: ClassVar[bool] = False
    columns: ClassVar[pa.Schema] = pa.schema(
        [pa.field("text_b", pa.string(), nullable=False), pa.field("score", pa.float64(), nullable=False)]
    )

    @property
    def shown(self) -> str:
        """The digest of all subjects."""
        return subjects_digest()

    @property
    def sampling(self) -> Sampling:
        """Temperature 1, as E5-mistral's data are drawn."""
        return Sampling(1.0 if self.temperature is None else self.temperature, max_tokens=self.max_tokens)

    def items(self, rows: pa.Table, lang: str, seed: int) -> Iterator[Item]:
        """`per_passage` items for each row, each with a similarity of its own."""
        for row in rows.select(["doc_id", "title", "text", "lang"]).to_pylist():
            for number in range(self.per_passage):
                at = (row["doc_id"], lang, number)
                wanted = drawn(seed, "similarity", *at) % (STEPS + 1) * BEST / STEPS
                asked = {"similarity": wanted, "unit": one_of(UNITS, "unit", at, seed)}
                data = {**asked, **told_of(row, lang, number, seed)}
                yield Item(
                    row["doc_id"], lang, number, data, language_slots(lang), {"passage_lang": row["lang"], **asked}
                )

    def read(self, item: Item, value: Any) -> Sequence[Mapping[str, Any]] | str:
        """The pair; `same_text` where both are the same words."""
        texts = [value[name].strip() for name in ("text_a", "text_b")]
        one, other = (key(text).text for text in texts)
        if not (one and other):
            return "empty"
        if one == other:
            return "same_text"
        return [{"text": texts[0], "text_b": texts[1], "score": item.details["similarity"] / BEST}]
