"""`align`: a span is where the words that its words are linked to stand, by links that came with the pair or by an aligner that learns on the set."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from dsbuild.errors import RecipeError, UnknownName
from dsbuild.project import span_model
from dsbuild.project.aligner import Bitext
from dsbuild.project.alignment import Link, Symmetry, on_units, units_in
from dsbuild.project.association import Association
from dsbuild.project.projector import Candidate, Parallel, Projected
from dsbuild.project.span_rules import DEFAULT_RULE, check_rule, choose, tidy
from dsbuild.spans import Piece, Span
from dsbuild.text import word_spans

ALIGNERS = ("auto", "links", "eflomal")
REASONS = ("no_words", "no_links", "no_counterpart", "not_contiguous")
_SHOWN = 5

Links = Mapping[Link, float]


class AlignProjector:
    """The method `align`.

    src, tgt: BCP-47. rule: how links become a place (`span_rules`). aligner: links (those that came with every pair), eflomal, or auto: links
    where every pair has some, else eflomal. symmetry, units: of eflomal.
    """

    name: ClassVar[str] = "align"

    def __init__(
        self, src: str = "", tgt: str = "", rule: str = DEFAULT_RULE, aligner: str = "auto", symmetry: Symmetry = "grow-diag-final-and",
        units: str = "auto",
    ) -> None:  # fmt: skip
        check_rule(rule)
        if aligner not in ALIGNERS:
            raise UnknownName("aligner of align", aligner, ALIGNERS)
        self._rule, self._aligner, self._options = rule, aligner, {"symmetry": symmetry, "units": units}
        self._learned: dict[str, tuple[Parallel, Links]] = {}
        self._association: Association | None = None
        self._used = ""

    @property
    def deterministic(self) -> bool:
        """Links are what they are; eflomal draws at random. Known for `auto` when the set was seen."""
        return self._aligner == "links" or self._used == "given"

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """Name, rule, aligner and its options."""
        made: dict[str, Any] = {"name": self.name, "rule": self._rule, "aligner": self._aligner, "version": 1}
        if self._aligner == "eflomal" or (self._aligner == "auto" and importlib.util.find_spec("eflomal")):
            made |= {f"eflomal.{key}": value for key, value in self._eflomal().fingerprint().items()}
        return made

    def facts(self) -> dict[str, Any]:
        """What the links came from."""
        return {"links": self._used}

    def _eflomal(self) -> Any:
        from dsbuild.project.eflomal import Eflomal

        return Eflomal(**self._options)  # type: ignore[arg-type]

    def fit(self, pairs: Sequence[Parallel]) -> None:
        """Align the whole set, and count which words go together in it."""
        held = [pair for pair in pairs if pair.target.strip()]
        units = [units_of(pair) for pair in held]
        given = all(pair.links is not None for pair in held)
        if self._aligner == "links" and not given:
            raise RecipeError(
                "align: align.aligner=links, and the pairs came without links; give a file of them: --alignments FILE"
            )
        if given and self._aligner != "eflomal":
            self._used = "given"
            links: list[Links] = [
                on_units(pair.links, *both) for pair, both in zip(held, units, strict=True) if pair.links is not None
            ]
        else:
            self._used = "eflomal"
            links = self._aligned(held, units)
        self._learned = {pair.source.id: (pair, one) for pair, one in zip(held, links, strict=True)}
        if self._rule == "weighted":
            keyed = [
                (span_model.keys(pair.source.text, src), span_model.keys(pair.target, tgt), one)
                for pair, (src, tgt), one in zip(held, units, links, strict=True)
            ]
            self._association = Association(keyed)

    def _aligned(self, pairs: Sequence[Parallel], units: Sequence[tuple[list[Piece], list[Piece]]]) -> list[Links]:
        """eflomal's links; a pair with segments is aligned part by part."""
        parts = [
            (number, part)
            for number, (pair, both) in enumerate(zip(pairs, units, strict=True))
            for part in _parts(pair, *both)
            if part[0] < part[1] and part[2] < part[3]
        ]
        if not parts:
            return [{} for _ in pairs]
        texts = [
            Bitext(pairs[number].source.text, units[number][0][a:b], pairs[number].target, units[number][1][c:d])
            for number, (a, b, c, d) in parts
        ]
        made = self._eflomal()
        found: list[dict[Link, float]] = [{} for _ in pairs]
        for (number, (a, _, c, _)), links in zip(
            parts, made.align(texts, pairs[0].source.lang, pairs[0].tgt_lang), strict=True
        ):
            found[number].update({(a + i, c + j): score for (i, j), score in links.items()})
        made.close()
        return list(found)

    def project(self, pairs: Sequence[Parallel]) -> Iterator[list[Projected]]:
        """See `Projector`; pairs that `fit` did not see are learned from now, all together."""
        if any(self._learned.get(pair.source.id, (None,))[0] != pair for pair in pairs):
            self.fit(pairs)
        for pair in pairs:
            src, tgt = units_of(pair)
            links = self._learned[pair.source.id][1] if pair.source.id in self._learned else {}
            texts = None
            if self._rule == "weighted" and self._association is not None and src and tgt:
                texts = span_model.texts(pair.source.text, src, pair.target, tgt, links, self._association)
            yield [self._one(pair, span, src, tgt, links, texts) for span in pair.source.spans]

    def _one(
        self, pair: Parallel, span: Span, src: Sequence[Piece], tgt: Sequence[Piece], links: Links, texts: span_model.Texts | None
    ) -> Projected:  # fmt: skip
        inside = units_in(span.pieces, src)
        if not inside or not tgt:
            return Projected(span.span_id, (), None, self.name, "rejected", "no_words")
        if texts is not None:
            return self._weighed(pair, span, inside, tgt, texts)
        linked: dict[int, float] = {}
        for (i, j), score in links.items():
            if i in inside:
                linked[j] = linked.get(j, 0.0) + score
        if not linked:
            return Projected(span.span_id, (), None, self.name, "null", "no_links")
        found = choose(self._rule, linked)
        piece = tidy(pair.target, (tgt[found[0]][0], tgt[found[1] - 1][1])) if found else None
        if found is None or piece is None:
            return Projected(
                span.span_id, (), None, self.name, "rejected", "not_contiguous" if found is None else "no_words"
            )
        covered = sum(any((i, j) in links for j in range(*found)) for i in inside) / len(inside)
        held = sum(score for j, score in linked.items() if found[0] <= j < found[1]) / sum(linked.values())
        return Projected(span.span_id, (piece,), round(covered * held, 6), self.name)

    def _weighed(
        self, pair: Parallel, span: Span, inside: Sequence[int], tgt: Sequence[Piece], texts: span_model.Texts
    ) -> Projected:
        low, high = _window(pair, span, tgt)
        options = [
            (tidy(pair.target, (tgt[one[0]][0], tgt[one[1] - 1][1])) if one else None, chance)
            for one, chance in span_model.posterior(texts, inside, low, high)[: 2 * _SHOWN]
        ]
        piece, chance = options[0]
        shown = tuple(Candidate((one,), round(other, 6)) for one, other in options[1:] if one is not None)[:_SHOWN]
        if piece is None:
            return Projected(span.span_id, (), round(chance, 6), self.name, "null", "no_counterpart", shown)
        return Projected(span.span_id, (piece,), round(chance, 6), self.name, candidates=shown)

    def close(self) -> None:
        """Forget the set."""
        self._learned, self._association = {}, None


def units_of(pair: Parallel) -> tuple[list[Piece], list[Piece]]:
    """Where the words of both texts stand."""
    return word_spans(pair.source.text, pair.source.lang), word_spans(pair.target, pair.tgt_lang)


def _parts(pair: Parallel, src: Sequence[Piece], tgt: Sequence[Piece]) -> list[tuple[int, int, int, int]]:
    """Ranges of units that translate each other: those of the pair's segments, else the whole pair."""
    if not pair.segments:
        return [(0, len(src), 0, len(tgt))]
    return [(*_units(src, a, b), *_units(tgt, c, d)) for a, b, c, d in pair.segments]


def _units(units: Sequence[Piece], start: int, end: int) -> tuple[int, int]:
    touched = [number for number, (low, high) in enumerate(units) if low < end and start < high]
    return (touched[0], touched[-1] + 1) if touched else (0, 0)


def _window(pair: Parallel, span: Span, tgt: Sequence[Piece]) -> tuple[int, int]:
    """The target units of the segments that the span lies in; all where no segments are known."""
    mine = [one for one in pair.segments if any(one[0] < end and start < one[1] for start, end in span.pieces)]
    if not mine:
        return 0, len(tgt)
    low, high = _units(tgt, min(one[2] for one in mine), max(one[3] for one in mine))
    return (low, high) if high > low else (0, len(tgt))
