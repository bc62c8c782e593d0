"""Tokens of a text and where they stand in it: from tokens to code points and back, exactly, for scripts without spaces too.

A data set that gives tokens gives either a text beside them (`located` finds each token in it) or none (`joined` makes one and
says where each token stands).
Tag schemes: Ramshaw and Marcus 1995 (IOB), Tjong Kim Sang and Veenstra 1999 (IOB2), Ratinov and Roth 2009 (BILOU/BIOES).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Literal, get_args

from dsbuild.errors import SourceError, UnknownName
from dsbuild.spans import Piece, Span

Scheme = Literal["iob1", "iob2", "bioes"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
_SHOWN = 40


def located(text: str, tokens: Sequence[str]) -> list[Piece]:
    """Where each token stands in the text, in order.

    Between tokens only white space may stand. `SourceError` names the first token that differs from the text, for instance because
    one of them was normalised.

    >>> located("Ich mag's.", ["Ich", "mag", "'s", "."])
    [(0, 3), (4, 7), (7, 9), (9, 10)]
    """
    places: list[Piece] = []
    at = 0
    for number, token in enumerate(tokens):
        while at < len(text) and text[at].isspace() and not text.startswith(token, at):
            at += 1
        if not token or not text.startswith(token, at):
            raise SourceError(
                f"token {number} {token[:_SHOWN]!r} is not what stands at {at} of the text: {text[at : at + _SHOWN]!r}; "
                "tokens and text must have the same code points (were they normalised?)"
            )
        places.append((at, at + len(token)))
        at += len(token)
    if text[at:].strip():
        raise SourceError(f"the tokens end at {at} of the text, which goes on: {text[at : at + _SHOWN]!r}")
    return places


def joined(tokens: Sequence[str], space_after: Sequence[bool] | None = None) -> tuple[str, list[Piece]]:
    """A text made of tokens, and where each stands in it. space_after: whether a space follows each token (None: always).

    >>> joined(["你", "好", "!"], [False, False, False])
    ('你好!', [(0, 1), (1, 2), (2, 3)])
    """
    parts: list[str] = []
    places: list[Piece] = []
    at = 0
    for number, token in enumerate(tokens):
        parts.append(token)
        places.append((at, at + len(token)))
        at += len(token)
        if number + 1 < len(tokens) and (space_after is None or space_after[number]):
            parts.append(" ")
            at += 1
    return "".join(parts), places


def tokens_of(piece: Piece, places: Sequence[Piece]) -> tuple[int, int]:
    """The half-open range of tokens that a piece of the text touches; an empty range where it touches none.

    >>> tokens_of((4, 9), [(0, 3), (4, 7), (7, 9), (9, 10)])
    (1, 3)
    """
    first = bisect_right(places, piece[0], key=lambda place: place[1])
    last = bisect_left(places, piece[1], key=lambda place: place[0])
    return (first, last) if first < last else (0, 0)


def decode_tags(tags: Sequence[str], scheme: Scheme = "iob2") -> list[tuple[int, int, str]]:
    """The labelled token ranges (start, end, label) that tags say.

    `iob1`: B- only between neighbours of one label. `iob2`: every range begins with B-. `bioes`: single tokens are S-, last ones E-.
    `SourceError` names the first tag that the scheme does not allow at its place.

    >>> decode_tags(["B-PER", "I-PER", "O", "B-LOC"])
    [(0, 2, 'PER'), (3, 4, 'LOC')]
    """
    if scheme not in SCHEMES:
        raise UnknownName("tag scheme", scheme, SCHEMES)
    found: list[tuple[int, int, str]] = []
    begun: tuple[int, str] | None = None

    def close(end: int) -> None:
        nonlocal begun
        if begun is not None:
            if scheme == "bioes":
                raise SourceError(
                    f"tag {end} {tags[end] if end < len(tags) else 'end'!r}: the span of {begun[1]!r} begun at {begun[0]} has no E- tag"
                )
            found.append((begun[0], end, begun[1]))
            begun = None

    for number, tag in enumerate(tags):
        kind, _, label = tag.partition("-")
        if tag == "O":
            close(number)
        elif kind not in ("B", "I", "E", "S") or not label or (kind in "ES" and scheme != "bioes"):
            raise SourceError(f"tag {number} {tag[:_SHOWN]!r}: not a tag of the scheme {scheme}")
        elif kind in "BS" or (kind == "I" and scheme == "iob1" and (begun is None or begun[1] != label)):
            close(number)
            begun = (number, label)
            if kind == "S":
                found.append((number, number + 1, label))
                begun = None
        elif begun is None or begun[1] != label:
            raise SourceError(f"tag {number} {tag[:_SHOWN]!r}: no span of {label!r} is open there (scheme {scheme})")
        elif kind == "E":
            found.append((begun[0], number + 1, label))
            begun = None
    close(len(tags))
    return found


def encode_tags(ranges: Sequence[tuple[int, int, str]], n_tokens: int, scheme: Scheme = "iob2") -> list[str]:
    """Tags of token ranges (start, end, label) that do not overlap; `SourceError` names two that do.

    >>> encode_tags([(0, 2, "PER"), (2, 3, "PER")], 3, "iob1")
    ['I-PER', 'I-PER', 'B-PER']
    """
    if scheme not in SCHEMES:
        raise UnknownName("tag scheme", scheme, SCHEMES)
    tags = ["O"] * n_tokens
    last: tuple[int, int, str] = (0, 0, "")
    for start, end, label in sorted(ranges):
        if not 0 <= start < end <= n_tokens:
            raise SourceError(f"tokens {start}-{end} of {label!r} are not among the {n_tokens} tokens")
        if start < last[1]:
            raise SourceError(f"{last[2]!r} and {label!r} overlap at token {start}; tags can show one label a token")
        first = "I" if scheme == "iob1" and not (start == last[1] and label == last[2]) else "B"
        tags[start:end] = [f"{first}-{label}", *[f"I-{label}"] * (end - start - 1)]
        if scheme == "bioes":
            tags[end - 1] = f"E-{label}" if end - start > 1 else f"S-{label}"
        last = (start, end, label)
    return tags


def spans_of(ranges: Sequence[tuple[int, int, str]], places: Sequence[Piece]) -> tuple[Span, ...]:
    """Labelled token ranges as spans of the text, with ids "0", "1", … in their order."""
    return tuple(
        Span(str(number), label, ((places[start][0], places[end - 1][1]),))
        for number, (start, end, label) in enumerate(ranges)
    )
