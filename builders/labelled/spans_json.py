"""`spans:` JSON lines with character spans: `{"id", "text", "lang", "spans": [{"start", "end", "label"}], "relations": [{"head", "tail", "label"}]}`.

Positions are code points of the text, half-open. A span may have an `id` (its number where it has none), and `pieces` ([[start, end], …]) in
place of start and end where it is discontinuous; its `text`, if it is given, must be what stands there. The only format that shows every
set of spans: nested, overlapping, discontinuous, with relations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from dsbuild.builders.labelled.formats import (
    NUMBERED,
    UNKNOWN_LANG,
    LabelledFile,
    Sound,
    as_json,
    json_rows,
    write_parts,
)
from dsbuild.errors import SourceError
from dsbuild.spans import Labelled, Relation, Span

_OWN = ("id", "text", "lang", "spans", "relations")
_SHOWN = 60


@dataclass
class SpansJson(LabelledFile):
    """Texts with any spans and relations; further fields of a row are in `extra` under their own names."""

    kind: ClassVar[str] = "spans"

    def read(self) -> Iterator[Labelled]:
        """See `LabelledSource`."""
        return self._rows(labels=True)

    def targets(self) -> Iterator[Labelled]:
        """See `LabelledSource`."""
        return self._rows(labels=False)

    def _rows(self, *, labels: bool) -> Iterator[Labelled]:
        sound = Sound(self.path, empty=not labels)
        numbered: bool | None = None
        for number, (line, row) in enumerate(json_rows(self.path)):
            where = f"{self.path}:{line}"
            if not isinstance(row.get("text"), str):
                raise SourceError(f"{where}: no text; each row must have one")
            if numbered is not None and numbered != ("id" not in row):
                raise SourceError(f"{where}: some rows have an id and some have none; give all one, or none")
            numbered = "id" not in row
            lang = self.said_lang(row.get("lang"), where)
            extra: dict[str, Any] = {NUMBERED: True} if numbered else {}
            extra |= {key: value for key, value in row.items() if key not in _OWN}
            name = str(number) if numbered else row["id"]
            if not isinstance(name, str):
                raise SourceError(f"{where}: the id {name!r} is no text; write it in quotes")
            spans = _spans(row, where) if labels else ()
            relations = _relations(row, where) if labels else ()
            yield sound(Labelled(name, row["text"], lang, spans, relations, extra), line)

    def write(self, items: Iterable[Labelled], path: Path) -> int:
        """See `LabelledSource`."""
        return write_parts(path, (as_json(to_object(item)) + "\n" for item in items))


def to_object(item: Labelled) -> dict[str, Any]:
    """The text as an object of this format."""
    extra = dict(item.extra)
    row: dict[str, Any] = {} if extra.pop(NUMBERED, False) else {"id": item.id}
    row |= {"text": item.text, **({} if item.lang == UNKNOWN_LANG else {"lang": item.lang})}
    row["spans"] = [_written(span) for span in item.spans]
    row["relations"] = [{"head": one.head, "tail": one.tail, "label": one.label} for one in item.relations]
    return {**row, **{key: value for key, value in extra.items() if key not in _OWN}}


def _written(span: Span) -> dict[str, Any]:
    place: dict[str, Any] = {"start": span.start, "end": span.end}
    if len(span.pieces) > 1:
        place = {"pieces": [list(piece) for piece in span.pieces]}
    return {"id": span.span_id, **place, "label": span.label}


def _spans(row: Mapping[str, Any], where: str) -> tuple[Span, ...]:
    entries = _objects(row, "spans", where, required=True)
    return tuple(_span(entry, number, row["text"], where) for number, entry in enumerate(entries))


def _span(entry: Mapping[str, Any], number: int, text: str, where: str) -> Span:
    name = entry.get("id", str(number))
    label = entry.get("label")
    if not isinstance(name, str) or not isinstance(label, str):
        raise SourceError(f"{where}: span {number}: its id and its label must be texts")
    pieces = entry.get("pieces", [[entry.get("start"), entry.get("end")]])
    if not isinstance(pieces, list) or not pieces or not all(_is_piece(one) for one in pieces):
        raise SourceError(
            f"{where}: span {name[:_SHOWN]!r}: start and end (or pieces, a list of [start, end]) must be whole numbers"
        )
    span = Span(name, label, tuple((start, end) for start, end in pieces))
    said = entry.get("text")
    if said is not None and said != (found := span.surface(text)):
        raise SourceError(
            f"{where}: span {name[:_SHOWN]!r} says {str(said)[:_SHOWN]!r} and {found[:_SHOWN]!r} stands there; "
            "are its positions code points of the text as it is, half-open?"
        )
    return span


def _is_piece(one: Any) -> bool:
    return isinstance(one, list) and len(one) == 2 and all(type(place) is int for place in one)


def _relations(row: Mapping[str, Any], where: str) -> tuple[Relation, ...]:
    found = []
    for entry in _objects(row, "relations", where, required=False):
        parts = [entry.get(name) for name in ("head", "tail", "label")]
        if not all(isinstance(part, str) and part for part in parts):
            raise SourceError(f"{where}: a relation needs head, tail (ids of spans) and label, as texts")
        found.append(Relation(*map(str, parts)))
    return tuple(found)


def _objects(row: Mapping[str, Any], key: str, where: str, *, required: bool) -> list[Mapping[str, Any]]:
    found = row.get(key)
    if found is None and not required:
        return []
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise SourceError(
            f"{where}: {key} must be a list of objects"
            + (" (an empty one where the text has none)" if required else "")
        )
    return found
