"""`auto`: decides span by span among everything that has something to say, and says how sure it is.

Link sets that came with the pairs, an aligner that learns on the set (eflomal where it is installed, the built-in one else) under several
symmetrisations and span rules, the rule `weighted` over the links that are followed first, word association and spelling each vote for a
place. A calibrated model (`project/calibration.py`) weighs the places and gives the best one its confidence. With `target_precision` the
surest answers are kept as far as what may be promised of them allows.
"""

from __future__ import annotations

import importlib.util
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from dsbuild.errors import RecipeError, UnknownName
from dsbuild.project.aligner import Bitext
from dsbuild.project.alignment import Link, Symmetry, on_units, symmetrise, units_in
from dsbuild.project.calibration import Calibration, load, threshold
from dsbuild.project.constrained import ConstrainedProjector
from dsbuild.project.lexical_aligner import LexicalAligner
from dsbuild.project.parallel_text import read_parallel
from dsbuild.project.projector import Candidate, Outcome, Parallel, Projected
from dsbuild.project.span_evidence import FEATURES, Option, Range, SetEvidence, Unit, cut, length_ratio
from dsbuild.project.span_model import keys
from dsbuild.project.span_rules import tidy
from dsbuild.scoring import TranslationScorer
from dsbuild.spans import Piece, Span
from dsbuild.text import word_spans

ALIGNERS = ("auto", "eflomal", "built-in")
REASONS = ("empty_target", "no_words", "no_counterpart", "below_target", "uncalibrated")
_SYMMETRIES: tuple[Symmetry, ...] = ("grow-diag-final-and", "intersection", "grow-diag", "union")
_OWN_SYMMETRIES: tuple[Symmetry, ...] = ("grow-diag-final-and", "intersection", "union")
_SURE = 0.3
_SHOWN = 5


@dataclass(slots=True)
class _Found:
    """The best option of a span, its probability and the others."""

    option: Option
    probability: float
    others: list[tuple[Range, float]]


class CascadeProjector:
    """Votes of links, word association and spelling, span by span, with a calibrated confidence.

    target_precision: in (0, 1]; keep what may be promised to reach it. aligner: auto (eflomal if installed), eflomal or
    built-in. calibration: a file made by `dsbuild calibrate-projection`, else the shipped one. parallel: a file of further translations,
    source, tab, target in each line, that the aligner may learn from. scorer: a translation model that is asked where the marks of each span
    would stand (`constrained`); it is a kind of evidence of its own and needs a calibration that was fitted with it.
    """

    name: ClassVar[str] = "auto"
    deterministic: ClassVar[bool] = False

    def __init__(
        self, target_precision: float | None = None, aligner: str = "auto", calibration: str = "", parallel: str = "",
        scorer: TranslationScorer | None = None,
    ) -> None:  # fmt: skip
        if aligner not in ALIGNERS:
            raise UnknownName("aligner of auto", aligner, ALIGNERS)
        if target_precision is not None and not 0 < target_precision <= 1:
            raise RecipeError(f"auto: target_precision {target_precision:g} is not in (0, 1]")
        if aligner == "auto":
            aligner = "eflomal" if importlib.util.find_spec("eflomal") else "built-in"
        self._aligner, self._target = aligner, target_precision
        self._marking = ConstrainedProjector(scorer) if scorer is not None else None
        self._file = calibration
        self._more = read_parallel(parallel, self.name) if parallel else []
        self._answers: dict[tuple[str, str, str], list[Projected]] = {}
        self._facts: dict[str, Any] = {}
        self._units: list[Unit] = []
        self._found: dict[tuple[int, int], _Found] = {}
        self._bounds: dict[tuple[int, int], float] = {}
        self._used: Calibration | None = None

    @cached_property
    def _calibrations(self) -> dict[str, Calibration]:
        return load(self._file)

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """Name, options, and the gold of the calibrations."""
        golds = sorted(
            {
                f"{one.gold.name} ({one.n_spans}) {' '.join(one.gold.files)}".strip()
                for one in self._calibrations.values()
            }
        )
        return {
            "name": self.name, "aligner": self._aligner, "target_precision": self._target, "calibration": "; ".join(golds),
            "n_parallel": len(self._more), "version": 5,
            **({f"marking.{key}": value for key, value in self._marking.fingerprint().items()} if self._marking else {}),
        }  # fmt: skip

    def facts(self) -> Mapping[str, Any]:
        """What was found out about the set: setup, calibration gold, status, distance, threshold, coverage; `notes` say it in words."""
        return self._facts

    def fit(self, pairs: Sequence[Parallel]) -> None:
        """Learn on the whole set and answer for it; `project` then gives the answers out."""
        held = list(pairs)
        self._answers = {}
        if not held:
            return
        self._units = self.units(held)
        calibration = self._calibration(self._units)
        self._used = calibration
        self._found = dict(_best(self._units, SetEvidence(self._units), calibration))
        self._weigh(calibration)
        self.decide(self._target)

    def _weigh(self, calibration: Calibration) -> None:
        best = np.array([one.option.features for one in self._found.values()], float).reshape(
            len(self._found), len(FEATURES)
        )
        sure = np.array([one.probability for one in self._found.values()], float)
        distance = calibration.distance(best)
        status = calibration.status(self._units[0].pair.tgt_lang, distance)
        self._bounds = dict(zip(self._found, calibration.bounds(sure, status, distance), strict=True))
        self._facts = {
            "setup": calibration.setup, "gold": calibration.gold.name, "n_gold": calibration.n_spans, "status": status,
            "distance": round(distance, 4), "n_seen": calibration.seen(unit.pair.target for unit in self._units),
        }  # fmt: skip

    def decide(self, target_precision: float | None) -> None:
        """Answer again for the set that was learned, with another target.

        Both what is expected of the set and what held-out gold shows must reach it.
        """
        least = sure = 0.0
        if target_precision is not None and self._used is not None:
            least = threshold(np.array(list(self._bounds.values()), float), target_precision)
            sure = self._used.least(target_precision)
        reason = "uncalibrated" if self._facts["status"] == "uncalibrated" else "below_target"
        kept = n_spans = 0
        for number, unit in enumerate(self._units):
            answers = []
            for place, span in enumerate(unit.pair.source.spans):
                found = self._found.get((number, place))
                enough = target_precision is None or (
                    found is not None and self._bounds[number, place] >= least and found.probability >= sure
                )
                answers.append(_answer(unit, span, found, enough, reason))
            self._answers[_key(unit.pair)] = answers
            kept += sum(one.outcome == "kept" for one in answers)
            n_spans += len(answers)
        self._facts |= {
            "least_bound": round(least, 6) if np.isfinite(least) else None, "least_shown": round(sure, 6) if np.isfinite(sure) else None,
            "coverage": round(kept / n_spans, 6) if n_spans else None,
            "notes": [self._note(target_precision, kept, n_spans, bool(np.isfinite(sure))), *self._warning()],
        }  # fmt: skip

    def project(self, pairs: Sequence[Parallel]) -> Iterator[list[Projected]]:
        """The answers for each pair; pairs that `fit` did not see are learned from now, all together."""
        if any(_key(pair) not in self._answers for pair in pairs):
            self.fit(pairs)
        for pair in pairs:
            yield self._answers[_key(pair)]

    def close(self) -> None:
        """Forget the set, and free the scorer."""
        if self._marking is not None:
            self._marking.close()
        self._answers, self._units, self._found, self._bounds = {}, [], {}, {}

    def units(self, pairs: Sequence[Parallel]) -> list[Unit]:
        """The pairs cut into words, with the links of every aligner: what the evidence is made of."""
        ratio = length_ratio(pairs)
        lexical = LexicalAligner()
        units = []
        for pair in pairs:
            src, tgt, parts = cut(pair, ratio)
            units.append(Unit(pair, src, tgt, keys(pair.source.text, src), keys(pair.target, tgt), parts, {}, lexical))
        more = [
            (keys(source, word_spans(source)), keys(target, word_spans(target)))
            for source, target in self._further(pairs)
        ]
        lexical.fit(
            [(unit.src_keys[a:b], unit.tgt_keys[c:d]) for unit in units for (a, b), (c, d) in unit.parts] + more
        )
        with_links = all(pair.links is not None for pair in pairs)
        for unit in units:
            if with_links and unit.pair.links is not None:
                unit.families["links"] = {"given": list(on_units(unit.pair.links, unit.src, unit.tgt))}
            if self._aligner == "built-in":
                unit.families["built-in"] = _own_links(unit)
        if self._aligner == "eflomal":
            self._align(units)
        if self._marking is not None:
            self._marking.fit(pairs)
            for unit, answers in zip(units, self._marking.project(pairs), strict=True):
                unit.marked = {one.span_id: places for one in answers if (places := _marked(one, unit))}
        return units

    def _further(self, pairs: Sequence[Parallel]) -> list[tuple[str, str]]:
        """Texts that are learned from and hold no spans: those of the file, and of the rows."""
        return [*self._more, *(two for pair in pairs for two in pair.more)]

    def _align(self, units: Sequence[Unit]) -> None:
        from dsbuild.project.eflomal import Eflomal

        places = [(unit, src, tgt) for unit in units for src, tgt in unit.parts if src[1] > src[0] and tgt[1] > tgt[0]]
        texts = [
            Bitext(unit.pair.source.text, unit.src[a:b], unit.pair.target, unit.tgt[c:d])
            for unit, (a, b), (c, d) in places
        ]
        further = self._further([unit.pair for unit in units])
        more = [Bitext(source, word_spans(source), target, word_spans(target)) for source, target in further]
        first = units[0].pair
        made = Eflomal(symmetry="union")
        held: list[dict[Link, float]] = [{} for _ in units]
        number_of = {id(unit): number for number, unit in enumerate(units)}
        for (unit, (a, _), (c, _)), links in zip(
            places, made.align(texts, first.source.lang, first.tgt_lang, more), strict=True
        ):
            held[number_of[id(unit)]].update({(a + i, c + j): score for (i, j), score in links.items()})
        made.close()
        for unit, links in zip(units, held, strict=True):
            both = [link for link, score in links.items() if score >= 1]
            unit.families["eflomal"] = {how: symmetrise(both, links, how) for how in _SYMMETRIES}

    def setup(self, units: Sequence[Unit]) -> str:
        """What kind of evidence the units hold: the name of the calibration that is for it."""
        parts = ["links"] if "links" in units[0].families else []
        return "+".join([*parts, self._aligner, *(["marks"] if self._marking is not None else [])])

    def _calibration(self, units: Sequence[Unit]) -> Calibration:
        setup = self.setup(units)
        if setup not in self._calibrations:
            raise RecipeError(
                f"auto: the calibration has no part for {setup} (it has {', '.join(sorted(self._calibrations))}); "
                "fit it on such answers: dsbuild calibrate-projection"
            )
        return self._calibrations[setup]

    def _warning(self) -> list[str]:
        seen, n_texts = self._facts["n_seen"], len(self._units)
        if not seen:
            return []
        return [
            f"{seen:,} of {n_texts:,} target texts are among those that the confidence was fitted on: scores against gold flatter it there; "
            "held-out figures are those of dsbuild calibrate-projection"
        ]

    def _note(self, target_precision: float | None, kept: int, n_spans: int, is_shown: bool) -> str:
        gold = f"{self._facts['gold']}, {self._facts['n_gold']:,} spans"
        said = {
            "calibrated": f"confidence is calibrated on {gold}",
            "lower_bound": f"confidence was calibrated on {gold}; for {self._units[0].pair.tgt_lang} what is promised is a lower bound",
            "uncalibrated": f"uncalibrated: the set is unlike the gold ({gold}; distance {self._facts['distance']:.2f}); confidence only ranks",
        }[self._facts["status"]]
        if target_precision is None:
            return said
        share = kept / n_spans if n_spans else 0.0
        shown = "" if is_shown else "; the held-out part of that gold does not show this precision"
        return f"{said}; precision {target_precision:g} asked for: {kept:,} of {n_spans:,} spans kept (coverage {share:.1%}){shown}"


def _best(
    units: Sequence[Unit], evidence: SetEvidence, calibration: Calibration
) -> Iterator[tuple[tuple[int, int], _Found]]:
    for number, unit in enumerate(units):
        for place, span in enumerate(unit.pair.source.spans):
            options = evidence.options(unit, span)
            if options:
                sure = calibration.probabilities(np.array([one.features for one in options], float))
                order = np.argsort(-sure, kind="stable")
                ranked = [(options[int(at)], float(sure[at])) for at in order]
                yield (
                    (number, place),
                    _Found(ranked[0][0], ranked[0][1], [(one.words, said) for one, said in ranked[1:_SHOWN]]),
                )


def _marked(answer: Projected, unit: Unit) -> dict[Range, float]:
    """The words of each place that the search for marks found, with its probability."""
    found: dict[Range, float] = {}
    for pieces, chance in [
        (answer.pieces, answer.score or 0.0),
        *((one.pieces, one.probability) for one in answer.candidates),
    ]:
        words = units_in(pieces, unit.tgt)
        if words:
            place = (words[0], words[-1] + 1)
            found[place] = max(chance, found.get(place, 0.0))
    return found


def _own_links(unit: Unit) -> dict[str, list[Link]]:
    """The likeliest partner of each word, in both directions, where it is likely enough."""
    one, two = unit.weights()
    if not one.size:
        return {how: [] for how in _OWN_SYMMETRIES}
    forward = [(int(one[:, j].argmax()), j) for j in range(one.shape[1]) if one[:, j].max() > _SURE]
    backward = [(i, int(two[i].argmax())) for i in range(two.shape[0]) if two[i].max() > _SURE]
    return {how: symmetrise(forward, backward, how) for how in _OWN_SYMMETRIES}


def _answer(unit: Unit, span: Span, found: _Found | None, enough: bool, reason: str) -> Projected:
    if found is None:
        said = _without(unit, span)
        # A sign found again has no confidence that could be held against a precision.
        return said if enough or not said.pieces else replace(said, outcome="low_confidence", reason=reason)
    pieces = _pieces(unit, found.option.words)
    if not pieces:
        return Projected(span.span_id, (), None, CascadeProjector.name, "null", "no_counterpart")
    outcome: Outcome = "kept" if enough else "low_confidence"
    others = tuple(Candidate(_pieces(unit, words), sure) for words, sure in found.others)
    return Projected(
        span.span_id,
        pieces,
        round(found.probability, 6),
        CascadeProjector.name,
        outcome,
        "" if enough else reason,
        others,
    )


def _without(unit: Unit, span: Span) -> Projected:
    """The answer where no word says anything: a sign that stands once in both texts is the same, a word without a partner has no counterpart."""
    name = CascadeProjector.name
    if not unit.pair.target.strip():
        return Projected(span.span_id, (), None, name, "rejected", "empty_target")
    surface = span.surface(unit.pair.source.text)
    if not any(unicodedata.category(char)[0] in "LN" for char in surface):
        at = unit.pair.target.find(surface)
        if at >= 0 and unit.pair.target.count(surface) == 1 and unit.pair.source.text.count(surface) == 1:
            return Projected(span.span_id, ((at, at + len(surface)),), None, name)
        return Projected(span.span_id, (), None, name, "rejected", "no_words")
    return Projected(span.span_id, (), None, name, "null", "no_counterpart")


def _pieces(unit: Unit, words: Range) -> tuple[Piece, ...]:
    first, last = words
    found = tidy(unit.pair.target, (unit.tgt[first][0], unit.tgt[last - 1][1]))
    return (found,) if found else ()


def _key(pair: Parallel) -> tuple[str, str, str]:
    return pair.source.id, pair.target, pair.tgt_lang
