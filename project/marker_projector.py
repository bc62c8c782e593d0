"""`markers`: the engine translates the text with marks around its spans, and the marks say where they are.

Sources: MultiTACRED, EasyProject, LabelPigeon. Sentences are translated one by one; a span is never cut by a sentence's end.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from dsbuild import sentences
from dsbuild.engine import Output, Request, TranslationEngine
from dsbuild.errors import RecipeError
from dsbuild.project.marker_parser import METHOD, Read, read
from dsbuild.project.marker_probe import Measured, best, chrf, probe
from dsbuild.project.markers import PLACEHOLDER, SCHEMES, Marked, encode, scheme_named
from dsbuild.project.projector import Parallel, Projected, check_numbers
from dsbuild.spans import Labelled, Piece, Span, problems

AUTO = "auto"
# Beside those of the parser: the text could not be translated, or not with marks; a given translation does not hold the marked one's
# words, or holds them twice; the span is not sound.
REASONS = ("no_translation", "not_translated", "target_differs", "ambiguous", "unsound")
FOUND = 0.5
# Why a span is low in confidence: with marks the sentence became another one than without, so that the plain one stays.
CHANGED = "marks_changed"
_BATCH = 16
_SEED = 7
_SHARD = 256


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of a source that is translated in one go, and its spans (or pieces of them) with marks."""

    marked: Marked
    start: int
    end: int


class MarkerProjector:
    """Marks around spans that the engine carries through the translation.

    engine: translates; src, tgt: BCP-47. scheme: letters, xml, square, braces, fullwidth, brackets, multitacred
    (a text that holds its characters takes another) or placeholder; auto: what a probe on `sample` texts
    finds best (0: no probe, the engine's placeholders where it has them, else letters). min_chrf: in [0, 1]; above 0 every marked
    sentence is translated without marks too, and where the two are less alike than this, the plain one is taken and the spans found in it
    are low in confidence.
    Where a translation is given, the marked one's words are looked for in it; they must stand there once.
    """

    name: ClassVar[str] = METHOD
    deterministic: ClassVar[bool] = True
    translates: ClassVar[bool] = True

    def __init__(
        self, engine: TranslationEngine, src: str = "", tgt: str = "", scheme: str = AUTO, sample: int = 40,
        min_chrf: float = 0.0,
    ) -> None:  # fmt: skip
        check_numbers(METHOD, {"sample": (sample, 0), "min_chrf": (min_chrf, 0)})
        if min_chrf > 1:
            raise RecipeError(f"{METHOD}.min_chrf: {min_chrf!r} is a share; write a number from 0 to 1")
        self._min_chrf = min_chrf
        self._template = engine.capabilities.placeholder
        self._wanted, self._sample = scheme, sample
        # What `auto` marks with until it has probed, and where there is nothing to probe on.
        first = PLACEHOLDER if self._template else "letters"
        self._scheme = scheme_named(first if scheme == AUTO else scheme, self._template)
        self._probed: dict[str, Measured] = {}
        self._engine, self._src, self._tgt = engine, src, tgt
        self._schemes: Counter[str] = Counter()
        self._repairs: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._n_given = self._n_plain = self._n_changed = 0

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """Scheme, size of the probe and engine."""
        engine = {f"engine.{name}": value for name, value in self._engine.fingerprint().items()}
        return {
            "name": self.name,
            "version": 1,
            "scheme": self._wanted,
            "sample": self._sample,
            "min_chrf": self._min_chrf,
            **engine,
        }

    def facts(self) -> dict[str, Any]:
        """How many texts took which scheme, what was repaired, and why spans were rejected."""
        notes = []
        if self._probed:
            taken = self._probed[self._scheme.name]
            notes.append(
                f"markers: scheme {self._scheme.name}: {taken.survival:.0%} of {taken.n_spans} spans came back in a probe, "
                f"chrF {100 * taken.chrf:.0f} to the plain translation"
            )
        if self._n_given:
            notes.append(
                f"markers: {self._n_given} texts had a translation; the marked text was translated anew and its words looked for there"
            )
        if self._n_plain:
            notes.append(
                f"markers: {self._n_plain} sentences were translated without marks, because marks spoiled them"
            )
        if self._n_changed:
            notes.append(
                f"markers: {self._n_changed} sentences became others with marks (chrF below {self._min_chrf:g} to the plain "
                "translation, which was taken; their spans are low in confidence)"
            )
        counted = {"schemes": self._schemes, "repairs": self._repairs, "reasons": self._reasons}
        probed = {}
        if self._probed:
            told = {
                name: {"survival": round(one.survival, 4), "chrf": round(one.chrf, 4), "n_spans": one.n_spans}
                for name, one in self._probed.items()
            }
            probed = {"probe": told}
        return {**{name: dict(sorted(one.items())) for name, one in counted.items()}, **probed, "notes": notes}

    def fit(self, pairs: Sequence[Parallel]) -> None:
        """Choose the scheme by a probe on a sample of the set, where `auto` was asked for."""
        if self._wanted != AUTO or not self._sample:
            return
        chosen = sorted(random.Random(_SEED).sample(range(len(pairs)), min(self._sample, len(pairs))))
        texts = []
        src, tgt = self._src, self._tgt
        for pair in (pairs[number] for number in chosen):
            src, tgt = src or pair.source.lang, tgt or pair.tgt_lang
            stretches = [part.marked for part in self._parts(_sound(pair.source)) if part.marked.spans]
            texts += [(one.source, one.spans) for one in stretches[:1]]
        self._schemes.clear()
        if not texts:
            return
        schemes = [
            *([scheme_named(PLACEHOLDER, self._template)] if self._template else []),
            *(one for one in SCHEMES.values() if not one.roles),
        ]
        self._probed = probe(texts, schemes, lambda asked: self._asked([Request(text, src, tgt) for text in asked]))
        self._scheme = scheme_named(best(self._probed), self._template)

    def translated(self, pairs: Sequence[Parallel]) -> Iterator[tuple[str, list[Projected]]]:
        """For each pair the translation of its source without marks, "" where the engine gave none, and an answer for each span."""
        for at in range(0, len(pairs), _SHARD):
            shard = pairs[at : at + _SHARD]
            for text, answers in self._made(shard):
                self._reasons.update(one.reason for one in answers if one.reason)
                yield text, answers

    def project(self, pairs: Sequence[Parallel]) -> Iterator[list[Projected]]:
        """See `Projector`: the marked text is translated, and what its marks hold is looked for in the target."""
        for at in range(0, len(pairs), _SHARD):
            shard = pairs[at : at + _SHARD]
            for pair, (text, answers) in zip(shard, self._made(shard), strict=True):
                self._n_given += 1
                said = [onto(one, text, pair.target) for one in answers]
                self._reasons.update(one.reason for one in said if one.reason)
                yield said

    def close(self) -> None:
        """The engine belongs to who gave it."""

    def _made(self, pairs: Sequence[Parallel]) -> Iterator[tuple[str, list[Projected]]]:
        sound = [_sound(pair.source) for pair in pairs]
        parts = [self._parts(item) for item in sound]
        asked = [
            Request(part.marked.text, self._src or pair.source.lang, self._tgt or pair.tgt_lang)
            for pair, mine in zip(pairs, parts, strict=True)
            for part in mine
        ]
        outputs = iter(self._asked(asked))
        said = [[_understood(part, next(outputs)) for part in mine] for mine in parts]
        self._plain(pairs, said, parts)
        if self._min_chrf:
            self._compared(pairs, said, parts)
        for pair, item, mine, reads in zip(pairs, sound, parts, said, strict=True):
            if any(one.spoiled for one in reads):
                yield "", [_refused(span, "no_translation") for span in pair.source.spans]
                continue
            text, answers = self._joined(item, mine, reads)
            yield text, [answers.get(span.span_id) or _refused(span, "unsound") for span in pair.source.spans]

    def _plain(self, pairs: Sequence[Parallel], said: list[list[Read]], parts: Sequence[list[_Part]]) -> None:
        """Where marks spoiled a text, or nothing came back, the text is translated without marks; its spans stay rejected."""
        again = [
            (row, place)
            for row, reads in enumerate(said)
            for place, one in enumerate(reads)
            if one.spoiled and parts[row][place].marked.tags
        ]
        asked = [self._without(pairs[row], parts[row][place]) for row, place in again]
        for (row, place), output in zip(again, self._asked(asked), strict=True):
            if output.finish == "stop" and output.text.strip():
                self._n_plain += 1
                said[row][place] = replace(
                    said[row][place], text=_bare(parts[row][place].marked.source, output.text), spoiled=False
                )

    def _compared(self, pairs: Sequence[Parallel], said: list[list[Read]], parts: Sequence[list[_Part]]) -> None:
        """Where marks made another sentence of one, the plain translation takes its place, with the spans that are found in it."""
        places = [
            (row, place)
            for row, reads in enumerate(said)
            for place, one in enumerate(reads)
            if any(answer.pieces for answer in one.answers)
        ]
        asked = [self._without(pairs[row], parts[row][place]) for row, place in places]
        for (row, place), output in zip(places, self._asked(asked), strict=True):
            one = said[row][place]
            plain = _bare(parts[row][place].marked.source, output.text)
            if output.finish == "stop" and plain.strip() and chrf(one.text, plain) < self._min_chrf:
                self._n_changed += 1
                said[row][place] = replace(
                    one, text=plain, answers=tuple(_doubted(a, one.text, plain) for a in one.answers)
                )

    def _without(self, pair: Parallel, part: _Part) -> Request:
        return Request(part.marked.source, self._src or pair.source.lang, self._tgt or pair.tgt_lang)

    def _asked(self, requests: Sequence[Request]) -> list[Output]:
        batches = [requests[at : at + _BATCH] for at in range(0, len(requests), _BATCH)]
        outputs: list[list[Output]] = [[] for _ in batches]
        for number, made in self._engine.translate_batches(batches):
            outputs[number] = made
        return [one for made in outputs for one in made]

    def _parts(self, item: Labelled) -> list[_Part]:
        made = []
        for start, end in _stretches(item):
            inside = []
            for span in item.spans:
                pieces = tuple((low - start, high - start) for low, high in span.pieces if start <= low and high <= end)
                if pieces:
                    inside.append(Span(span.span_id, span.label, pieces))
            marked = encode(item.text[start:end], inside, self._scheme)
            if inside:
                self._schemes[marked.scheme.name + (" escaped" if marked.escaped else "")] += 1
            made.append(_Part(marked, start, end))
        return made

    def _joined(
        self, item: Labelled, parts: Sequence[_Part], reads: Sequence[Read]
    ) -> tuple[str, dict[str, Projected]]:
        """The text of all stretches, what stands between them as it is in the source, and the answers moved to it."""
        text, at = "", 0
        by_span: dict[str, list[Projected]] = {}
        for part, one in zip(parts, reads, strict=True):
            text += item.text[at : part.start]
            for answer in one.answers:
                pieces = tuple((low + len(text), high + len(text)) for low, high in answer.pieces)
                by_span.setdefault(answer.span_id, []).append(replace(answer, pieces=pieces))
            self._repairs.update(one.repairs)
            text += one.text
            at = part.end
        return text + item.text[at:], {name: _whole(answers) for name, answers in by_span.items()}


def onto(answer: Projected, made: str, target: str) -> Projected:
    """An answer in the text that the engine made, moved to a given translation: its words must stand there once, and once in what was made.

    >>> onto(Projected("1", ((3, 7),), 1.0, "markers"), "la casa", "Mi casa.").pieces
    ((3, 7),)
    """
    if not answer.pieces or made == target:
        return answer
    places = []
    for start, end in answer.pieces:
        words = made[start:end]
        where = _standing(words, target)
        if len(where) != 1 or len(_standing(words, made)) != 1:
            reason = "ambiguous" if where else "target_differs"
            return Projected(answer.span_id, (), None, METHOD, "rejected", reason)
        places.append((where[0], where[0] + len(words)))
    places.sort()
    return replace(answer, pieces=tuple(places), score=FOUND)


def _doubted(answer: Projected, made: str, plain: str) -> Projected:
    """An answer of a sentence that marks changed, in the plain translation: kept in sight, and not sure."""
    moved = onto(answer, made, plain)
    return replace(moved, outcome="low_confidence", reason=CHANGED) if moved.pieces else moved


def _standing(words: str, text: str) -> list[int]:
    """Where words stand in a text, not inside others."""
    found, at = [], text.find(words)
    while at >= 0:
        end = at + len(words)
        cut = (at and text[at - 1].isalnum() and words[0].isalnum()) or (
            text[end : end + 1].isalnum() and words[-1].isalnum()
        )
        if not cut:
            found.append(at)
        at = text.find(words, at + 1)
    return found


def _understood(part: _Part, output: Output) -> Read:
    if output.finish == "stop" and output.text.strip():
        return read(part.marked, _bare(part.marked.source, output.text))
    return Read("", tuple(_refused(span, "not_translated") for span in part.marked.spans), spoiled=True)


def _bare(source: str, text: str) -> str:
    """A translation without white space at its ends, such as a dropped pronoun leaves, unless the source has some."""
    return text if source != source.strip() else text.strip()


def _whole(answers: Sequence[Projected]) -> Projected:
    """One answer of those for a span's pieces in several sentences: all must be there, and none is surer than the least sure."""
    lost = next((one for one in answers if not one.pieces), None)
    if lost or len(answers) == 1:
        return lost or answers[0]
    pieces = tuple(sorted(piece for one in answers for piece in one.pieces))
    least = next((one for one in answers if one.outcome != "kept"), answers[0])
    return replace(least, pieces=pieces, score=min(one.score or 0.0 for one in answers))


def _stretches(item: Labelled) -> list[Piece]:
    """The sentences of a text, those that a piece of a span reaches across joined."""
    made: list[Piece] = []
    pieces = [piece for span in item.spans for piece in span.pieces]
    wanted = sorted([*sentences.split(item.text, item.lang), *pieces])
    for start, end in wanted:
        if made and start < made[-1][1]:
            made[-1] = (made[-1][0], max(made[-1][1], end))
        else:
            made.append((start, end))
    return made


def _sound(item: Labelled) -> Labelled:
    """The text with the spans that can be marked."""
    seen: Counter[str] = Counter(span.span_id for span in item.spans)
    good = tuple(
        span
        for span in item.spans
        if seen[span.span_id] == 1 and not problems(Labelled(item.id, item.text, item.lang, (span,)))
    )
    return replace(item, spans=good, relations=())


def _refused(span: Span, reason: str) -> Projected:
    return Projected(span.span_id, (), None, METHOD, "rejected", reason)
