"""Marks that carry spans through a translation: how they look, and how they are put into a text.

Every mark has an identity, so that what comes back needs no guess of which span it is. Sources: LabelPigeon (letters), MultiTACRED and
EasyProject (XML, brackets), the bracket pairs of CODEC.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, pairwise

import regex

from dsbuild.errors import UnknownName
from dsbuild.spans import Piece, Span

# Bracket kinds as engines write them: ASCII, full-width, CJK quotes, escaped.
ANGLES = ("<|＜|〈|《|‹|&lt;", ">|＞|〉|》|›|&gt;")
SQUARES = (r"\[|［|【|〔", r"\]|］|】|〕")
BRACES = (r"\{|｛", r"\}|｝")
ROUNDS = (r"\(|（", r"\)|）")
WHITES = ("⟦|〚", "⟧|〛")
_ENTITY = regex.compile(r"& ?(?:lt|gt|amp|#\d+) ?;", regex.I)
_LABEL = regex.compile(r"[^A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Scheme:
    """How marks look.

    left, right: the brackets of a named tag; family: what engines make of these; no left: each mark is a bracket kind of its own,
    or, with a template, a placeholder of the engine: an odd number opens, the next one closes. roles: names by the spans' ids; other
    spans have letters.
    """

    name: str
    left: str = ""
    right: str = ""
    family: tuple[str, str] = ANGLES
    by_label: bool = False
    template: str = ""
    roles: tuple[tuple[str, str], ...] = ()

    @property
    def upper(self) -> bool:
        """Whether its names are written in capitals."""
        return self.by_label or bool(self.roles)

    @property
    def spaced(self) -> bool:
        """Whether a space stands between a mark and what it marks."""
        return not self.left

    @property
    def n_marks(self) -> float:
        """How many spans of one text it has marks for."""
        return math.inf if self.left or self.template else len(_PLAIN)

    def brackets(self) -> str:
        """A pattern of every character that could be one of its marks."""
        if self.template:
            return self.numbered()
        if not self.left:
            return "|".join(side for pair in KINDS for side in pair)
        return "|".join(self.family)

    def numbered(self) -> str:
        """A pattern of its placeholders, as engines write them: spaces may have come in."""
        before, _, after = self.template.partition("{n}")
        return rf"{_loose(before)}\s?(?P<number>\d+)" + (rf"\s?{_loose(after)}" if after else "")


def _loose(text: str) -> str:
    return r"\s?".join(regex.escape(char) for char in text)


KINDS = (SQUARES, BRACES, ROUNDS, WHITES)
_PLAIN = ("[]", "{}", "()", "⟦⟧")
SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme("letters", "<", ">"),
        Scheme("xml", "<", ">", by_label=True),
        Scheme("square", "[", "]", SQUARES),
        Scheme("braces", "{", "}", BRACES),
        Scheme("fullwidth", "＜", "＞"),
        Scheme("brackets"),
        Scheme("multitacred", "<", ">", roles=(("SUBJ", "h"), ("OBJ", "t"))),
    )
}
PLACEHOLDER = "placeholder"
_OTHERS = ("letters", "square", "braces")


@dataclass(frozen=True, slots=True)
class Tag:
    """A mark: its name, the span and the piece of it that it stands around, and where that is in the source."""

    name: str
    span: int
    piece: int
    place: Piece


@dataclass(frozen=True, slots=True)
class Marked:
    """A text with marks. escaped: how many of its characters were written as entities because they look like marks."""

    source: str
    text: str
    scheme: Scheme
    tags: tuple[Tag, ...]
    spans: tuple[Span, ...]
    escaped: int = 0


def scheme_named(name: str, template: str = "") -> Scheme:
    """A scheme by name; `UnknownName` where there is none. template: how the engine writes a placeholder, for the scheme `placeholder`."""
    if name == PLACEHOLDER and template:
        return Scheme(name, template=template)
    if name not in SCHEMES:
        raise UnknownName("marker scheme", name, [*SCHEMES, *([PLACEHOLDER] if template else [])])
    return SCHEMES[name]


def encode(text: str, spans: Sequence[Span], scheme: Scheme) -> Marked:
    """The text with a mark around each piece of each span; spans must be sound (`spans.problems`).

    Of crossing spans the later is marked in parts. A text that holds characters of the scheme, has more spans than it has marks for, or
    would run into its numbers, takes another scheme; where every scheme is taken, the text's own characters are escaped.

    >>> encode("Ada met Bo", [Span("1", "PER", ((0, 3),)), Span("2", "PER", ((8, 10),))], SCHEMES["letters"]).text
    '<a>Ada</a> met <b>Bo</b>'
    """
    parts = _parts(spans)
    for one in (scheme, *(SCHEMES[name] for name in _OTHERS)):
        if regex.search(one.brackets(), text, regex.I) or len(parts) > one.n_marks or _glued(text, parts, one):
            continue
        return _written(text, spans, one, parts, escape=False)
    return _written(text, spans, scheme if scheme.left else SCHEMES["letters"], parts, escape=True)


def _glued(text: str, parts: Sequence[tuple[int, int, Piece]], scheme: Scheme) -> bool:
    """Whether the number of a placeholder would run into a digit of the text: `zqx2` before `000`."""
    return scheme.template.endswith("{n}") and any(text[end : end + 1].isdigit() for _, _, (_, end) in parts)


def entities(text: str) -> int:
    """How many escaped characters a text holds, also those that an engine took apart a little (`& lt ;`)."""
    return len(_ENTITY.findall(text))


def unescaped(text: str) -> str:
    """The text with the characters that `encode` escaped."""

    def character(found: regex.Match[str]) -> str:
        name = found[0].lower().strip("&; ")
        named = {"lt": "<", "gt": ">", "amp": "&"}
        return named[name] if name in named else chr(int(name[1:]))

    return str(_ENTITY.sub(character, text))


def _escaped(text: str, scheme: Scheme) -> tuple[str, int]:
    """The text with `&` and every character of the scheme as entities, and how many."""
    single = regex.compile("|".join(["&", *(one for one in scheme.brackets().split("|") if not one.startswith("&"))]))
    named = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
    made: tuple[str, int] = single.subn(lambda found: named.get(found[0], f"&#{ord(found[0])};"), text)
    return made


def _parts(spans: Sequence[Span]) -> list[tuple[int, int, Piece]]:
    """(span, piece, place) of what is marked, outermost first: pieces, those that cross an earlier one cut at its border."""
    pieces = [(number, which, place) for number, span in enumerate(spans) for which, place in enumerate(span.pieces)]
    placed: list[tuple[int, int, Piece]] = []
    for number, which, (start, end) in sorted(pieces, key=lambda one: (one[2][0], -one[2][1], one[0])):
        cuts = {start, end}
        for _, _, (low, high) in placed:
            if low < start < high < end:
                cuts.add(high)
            elif start < low < end < high:
                cuts.add(low)
        borders = sorted(cuts)
        placed += [(number, which, place) for place in pairwise(borders)]
    return sorted(placed, key=lambda one: (one[2][0], -one[2][1], one[0]))


def _names(spans: Sequence[Span], scheme: Scheme, parts: Sequence[tuple[int, int, Piece]]) -> list[str]:
    if scheme.template:
        return [str(number) for number in range(len(parts))]
    if not scheme.left:
        return list(_PLAIN[: len(parts)])
    if not scheme.upper:
        return [_letters(number) for number in range(len(parts))]
    taken: set[str] = set()
    names = []
    roles = dict(scheme.roles)
    for place, (number, _, _) in enumerate(parts):
        by_label = _LABEL.sub("", spans[number].label).lower() or "x"
        label = roles.get(spans[number].span_id, _letters(place)) if roles else by_label
        name = next(one for n in count(1) if (one := label if n == 1 else f"{label}{n}") not in taken)
        taken.add(name)
        names.append(name)
    return names


def _letters(number: int) -> str:
    """a to z, then aa, ab, ...

    >>> _letters(0), _letters(26)
    ('a', 'aa')
    """
    name = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        name = chr(97 + digit) + name
    return name


def _pair(scheme: Scheme, name: str) -> tuple[str, str]:
    """What opens and what closes a mark."""
    if scheme.template:
        return scheme.template.format(n=2 * int(name) + 1) + " ", " " + scheme.template.format(n=2 * int(name) + 2)
    if not scheme.left:
        return f"{name[0]} ", f" {name[1]}"
    written = name.upper() if scheme.upper else name
    return f"{scheme.left}{written}{scheme.right}", f"{scheme.left}/{written}{scheme.right}"


def _written(
    text: str, spans: Sequence[Span], scheme: Scheme, parts: Sequence[tuple[int, int, Piece]], *, escape: bool
) -> Marked:
    tags = [
        Tag(name, number, which, place)
        for name, (number, which, place) in zip(_names(spans, scheme, parts), parts, strict=True)
    ]
    opening: dict[int, list[str]] = {}
    closing: dict[int, list[str]] = {}
    for tag in tags:
        first, last = _pair(scheme, tag.name)
        opening.setdefault(tag.place[0], []).append(first)
        closing.setdefault(tag.place[1], []).insert(0, last)
    borders = sorted({0, len(text), *opening, *closing})
    made, escaped = [], 0
    for place, following in zip(borders, [*borders[1:], len(text)], strict=True):
        made += [*closing.get(place, ()), *opening.get(place, ())]
        plain = text[place:following]
        if escape:
            plain, n = _escaped(plain, scheme)
            escaped += n
        made.append(plain)
    return Marked(text, "".join(made), scheme, tuple(tags), tuple(spans), escaped)
