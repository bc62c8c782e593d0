"""`massive:` utterances with slots in the text: `wake me at [time : nine am]`.

Format: MASSIVE (FitzGerald et al. 2023), JSON lines with `id`, `locale`, `intent`, `utt`, `annot_utt` and `slot_method` (how a slot's value came into
the language: translation, localization, unchanged).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from dsbuild.builders.labelled.formats import (
    UNKNOWN_LANG,
    LabelledFile,
    Sound,
    as_json,
    cannot_show,
    json_rows,
    write_parts,
)
from dsbuild.errors import SourceError
from dsbuild.spans import Labelled, Span

_SLOT = re.compile(r"\[([^\[\]:]*?) : ([^\[\]]*)\]")
_SHOWN = 60


@dataclass
class Massive(LabelledFile):
    """Utterances with slots; every other field of a row is in `extra` under its own name."""

    kind: ClassVar[str] = "massive"

    def read(self) -> Iterator[Labelled]:
        """See `LabelledSource`."""
        sound = Sound(self.path)
        for line, row, item in self._items():
            annotated = row.get("annot_utt")
            where = f"{self.path}:{line}"
            if not isinstance(annotated, str):
                raise SourceError(f"{where}: no annot_utt")
            text, spans = parse(annotated, where)
            if text != item.text:
                raise SourceError(
                    f"{where}: annot_utt without its slots is {text[:_SHOWN]!r} and utt is {item.text[:_SHOWN]!r}; they must be the same text"
                )
            extra = {key: value for key, value in row.items() if key not in ("id", "utt", "annot_utt")}
            if isinstance(row["id"], int):
                extra["id_is_number"] = True
            yield sound(replace(item, spans=spans, extra=extra), line)

    def targets(self) -> Iterator[Labelled]:
        """See `LabelledSource`: id, locale and utt, and what is no label."""
        kept = ("locale", "partition", "scenario", "intent", "worker_id")
        sound = Sound(self.path, empty=True)
        for line, row, item in self._items():
            yield sound(replace(item, extra={key: row[key] for key in kept if key in row}), line)

    def _items(self) -> Iterator[tuple[int, dict[str, Any], Labelled]]:
        for line, row in json_rows(self.path):
            where = f"{self.path}:{line}"
            if not isinstance(row.get("utt"), str):
                raise SourceError(f"{where}: no utt; is it a file of another kind?")
            lang = self.said_lang(row.get("locale"), where)
            yield line, row, Labelled(str(row.get("id", "")), row["utt"], lang)

    def carried(self, source: Labelled, target: Labelled, spans: Sequence[Span]) -> Labelled:
        """See `LabelledSource`: the locale is the target's, and nothing is known of how its slots came about."""
        item = super().carried(source, target, spans)
        extra = {key: value for key, value in item.extra.items() if key not in ("slot_method", "judgments")}
        return replace(item, extra={**extra, "locale": target.extra.get("locale", target.lang)})

    def write(self, items: Iterable[Labelled], path: Path) -> int:
        """See `LabelledSource`. What reads back as another text or as other slots is refused: the format has no way to escape brackets."""
        return write_parts(path, (as_json(self._row(item)) + "\n" for item in items))

    def _row(self, item: Labelled) -> dict[str, Any]:
        annotated = annotate(item)
        text, spans = parse(annotated, "")
        shown = [(span.label, span.pieces) for span in sorted(item.spans, key=lambda span: span.start)]
        if text != item.text or [(span.label, span.pieces) for span in spans] != shown:
            raise cannot_show(self.kind, item, "its spans overlap or are discontinuous, or it has square brackets")
        rest = {
            key: value
            for key, value in item.extra.items()
            if key not in ("tokens", "layout", "numbered", "id_is_number")
        }
        name: Any = int(item.id) if item.extra.get("id_is_number") else item.id
        locale = {} if "locale" in rest or item.lang == UNKNOWN_LANG else {"locale": item.lang}
        return {"id": name, **locale, **rest, "utt": item.text, "annot_utt": annotated}


def parse(annotated: str, where: str) -> tuple[str, tuple[Span, ...]]:
    """The text without its slots, and the slots.

    >>> parse("wake me at [time : nine am]", "here")
    ('wake me at nine am', (Span(span_id='0', label='time', pieces=((11, 18),)),))
    """
    parts: list[str] = []
    spans: list[Span] = []
    at = length = 0
    for found in _SLOT.finditer(annotated):
        parts += [annotated[at : found.start()], found[2]]
        length += found.start() - at
        if not found[2].strip() or not found[1].strip():
            raise SourceError(
                f"{where}: the slot {found[0][:_SHOWN]!r} has no {'text' if found[1].strip() else 'label'}"
            )
        spans.append(Span(str(len(spans)), found[1], ((length, length + len(found[2])),)))
        length += len(found[2])
        at = found.end()
    return "".join([*parts, annotated[at:]]), tuple(spans)


def annotate(item: Labelled) -> str:
    """The text with its spans as slots, for spans that lie apart."""
    parts = []
    at = 0
    for span in sorted(item.spans, key=lambda one: one.start):
        parts += [item.text[at : span.start], f"[{span.label} : {item.text[span.start : span.end]}]"]
        at = span.end
    return "".join([*parts, item.text[at:]])
