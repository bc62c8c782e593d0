"""Labelled spans of a text: what they are, whether they are sound, and their way to rows and back.

Positions are code points of the text as it came, half-open. A span is one or more pieces (several: a discontinuous span); spans of one
text may nest, touch, overlap and cross. Nothing here normalises a text: `text[start:end]` is the surface.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dsbuild.errors import SourceError

Piece = tuple[int, int]
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled span. pieces: half-open ranges in order, apart from each other; more than one where the span is discontinuous."""

    span_id: str
    label: str
    pieces: tuple[Piece, ...]

    @property
    def start(self) -> int:
        """Where its first piece begins."""
        return self.pieces[0][0]

    @property
    def end(self) -> int:
        """Where its last piece ends."""
        return self.pieces[-1][1]

    def surface(self, text: str) -> str:
        """The span's text; pieces are joined by one space.

        >>> Span("1", "VERB", ((0, 4), (8, 10))).surface("give it up")
        'give up'
        """
        return " ".join(text[start:end] for start, end in self.pieces)

    def overlaps(self, other: Span) -> bool:
        """Whether the two share a code point."""
        return any(low < end and start < high for start, end in self.pieces for low, high in other.pieces)


@dataclass(frozen=True, slots=True)
class Relation:
    """A typed relation between two spans of one text, by their ids."""

    head: str
    tail: str
    label: str


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text with its spans and relations. extra: further columns of the row, carried along."""

    id: str
    text: str
    lang: str
    spans: tuple[Span, ...] = ()
    relations: tuple[Relation, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def by_id(self) -> dict[str, Span]:
        """Its spans by their ids."""
        return {span.span_id: span for span in self.spans}


def problems(item: Labelled) -> list[str]:
    """What is wrong with a text's spans and relations, one line each; nothing for a sound one.

    Found are pieces that are empty, outside the text, out of order or overlapping in their span, pieces of white space only, ids that are
    empty or come twice, spans without a label, and relations that name no span.
    """
    found = []
    seen: set[str] = set()
    for span in item.spans:
        where = f"span {span.span_id!r}"
        if not span.span_id or span.span_id in seen:
            found.append(f"{where}: {'comes twice' if span.span_id else 'has no id'}")
        seen.add(span.span_id)
        if not span.label:
            found.append(f"{where}: has no label")
        if not span.pieces:
            found.append(f"{where}: has no piece")
            continue
        last = -1
        for start, end in span.pieces:
            if not 0 <= start < end <= len(item.text):
                found.append(f"{where}: {start}-{end} is not inside the text, which has {len(item.text)} code points")
            elif start < last:
                found.append(f"{where}: its pieces overlap or are out of order at {start}")
            elif not item.text[start:end].strip():
                found.append(f"{where}: {start}-{end} is white space only")
            last = max(last, end)
    for relation in item.relations:
        missing = [name for name in (relation.head, relation.tail) if name not in seen]
        found += [f"relation {relation.label!r}: names span {name!r}, which the text has not" for name in missing]
    return found


def check(item: Labelled, where: str) -> Labelled:
    """The item, if it is sound; else `SourceError` with the first problem, the place `where` and the row's id."""
    wrong = problems(item)
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise SourceError(f"{where}: id {item.id[:_SHOWN]!r}: {wrong[0]}{more}; mend or remove it")
    return item


def to_row(item: Labelled) -> dict[str, Any]:
    """A row of the `labelled` table; a discontinuous span is several entries with one `span_id`."""
    spans = [
        {"span_id": span.span_id, "start": start, "end": end, "label": span.label}
        for span in item.spans
        for start, end in span.pieces
    ]
    relations = [{"head": one.head, "tail": one.tail, "label": one.label} for one in item.relations]
    return {**item.extra, "id": item.id, "text": item.text, "lang": item.lang, "spans": spans, "relations": relations}


def from_row(row: Mapping[str, Any]) -> Labelled:
    """The item of a row of the `labelled` table. Entries with one `span_id` are the pieces of one span; they must share a label."""
    pieces: dict[str, list[Piece]] = {}
    labels: dict[str, str] = {}
    for entry in row["spans"] or ():
        name = entry["span_id"]
        if labels.setdefault(name, entry["label"]) != entry["label"]:
            raise SourceError(f"id {row['id']!r}: span {name!r} has the labels {labels[name]!r} and {entry['label']!r}")
        pieces.setdefault(name, []).append((entry["start"], entry["end"]))
    known = {"id", "text", "lang", "spans", "relations"}
    return Labelled(
        row["id"],
        row["text"],
        row["lang"],
        tuple(Span(name, labels[name], tuple(sorted(places))) for name, places in pieces.items()),
        tuple(Relation(one["head"], one["tail"], one["label"]) for one in row["relations"] or ()),
        {name: value for name, value in row.items() if name not in known},
    )


def trimmed(text: str, piece: Piece, cut: str = "") -> Piece | None:
    """The piece without white space and characters of `cut` at its ends; None if nothing is left.

    >>> trimmed("the (big) one", (4, 10), "()")
    (5, 8)
    """
    start, end = piece
    while start < end and (text[start].isspace() or text[start] in cut):
        start += 1
    while start < end and (text[end - 1].isspace() or text[end - 1] in cut):
        end -= 1
    return (start, end) if start < end else None


def merged(pieces: Iterable[Piece], gap: int = 0) -> tuple[Piece, ...]:
    """Pieces in order, those that overlap or lie at most `gap` apart joined.

    >>> merged([(8, 10), (0, 3), (3, 5)])
    ((0, 5), (8, 10))
    """
    found: list[Piece] = []
    for start, end in sorted(pieces):
        if found and start <= found[-1][1] + gap:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return tuple(found)


def outermost_first(spans: Sequence[Span]) -> list[Span]:
    """Spans in reading order, of those that begin together the longer first: the order in which tags open."""
    return sorted(spans, key=lambda span: (span.start, -span.end, span.span_id))
