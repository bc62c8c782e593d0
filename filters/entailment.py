"""Does a text state a triple? Rows (subject, relation, object) scored against their text, in the manner of REBEL and RED-FM.

REBEL (Huguet Cabot and Navigli 2021) keeps a triple that was aligned to a text automatically if an NLI model entails it; RED-FM (Huguet Cabot
et al. 2023) trains a critic for that. Here the model is any sequence classifier with an entailment label; without one a lexical baseline says
how well subject, object and relation are covered by the text and how near they stand. The two have different scales, so a threshold
holds for the model that it was calibrated with (`filters/entailment_threshold.py`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

import pyarrow as pa

from dsbuild.errors import SourceError
from dsbuild.filters.nli_model import NliModel, weights_digest
from dsbuild.text import sentences, words

COLUMNS = {
    "entailment_score": "how surely the text states the triple, in [0, 1]: an NLI model's probability of entailment, or the lexical score; "
    "null where a part of the triple is missing"
}

# What is left of a score when neither the words of the relation nor nearness speak for it, and what each adds.
_FLOOR, _NEAR, _RELATION = 0.4, 0.3, 0.3
# Words between two mentions at which nearness is halved, and what a sentence border counts for.
_HALF, _BORDER = 10, 10
# Words that share this many letters at their beginning, or all of a shorter one, are taken for forms of one word.
_PREFIX = 5
_SHORTEST = 3
_MAX_MENTIONS = 50


@dataclass(frozen=True)
class Entailment:
    """Scores triples against their texts.

    model: name or folder of a transformers sequence classifier, "" for the lexical baseline; label: its label that means entailment;
    template: how a triple is said to it; subject, relation, object: the columns of a triple's parts; calibrated: what the threshold was found on,
    for the record.
    """

    model: str = field(default="", compare=False)
    label: str = "entailment"
    template: str = "{subject} {relation} {object}."
    subject: str = "subject"
    relation: str = "relation"
    object: str = "object"
    calibrated: str = field(default="", compare=False)
    weights: str = field(default="", init=False)

    name: ClassVar[str] = "entailment"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        try:
            said = self.template.format(subject="", relation="", object="")
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"template {self.template!r}: {error}; it may name {{subject}}, {{relation}} and {{object}}"
            ) from error
        if said == self.template:
            raise ValueError(f"template {self.template!r}: names no part of a triple")
        if self.model:
            object.__setattr__(self, "weights", weights_digest(self.model))

    def score_rows(self, rows: pa.Table) -> dict[str, pa.Array]:
        """`entailment_score` of rows with a text and the columns of a triple."""
        for name in (self.subject, self.relation, self.object):
            if name not in rows.column_names:
                raise SourceError(
                    f"no column {name!r} for a triple: the rows have {', '.join(rows.column_names)}; say --set entailment.subject=NAME"
                )
            if not pa.types.is_string(rows.schema.field(name).type):
                raise SourceError(f"column {name!r} holds {rows.schema.field(name).type}: a part of a triple is a text")
        columns = [rows[name].to_pylist() for name in (self.subject, self.relation, self.object, "text")]
        langs = rows["lang"].to_pylist() if "lang" in rows.column_names else ["und"] * rows.num_rows
        scores = self.scores(list(zip(*columns, strict=True)), langs)
        return {"entailment_score": pa.array(scores, pa.float64())}

    def scores(
        self, triples: Sequence[tuple[str | None, str | None, str | None, str | None]], langs: Sequence[str]
    ) -> list[float | None]:
        """Scores of (subject, relation, object, text), None where one is missing or empty."""
        whole = [place for place, row in enumerate(triples) if all(part is not None and part.strip() for part in row)]
        found: list[float | None] = [None] * len(triples)
        if self.model:
            said = [[str(part) for part in triples[place]] for place in whole]
            hypotheses = [self.template.format(subject=one[0], relation=one[1], object=one[2]) for one in said]
            values = _open(self.model, self.label).entailed(
                [one[3] for one in said], hypotheses, [langs[place] for place in whole]
            )
        else:
            values = [_lexical([str(part) for part in triples[place]], langs[place]) for place in whole]
        for place, value in zip(whole, values, strict=True):
            found[place] = value
        return found


@lru_cache(maxsize=1)
def _open(model: str, label: str) -> NliModel:
    return NliModel(model, label)


def _lexical(row: Sequence[str], lang: str) -> float:
    """Coverage of both ends, times how much nearness and the words of the relation speak for the triple; of subject, relation, object, text."""
    subject, relation, object_, text = row
    code = None if lang == "und" else lang
    folded = [_folded(word) for word in words(text, code)]
    borders = _borders(text, code)
    one, two = (_mentions(part, folded, code) for part in (subject, object_))
    if not one or not two:
        return 0.0
    gap, ends, reach = min(_apart(a, b, borders) for a in one for b in two)
    near = _HALF / (_HALF + gap)
    return round(reach[0] * reach[1] * (_FLOOR + _NEAR * near + _RELATION * _said(relation, folded, ends, code)), 6)


def _folded(word: str) -> str:
    plain = unicodedata.normalize("NFKD", word.casefold())
    # A mark is dropped where a letter stands without it (é), not where it is a letter's vowel (Indic signs).
    return "".join(char for char in plain if unicodedata.category(char) != "Mn" or ord(char) > 0x0500)


def _borders(text: str, lang: str | None) -> list[int]:
    """The number of words before the end of each sentence."""
    counts = []
    total = 0
    for start, end in sentences(text, lang or "en"):
        total += len(words(text[start:end], lang))
        counts.append(total)
    return counts


def _alike(one: str, two: str) -> bool:
    if one == two:
        return True
    short = min(len(one), len(two))
    return (
        short >= _SHORTEST
        and one[: min(_PREFIX, short)] == two[: min(_PREFIX, short)]
        and (short >= _PREFIX or abs(len(one) - len(two)) <= 2)
    )


Mention = tuple[int, int, float]


def _mentions(part: str, text: Sequence[str], lang: str | None) -> list[Mention]:
    """Where the words of a part stand together in the text: word ranges with the share of its words that they hold, at least half."""
    wanted = [_folded(word) for word in words(part, lang)]
    if not wanted:
        return []
    found: list[Mention] = []
    for start in range(len(text)):
        held = text[start : start + len(wanted)]
        if not _alike(held[0], wanted[0]) and not any(_alike(held[0], word) for word in wanted):
            continue
        share = sum(any(_alike(word, other) for other in held) for word in wanted) / len(wanted)
        if share >= 0.5:
            found.append((start, start + len(held), share))
    best = max((one[2] for one in found), default=0.0)
    return [one for one in found if one[2] == best][:_MAX_MENTIONS]


def _apart(one: Mention, two: Mention, borders: Sequence[int]) -> tuple[float, tuple[int, int], tuple[float, float]]:
    """Words and sentence borders between two mentions, the range that they span, and their coverage."""
    low, high = sorted((one[:2], two[:2]))
    between = max(0, high[0] - low[1])
    crossed = sum(low[1] <= border <= high[0] for border in borders)
    return between + _BORDER * crossed, (low[0], max(low[1], high[1])), (one[2], two[2])


def _said(relation: str, text: Sequence[str], ends: tuple[int, int], lang: str | None) -> float:
    """The share of the relation's words of three letters or more that stand in the text, half of it if not near the two ends."""
    wanted = [word for word in _relation_words(relation, lang) if len(word) >= _SHORTEST]
    if not wanted:
        return 0.0
    inside = text[max(0, ends[0] - _HALF) : ends[1] + _HALF]
    value = sum(
        1.0 if any(_alike(word, one) for one in inside) else 0.5 * any(_alike(word, one) for one in text)
        for word in wanted
    )
    return value / len(wanted)


def _relation_words(relation: str, lang: str | None) -> Iterator[str]:
    """The words of a relation's name, also of one written like `per:city_of_birth`."""
    for word in words(relation.rpartition(":")[2].replace("_", " "), lang):
        yield _folded(word)
