"""The part of a pair that a span lies in: what a scorer is shown, so that a long text does not have to fit into a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsbuild.project.alignment import units_in
from dsbuild.project.projector import Parallel
from dsbuild.project.span_evidence import cut
from dsbuild.spans import Piece


@dataclass(frozen=True, slots=True)
class Context:
    """A source part with the span in it, and the target part that translates it.

    piece: where the span stands in `source`; words: the target's words, in `target`; start: where `target` begins in the whole; n_words: of the
    span.
    """

    source: str
    piece: Piece
    target: str
    words: tuple[Piece, ...]
    start: int
    n_words: int


def contexts(pair: Parallel, pieces: Sequence[Piece], ratio: float) -> list[Context | None]:
    """The context of each piece of the source; None for one that holds no word, or where the target has none.

    ratio: target characters a source character, for finding which sentences belong together.
    """
    src, tgt, parts = cut(pair, ratio)
    found: list[Context | None] = []
    for low, high in pieces:
        inside = units_in([(low, high)], src)
        if not inside or not tgt:
            found.append(None)
            continue
        touched = [one for one in parts if one[0][0] <= inside[-1] and inside[0] < one[0][1] and one[1][1] > one[1][0]]
        first, last = (0, len(src)), (0, len(tgt))
        if touched:
            first = min(one[0][0] for one in touched), max(one[0][1] for one in touched)
            last = min(one[1][0] for one in touched), max(one[1][1] for one in touched)
        a, b = _stretch(pair.source.text, src, first)
        c, d = _stretch(pair.target, tgt, last)
        a, b = min(a, low), max(b, high)
        words = tuple((start - c, end - c) for start, end in tgt[last[0] : last[1]])
        found.append(Context(pair.source.text[a:b], (low - a, high - a), pair.target[c:d], words, c, len(inside)))
    return found


def span_contexts(pair: Parallel, ratio: float) -> dict[str, list[Context]]:
    """The contexts of each span's pieces, by the span's id: none for pieces without a word, or where there is no target."""
    spans = pair.source.spans if pair.target.strip() else ()
    asked = [(span.span_id, piece) for span in spans for piece in span.pieces]
    found: dict[str, list[Context]] = {span.span_id: [] for span in pair.source.spans}
    for (span_id, _), one in zip(asked, contexts(pair, [piece for _, piece in asked], ratio), strict=True):
        if one is not None:
            found[span_id].append(one)
    return found


def _stretch(text: str, words: Sequence[Piece], part: tuple[int, int]) -> Piece:
    """From the part's first word to the next part's, white space at the ends left out."""
    start = words[part[0]][0] if part[0] else 0
    end = words[part[1]][0] if part[1] < len(words) else len(text)
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
