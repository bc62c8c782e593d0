"""`constrained`: the translation stays as it is; a translation model says where in it the marks of a span would stand.

CODEC (Le et al. 2024) without its search: every admissible place is weighed, so there is a posterior (`marked_search`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import ClassVar

from dsbuild.errors import RecipeError
from dsbuild.project.marked_search import Marks, Query, search
from dsbuild.project.projector import Candidate, Parallel, Projected, check_numbers
from dsbuild.project.span_context import Context, span_contexts
from dsbuild.project.span_evidence import length_ratio
from dsbuild.project.span_rules import tidy
from dsbuild.scoring import BranchScorer, Scored, TranslationScorer
from dsbuild.spans import Piece, Span, merged

# Why a span is null or rejected.
REASONS = ("no_counterpart", "no_words", "empty_target", "too_long")
# Words of an admissible place: this many times those of the span, and some more.
_LONGER, _MUCH_LONGER = 3, 5
_SHOWN = 5
# Brackets of the text itself become round ones where the marks are square, so that a mark is nothing else.
_OTHER = {"[": "(", "]": ")", "(": "[", ")": "]"}


class ConstrainedProjector:
    """Marks searched in a fixed translation by the scores of a translation model, exactly.

    scorer: the model that is asked. marks: opening and closing mark, one character each, with a space between ("[ ]"). exact_words: target
    words up to which every opening is considered; above, those that the marks of the source change (CODEC). margin: in nats, how far
    below the best a place may be and still be scored; null: whether a span may have no counterpart; pairs: texts that are scored together.

    The score of a kept span is its share of all admissible places times the chance that it has a counterpart; it is not calibrated.
    """

    name: ClassVar[str] = "constrained"
    # A model in int8 rounds by batch: a score may move by some hundredths of a nat.
    deterministic: ClassVar[bool] = False

    def __init__(
        self,
        scorer: TranslationScorer,
        marks: str = "[ ]",
        exact_words: int = 60,
        margin: float = 12.0,
        null: bool = True,
        pairs: int = 8,
    ) -> None:
        two = marks.split()
        if len(two) != 2 or any(len(mark) != 1 for mark in two) or two[0] == two[1]:
            raise RecipeError(f"constrained.marks: {marks!r} must be two different characters with a space between")
        check_numbers(self.name, {"exact_words": (exact_words, 0), "margin": (margin, 0), "pairs": (pairs, 1)})
        self._scorer, self._marks = scorer, Marks(*two)
        self._exact_words, self._margin, self._null, self._pairs = exact_words, margin, null, int(pairs)
        self._ratio = 1.0

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """The scorer's, and the options that decide."""
        return {
            "name": self.name, "version": 1, "marks": f"{self._marks.opening} {self._marks.closing}", "exact_words": self._exact_words,
            "margin": self._margin, "null": self._null,
            **{f"scorer.{key}": value for key, value in self._scorer.fingerprint().items()},
        }  # fmt: skip

    def fit(self, pairs: Sequence[Parallel]) -> None:
        """Nothing is learned but how long targets are."""
        self._ratio = length_ratio(pairs)

    def project(self, pairs: Sequence[Parallel]) -> Iterator[list[Projected]]:
        """See `Projector`. A discontinuous span is carried piece by piece."""
        for first in range(0, len(pairs), self._pairs):
            some = pairs[first : first + self._pairs]
            held = [self._queries(pair) for pair in some]
            by_languages: dict[tuple[str, str], list[Query]] = {}
            for pair, found in zip(some, held, strict=True):
                queries = [query for one in found.values() for query, _ in one]
                by_languages.setdefault((pair.source.lang, pair.tgt_lang), []).extend(queries)
            for (src, tgt), queries in by_languages.items():

                def ask(texts: Sequence[tuple[str, str]], src: str = src, tgt: str = tgt) -> list[Scored]:
                    return self._scorer.score([one for one, _ in texts], [two for _, two in texts], src, tgt)

                branch = None
                if isinstance(self._scorer, BranchScorer):
                    branch = partial(_branched, self._scorer, src, tgt)
                search(queries, ask, self._marks, self._exact_words, self._margin, self._null, branch)
            for pair, found in zip(some, held, strict=True):
                yield [self._answer(pair, span, found[span.span_id]) for span in pair.source.spans]

    def close(self) -> None:
        """Free the scorer's model."""
        self._scorer.close()

    def _queries(self, pair: Parallel) -> dict[str, list[tuple[Query, Context]]]:
        return {
            span_id: [(self._query(one), one) for one in those]
            for span_id, those in span_contexts(pair, self._ratio).items()
        }

    def _query(self, one: Context) -> Query:
        source, target = self._unmarked(one.source), self._unmarked(one.target)
        longest = _LONGER * one.n_words + _MUCH_LONGER
        return Query(self._marks.around(source, one.piece), source, target, one.words, longest)

    def _unmarked(self, text: str) -> str:
        for mark in (self._marks.opening, self._marks.closing):
            other = _OTHER.get(mark, " ")
            text = text.replace(mark, other)
        return text

    def _answer(self, pair: Parallel, span: Span, found: Sequence[tuple[Query, Context]]) -> Projected:
        if not found:
            reason = "no_words" if pair.target.strip() else "empty_target"
            return Projected(span.span_id, (), None, self.name, "rejected", reason)
        if not all(query.totals for query, _ in found):
            return Projected(span.span_id, (), None, self.name, "rejected", "too_long")
        pieces: list[Piece] = []
        scores: list[float] = []
        others: list[Candidate] = []
        for query, one in found:
            if query.null > 0.5:
                continue
            ranked = query.posterior()
            places = [(_place(pair.target, one, place), chance) for place, chance in ranked[: _SHOWN + 1]]
            if places[0][0] is None:
                continue
            pieces.append(places[0][0])
            scores.append(places[0][1] * (1 - query.null))
            others += [
                Candidate((place,), round(chance * (1 - query.null), 6)) for place, chance in places[1:] if place
            ]
        if not pieces:
            chance = min(query.null for query, _ in found)
            return Projected(span.span_id, (), round(chance, 6), self.name, "null", "no_counterpart")
        # Other places are told of a span of one piece only: those of several do not combine.
        told = tuple(others) if len(found) == 1 else ()
        return Projected(span.span_id, merged(pieces, gap=1), round(min(scores), 6), self.name, candidates=told)


def _branched(
    scorer: BranchScorer, src: str, tgt: str, source: str, stems: Sequence[str], texts: Sequence[tuple[int, str]], margin: float
) -> list[float]:  # fmt: skip
    return scorer.score_branches(source, stems, texts, margin, src, tgt)


def _place(text: str, one: Context, place: tuple[int, int]) -> Piece | None:
    return tidy(text, (one.start + one.words[place[0]][0], one.start + one.words[place[1] - 1][1]))
