"""`candidates`: runs of target words are ranked by how well they and the span translate each other.

The ranking half of T-Projection (García-Ferrero et al. 2023) with NMTScore's direct measure (Vamvas and Sennrich 2022): the
length-normalised probability of one text as the translation of the other, averaged over both directions. No model that proposes
candidates is tuned: every run of words up to a length is one, so none is missed, and occurrences of the same words are told apart by
their place in the text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from dsbuild.errors import EngineError, UnknownName
from dsbuild.project.projector import Candidate, Parallel, Projected, check_numbers
from dsbuild.project.span_context import Context, span_contexts
from dsbuild.project.span_evidence import length_ratio
from dsbuild.project.span_rules import tidy
from dsbuild.scoring import Scored, TranslationScorer
from dsbuild.spans import Piece, Span, merged

REASONS = ("no_words", "empty_target", "not_scored", "low_score")
DIRECTIONS = ("auto", "both", "forward")
_LONGER, _MUCH_LONGER = 2, 2
_SHOWN = 5
# What a place loses for standing elsewhere in its part than the span does; it decides between equal texts only.
_ELSEWHERE = 1e-3


class CandidateProjector:
    """Runs of target words ranked by the scores of a translation model, both ways.

    scorer: the model that ranks. directions: both (source to target and back), forward, or auto: back where the scorer serves it.
    longest: words of the longest candidate (0: twice those of the span and two more). min_score: in [0, 1], below it a span is low in
    confidence; pairs: texts that are scored together.

    The score is the mean probability a token, the mean of the directions (geometric), in [0, 1]; it is not calibrated.
    """

    name: ClassVar[str] = "candidates"
    # A model in int8 rounds by batch: a score may move by some hundredths of a nat.
    deterministic: ClassVar[bool] = False

    def __init__(
        self,
        scorer: TranslationScorer,
        directions: str = "auto",
        longest: int = 0,
        min_score: float = 0.0,
        pairs: int = 8,
    ) -> None:
        if directions not in DIRECTIONS:
            raise UnknownName("direction", directions, DIRECTIONS)
        check_numbers(self.name, {"longest": (longest, 0), "min_score": (min_score, 0), "pairs": (pairs, 1)})
        self._scorer, self._directions, self._longest = scorer, directions, int(longest)
        self._min_score, self._pairs = min_score, int(pairs)
        self._ratio = 1.0
        self._back: dict[tuple[str, str], bool] = {}

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """The scorer's, and the options that decide."""
        return {
            "name": self.name, "version": 1, "directions": self._directions, "longest": self._longest, "min_score": self._min_score,
            **{f"scorer.{key}": value for key, value in self._scorer.fingerprint().items()},
        }  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """Which directions were scored one way only."""
        one_way = sorted(key for key, back in self._back.items() if not back and self._directions == "auto")
        return {"notes": [f"candidates: {src} to {tgt} only, the scorer does not go back" for src, tgt in one_way]}

    def fit(self, pairs: Sequence[Parallel]) -> None:
        """Nothing is learned but how long targets are, and whether the scorer goes back."""
        self._ratio = length_ratio(pairs)
        for src, tgt in sorted({(pair.source.lang, pair.tgt_lang) for pair in pairs}):
            self._goes_back(src, tgt)

    def project(self, pairs: Sequence[Parallel]) -> Iterator[list[Projected]]:
        """See `Projector`. A discontinuous span is carried piece by piece."""
        for first in range(0, len(pairs), self._pairs):
            some = pairs[first : first + self._pairs]
            held = [span_contexts(pair, self._ratio) for pair in some]
            wanted: dict[tuple[str, str], dict[tuple[str, str], None]] = {}
            for pair, found in zip(some, held, strict=True):
                texts = wanted.setdefault((pair.source.lang, pair.tgt_lang), {})
                for one in (one for several in found.values() for one in several):
                    span = one.source[slice(*one.piece)]
                    texts.update({(span, one.target[low:high]): None for low, high in self._places(one)})
            scores = {languages: self._scores(list(texts), *languages) for languages, texts in wanted.items()}
            for pair, found in zip(some, held, strict=True):
                known = scores[pair.source.lang, pair.tgt_lang]
                yield [self._answer(pair, span, found[span.span_id], known) for span in pair.source.spans]

    def close(self) -> None:
        """Free the scorer's model."""
        self._scorer.close()

    def _places(self, one: Context) -> list[Piece]:
        """Every run of words that is no longer than a candidate may be, in the part of the target."""
        longest = self._longest or _LONGER * one.n_words + _MUCH_LONGER
        return [
            (one.words[i][0], one.words[j - 1][1])
            for i in range(len(one.words))
            for j in range(i + 1, min(len(one.words), i + longest) + 1)
        ]

    def _scores(self, texts: Sequence[tuple[str, str]], src: str, tgt: str) -> dict[tuple[str, str], float]:
        """The mean over the directions of the log-probability a token of each (span, candidate)."""
        spans, places = [one for one, _ in texts], [two for _, two in texts]
        forward = [_mean(scored) for scored in self._scorer.score(spans, places, src, tgt)]
        if not self._goes_back(src, tgt):
            return dict(zip(texts, forward, strict=True))
        back = [_mean(scored) for scored in self._scorer.score(places, spans, tgt, src)]
        return {text: (one + two) / 2 for text, one, two in zip(texts, forward, back, strict=True)}

    def _goes_back(self, src: str, tgt: str) -> bool:
        """Whether the way back is scored, too; with `both` a scorer that does not serve it is an `EngineError`."""
        if self._directions == "forward":
            return False
        if (src, tgt) not in self._back:
            try:
                self._scorer.score(["a"], ["a"], tgt, src)
            except EngineError:
                if self._directions == "both":
                    raise
                self._back[src, tgt] = False
            else:
                self._back[src, tgt] = True
        return self._back[src, tgt]

    def _answer(
        self, pair: Parallel, span: Span, found: Sequence[Context], known: dict[tuple[str, str], float]
    ) -> Projected:
        if not found:
            reason = "no_words" if pair.target.strip() else "empty_target"
            return Projected(span.span_id, (), None, self.name, "rejected", reason)
        pieces: list[Piece] = []
        scores: list[float] = []
        others: list[Candidate] = []
        for one in found:
            ranked = self._ranked(pair.target, one, known)
            if not ranked:
                return Projected(span.span_id, (), None, self.name, "rejected", "not_scored")
            pieces.append(ranked[0][0])
            scores.append(math.exp(ranked[0][1]))
            top = [math.exp(value - ranked[0][1]) for _, value in ranked]
            chances = [value / sum(top) for value in top]
            others += [Candidate((ranked[n][0],), round(chances[n], 6)) for n in range(1, min(len(ranked), _SHOWN + 1))]
        score = round(min(1.0, min(scores)), 6)
        return Projected(
            span.span_id,
            merged(pieces, gap=1),
            score,
            self.name,
            "kept" if score >= self._min_score else "low_confidence",
            "" if score >= self._min_score else "low_score",
            # Other places are told of a span of one piece only: those of several do not combine.
            tuple(others) if len(found) == 1 else (),
        )

    def _ranked(self, target: str, one: Context, known: dict[tuple[str, str], float]) -> list[tuple[Piece, float]]:
        """Places in the whole target by score; of equal texts the one that stands where the span does."""
        span = one.source[slice(*one.piece)]
        middle = sum(one.piece) / 2 / max(1, len(one.source))
        found: dict[Piece, tuple[float, float]] = {}
        for low, high in self._places(one):
            value = known[span, one.target[low:high]]
            place = tidy(target, (one.start + low, one.start + high))
            if place is not None and math.isfinite(value):
                off = _ELSEWHERE * abs((low + high) / 2 / len(one.target) - middle)
                found[place] = max(found.get(place, (-math.inf, 0.0)), (value - off, value))
        order = sorted(found, key=lambda place: (-found[place][0], place))
        return [(place, found[place][1]) for place in order]


def _mean(scored: Scored) -> float:
    # Rounded, so that equals stay equal in floating point.
    return round(scored.total / len(scored.log_probs), 4)
