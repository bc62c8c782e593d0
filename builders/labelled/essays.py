r"""`essays:` argument components over paragraphs: a token and its tag a line, a blank line between paragraphs, two between essays.

Format: the persuasive essays (Stab and Gurevych 2017) as Eger et al. 2018 ship them (UKPLab/coling2018-xling_argument_mining), where every token may
end with `_en`, its language. A text's id is `ESSAY.PARAGRAPH`, or `ESSAY`, both counted from 0; paragraphs of an essay's text are
separated by `\n`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

from dsbuild.builders.labelled.conll import SPACES, text_of
from dsbuild.builders.labelled.formats import Sound, cannot_show, numbered_lines, write_parts
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
from dsbuild.tokens import SCHEMES, Scheme

_SUFFIX = re.compile(r".+(_[a-z]{2,3})")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Tokens with their tags; essay and place count from 0; line: of the first token."""

    essay: int
    place: int
    line: int
    tokens: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass
class Essays(TaggedFile):
    """Argument components (claims, premises) of essays.

    unit: whether a text is a `paragraph` or an `essay`; a component that goes on over the end of a paragraph needs `essay`. scheme: of the
    tags; bad_tags, cut_tokens, spaces: as for `conll:`.
    """

    unit: str = "paragraph"
    scheme: str = "iob2"
    spaces: str = "script"

    kind: ClassVar[str] = "essays"
    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "unit": ("paragraph", "essay"), "scheme": SCHEMES, "bad_tags": BAD_TAGS, "cut_tokens": CUT_TOKENS, "spaces": SPACES,
    }  # fmt: skip

    def read(self) -> Iterator[Labelled]:
        """See `LabelledSource`."""
        self._mended = 0
        for group, item, places in self._texts(tags=True):
            where = f"{self.path}:{group[0].line}"
            try:
                own = [tag for one in group for tag in one.tags]
                ranges = self.ranges(own, cast(Scheme, self.scheme), where)
            except SourceError as error:
                raise SourceError(f"{error}; if a component goes on from the paragraph before it: unit=essay") from None
            yield labelled_tokens(item.id, item.text, item.lang, places, ranges, dict(item.extra))

    def targets(self) -> Iterator[Labelled]:
        """See `LabelledSource`: of each line the token."""
        for _, item, places in self._texts(tags=False):
            tokens = [item.text[start:end] for start, end in places]
            yield Labelled(item.id, item.text, item.lang, (), (), {**item.extra, "tokens": tokens})

    def _texts(self, *, tags: bool) -> Iterator[tuple[list[Paragraph], Labelled, list[Piece]]]:
        sound = Sound(self.path)
        suffix = self._suffix()
        group: list[Paragraph] = []
        for one in paragraphs(self.path, suffix, tags=tags):
            if group and (self.unit == "paragraph" or group[0].essay != one.essay):
                yield self._text(group, suffix, sound)
                group = []
            group.append(one)
        if not group:
            raise SourceError(f"{self.path}: no paragraph in it; wanted is a token, a tab and its tag a line")
        yield self._text(group, suffix, sound)

    def _text(self, group: list[Paragraph], suffix: str, sound: Sound) -> tuple[list[Paragraph], Labelled, list[Piece]]:
        parts: list[str] = []
        places: list[Piece] = []
        at = 0
        for one in group:
            text, own = text_of(one.tokens, self.spaces, self.path, one.line)
            places += [(at + start, at + end) for start, end in own]
            parts.append(text)
            at += len(text) + 1
        first = group[0]
        name = f"{first.essay}.{first.place}" if self.unit == "paragraph" else str(first.essay)
        # Not marked as mere numbers: a translation has the same ids only if it has the same parts, and only then do they belong together.
        extra: dict[str, Any] = {"essay": first.essay}
        lang = self.said_lang(suffix.removeprefix("_") or None, f"{self.path}:{first.line}")
        item = Labelled(name, "\n".join(parts), lang, (), (), {**extra, **({"suffix": True} if suffix else {})})
        return group, sound(item, first.line), places

    def _suffix(self) -> str:
        """What every token ends with: `_en`, or nothing."""
        common: str | None = None
        for _, line in numbered_lines(self.path):
            if not line.strip():
                continue
            found = _SUFFIX.fullmatch(line.split("\t")[0])
            own = found[1] if found else ""
            if common is None:
                common = own
            if own != common or not own:
                return ""
        return common or ""

    def write(self, items: Iterable[Labelled], path: Path) -> int:
        """See `LabelledSource`: paragraphs of one essay after one another; every token with its language where the source had that."""
        count = 0

        def parts() -> Iterator[str]:
            nonlocal count
            essay: Any = None
            for item in items:
                own = item.extra.get("essay", item.id)
                if count:
                    yield "\n" if own == essay else "\n\n"
                essay = own
                yield self._block(item)
                count += 1
            yield "\n"

        write_parts(path, parts())
        return count

    def _block(self, item: Labelled) -> str:
        try:
            tokens, places = tokens_of_text(item)
            tags = tags_of(item, places, cast(Scheme, self.scheme), self.cut_tokens)
        except SourceError as error:
            raise cannot_show(self.kind, item, str(error)) from None
        suffix = f"_{item.lang}" if item.extra.get("suffix") else ""
        lines = []
        before = 0
        for token, tag, (start, end) in zip(tokens, tags, places, strict=True):
            if any(char in token for char in "\t\n"):
                raise cannot_show(self.kind, item, f"the token {token[:40]!r} has a tab or a line break")
            breaks = "\n" if before and "\n" in item.text[before:start] else ""
            lines.append(f"{breaks}{token}{suffix}\t{tag}\n")
            before = end
        return "".join(lines)


def paragraphs(path: Path, suffix: str, *, tags: bool) -> Iterator[Paragraph]:
    """The paragraphs of a file. tags: whether the second column is read."""
    essay = place = blank = begun = 0
    tokens: list[str] = []
    own: list[str] = []

    def closed() -> Paragraph:
        return Paragraph(essay, place, begun, tuple(tokens), tuple(own))

    for number, line in numbered_lines(path):
        if not line.strip(" \t\r") and not line.startswith("\t"):
            if tokens:
                yield closed()
                tokens, own, place, blank = [], [], place + 1, 0
            blank += 1
            continue
        if not tokens:
            if blank > 1 and place:
                essay, place = essay + 1, 0
            begun = number
        row: Sequence[str] = line.split("\t")
        token = row[0].removesuffix(suffix) if suffix else row[0]
        if not token.strip() or (tags and len(row) != 2):
            raise SourceError(
                f"{path}:{number}: {line[:40]!r}: wanted is a token, a tab and its tag; mend or remove the line"
            )
        tokens.append(token)
        if tags:
            own.append(row[1])
    if tokens:
        yield closed()
