"""`fuzzy`: a span is where the target writes it the same way, in other letters, as a number of the same value, or as its own translation.

Alone it finds names, numbers and loans and says nothing of the rest; it never guesses. Among several places the one that lies nearest to
the span's relative position is taken, in the part of the text that translates the span where parts are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from dsbuild.engine import Request, TranslationEngine
from dsbuild.errors import RecipeError
from dsbuild.project.alignment import units_in
from dsbuild.project.projector import Candidate, Parallel, Projected
from dsbuild.project.similarity import alike_words, values
from dsbuild.project.span_rules import tidy
from dsbuild.spans import Piece, Span
from dsbuild.text import word_spans

REASONS = ("empty_target", "no_words", "not_found")
_LONGER = 2
_BATCH = 64
_SHOWN = 5

Range = tuple[int, int]


class FuzzyProjector:
    """Spans found again as written or as they sound: strings, numbers, names across scripts.

    least: how alike a place must be, in (0, 1]; engine: translates the spans themselves, so that they are looked for as that, too; src, tgt:
    BCP-47, needed with an engine.
    """

    name: ClassVar[str] = "fuzzy"
    deterministic: ClassVar[bool] = True

    def __init__(
        self, src: str = "", tgt: str = "", least: float = 0.8, engine: TranslationEngine | None = None
    ) -> None:
        if not 0 < least <= 1:
            raise RecipeError(f"fuzzy: least {least:g} is not in (0, 1]")
        self._least, self._engine, self._src, self._tgt = least, engine, src, tgt
        self._translated: dict[str, str] = {}

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """Name, options, and what decides the engine's translations."""
        engine = self._engine.fingerprint() if self._engine else {}
        return {
            "name": self.name,
            "least": self._least,
            "version": 1,
            **{f"engine.{key}": value for key, value in engine.items()},
        }

    def fit(self, pairs: Sequence[Parallel]) -> None:
        """Translate the spans of the set, each once, if there is an engine."""
        if self._engine is None:
            return
        surfaces = {span.surface(pair.source.text) for pair in pairs for span in pair.source.spans}
        asked = sorted(surfaces - self._translated.keys())
        batches = [
            [Request(text, self._src, self._tgt) for text in asked[at : at + _BATCH]]
            for at in range(0, len(asked), _BATCH)
        ]
        for number, outputs in self._engine.translate_batches(batches):
            for request, output in zip(batches[number], outputs, strict=True):
                if output.finish == "stop" and output.text.strip():
                    self._translated[request.text] = output.text

    def project(self, pairs: Sequence[Parallel]) -> Iterator[list[Projected]]:
        """See `Projector`."""
        for pair in pairs:
            src, tgt = word_spans(pair.source.text, pair.source.lang), word_spans(pair.target, pair.tgt_lang)
            yield [self._one(pair, span, src, tgt) for span in pair.source.spans]

    def close(self) -> None:
        """Forget the translations."""
        self._translated = {}

    def _one(self, pair: Parallel, span: Span, src: Sequence[Piece], tgt: Sequence[Piece]) -> Projected:
        if not pair.target.strip():
            return Projected(span.span_id, (), None, self.name, "rejected", "empty_target")
        if not units_in(span.pieces, src):
            return Projected(span.span_id, (), None, self.name, "rejected", "no_words")
        surface = span.surface(pair.source.text)
        forms = [surface, self._translated[surface]] if surface in self._translated else [surface]
        inside = _searched(pair, span, tgt)
        best: dict[Range, float] = {}
        for form in forms:
            for place, score in places(form, pair.target, tgt, inside, self._least):
                best[place] = max(score, best.get(place, 0.0))
        if not best:
            return Projected(span.span_id, (), None, self.name, "null", "not_found")
        share = (span.start + span.end) / 2 / max(1, len(pair.source.text))
        ranked = sorted(best, key=lambda place: (-best[place], _apart(tgt, place, share, len(pair.target)), place))
        found = [
            (tidy(pair.target, (tgt[first][0], tgt[last - 1][1])), best[first, last]) for first, last in ranked[:_SHOWN]
        ]
        kept = [Candidate((piece,), score) for piece, score in found if piece]
        first = kept[0]
        # One place among several that are as alike is only as sure as their number allows.
        ties = sum(score == best[ranked[0]] for score in best.values())
        return Projected(
            span.span_id, first.pieces, round(first.probability / ties, 6), self.name, candidates=tuple(kept[1:])
        )


def places(form: str, target: str, tgt: Sequence[Piece], inside: Range, least: float) -> Iterator[tuple[Range, float]]:
    """Ranges of target words that are written like a form, sound like it or have its numbers, with how alike they are, at least `least`.

    Every word of the form needs its partner and every word of the range too; of ranges that overlap the most alike one is taken.
    """
    words = [form[start:end] for start, end in word_spans(form)]
    if not words:
        return
    close: list[tuple[float, Range]] = []
    numbers = values(form)
    for first in range(*inside):
        for last in range(first + 1, min(inside[1], first + len(words) + _LONGER) + 1):
            mine = [target[start:end] for start, end in tgt[first:last]]
            if numbers and values(" ".join(mine)) != numbers:
                continue
            score = alike_words(words, mine)
            if score >= least:
                close.append((score, (first, last)))
    taken: list[Range] = []
    for score, place in sorted(close, key=lambda one: (-one[0], one[1][1] - one[1][0], one[1])):
        if all(place[1] <= other[0] or other[1] <= place[0] for other in taken):
            taken.append(place)
            yield place, score


def _searched(pair: Parallel, span: Span, tgt: Sequence[Piece]) -> Range:
    """The words of the parts that translate those in which the span lies; all words where parts are not known."""
    parts = [(c, d) for a, b, c, d in pair.segments if any(a < end and start < b for start, end in span.pieces)]
    if not parts:
        return 0, len(tgt)
    low, high = min(one[0] for one in parts), max(one[1] for one in parts)
    inside = [place for place, word in enumerate(tgt) if low <= word[0] and word[1] <= high]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def _apart(tgt: Sequence[Piece], place: Range, share: float, length: int) -> float:
    return abs((tgt[place[0]][0] + tgt[place[1] - 1][1]) / 2 / max(1, length) - share)
