"""`align`: a span is where the words that its own words are linked to stand.

The links come with the pairs (a Pharaoh file), or from an aligner: eflomal, which learns on the set itself; simalign, on the vectors of
an encoder; attention, on what the translation model looks at. A rule makes one range of them (`span_rules`, `span_model`).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

from dsbuild.attention import Attending
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.project.aligner import Aligner, Bitext
from dsbuild.project.alignment import Link, Symmetry, on_units, units_in
from dsbuild.project.association import Association
from dsbuild.project.parallel_text import read_parallel
from dsbuild.project.projector import Candidate, Outcome, Parallel, Projected
from dsbuild.project.span_evidence import cut, length_ratio, part_of_target
from dsbuild.project.span_model import Texts, keys, posterior, texts
from dsbuild.project.span_rules import DEFAULT_RULE, check_rule, choose, tidy
from dsbuild.spans import Piece, Span, merged
from dsbuild.text import word_spans

ALIGNERS = ("auto", "links", "eflomal", "simalign", "attention")
# Why a span is null or rejected.
REASONS = ("no_links", "no_counterpart", "not_contiguous", "no_words", "empty_target", "not_aligned")
_SHOWN = 5

Range = tuple[int, int]
Links = Mapping[Link, float]


@dataclass(frozen=True, slots=True)
class _Pair:
    """A pair cut into words and into parts (source words, target words) that translate each other."""

    src: list[Piece]
    tgt: list[Piece]
    parts: list[tuple[Range, Range]]


class AlignProjector:
    """Spans carried along word links: those that came with the pairs, or made here.

    rule: weighted, hull, strict, head or gapN. aligner: links (that came with the pairs), eflomal,
    simalign or attention; "auto": links where every pair has them, else eflomal. symmetry, units, samplers, rounds, seeds: of eflomal (see
    `Eflomal`); model, layer, matching: of simalign (see `EmbeddingAligner`); scorer: whose attention is asked; parallel: a file of further texts
    (source, tab, target) to learn from.
    The links of the whole set are held in memory, about 100 bytes a word.
    """

    name: ClassVar[str] = "align"

    def __init__(
        self,
        rule: str = DEFAULT_RULE,
        aligner: str = "auto",
        symmetry: Symmetry = "grow-diag-final-and",
        units: str = "auto",
        samplers: int = 3,
        rounds: float = 1.0,
        seeds: bool = True,
        model: str = "",
        layer: int = 8,
        matching: str = "itermax",
        parallel: str = "",
        scorer: Attending | None = None,
    ) -> None:
        check_rule(rule)
        if aligner not in ALIGNERS:
            raise UnknownName("aligner", aligner, ALIGNERS)
        self._rule, self._wanted, self._scorer = rule, aligner, scorer
        self._statistical: dict[str, Any] = {
            "symmetry": symmetry,
            "units": units,
            "samplers": samplers,
            "rounds": rounds,
            "seeds": seeds,
        }
        self._embedding: dict[str, Any] = {"model": model, "layer": layer, "matching": matching}
        self._more = read_parallel(parallel, self.name) if parallel else []
        # An aligner that cannot be had says so before any work.
        self._aligner: Aligner | None = self._made(aligner) if aligner not in ("auto", "links") else None
        self._held: dict[tuple[str, str], Links] = {}
        self._association = Association([])
        self._ratio = 1.0
        self._used = ""

    @property
    def deterministic(self) -> bool:
        """Links that came with the pairs are what they are, and so are an encoder's; eflomal draws at random. `auto` knows after `fit`."""
        return self._wanted not in ("auto", "eflomal") or self._used == "given"

    def facts(self) -> dict[str, Any]:
        """What the links came from."""
        return {"links": self._used}

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """Rule, aligner and their options."""
        made = self._aligner
        if made is None and self._wanted == "auto" and importlib.util.find_spec("eflomal"):
            made = self._made("eflomal")
        options: Mapping[str, Any] = made.fingerprint() if made else self._statistical
        return {
            "name": self.name, "version": 2, "rule": self._rule, "aligner": self._wanted, "n_parallel": len(self._more),
            **{f"aligner.{key}": value for key, value in options.items()},
        }  # fmt: skip

    def fit(self, pairs: Sequence[Parallel]) -> None:
        """Align the whole set and count what its words say of each other."""
        held = [pair for pair in pairs if pair.target.strip()]
        self._ratio = length_ratio(held)
        self._held = {}
        if not held:
            return
        if self._wanted == "links" and (missing := next((pair for pair in held if pair.links is None), None)):
            raise RecipeError(
                f"align: align.aligner=links, and row {missing.source.id[:40]!r} came without links; give a file of them: --alignments FILE"
            )
        cuts = [self._cut(pair) for pair in held]
        for pair, links in zip(held, self._aligned(held, cuts), strict=True):
            self._held[pair.source.text, pair.target] = links
        self._association = Association(
            [
                (keys(pair.source.text, one.src), keys(pair.target, one.tgt), self._held[pair.source.text, pair.target])
                for pair, one in zip(held, cuts, strict=True)
            ]
        )

    def project(self, pairs: Sequence[Parallel]) -> Iterator[list[Projected]]:
        """See `Projector`. Pairs that `fit` did not see are aligned with what it learned."""
        unseen = [pair for pair in pairs if pair.target.strip() and (pair.source.text, pair.target) not in self._held]
        if unseen:
            cuts = [self._cut(pair) for pair in unseen]
            for pair, links in zip(unseen, self._aligned(unseen, cuts), strict=True):
                self._held[pair.source.text, pair.target] = links
        for pair in pairs:
            yield self._answers(pair)

    def close(self) -> None:
        """Free the aligner's model and forget the set."""
        if self._aligner is not None:
            self._aligner.close()
        self._held = {}

    def _made(self, name: str) -> Aligner:
        made: Aligner
        if name == "eflomal":
            from dsbuild.project.eflomal import Eflomal

            made = Eflomal(**self._statistical)
        elif name == "simalign":
            from dsbuild.project.simalign import EmbeddingAligner

            made = EmbeddingAligner(**self._embedding)
        else:
            from dsbuild.project.engine_attention import AttentionAligner

            if not isinstance(self._scorer, Attending):
                raise RecipeError(
                    "align: the aligner attention needs a model that shows its attention: --set scorer.name=ctranslate2 --set scorer.model=FOLDER"
                )
            made = AttentionAligner(self._scorer)
        made.fingerprint()
        return made

    def _cut(self, pair: Parallel) -> _Pair:
        if pair.links is not None and not pair.segments:
            # Links that came with a pair know best what belongs together.
            src, tgt = units_of(pair)
            return _Pair(src, tgt, [((0, len(src)), (0, len(tgt)))])
        return _Pair(*cut(pair, self._ratio))

    def _aligned(self, pairs: Sequence[Parallel], cuts: Sequence[_Pair]) -> list[Links]:
        """The links of each pair, between its words."""
        if self._wanted == "links" or (self._wanted == "auto" and all(pair.links is not None for pair in pairs)):
            self._used = "given"
            return [
                on_units(pair.links, one.src, one.tgt) if pair.links is not None else {}
                for pair, one in zip(pairs, cuts, strict=True)
            ]
        if self._aligner is None:
            self._aligner = self._made("eflomal")
        self._used = self._aligner.name
        found: list[dict[Link, float]] = [{} for _ in pairs]
        places = [
            (number, part)
            for number, one in enumerate(cuts)
            for part in one.parts
            if part[0][1] > part[0][0] and part[1][1] > part[1][0]
        ]

        def languages(place: tuple[int, Any]) -> tuple[str, str]:
            return pairs[place[0]].source.lang, pairs[place[0]].tgt_lang

        for (src, tgt), group in groupby(sorted(places, key=languages), key=languages):
            asked = list(group)
            bitexts = [
                Bitext(pairs[number].source.text, cuts[number].src[a:b], pairs[number].target, cuts[number].tgt[c:d])
                for number, ((a, b), (c, d)) in asked
            ]
            further = [
                *self._more,
                *(two for pair in pairs if (pair.source.lang, pair.tgt_lang) == (src, tgt) for two in pair.more),
            ]
            more = [Bitext(one, word_spans(one, src), two, word_spans(two, tgt)) for one, two in further]
            answers = self._aligner.align(bitexts, src, tgt, more)
            for (number, ((a, _), (c, _))), links in zip(asked, answers, strict=True):
                found[number].update({(a + i, c + j): score for (i, j), score in links.items()})
        return list(found)

    def _answers(self, pair: Parallel) -> list[Projected]:
        if not pair.target.strip():
            return [self._said(span, (), "rejected", "empty_target") for span in pair.source.spans]
        if not pair.source.spans:
            return []
        one = self._cut(pair)
        links = self._held[pair.source.text, pair.target]
        if not one.tgt:
            return [self._said(span, (), "rejected", "empty_target") for span in pair.source.spans]
        if not links:
            return [self._said(span, (), "rejected", "not_aligned") for span in pair.source.spans]
        known = (
            texts(pair.source.text, one.src, pair.target, one.tgt, links, self._association)
            if self._rule == "weighted"
            else None
        )
        return [self._one(pair, one, links, known, span) for span in pair.source.spans]

    def _one(self, pair: Parallel, one: _Pair, links: Links, known: Texts | None, span: Span) -> Projected:
        """A discontinuous span is carried piece by piece; where one of them has no counterpart, the others stand."""
        said = [self._piece(pair, one, links, known, units_in([piece], one.src)) for piece in span.pieces]
        pieces = merged((piece for answer in said for piece in answer[0]), gap=1)
        if not pieces:
            return self._said(
                span, (), "null" if said[0][3] in ("no_links", "no_counterpart") else "rejected", said[0][3]
            )
        score = min(answer[1] for answer in said if answer[0])
        # Other places are told of a span of one piece only: those of several do not combine.
        return self._said(span, pieces, "kept", "", round(score, 6), said[0][2] if len(said) == 1 else ())

    def _piece(
        self, pair: Parallel, one: _Pair, links: Links, known: Texts | None, inside: Sequence[int]
    ) -> tuple[tuple[Piece, ...], float, tuple[Candidate, ...], str]:
        """Where one piece of a span stands, how sure, other places, and why nowhere."""
        if not inside:
            return (), 0.0, (), "no_words"
        if known is not None:
            return self._weighed(pair, one, known, inside)
        linked: dict[int, float] = {}
        covered: dict[int, float] = {}
        for (i, j), score in links.items():
            if inside[0] <= i <= inside[-1]:
                linked[j] = linked.get(j, 0.0) + score
                covered[i] = max(covered.get(i, 0.0), score)
        if not linked:
            return (), 0.0, (), "no_links"
        found = choose(self._rule, linked)
        piece = None if found is None else _place(pair.target, one.tgt, found)
        if piece is None:
            return (), 0.0, (), "not_contiguous"
        # How much of the span is linked, by how sure links.
        return (piece,), sum(covered.values()) / len(inside), (), ""

    def _weighed(
        self, pair: Parallel, one: _Pair, known: Texts, inside: Sequence[int]
    ) -> tuple[tuple[Piece, ...], float, tuple[Candidate, ...], str]:
        low, high = part_of_target(one.parts, inside, len(one.tgt))
        ranked = posterior(known, inside, low, high)
        best, score = ranked[0]
        shown = []
        for found, chance in ranked[: _SHOWN + 1]:
            if found is not None and (piece := _place(pair.target, one.tgt, found)):
                shown.append((piece, chance))
        if best is None or not shown:
            return (), score, (), "no_counterpart"
        return (shown[0][0],), score, tuple(Candidate((piece,), round(chance, 6)) for piece, chance in shown[1:]), ""

    def _said(
        self,
        span: Span,
        pieces: tuple[Piece, ...],
        outcome: Outcome,
        reason: str,
        score: float | None = None,
        candidates: tuple[Candidate, ...] = (),
    ) -> Projected:
        return Projected(span.span_id, pieces, score, self.name, outcome, reason, candidates)


def units_of(pair: Parallel) -> tuple[list[Piece], list[Piece]]:
    """Where the words of both texts stand."""
    return word_spans(pair.source.text, pair.source.lang), word_spans(pair.target, pair.tgt_lang)


def _place(text: str, units: Sequence[Piece], found: Range) -> Piece | None:
    return tidy(text, (units[found[0]][0], units[found[1] - 1][1]))
