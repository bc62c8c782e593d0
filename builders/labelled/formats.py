"""Labelled sets: what a reader and writer of one format is, and how `--src KIND:FILE` opens one.

A reader gives `Labelled` texts one at a time, whatever the size of the file. What a format says besides text, spans and relations is in
`extra`, as values that JSON can hold, so that the same format can be written again. Three of its keys mean the same everywhere:
`tokens`, the file's own tokens of the text (`dsbuild.tokens.located` says where they stand); `layout`, what holds for this text and its
tokens only; `numbered`, set where the file has no ids and the id is the number of the row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pyarrow as pa

from dsbuild import languages
from dsbuild.builders import LABELLED
from dsbuild.builders.sources.lines import blocks, suffixes
from dsbuild.errors import SourceError, UnknownName
from dsbuild.files import write_atomically
from dsbuild.spans import Labelled, Span, check

UNKNOWN_LANG = "und"
NUMBERED = "numbered"
# What is true of one text only, and goes when the labels move to another.
BOUND = ("tokens", "layout")
_SHOWN = 60


class LabelledSource(Protocol):
    """A labelled set in one format. Nothing is read before `read` or `targets` is iterated; each call reads anew."""

    @property
    def kind(self) -> str:
        """What opens it: the KIND of KIND:FILE."""

    @property
    def path(self) -> Path:
        """The file; of several the first, or their folder."""

    @property
    def lang(self) -> str | None:
        """BCP-47 of its texts, None where the file says it."""

    @property
    def relational(self) -> bool:
        """Whether a row is a relation between two spans, and nothing without one of them."""

    def read(self) -> Iterator[Labelled]:
        """Every text with its labels, in the order of the file; `SourceError` names file, line and what to do."""

    def targets(self) -> Iterator[Labelled]:
        """Every text without its labels, which are not looked at: not even bad ones are noticed."""

    def carried(self, source: Labelled, target: Labelled, spans: Sequence[Span]) -> Labelled:
        """The target text with the labels of the source, to be written in the source's format."""

    def write(self, items: Iterable[Labelled], path: Path) -> int:
        """Write a file of this format, whole or not at all; says how many texts it holds. What the format cannot show is a `SourceError`."""

    def notes(self) -> list[str]:
        """What the reader did that the user should know; complete once the file was read."""


@dataclass
class LabelledFile:
    """The common part of all readers. lang: BCP-47, None where the file says it, and `und` where neither does.

    Further fields of a subclass are its options; OPTIONS has the values of those that are a choice.
    """

    path: Path
    lang: str | None = None

    kind: ClassVar[str] = ""
    relational: ClassVar[bool] = False
    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    @classmethod
    def opened(cls, path: Path, lang: str | None, options: Mapping[str, str]) -> LabelledSource:
        """The reader with the options that the user gave."""
        own = [one.name for one in fields(cls) if one.init][2:]
        for name, value in options.items():
            if name not in own:
                raise UnknownName(f"option of {cls.kind}:", name, own)
            if name in cls.OPTIONS and value not in cls.OPTIONS[name]:
                raise UnknownName(f"value of the option {name} of {cls.kind}:", value, cls.OPTIONS[name])
        made: Any = cls(path, lang, **options)
        return made  # type: ignore[no-any-return]

    def notes(self) -> list[str]:
        """See `LabelledSource`."""
        return []

    def carried(self, source: Labelled, target: Labelled, spans: Sequence[Span]) -> Labelled:
        """See `LabelledSource`: relations stay where both their spans do; what the target's file says goes before what the source's says."""
        kept = {span.span_id for span in spans}
        relations = tuple(one for one in source.relations if one.head in kept and one.tail in kept)
        extra = {name: value for name, value in source.extra.items() if name not in BOUND}
        return Labelled(
            source.id, target.text, target.lang, tuple(spans), relations, {**extra, **without_number(target.extra)}
        )

    def said_lang(self, stated: str | None, where: str) -> str:
        """The language of a text: what the user said, else what the file states; two that differ are a `SourceError`."""
        if stated and self.lang and not same_language(stated, self.lang):
            raise SourceError(
                f"{where}: is in {stated!r}, and you said {self.lang!r}; leave the language out, or say the file's"
            )
        return self.lang or stated or UNKNOWN_LANG


def open_labelled(spec: str, *, lang: str | None = None, options: Mapping[str, str] | None = None) -> LabelledSource:
    """Open KIND:FILE for reading or writing; rows are not read.

    lang: BCP-47 of its texts, None where the file says it. Raises `UnknownName` for a kind, an option or a language.
    """
    kind, colon, path = spec.partition(":")
    if not colon:
        raise SourceError(f"{spec}: which kind of file is it? Say KIND:{spec}, of {', '.join(LABELLED.names())}")
    target = LABELLED.get(kind)
    if not path:
        raise SourceError(f"{spec}: which file? Say {kind}:FILE")
    if lang is not None and lang != UNKNOWN_LANG:
        languages.get(lang)
    made: LabelledSource = target.opened(Path(path).expanduser(), lang, options or {})
    return made


def same_language(one: str, other: str) -> bool:
    """Whether two BCP-47 codes name one language, region and script apart.

    >>> same_language("hi-IN", "HI"), same_language("de", "en")
    (True, False)
    """
    return one.replace("_", "-").lower().split("-")[0] == other.replace("_", "-").lower().split("-")[0]


def layout_of(item: Labelled, kind: str) -> Mapping[str, Any]:
    """What a reader of this kind noted of how the text stood in its file; nothing for a text from elsewhere."""
    layout = item.extra.get("layout") or {}
    return layout if layout.get("kind") == kind else {}


def without_number(extra: Mapping[str, Any]) -> dict[str, Any]:
    """The extra of a row without the mark that its id is a number: the id of another row takes its place."""
    return {name: value for name, value in extra.items() if name != NUMBERED}


class Sound:
    """Checks the texts of one file as they are read: ids once, every code point can be stored, spans inside.

    empty: whether a text may be: a translation may, and then its row is not kept, where a source is a mistake.
    """

    def __init__(self, path: Path, *, empty: bool = False) -> None:
        self._path, self._empty = path, empty
        self._seen: set[str] = set()

    def __call__(self, item: Labelled, line: int = 0) -> Labelled:
        """The text as it came, or a `SourceError` that names file, line (0: unknown) and id."""
        where = f"{self._path}:{line}" if line else str(self._path)
        if not isinstance(item.id, str) or not item.id:
            raise SourceError(f"{where}: a row has no id; give every row one, as a text")
        if item.id in self._seen:
            raise SourceError(f"{where}: the id {item.id[:_SHOWN]!r} comes twice; ids must stand once")
        self._seen.add(item.id)
        try:
            item.text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise SourceError(
                f"{where}: id {item.id[:_SHOWN]!r}: half a surrogate pair at {error.start} of the text; mend or remove it"
            ) from None
        if not item.text.strip() and not self._empty:
            raise SourceError(f"{where}: id {item.id[:_SHOWN]!r}: the text is empty; remove the row")
        return check(item, where)


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file, compressed or not, with their numbers (1-based) and without line ends. Only a line feed ends a line."""
    for block in blocks(path):
        for offset, line in enumerate(block.data[:-1].decode("utf-8").split("\n")):
            yield block.first_line + offset, line


def json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines with their line numbers; blank lines are left out."""
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{path}:{number}: not JSON ({error}); each line must be one object") from None
        if not isinstance(row, dict):
            raise SourceError(f"{path}:{number}: not a JSON object; each line must be one object")
        yield number, row


def as_json(value: Any) -> str:
    """A value as one line of JSON, letters as they are; what JSON has no form for (a date) is its text."""
    return json.dumps(value, ensure_ascii=False, default=str)


def write_parts(path: Path, parts: Iterable[str]) -> int:
    """Write pieces of text as one UTF-8 file, compressed as its name says; whole or not at all, same bytes for the same text.

    Says how many pieces there were.
    """
    count = 0
    codec = pa.Codec.detect(path.name).name if suffixes(path)[1] else None

    def put(temporary: Path) -> None:
        nonlocal count
        with pa.output_stream(str(temporary), compression=codec) as stream:
            for part in parts:
                stream.write(part.encode("utf-8"))
                count += 1

    write_atomically(path, put)
    return count


def cannot_show(kind: str, item: Labelled, why: str) -> SourceError:
    """The error of a writer for a text that its format cannot hold."""
    return SourceError(f"id {item.id[:_SHOWN]!r}: {why}; a {kind}: file cannot show this, write spans: or parquet:")
