"""Tags of tokens in both directions: which scheme a file uses, what is done about tags that break it, and texts as tags again.

Schemes are told by evidence over the whole file, never by a first look: an I- that begins a span is only sound in IOB1, a B- that no
span of its label precedes is only written in IOB2, and S- or E- only in BIOES.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import regex

from dsbuild.builders.labelled.formats import LabelledFile
from dsbuild.errors import SourceError
from dsbuild.spans import Labelled, Piece, Span
from dsbuild.text import word_spans
from dsbuild.tokens import Scheme, decode_tags, encode_tags, located, spans_of, tokens_of

BAD_TAGS = ("error", "O", "begin")
CUT_TOKENS = ("error", "cover")
# IOB2 is what all but the oldest sets are written in, and what a file that has no tag at all might as well be.
USUAL: Scheme = "iob2"

_TAG = regex.compile(r"O|[BIES]-\S.*", regex.DOTALL)
_GRAPHEME = regex.compile(r"\S(?:(?!\s)[\p{M}\u200c\u200d\ufe0f])*")
_SHOWN = 40


@dataclass
class TaggedFile(LabelledFile):
    """The common part of readers whose labels are tags of tokens.

    bad_tags: what is done about tags that break the scheme: `error`, `O`, or `begin` (an I- that continues nothing begins a span);
    cut_tokens: what is done in writing about a span that cuts a token: `error`, or `cover` (the whole token).
    """

    bad_tags: str = "error"
    cut_tokens: str = "error"
    _mended: int = field(default=0, init=False, repr=False)

    def notes(self) -> list[str]:
        """See `LabelledSource`."""
        return [f"{self._mended} tags of {self.path} were mended (bad_tags={self.bad_tags})"] if self._mended else []

    def ranges(self, tags: Sequence[str], scheme: Scheme, where: str) -> list[tuple[int, int, str]]:
        """As `ranges_of`; what was mended is counted for the notes."""
        found, mended = ranges_of(tags, scheme, self.bad_tags, where)
        self._mended += mended
        return found


def is_tag(word: str) -> bool:
    """Whether a word has the form of a tag: O, or B-, I-, E-, S- and a label."""
    return _TAG.fullmatch(word) is not None


def tell_scheme(path: Path, sentences: Iterable[tuple[int, Sequence[str]]]) -> Scheme:
    """The scheme of a file's tags. sentences: the line on which each begins, and its tags.

    `SourceError` where lines speak for two schemes: it names one of each.
    """
    began_inside = began_b = 0
    for line, tags in sentences:
        before = ""
        for offset, tag in enumerate(tags):
            kind, _, label = tag.partition("-")
            if kind in ("E", "S"):
                return "bioes"
            if kind == "I" and before != label:
                began_inside = began_inside or line + offset
            elif kind == "B" and before != label:
                began_b = began_b or line + offset
            before = label
    if began_inside and began_b:
        raise SourceError(
            f"{path}:{began_inside}: I- begins a span (IOB1), and in line {began_b} B- begins one that no other precedes (IOB2); "
            "say which scheme holds: scheme=iob1 or scheme=iob2, and for iob2 what to do with such tags: bad_tags=begin or bad_tags=O"
        )
    return "iob1" if began_inside else USUAL


def ranges_of(tags: Sequence[str], scheme: Scheme, bad_tags: str, where: str) -> tuple[list[tuple[int, int, str]], int]:
    """Labelled token ranges of tags, and how many tags were mended.

    bad_tags: `error` refuses tags that the scheme does not allow; `O` takes them for O; `begin` lets an I- that continues nothing begin a
    span. where: file and line, for the error.
    """
    mended = list(tags)
    if bad_tags != "error":
        before = ""
        for place, tag in enumerate(mended):
            kind, _, label = tag.partition("-")
            if not is_tag(tag) or (kind in ("E", "S") and scheme != "bioes"):
                mended[place] = "O"
            elif kind == "I" and before != label and scheme == "iob2":
                mended[place] = f"B-{label}" if bad_tags == "begin" else "O"
            before = mended[place].partition("-")[2]
    try:
        found = decode_tags(mended, scheme)
    except SourceError as error:
        raise SourceError(
            f"{where}: {error}; mend it, or say bad_tags=O (such tags count as O) or bad_tags=begin (such an I- begins a span)"
        ) from None
    return found, sum(one != other for one, other in zip(mended, tags, strict=True))


def labelled_tokens(
    name: str,
    text: str,
    lang: str,
    places: Sequence[Piece],
    ranges: Sequence[tuple[int, int, str]],
    extra: dict[str, object],
) -> Labelled:
    """The text with its tagged ranges as spans; `extra` gets the tokens."""
    tokens = [text[start:end] for start, end in places]
    return Labelled(name, text, lang, spans_of(ranges, places), (), {**extra, "tokens": tokens})


def tokens_of_text(item: Labelled) -> tuple[list[str], list[Piece]]:
    """The tokens of a text and where they stand.

    They are the file's own (`extra["tokens"]`), else its words and what else is no white space, cut where a span begins or ends.
    """
    own = item.extra.get("tokens")
    if own:
        places = located(item.text, own)
        return list(own), places
    edges = sorted({edge for span in item.spans for piece in span.pieces for edge in piece})
    found: list[Piece] = []
    at = 0
    for start, end in [*word_spans(item.text, item.lang), (len(item.text), len(item.text))]:
        found += [one.span() for one in _GRAPHEME.finditer(item.text, at, start)]
        if start < end:
            found.append((start, end))
        at = end
    cut: list[Piece] = []
    waiting = 0
    for start, end in found:
        while waiting < len(edges) and edges[waiting] <= start:
            waiting += 1
        ahead = waiting
        while ahead < len(edges) and edges[ahead] < end:
            cut.append((start, edges[ahead]))
            start, ahead = edges[ahead], ahead + 1
        cut.append((start, end))
    return [item.text[start:end] for start, end in cut], cut


def tags_of(item: Labelled, places: Sequence[Piece], scheme: Scheme, cut_tokens: str = "error") -> list[str]:
    """The tags of a text's tokens.

    `SourceError` where tags cannot show its spans: overlapping ones, discontinuous ones, and, unless cut_tokens is `cover`, ones that cut a
    token.
    """
    ranges = [(*token_range(item.text, span, places, cut_tokens), span.label) for span in item.spans]
    return encode_tags(ranges, len(places), scheme)


def token_range(text: str, span: Span, places: Sequence[Piece], cut_tokens: str = "error") -> tuple[int, int]:
    """The half-open range of tokens that a span is.

    A token is covered whole where only punctuation of it lies outside the span. Where more of it does, the span cuts it: `error`
    refuses that, `cover` takes the whole token.
    """
    if len(span.pieces) > 1:
        raise SourceError(f"span {span.span_id!r} ({span.label}) is discontinuous")
    first, last = tokens_of((span.start, span.end), places)
    if first >= last:
        raise SourceError(
            f"span {span.span_id!r} ({span.label}) at {span.start}-{span.end} touches no token of the text"
        )
    outside = text[places[first][0] : span.start] + text[span.end : places[last - 1][1]]
    if cut_tokens == "error" and any(unicodedata.category(char)[0] not in "PZ" for char in outside):
        raise SourceError(
            f"span {span.span_id!r} ({span.label}) at {span.start}-{span.end} cuts a token of the text; "
            "to label such tokens whole, say cut_tokens=cover"
        )
    return first, last
