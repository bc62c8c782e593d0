"""`uner:` and `xsid:`: numbered tokens with tags under a `# text` line, as CoNLL-U has it.

Formats: Universal NER (Mayhew et al. 2024; `# sent_id`, `# text`, token, tag, two columns about the annotation) and xSID (van der Goot
et al. 2021; `# id`, `# text-en`, `# text`, `# intent`, `# slots`, token, intent, slot tag). The tags are the labels; xSID's `# slots` line of
the English files says other things than its tags and is kept, not read.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from dsbuild.builders.labelled.formats import UNKNOWN_LANG, Sound, cannot_show, layout_of, numbered_lines, write_parts
from dsbuild.builders.labelled.tagged_tokens import (
    BAD_TAGS,
    CUT_TOKENS,
    TaggedFile,
    labelled_tokens,
    tags_of,
    tokens_of_text,
)
from dsbuild.errors import SourceError
from dsbuild.spans import Labelled, Piece
from dsbuild.tokens import joined, located

_TEXT, _SLOTS = "text", "slots"


@dataclass(frozen=True, slots=True)
class Entry:
    """A sentence as it stands in the file: its comment lines, its token rows, and the line of the first row."""

    comments: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    line: int

    def said(self) -> dict[str, str]:
        """What the comments say, by key."""
        return dict(_key_value(line) for line in self.comments)


@dataclass
class Numbered(TaggedFile):
    """Common part of the two. text: `comment` has the text of `# text`; `tokens` makes one of the tokens where the two differ.

    bad_tags, cut_tokens: see `TaggedFile`; the tags are IOB2.
    """

    text: str = "comment"

    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "text": ("comment", "tokens"),
        "bad_tags": BAD_TAGS,
        "cut_tokens": CUT_TOKENS,
    }
    # 0-based column of the tag, how many columns there are, and what comments give ids.
    TAG: ClassVar[int]
    WIDTH: ClassVar[int]
    ID: ClassVar[str]

    def read(self) -> Iterator[Labelled]:
        """See `LabelledSource`."""
        self._mended = 0
        for entry, item, places in self._items():
            own = [row[self.TAG] for row in entry.rows]
            ranges = self.ranges(own, "iob2", f"{self.path}:{entry.line}")
            extra: dict[str, Any] = {
                **item.extra,
                "comments": list(entry.comments),
                "layout": {"kind": self.kind, **self.layout(entry)},
            }
            yield labelled_tokens(item.id, item.text, item.lang, places, ranges, extra)

    def targets(self) -> Iterator[Labelled]:
        """See `LabelledSource`: comments, and of each line the token."""
        for entry, item, _ in self._items():
            yield Labelled(
                item.id, item.text, item.lang, (), (), {**item.extra, "tokens": [row[1] for row in entry.rows]}
            )

    def _items(self) -> Iterator[tuple[Entry, Labelled, list[Piece]]]:
        sound = Sound(self.path)
        numbered: bool | None = None
        for number, entry in enumerate(entries(self.path, self.WIDTH)):
            said = entry.said()
            name = said.get(self.ID)
            if numbered is not None and numbered != (name is None):
                raise SourceError(
                    f"{self.path}:{entry.line}: some sentences have a line # {self.ID} and some have none; give all one, or none"
                )
            numbered = name is None
            text, places = self._located(entry, said)
            extra: dict[str, Any] = {**({"numbered": True} if numbered else {}), **self.facts(said)}
            yield (
                entry,
                sound(Labelled(name or str(number), text, self.lang or UNKNOWN_LANG, (), (), extra), entry.line),
                places,
            )
        if numbered is None:
            raise SourceError(f"{self.path}: no sentence in it; wanted are numbered tokens under # {_TEXT} = lines")

    def _located(self, entry: Entry, said: Mapping[str, str]) -> tuple[str, list[Piece]]:
        tokens = [row[1] for row in entry.rows]
        if self.text == "tokens":
            return joined(tokens)
        if _TEXT not in said:
            raise SourceError(
                f"{self.path}:{entry.line}: no line # {_TEXT} = before the sentence; say text=tokens to make texts of the tokens"
            )
        text = said[_TEXT]
        try:
            return text, located(text, tokens)
        except SourceError as error:
            same = "".join("".join(tokens).split()) != "".join(text.split()) and _nfc(tokens) == _nfc([text])
            why = "; they are the same after NFC: one of the two was normalised" if same else ""
            raise SourceError(
                f"{self.path}:{entry.line}: {error}{why}; mend the line, or say text=tokens to make texts of the tokens"
            ) from None

    def facts(self, said: Mapping[str, str]) -> dict[str, Any]:
        """What the comments say of a text that holds for its translation too."""
        return {}

    def layout(self, entry: Entry) -> dict[str, Any]:
        """The columns that hold for this text only."""
        return {}

    def comments(self, item: Labelled) -> list[str]:
        """The comment lines to be written for a text that did not come from such a file."""
        return [f"# {self.ID} = {item.id}", f"# {_TEXT} = {item.text}"]

    def row(self, number: int, token: str, tag: str, item: Labelled) -> Sequence[str]:
        """The columns of the token at a place (0-based)."""
        raise NotImplementedError

    def write(self, items: Iterable[Labelled], path: Path) -> int:
        """See `LabelledSource`. Comments stay as they came; the text's own line says the text."""
        return write_parts(path, ("".join(f"{line}\n" for line in self._lines(item)) + "\n" for item in items))

    def _lines(self, item: Labelled) -> Iterator[str]:
        if "\n" in item.text:
            raise cannot_show(self.kind, item, "the text has a line break")
        try:
            tokens, places = tokens_of_text(item)
            tags = tags_of(item, places, "iob2", self.cut_tokens)
        except SourceError as error:
            raise cannot_show(self.kind, item, str(error)) from None
        if bad := next((one for one in tokens if "\t" in one), None):
            raise cannot_show(self.kind, item, f"the token {bad[:40]!r} has a tab")
        for line in item.extra.get("comments") or self.comments(item):
            key, value = _key_value(line)
            if key == _TEXT and value != item.text:
                yield f"# {_TEXT} = {item.text}"
            elif key != _SLOTS or layout_of(item, self.kind):
                yield line
        for number, (token, tag) in enumerate(zip(tokens, tags, strict=True)):
            yield "\t".join(self.row(number, token, tag, item))


@dataclass
class Uner(Numbered):
    """Universal NER: named entities on Universal Dependencies sentences."""

    kind: ClassVar[str] = "uner"
    TAG: ClassVar[int] = 2
    WIDTH: ClassVar[int] = 5
    ID: ClassVar[str] = "sent_id"

    def layout(self, entry: Entry) -> dict[str, Any]:
        """See `Numbered`: who annotated a token."""
        return {"columns": [list(row[3:]) for row in entry.rows]}

    def row(self, number: int, token: str, tag: str, item: Labelled) -> Sequence[str]:
        """See `Numbered`."""
        columns = layout_of(item, self.kind).get("columns")
        return [str(number + 1), token, tag, *(columns[number] if columns else ("-", "-"))]


@dataclass
class Xsid(Numbered):
    """xSID: slots of an utterance, and its intent in `extra["intent"]`."""

    kind: ClassVar[str] = "xsid"
    TAG: ClassVar[int] = 3
    WIDTH: ClassVar[int] = 4
    ID: ClassVar[str] = "id"

    def facts(self, said: Mapping[str, str]) -> dict[str, Any]:
        """See `Numbered`: the intent, and the English that the utterance translates."""
        return {name.replace("-", "_"): said[name] for name in ("intent", "text-en") if name in said}

    def layout(self, entry: Entry) -> dict[str, Any]:
        """See `Numbered`: the intent column, where it is not the intent on every line."""
        column = [row[2] for row in entry.rows]
        return {} if set(column) == {entry.said().get("intent")} else {"columns": column}

    def comments(self, item: Labelled) -> list[str]:
        """See `Numbered`."""
        intent = item.extra.get("intent")
        return [*super().comments(item), *([f"# intent = {intent}"] if intent else [])]

    def row(self, number: int, token: str, tag: str, item: Labelled) -> Sequence[str]:
        """See `Numbered`."""
        columns = layout_of(item, self.kind).get("columns")
        return [str(number + 1), token, columns[number] if columns else str(item.extra.get("intent", "_")), tag]


def tell_form(path: Path) -> type[Numbered] | None:
    """Which of the two a file is, by its first sentence; None where it is neither."""
    comments: list[str] = []
    for _, line in numbered_lines(path):
        if line.startswith("# "):
            comments.append(line)
        elif line.strip():
            said = dict(_key_value(one) for one in comments)
            row = line.split("\t")
            if _TEXT not in said or row[0] != "1":
                return None
            return {Uner.WIDTH: Uner, Xsid.WIDTH: Xsid}.get(len(row))
    return None


def entries(path: Path, width: int) -> Iterator[Entry]:
    """The sentences of a file; `SourceError` for a row that has other columns or is out of number."""
    comments: list[str] = []
    rows: list[tuple[str, ...]] = []
    begun = 0
    for number, line in _closed(numbered_lines(path)):
        if not line.strip():
            if rows:
                yield Entry(tuple(comments), tuple(rows), begun)
                comments, rows = [], []
            continue
        if line.startswith("#") and not rows:
            comments.append(line)
            continue
        row = tuple(line.split("\t"))
        if len(row) != width:
            raise SourceError(
                f"{path}:{number}: {len(row)} columns where {width} are wanted, separated by tabs; mend the line"
            )
        if row[0] != str(len(rows) + 1):
            raise SourceError(
                f"{path}:{number}: the token's number is {row[0][:20]!r} where {len(rows) + 1} comes next; number tokens from 1, without ranges"
            )
        begun = begun if rows else number
        rows.append(row)


def _closed(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    yield from lines
    yield 0, ""


def _key_value(line: str) -> tuple[str, str]:
    # `# slots: ...` has a colon where the other lines have an equals sign.
    body = line.removeprefix("#").lstrip()
    if body.startswith(f"{_SLOTS}:"):
        return _SLOTS, body.removeprefix(f"{_SLOTS}:").strip()
    key, _, value = body.partition("=")
    return key.strip(), value.removeprefix(" ")


def _nfc(parts: Sequence[str]) -> str:
    return unicodedata.normalize("NFC", "".join("".join(parts).split()))
