"""`tacred:` a sentence with a subject, an object and the relation between them.

Formats: TACRED's own JSON (Zhang et al. 2017: an array; `subj_end` and `obj_end` are the last token) and the JSON lines that
MultiTACRED makes of it (`entities` are half-open, `grammar` says which is the subject). A text is its tokens with a space between them. The
spans are `SUBJ` and `OBJ`, labelled with their types; the relation leads from the subject to the object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from dsbuild.builders.labelled.formats import (
    UNKNOWN_LANG,
    LabelledFile,
    Sound,
    as_json,
    cannot_show,
    json_rows,
    layout_of,
    numbered_lines,
    without_number,
    write_parts,
)
from dsbuild.builders.labelled.tagged_tokens import token_range, tokens_of_text
from dsbuild.builders.sources.json_members import members
from dsbuild.builders.sources.lines import suffixes
from dsbuild.errors import SourceError
from dsbuild.spans import Labelled, Piece, Relation, Span
from dsbuild.tokens import joined

SUBJECT, OBJECT = "SUBJ", "OBJ"
ROLES = (SUBJECT, OBJECT)
Roles = Sequence[tuple[str, int, int, str]]
_BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}
_NAMES = {bracket: name for name, bracket in _BRACKETS.items()}
_SHOWN = 60


@dataclass
class Tacred(LabelledFile):
    """Sentences of TACRED in either form.

    brackets: `treebank` leaves TACRED's names of brackets (-LRB-), which a translation engine does not know, as they are; `plain` reads them
    as the brackets that they stand for, and writes them again in TACRED's own form.
    """

    brackets: str = "treebank"

    kind: ClassVar[str] = "tacred"
    relational: ClassVar[bool] = True
    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {"brackets": ("treebank", "plain")}

    def read(self) -> Iterator[Labelled]:
        """See `LabelledSource`."""
        sound = Sound(self.path)
        for line, row in rows(self.path):
            where = f"{self.path}:{line}" if line else f"{self.path}: id {str(row.get('id'))[:_SHOWN]!r}"
            lang = self.said_lang(language_code(row.get("language")), where)
            row = self._with_brackets(row, where)
            yield sound(from_tacred(row, lang, where) if "token" in row else from_lines(row, lang, where), line)

    def targets(self) -> Iterator[Labelled]:
        """See `LabelledSource`: ids and tokens."""
        sound = Sound(self.path)
        for line, row in rows(self.path):
            where = f"{self.path}:{line}" if line else f"{self.path}: id {str(row.get('id'))[:_SHOWN]!r}"
            row = self._with_brackets(row, where)
            tokens = token_list(row, "token" if "token" in row else "tokens", where)
            lang = self.said_lang(language_code(row.get("language")), where)
            yield sound(Labelled(row.get("id", ""), joined(tokens)[0], lang, (), (), {"tokens": tokens}), line)

    def write(self, items: Iterable[Labelled], path: Path) -> int:
        """See `LabelledSource`: JSON lines, or TACRED's own form where the file is named .json."""
        count = 0
        array = suffixes(path)[0] == ".json"

        def parts() -> Iterator[str]:
            nonlocal count
            if array:
                yield "["
            for item in items:
                row = to_tacred(self.kind, item) if array else self._row(item)
                if array and self.brackets == "plain":
                    row["token"] = [_NAMES.get(token, token) for token in row["token"]]
                yield ((",\n" if count else "\n") + as_json(row)) if array else as_json(row) + "\n"
                count += 1
            if array:
                yield "\n]\n"

        write_parts(path, parts())
        return count

    def _with_brackets(self, row: dict[str, Any], where: str) -> dict[str, Any]:
        key = "token" if "token" in row else "tokens"
        if self.brackets == "treebank":
            return row
        return {**row, key: [_BRACKETS.get(token, token) for token in token_list(row, key, where)]}

    def _row(self, item: Labelled) -> dict[str, Any]:
        tokens, entities = token_entities(self.kind, item)
        rest = {key: value for key, value in without_number(item.extra).items() if key not in ("tokens", "layout")}
        relation = the_relation(self.kind, item)
        row = {
            "id": item.id, "tokens": tokens, "label": relation.label, "entities": [list(entities[span.span_id]) for span in item.spans],
            "grammar": [span.span_id for span in item.spans], "type": [span.label for span in item.spans],
        }  # fmt: skip
        return row | stated_language(self.kind, item) | rest


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of an array (line 0) or of JSON lines."""
    first = next((line.lstrip() for _, line in numbered_lines(path) if line.strip()), "")
    if not first.startswith("["):
        yield from json_rows(path)
        return
    for number, (_, row) in enumerate(members(path)):
        if not isinstance(row, dict):
            raise SourceError(f"{path}: element {number} is not an object")
        yield 0, row


def token_list(row: Mapping[str, Any], key: str, where: str) -> list[str]:
    """The tokens of a row; `SourceError` for an empty list and for empty or spaced tokens."""
    tokens = row.get(key)
    if not isinstance(tokens, list) or not tokens or not all(isinstance(one, str) for one in tokens):
        raise SourceError(f"{where}: no list of {key}; is it a file of another kind?")
    if bad := next((number for number, one in enumerate(tokens) if not one or one != one.strip()), None):
        raise SourceError(
            f"{where}: token {bad} of {key} is {tokens[bad]!r}: empty, or with white space at an end; mend it"
        )
    return tokens


def roles(row: Mapping[str, Any], key: str, where: str) -> Roles:
    """What a row of JSON lines says of its two entities, in its order: (role, first token, token after the last, type)."""
    entities, grammar, types = row.get(key), row.get("grammar"), row.get("type")
    if not isinstance(entities, list) or not isinstance(grammar, list) or sorted(map(str, grammar)) != sorted(ROLES):
        raise SourceError(f"{where}: {key} and grammar must name one SUBJ and one OBJ")
    if types is not None and (not isinstance(types, list) or len(types) != len(ROLES)):
        raise SourceError(f"{where}: type must name the types of both entities")
    found = []
    for number, (role, place) in enumerate(zip(grammar, entities, strict=False)):
        if not isinstance(place, list) or len(place) != 2 or not all(type(one) is int for one in place):
            raise SourceError(
                f"{where}: {key} of {role} is {place!r}; wanted are its first token and the one after its last"
            )
        found.append((role, place[0], place[1], types[number] if types else role))
    if len(entities) != len(ROLES):
        raise SourceError(f"{where}: {len(entities)} {key} where two are wanted")
    return found


def spans_of_roles(found: Roles, places: Sequence[Piece], where: str) -> tuple[Span, ...]:
    """The entities as spans; `SourceError` for one that is not among the tokens."""
    for role, start, end, _ in found:
        if not 0 <= start < end <= len(places):
            raise SourceError(f"{where}: {role} at tokens {start}-{end} is not among the {len(places)} tokens")
    return tuple(Span(role, str(label), ((places[start][0], places[end - 1][1]),)) for role, start, end, label in found)


def relation_between(
    row: Mapping[str, Any], spans: tuple[Span, ...], text: str, lang: str, extra: Mapping[str, Any], where: str
) -> Labelled:
    """The row as a labelled text, its relation (`label`) from the subject to the object."""
    label = row.get("label")
    if not isinstance(label, str) or not label:
        raise SourceError(f"{where}: no label; a pair without a relation has no_relation")
    return Labelled(row.get("id", ""), text, lang, spans, (Relation(SUBJECT, OBJECT, label),), extra)


def from_lines(row: Mapping[str, Any], lang: str, where: str) -> Labelled:
    """A row of JSON lines as a labelled text. where: file and line, for errors."""
    tokens = token_list(row, "tokens", where)
    text, places = joined(tokens)
    spans = spans_of_roles(roles(row, "entities", where), places, where)
    taken = ("id", "tokens", "entities", "grammar", "type", "label", "language")
    rest = {key: value for key, value in row.items() if key not in taken}
    extra = {**rest, "tokens": tokens, "layout": {"kind": Tacred.kind, "language": row.get("language")}}
    return relation_between(row, spans, text, lang, extra, where)


def from_tacred(row: Mapping[str, Any], lang: str, where: str) -> Labelled:
    """A row of TACRED's own form; what is said of each token (`stanford_*`) is in `extra["layout"]`."""
    tokens = token_list(row, "token", where)
    text, places = joined(tokens)
    found = []
    for role, short in zip(ROLES, ("subj", "obj"), strict=True):
        start, end = row.get(f"{short}_start"), row.get(f"{short}_end")
        if type(start) is not int or type(end) is not int:
            raise SourceError(f"{where}: {short}_start and {short}_end must be token numbers")
        found.append((role, start, end + 1, row.get(f"{short}_type") or role))
    taken = {
        "id",
        "token",
        "relation",
        *(f"{short}_{what}" for short in ("subj", "obj") for what in ("start", "end", "type")),
    }
    layout = {
        key: value for key, value in row.items() if key not in taken and (isinstance(value, list) or key == "language")
    }
    rest = {key: value for key, value in row.items() if key not in taken and key not in layout}
    extra = {**rest, "tokens": tokens, "layout": {"kind": Tacred.kind, **layout}}
    return relation_between(
        {**row, "label": row.get("relation")}, spans_of_roles(found, places, where), text, lang, extra, where
    )


def to_tacred(kind: str, item: Labelled) -> dict[str, Any]:
    """A row of TACRED's own form."""
    tokens, entities = token_entities(kind, item)
    labels = {span.span_id: span.label for span in item.spans}
    row: dict[str, Any] = {"id": item.id, "relation": the_relation(kind, item).label, "token": tokens}
    for role, short in zip(ROLES, ("subj", "obj"), strict=True):
        start, end = entities[role]
        row |= {f"{short}_start": start, f"{short}_end": end - 1, f"{short}_type": labels[role]}
    rest = {key: value for key, value in without_number(item.extra).items() if key not in ("tokens", "layout")}
    columns = {key: value for key, value in layout_of(item, kind).items() if isinstance(value, list)}
    return row | rest | columns | stated_language(kind, item)


def language_code(stated: Any) -> str | None:
    """The BCP-47 code of what a row says of its language (`DE`, `pt_BR`)."""
    return str(stated).replace("_", "-").lower() if stated else None


def stated_language(kind: str, item: Labelled, field: str = "language") -> dict[str, str]:
    """The row's field for its language: as it came, else the text's own language where it is known."""
    layout = layout_of(item, kind)
    said = layout.get("language") if layout else None if item.lang == UNKNOWN_LANG else item.lang.upper()
    return {field: said} if said else {}


def token_entities(kind: str, item: Labelled) -> tuple[list[str], dict[str, tuple[int, int]]]:
    """The tokens of a text and the half-open token ranges of its subject and object."""
    if sorted(span.span_id for span in item.spans) != sorted(ROLES):
        raise cannot_show(kind, item, "it has not just a span SUBJ and a span OBJ")
    try:
        tokens, places = tokens_of_text(item)
        found = {span.span_id: token_range(item.text, span, places) for span in item.spans}
    except SourceError as error:
        raise cannot_show(kind, item, str(error)) from None
    return tokens, found


def the_relation(kind: str, item: Labelled) -> Relation:
    """The one relation of a text, from subject to object."""
    if len(item.relations) != 1 or (item.relations[0].head, item.relations[0].tail) != ROLES:
        raise cannot_show(kind, item, "it has not just one relation, from SUBJ to OBJ")
    return item.relations[0]
