"""What speaks for each place in the target that a span might have: the votes of links under several rules, and signs that no vote sees.

Everything is learned on the set itself, without its labels, and nothing names a language: how strongly words go together, how usual a word
is, how long translations are, what the same source words became elsewhere in the set, and whether the way back leads to the span again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dsbuild.project.alignment import Link, units_in
from dsbuild.project.association import Association
from dsbuild.project.fuzzy import places
from dsbuild.project.lexical_aligner import LexicalAligner
from dsbuild.project.projector import Parallel
from dsbuild.project.sentence_pairs import sentence_pairs
from dsbuild.project.similarity import alike, alike_words
from dsbuild.project.span_model import Texts, posterior, texts
from dsbuild.project.span_rules import choose
from dsbuild.spans import Piece, Span
from dsbuild.text import word_spans

Floats = npt.NDArray[np.float64]
Range = tuple[int, int]

FEATURES = (
    "main", "main_share", "other_share", "starts", "ends", "jaccard", "in_forward", "in_backward", "leak", "first_support", "last_support",
    "left_leak", "right_leak", "length", "length_off", "src_words", "first_usual", "last_usual", "holes", "unlinked", "way_back", "alike", "same",
    "edge_alike", "repeats", "n_repeats", "twice", "position", "sentence", "options", "lexical_best", "left_usual", "right_usual",
    "alike_whole", "spelled_best", "marked",
)  # fmt: skip
_RULES = ("gap1", "gap3", "hull")
_LONGER, _MUCH_LONGER = 2.0, 4
_SPELLED = 0.75


@dataclass(slots=True)
class Unit:
    """A pair cut into words, and what is known of them.

    parts: word ranges (source, target) that translate each other; families: by aligner, the one to be followed first, its link sets by
    symmetrisation, the one that it stands for first; lexical: has learned the set; marked: by span id, what a translation model makes of each place
    for the span's marks (`project/constrained.py`), where there is one.
    """

    pair: Parallel
    src: list[Piece]
    tgt: list[Piece]
    src_keys: list[str]
    tgt_keys: list[str]
    parts: list[tuple[Range, Range]]
    families: dict[str, dict[str, list[Link]]]
    lexical: LexicalAligner
    marked: dict[str, dict[Range, float]] = field(default_factory=dict)

    def weights(self) -> tuple[Floats, Floats]:
        """The posteriors of links [source words, target words] in both directions; 0 between parts that do not belong together."""
        forward, backward = (np.zeros((len(self.src), len(self.tgt))) for _ in range(2))
        for (a, b), (c, d) in self.parts:
            forward[a:b, c:d], backward[a:b, c:d] = self.lexical.posteriors(self.src_keys[a:b], self.tgt_keys[c:d])
        return forward, backward


@dataclass(slots=True)
class Option:
    """A place that was considered: target words [first, last), who voted for it, and what speaks for it (`FEATURES`)."""

    words: Range
    votes: tuple[str, ...]
    features: list[float]


def cut(pair: Parallel, ratio: float) -> tuple[list[Piece], list[Piece], list[tuple[Range, Range]]]:
    """The words of both texts and the parts that translate each other; ratio: target characters a source character."""
    source, target = pair.source.text, pair.target
    src, tgt = word_spans(source, pair.source.lang), word_spans(target, pair.tgt_lang)
    known = pair.segments or sentence_pairs(source, target, pair.source.lang, pair.tgt_lang, ratio)
    parts = [(_within(src, a, b), _within(tgt, c, d)) for a, b, c, d in known]
    return src, tgt, parts


def length_ratio(pairs: Sequence[Parallel]) -> float:
    """Target characters a source character, over all pairs that have a target; 1 where none has."""
    held = [pair for pair in pairs if pair.target.strip()]
    n_src = sum(len(pair.source.text) for pair in held)
    return sum(len(pair.target) for pair in held) / n_src if n_src else 1.0


def _within(words: Sequence[Piece], start: int, end: int) -> Range:
    inside = [place for place, word in enumerate(words) if start <= word[0] < end]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def part_of_target(parts: Sequence[tuple[Range, Range]], words: Sequence[int], n_tgt: int) -> Range:
    """The target words of the parts that these source words lie in; all of the `n_tgt` where those have none."""
    found = [tgt for src, tgt in parts if any(src[0] <= word < src[1] for word in words) and tgt[1] > tgt[0]]
    return (min(one[0] for one in found), max(one[1] for one in found)) if found else (0, n_tgt)


class SetEvidence:
    """What the whole set says; made once, then asked for each span."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self.ratio = length_ratio([unit.pair for unit in units])
        self._usual = Counter(key for unit in units for key in unit.tgt_keys)
        self._most = math.log1p(max(self._usual.values(), default=1))
        self._became: dict[str, Counter[str]] = {}
        # Spans of one text are asked for one after another: its posteriors are worked out once, and held for one text only.
        self._last: tuple[Unit, tuple[Floats, Floats]] | None = None
        self._known: tuple[Unit, Texts] | None = None
        self._association = Association(
            [(unit.src_keys, unit.tgt_keys, links) for unit in units if (links := _lead_links(unit))]
        )
        for unit in units:
            for span in unit.pair.source.spans:
                words = units_in(span.pieces, unit.src)
                place = self._main(unit, words)
                if place:
                    self._became.setdefault(_said(unit.src_keys, words), Counter())[
                        " ".join(unit.tgt_keys[place[0] : place[1]])
                    ] += 1

    def _main(self, unit: Unit, words: Sequence[int]) -> Range | None:
        return _chosen("gap3", _lead_links(unit), words) if words else None

    def options(self, unit: Unit, span: Span) -> list[Option]:
        """Every place that something speaks for, with its features; none where nothing does."""
        words = units_in(span.pieces, unit.src)
        if not words or not unit.tgt:
            return []
        votes = dict(self._votes(unit, span, words))
        found = sorted(set(votes.values()))
        main = self._main(unit, words)
        lead = next(iter(unit.families), "")
        return [self._option(unit, span, words, place, votes, main, lead, len(found)) for place in found]

    def _weights(self, unit: Unit) -> tuple[Floats, Floats]:
        if self._last is None or self._last[0] is not unit:
            self._last = (unit, unit.weights())
        return self._last[1]

    def _votes(self, unit: Unit, span: Span, words: Sequence[int]) -> Iterator[tuple[str, Range]]:
        for family, sets in unit.families.items():
            for number, (name, links) in enumerate(sets.items()):
                for rule in _RULES if number == 0 else ("gap3", "hull"):
                    place = _chosen(rule, links, words)
                    if place:
                        yield f"{family}.{name}.{rule}", place
        place = self._weighted(unit, words)
        if place:
            yield "weighted.best", place
        marked = unit.marked.get(span.span_id)
        if marked:
            yield "marked.best", max(sorted(marked), key=marked.__getitem__)
        place = self._lexical(unit, words)
        if place:
            yield "lexical.best", place
        place = _spelled(unit, span)
        if place:
            yield "spelled.best", place

    def _weighted(self, unit: Unit, words: Sequence[int]) -> Range | None:
        """The range that the rule `weighted` finds likeliest by the links that are followed first."""
        links = _lead_links(unit)
        if not links:
            return None
        if self._known is None or self._known[0] is not unit:
            pair = unit.pair
            known = texts(
                pair.source.text, unit.src, pair.target, unit.tgt, dict.fromkeys(links, 1.0), self._association
            )
            self._known = (unit, known)
        ranked = posterior(self._known[1], words, *part_of_target(unit.parts, words, len(unit.tgt)))
        return next((place for place, _ in ranked if place), None)

    def _lexical(self, unit: Unit, words: Sequence[int]) -> Range | None:
        """The range whose words come from the span, and from nothing else, most of all."""
        forward, backward = self._weights(unit)
        gain = forward[words].sum(0) + backward[words].sum(0) / 2
        inside = part_of_target(unit.parts, words, len(unit.tgt))
        best, found = 0.0, None
        longest = int(len(words) * _LONGER) + _MUCH_LONGER
        net = gain - 0.45
        for first in range(*inside):
            total = 0.0
            for last in range(first, min(inside[1], first + longest)):
                total += net[last]
                if total > best:
                    best, found = total, (first, last + 1)
        return found

    def _option(
        self, unit: Unit, span: Span, words: Sequence[int], place: Range, votes: Mapping[str, Range], main: Range | None, lead: str, n_places: int
    ) -> Option:  # fmt: skip
        first, last = place
        mine = [name for name, other in votes.items() if other == place]
        leading = [other for name, other in votes.items() if name.startswith(lead)] if lead else []
        others = [other for name, other in votes.items() if not lead or not name.startswith(lead)]
        held, inside = set(words), list(range(first, last))
        part = part_of_target(unit.parts, words, len(unit.tgt))
        forward, backward = (table[words] for table in self._weights(unit))
        support = np.maximum(forward.sum(0), backward.max(0))
        outside = forward.sum(0).sum() - forward[:, first:last].sum()
        links = _lead_links(unit)
        linked = {j for i, j in links if i in held}
        back = _chosen("hull", [(j, i) for i, j in links], inside)
        source_hull = (words[0], words[-1] + 1)
        src_text, tgt_text = _said(unit.src_keys, words), " ".join(unit.tgt_keys[first:last])
        chars = unit.tgt[last - 1][1] - unit.tgt[first][0]
        src_chars = sum(end - start for start, end in span.pieces)
        became = self._became.get(src_text, Counter())
        agreed = became[tgt_text] - (main == place)
        total = became.total() - (main is not None)
        alikes = [max((alike(unit.src_keys[i], unit.tgt_keys[j]) for j in inside), default=0.0) for i in words]
        values = {
            "main": float(main == place),
            "main_share": _share(other == place for other in leading),
            "other_share": _share(other == place for other in others),
            "starts": _share(other[0] == first for other in votes.values()),
            "ends": _share(other[1] == last for other in votes.values()),
            "jaccard": sum(_jaccard(place, other) for other in votes.values()) / max(1, len(votes)),
            "in_forward": float(forward[:, first:last].sum(0).mean()),
            "in_backward": float(backward[:, first:last].sum(1).mean()),
            "leak": math.log1p(float(outside)),
            "first_support": float(support[first]),
            "last_support": float(support[last - 1]),
            "left_leak": float(support[first - 1]) if first else 0.0,
            "right_leak": float(support[last]) if last < len(unit.tgt) else 0.0,
            "length": math.log(last - first),
            "length_off": abs(math.log((chars + 1) / (src_chars * self.ratio + 1))),
            "src_words": math.log(len(words)),
            "first_usual": self._usual_word(unit.tgt_keys[first]),
            "last_usual": self._usual_word(unit.tgt_keys[last - 1]),
            "holes": (last - first - len(linked & set(inside))) / (last - first),
            "unlinked": 1 - len({i for i, j in links if i in held}) / len(words),
            "way_back": _jaccard(back, source_hull) if back else 0.0,
            "alike": sum(alikes) / len(alikes),
            "same": float(src_text == tgt_text),
            "edge_alike": min(alikes[0], alikes[-1]),
            "repeats": (agreed + 0.5) / (total + 1.0),
            "n_repeats": math.log1p(max(0, total)),
            "twice": float(_occurrences(unit.tgt_keys, tgt_text) > 1),
            "position": abs((first + last) / 2 / len(unit.tgt) - (source_hull[0] + source_hull[1]) / 2 / max(1, len(unit.src))),
            "sentence": math.log1p(part[1] - part[0]),
            "options": math.log(n_places),
            "lexical_best": float("lexical.best" in mine),
            "alike_whole": alike_words([unit.src_keys[i] for i in words], unit.tgt_keys[first:last]),
            "spelled_best": float("spelled.best" in mine),
            "marked": unit.marked.get(span.span_id, {}).get(place, 0.0),
            "left_usual": self._neighbour(unit, first - 1, first),
            "right_usual": self._neighbour(unit, last, last - 1),
        }  # fmt: skip
        return Option(place, tuple(mine), [values[name] for name in FEATURES])

    def _neighbour(self, unit: Unit, word: int, edge: int) -> float:
        """How usual the word beside the place is; 0 where the text ends or punctuation parts them."""
        if not 0 <= word < len(unit.tgt):
            return 0.0
        between = unit.pair.target[
            min(unit.tgt[word][1], unit.tgt[edge][1]) : max(unit.tgt[word][0], unit.tgt[edge][0])
        ]
        return 0.0 if between.strip() else self._usual_word(unit.tgt_keys[word])

    def _usual_word(self, key: str) -> float:
        return math.log1p(self._usual[key]) / self._most


def _lead_links(unit: Unit) -> list[Link]:
    """The links that are followed first; none where there are none."""
    return next(iter(next(iter(unit.families.values()), {}).values()), [])


def _chosen(rule: str, links: Sequence[Link], words: Sequence[int]) -> Range | None:
    held = set(words)
    linked: Counter[int] = Counter()
    for i, j in links:
        if i in held:
            linked[j] += 1
    return choose(rule, linked)


def _spelled(unit: Unit, span: Span) -> Range | None:
    """The range that is written or sounds like the span most of all, of equals the nearest to its relative place; none where none does."""
    words = units_in(span.pieces, unit.src)
    middle = (words[0] + words[-1] + 1) / 2 / max(1, len(unit.src))
    found = list(
        places(
            span.surface(unit.pair.source.text),
            unit.pair.target,
            unit.tgt,
            part_of_target(unit.parts, words, len(unit.tgt)),
            _SPELLED,
        )
    )
    if not found:
        return None
    return min(found, key=lambda one: (-one[1], abs((one[0][0] + one[0][1]) / 2 / len(unit.tgt) - middle)))[0]


def _said(keys: Sequence[str], words: Sequence[int]) -> str:
    return " ".join(keys[word] for word in words)


def _occurrences(keys: Sequence[str], said: str) -> int:
    return f" {' '.join(keys)} ".count(f" {said} ")


def _jaccard(one: Range, other: Range) -> float:
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return shared / (max(one[1], other[1]) - min(one[0], other[0])) if shared > 0 else 0.0


def _share(flags: Iterator[bool]) -> float:
    held = list(flags)
    return sum(held) / len(held) if held else 0.0
