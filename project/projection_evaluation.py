"""How well spans were carried over: exact, overlap and head precision, recall and F1, what was left out, and whether confidence holds.

Every gold span and every predicted span counts, so that what is missing and what is too much both cost (LabelPigeon's and EasyProject's
own measures leave one of them out). The expected calibration error has bins of equal numbers (Nixon et al. 2019).
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsbuild.project.projector import Outcome
from dsbuild.spans import Labelled, Piece, trimmed
from dsbuild.text import word_spans

RULE = (
    "exact: same code points, white space and punctuation at the edges of a piece left aside; overlap: a code point shared; head: same rarest word "
    "of the span (by its count in the gold texts of the language; of equals the longer, then the first). The label must be the same, each span "
    "counts once, and spans without counterpart count on both sides"
)
KINDS = ("exact", "overlap", "head")
_BINS = 10
_POINTS = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What was predicted for a span. confidence: in [0, 1], None where the method has none; pieces: none where there is no answer."""

    span_id: str
    label: str
    pieces: tuple[Piece, ...]
    confidence: float | None = None
    outcome: Outcome = "kept"
    reason: str = ""


@dataclass(slots=True)
class _Place:
    """A span as it is compared."""

    name: str
    pieces: tuple[Piece, ...]
    head: Piece | None


class _Tally:
    """Counts of one group of spans: a label, a language, or all."""

    def __init__(self) -> None:
        self.matched: Counter[str] = Counter()
        self.gold = self.predicted = 0
        self.outcomes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.misses = self.extras = 0
        self.judged: list[tuple[float, bool]] = []

    def add(self, answers: Sequence[Answer], said: Sequence[_Place], gold: Sequence[_Place], by_id: bool) -> None:
        """Count the answers and the gold spans of one label of one text. said: the answers' places, None pieces where there are none."""
        kept = [place for answer, place in zip(answers, said, strict=True) if answer.outcome == "kept"]
        self.gold += len(gold)
        self.predicted += len(kept)
        for answer in answers:
            self.outcomes[answer.outcome] += 1
            if answer.outcome != "kept":
                self.reasons[answer.reason or answer.outcome] += 1
        overlapping = _matching(kept, gold, _shared, by_id)
        self.matched["overlap"] += len(overlapping)
        self.matched["exact"] += len(_matching(kept, gold, _same, by_id))
        self.matched["head"] += len(_matching(kept, gold, _same_head, by_id))
        self.extras += len(kept) - len(overlapping)
        self.misses += len(gold) - len(overlapping)
        # Who is sure is judged on low-confidence answers too; those that were kept have the first choice of the gold spans.
        sure = sorted((place for place, answer in enumerate(answers) if answer.confidence is not None and answer.pieces),
                      key=lambda place: answers[place].outcome != "kept")  # fmt: skip
        right = _matching([said[place] for place in sure], gold, _same, by_id)
        self.judged += [(answers[place].confidence or 0.0, number in right) for number, place in enumerate(sure)]

    def report(self) -> dict[str, Any]:
        """The numbers; shares are null where nothing was counted."""
        asked = self.outcomes.total()
        return {
            **{kind: _scores(self.matched[kind], self.predicted, self.gold) for kind in KINDS},
            "gold": self.gold, "predicted": self.predicted, "misses": self.misses, "extras": self.extras,
            "asked": asked, "coverage": _share(self.outcomes["kept"], asked), "null": self.outcomes["null"],
            "low_confidence": self.outcomes["low_confidence"], "rejected": self.outcomes["rejected"],
            "reasons": dict(sorted(self.reasons.items())), "calibration": calibration_error(self.judged),
        }  # fmt: skip


def evaluate(rows: Iterable[tuple[Labelled, Sequence[Answer]]], by_id: bool = False) -> dict[str, Any]:
    """Compare answers with gold texts: (gold text with its spans, what was predicted for it) for every gold text.

    by_id: spans with one `span_id` are the same span (SQuAD's answers), and only they are compared; else spans of a text are paired so
    that most agree. Returns the scores in all, `labels`, `languages` (each with `labels`), the coverage-precision `curve`, and the `rule`.
    """
    held = [(gold, list(answers)) for gold, answers in rows]
    counts = _word_counts(gold for gold, _ in held)
    whole = _Tally()
    labels: dict[str, _Tally] = {}
    languages: dict[str, _Tally] = {}
    inner: dict[tuple[str, str], _Tally] = {}
    for gold, answers in held:
        heads = _Heads(gold, counts[gold.lang])
        wanted: dict[str, list[_Place]] = {}
        for span in gold.spans:
            wanted.setdefault(span.label, []).append(heads.place(span.span_id, span.pieces))
        given: dict[str, list[Answer]] = {}
        for answer in answers:
            given.setdefault(answer.label, []).append(answer)
        for label in sorted({*wanted, *given}):
            mine = given.get(label, [])
            said = [heads.place(answer.span_id, answer.pieces) for answer in mine]
            tallies = (
                whole, labels.setdefault(label, _Tally()), languages.setdefault(gold.lang, _Tally()), inner.setdefault((gold.lang, label), _Tally()),
            )  # fmt: skip
            for tally in tallies:
                tally.add(mine, said, wanted.get(label, []), by_id)
    return {
        **whole.report(),
        "labels": {label: labels[label].report() for label in sorted(labels)},
        "languages": {
            lang: {
                **languages[lang].report(),
                "labels": {label: inner[lang, label].report() for label in sorted(labels) if (lang, label) in inner},
            }
            for lang in sorted(languages)
        },
        "curve": curve(whole.judged, whole.outcomes.total()),
        "rule": RULE,
    }


def calibration_error(judged: Sequence[tuple[float, bool]]) -> dict[str, Any] | None:
    """The expected calibration error of (confidence, right) and its bins; None where nothing has a confidence.

    >>> calibration_error([(0.9, True), (0.9, True), (0.5, False), (0.5, True)])["ece"]
    0.05
    """
    if not judged:
        return None
    ordered = sorted(judged)
    size = max(1, -(-len(ordered) // _BINS))
    bins: list[dict[str, Any]] = []
    at = 0
    while at < len(ordered):
        end = min(len(ordered), at + size)
        while end < len(ordered) and ordered[end][0] == ordered[end - 1][0]:
            end += 1  # equal confidences stay together: the order of ties would decide otherwise
        part = ordered[at:end]
        said = sum(confidence for confidence, _ in part) / len(part)
        bins.append(
            {
                "n": len(part),
                "confidence": round(said, 6),
                "precision": round(sum(right for _, right in part) / len(part), 6),
            }
        )
        at = end
    gap = sum(one["n"] * abs(one["confidence"] - one["precision"]) for one in bins) / len(ordered)
    return {"ece": round(gap, 6), "n": len(ordered), "bins": bins}


def curve(judged: Sequence[tuple[float, bool]], asked: int) -> list[dict[str, float]]:
    """Precision of the answers with at least a confidence, and their share of all spans asked for; from the surest on, 200 points at most.

    >>> curve([(0.9, True), (0.5, False)], 4)
    [{'confidence': 0.9, 'coverage': 0.25, 'precision': 1.0}, {'confidence': 0.5, 'coverage': 0.5, 'precision': 0.5}]
    """
    points = []
    right = 0
    ordered = sorted(judged, key=lambda one: -one[0])
    for number, (confidence, correct) in enumerate(ordered, 1):
        right += correct
        if number == len(ordered) or ordered[number][0] < confidence:
            points.append(
                {
                    "confidence": round(confidence, 6),
                    "coverage": round(number / asked, 6),
                    "precision": round(right / number, 6),
                }
            )
    if len(points) <= _POINTS:
        return points
    return [points[round(step * (len(points) - 1) / (_POINTS - 1))] for step in range(_POINTS)]


def edged(text: str, piece: Piece) -> Piece:
    """A piece without white space and punctuation at its ends; as it is where nothing else is in it.

    >>> edged("he said: «yes!»", (7, 15))
    (10, 13)
    """
    start, end = piece
    signs = "".join({char for char in text[start:end] if unicodedata.category(char)[0] == "P"})
    return trimmed(text, piece, signs) or piece


class _Heads:
    """Places of a text's spans with their head words."""

    def __init__(self, gold: Labelled, counts: Mapping[str, int]) -> None:
        self._text, self._counts = gold.text, counts
        self._words = word_spans(gold.text, gold.lang)

    def place(self, name: str, pieces: Sequence[Piece]) -> _Place:
        bare = tuple(edged(self._text, piece) for piece in pieces)
        inside = [word for word in self._words if any(start < word[1] and word[0] < end for start, end in bare)]
        return _Place(name, bare, min(inside, key=self._weight) if inside else None)

    def _weight(self, word: Piece) -> tuple[int, int, int]:
        return self._counts[self._text[word[0] : word[1]].casefold()], word[0] - word[1], word[0]


def _word_counts(items: Iterable[Labelled]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for item in items:
        counts = found.setdefault(item.lang, Counter())
        counts.update(item.text[start:end].casefold() for start, end in word_spans(item.text, item.lang))
    return found


def _same(one: _Place, other: _Place) -> int:
    return int(bool(one.pieces) and one.pieces == other.pieces)


def _same_head(one: _Place, other: _Place) -> int:
    return int(one.head is not None and one.head == other.head)


def _shared(one: _Place, other: _Place) -> int:
    return sum(max(0, min(end, high) - max(start, low)) for start, end in one.pieces for low, high in other.pieces)


def _matching(said: Sequence[_Place], gold: Sequence[_Place], fits: Any, by_id: bool) -> set[int]:
    """Those of `said` that have a partner when as many as can be are paired one to one (augmenting paths, Kuhn 1955)."""
    edges = [
        sorted((place for place, two in enumerate(gold) if (not by_id or one.name == two.name) and fits(one, two)),
               key=lambda place, one=one: -fits(one, gold[place]))  # type: ignore[misc]
        for one in said
    ]  # fmt: skip
    partner: dict[int, int] = {}

    def augment(one: int, seen: set[int]) -> bool:
        for place in edges[one]:
            if place not in seen:
                seen.add(place)
                if place not in partner or augment(partner[place], seen):
                    partner[place] = one
                    return True
        return False

    for one in range(len(said)):
        augment(one, set())
    return set(partner.values())


def _scores(matched: int, predicted: int, gold: int) -> dict[str, float | None]:
    both = predicted + gold
    return {"precision": _share(matched, predicted), "recall": _share(matched, gold), "f1": _share(2 * matched, both)}


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
