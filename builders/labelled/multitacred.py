"""`multitacred:` rows of TACRED with their translation: subject and object as token ranges and as markers in the raw text.

Format: MultiTACRED (Hennig et al. 2023; DFKI-NLP/MultiTACRED). `translation_raw` has `<H>` around the subject and `<T>` around the object, and
`&lt;`, `&gt;` for the signs themselves; `tokens_translated` are tokens of it. In the back-translated test split `text_raw` is the translation and
`translation_raw` the English made of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from dsbuild.builders.labelled.formats import LabelledFile, Sound, as_json, json_rows, layout_of, write_parts
from dsbuild.builders.labelled.tacred import (
    OBJECT,
    SUBJECT,
    language_code,
    relation_between,
    roles,
    spans_of_roles,
    stated_language,
    the_relation,
    token_entities,
    token_list,
)
from dsbuild.errors import SourceError
from dsbuild.spans import Labelled, outermost_first
from dsbuild.tokens import joined, located

MARKERS: Mapping[str, str] = {SUBJECT: "H", OBJECT: "T"}
_ENDINGS: Mapping[str, str] = {"translated": "_translated", "backtranslated": "_backtranslated", "source": ""}
_TAG = re.compile(r"</?[HT]>")
_SIGN = re.compile(r"&((?:amp;)*)(lt|gt);")


@dataclass
class Multitacred(LabelledFile):
    """One side of each row: the translation, the source, or the back-translation of the test split.

    text: `raw` is the text with its markers taken out, `tokens` the tokens with a space between them (all that `source` has where the
    split is the back-translated one).
    """

    side: str = "translated"
    text: str = "raw"

    kind: ClassVar[str] = "multitacred"
    relational: ClassVar[bool] = True
    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {"side": tuple(_ENDINGS), "text": ("raw", "tokens")}

    def read(self) -> Iterator[Labelled]:
        """See `LabelledSource`."""
        ending = _ENDINGS[self.side]
        for line, row, sound, (text, places, tokens, raw) in self._rows():
            where = f"{self.path}:{line}"
            spans = spans_of_roles(roles(row, f"entities{ending}", where), places, where)
            taken = (
                "id",
                "label",
                "grammar",
                "type",
                *(f"{name}{ending}" for name in ("tokens", "entities", "language")),
                raw,
            )
            rest = {key: value for key, value in row.items() if key not in taken}
            layout = {"kind": self.kind, "language": row.get(f"language{ending}"), **({"raw": row[raw]} if raw else {})}
            extra = {"row": rest, "tokens": tokens, "layout": layout}
            lang = self.said_lang(language_code(row.get(f"language{ending}")), where)
            yield sound(relation_between(row, spans, text, lang, extra, where), line)

    def targets(self) -> Iterator[Labelled]:
        """See `LabelledSource`: ids and tokens; markers are taken out of the raw text and where they stood is not looked at."""
        ending = _ENDINGS[self.side]
        for line, row, sound, (text, _, tokens, _) in self._rows():
            lang = self.said_lang(language_code(row.get(f"language{ending}")), f"{self.path}:{line}")
            yield sound(Labelled(row.get("id", ""), text, lang, (), (), {"tokens": tokens}), line)

    def _rows(self) -> Iterator[tuple[int, dict[str, Any], Sound, tuple[str, list[tuple[int, int]], list[str], str]]]:
        sound = Sound(self.path)
        for line, row in json_rows(self.path):
            where = f"{self.path}:{line}"
            key = f"tokens{_ENDINGS[self.side]}"
            if key not in row:
                raise SourceError(
                    f"{where}: no {key}; say which side is meant: side=source, side=translated or side=backtranslated"
                )
            tokens = token_list(row, key, where)
            raw = raw_field(row, self.side) if self.text == "raw" else ""
            if not raw:
                text, places = joined(tokens)
                yield line, row, sound, (text, places, tokens, "")
                continue
            text = unmarked(str(row[raw]))
            try:
                places = located(text, tokens)
            except SourceError as error:
                raise SourceError(
                    f"{where}: {raw}: {error}; mend the row, or say text=tokens to make texts of the tokens"
                ) from None
            yield line, row, sound, (text, places, tokens, raw)

    def write(self, items: Iterable[Labelled], path: Path) -> int:
        """See `LabelledSource`: the side's tokens, entities, language and raw text, and what came with the row."""
        return write_parts(path, (as_json(translated_row(item, self.side)) + "\n" for item in items))


def translated_row(item: Labelled, side: str = "translated") -> dict[str, Any]:
    """The row of a text that is one side; `item.extra["row"]` has the fields of the others."""
    ending = _ENDINGS[side]
    tokens, entities = token_entities(Multitacred.kind, item)
    rest = item.extra.get("row", {})
    row: dict[str, Any] = {
        "id": item.id, "label": the_relation(Multitacred.kind, item).label, **rest,
        f"tokens{ending}": tokens, f"entities{ending}": [list(entities[span.span_id]) for span in item.spans],
        "grammar": [span.span_id for span in item.spans], "type": [span.label for span in item.spans],
    }  # fmt: skip
    row |= stated_language(Multitacred.kind, item, f"language{ending}")
    layout = layout_of(item, Multitacred.kind)
    if raw := layout.get("raw") if layout else marked(item):
        row[raw_field({**row, **dict.fromkeys(("text_raw", "translation_raw"))}, side)] = raw
    return row


def raw_field(row: Mapping[str, Any], side: str) -> str:
    """Which field has the raw text of a side; "" where none has."""
    back = "tokens_backtranslated" in row
    field = {
        "source": "" if back else "text_raw",
        "translated": "text_raw" if back else "translation_raw",
        "backtranslated": "translation_raw",
    }
    return field[side] if field[side] in row else ""


def unmarked(raw: str) -> str:
    """The text of a raw form: without markers, signs instead of `&lt;` and `&gt;`.

    >>> unmarked("<H>Anna</H> &lt;3 <T>Pune</T>.")
    'Anna <3 Pune.'
    """
    return _SIGN.sub(_plain_sign, _TAG.sub("", raw))


def _plain_sign(found: re.Match[str]) -> str:
    # `&amp;lt;` stands for a text that itself holds `&lt;`.
    return f"&{found[1].removeprefix('amp;')}{found[2]};" if found[1] else {"lt": "<", "gt": ">"}[found[2]]


def marked(item: Labelled) -> str:
    """The raw form of a text: `<H>` around the subject, `<T>` around the object, `&lt;` and `&gt;` for the signs, `&amp;lt;` for `&lt;`.

    >>> from dsbuild.spans import Span
    >>> marked(Labelled("1", "Anna <3 Pune.", "en", (Span("OBJ", "CITY", ((8, 12),)), Span("SUBJ", "PERSON", ((0, 4),)))))
    '<H>Anna</H> &lt;3 <T>Pune</T>.'
    """
    at: dict[int, str] = {}
    spans = outermost_first(item.spans)
    for span in spans:
        at[span.start] = at.get(span.start, "") + f"<{MARKERS[span.span_id]}>"
    closing: dict[int, str] = {}
    for span in reversed(spans):
        closing[span.end] = closing.get(span.end, "") + f"</{MARKERS[span.span_id]}>"
    parts = []
    entities = {found.start() for found in _SIGN.finditer(item.text)}
    for place in range(len(item.text) + 1):
        parts.append(closing.get(place, "") + at.get(place, ""))
        parts.append(item.text[place : place + 1].replace("<", "&lt;").replace(">", "&gt;"))
        parts.append("amp;" if place in entities else "")
    return "".join(parts)
