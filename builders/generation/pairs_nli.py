"""Pairs of a premise and a hypothesis: what follows, what may be so, what cannot be so (in the manner of Ruri's synthetic NLI)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

import pyarrow as pa

from dsbuild.builders.generation.generation import Item
from dsbuild.builders.generation.queries import PassageQueries, language_slots
from dsbuild.builders.generation.subjects import subjects_digest, told_of
from dsbuild.normal import key

LABELS = ("entailment", "neutral", "contradiction")


@dataclass(frozen=True)
class ThreeWay(PassageQueries):
    """A premise from a passage, or on drawn subjects where there is no source, and a hypothesis for each label: three rows an answer."""

    max_tokens: int = 512

    name: ClassVar[str] = "nli"
    style: ClassVar[str] = "three-way"
    file: ClassVar[str] = "pairs_nli"
    needs_source: ClassVar[bool] = False
    # A premise stands in three rows, and one word more or less may turn what follows into what cannot be: only equal pairs are duplicates.
    funnel: ClassVar[Mapping[str, Any]] = {"duplicates": {"jaccard": 1.0}}
    columns: ClassVar[pa.Schema] = pa.schema(
        [pa.field("text_b", pa.string(), nullable=False), pa.field("label", pa.string(), nullable=False)]
    )

    @property
    def shown(self) -> str:
        """The digest of all subjects."""
        return subjects_digest()

    def items(self, rows: pa.Table, lang: str, seed: int) -> Iterator[Item]:
        """`per_passage` items for each row."""
        for row in rows.select(["doc_id", "title", "text", "lang"]).to_pylist():
            for number in range(self.per_passage):
                data = told_of(row, lang, number, seed)
                yield Item(row["doc_id"], lang, number, data, language_slots(lang), {"passage_lang": row["lang"]})

    def read(self, item: Item, value: Any) -> Sequence[Mapping[str, Any]] | str:
        """The three pairs; `same_text` where two of the four texts say the same in the same words."""
        del item
        premise, *hypotheses = (value[name].strip() for name in ("premise", *LABELS))
        keys = [key(text).text for text in (premise, *hypotheses)]
        if not all(keys):
            return "empty"
        if any(one == other for one, other in combinations(keys, 2)):
            return "same_text"
        return [
            {"text": premise, "text_b": text, "label": label} for label, text in zip(LABELS, hypotheses, strict=True)
        ]
