"""The search behind `constrained`: every place of a pair of marks in a fixed target, scored by a translation model.

Score of a place: log-probability of the target with marks around the place, given the source with marks around the span (CODEC, Le et al.
2024; Helcl and Libovický 2023). What a model says of a target up to a token depends on nothing behind it, so one pass with the
opening mark alone at i gives, for every closing place j at once, the exact score of all that stands before the last word; the rest can only
lower it. Places whose bound is `margin` below the best total are never scored: the best is exact, and the posterior misses less than
(number of places) * exp(-margin).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dsbuild.scoring import Scored
from dsbuild.spans import Piece

Range = tuple[int, int]
Ask = Callable[[Sequence[tuple[str, str]]], list[Scored]]
# Source, stems (the target with an opening mark), texts that leave them, margin -> totals (`BranchScorer`).
Branch = Callable[[str, Sequence[str], Sequence[tuple[int, str]], float], list[float]]

# Places that are scored first, the most promising ones, to have a total that the bounds can be held against.
_FIRST = 8
# CODEC's choice of openings: how much the marks in the source change a token's log-probability (anchor, neighbour), and how far from an anchor.
_ANCHOR, _CHANGED, _AROUND = 0.5, 0.1, 5


@dataclass(frozen=True, slots=True)
class Marks:
    """An opening and a closing mark, written with spaces around, so that the words of a text keep their tokens."""

    opening: str = "["
    closing: str = "]"

    def around(self, text: str, piece: Piece) -> str:
        """The text with both marks.

        >>> Marks().around("go home.", (3, 7))
        'go [ home ] .'
        """
        start, end = piece
        inner = f"{self.opened(text[:end], start)[0]} {self.closing}"
        return inner + ("" if end == len(text) or text[end].isspace() else " ") + text[end:]

    def opened(self, text: str, start: int) -> tuple[str, int]:
        """The text with the opening mark alone, and by how much that moves what follows."""
        before = text[:start] + ("" if start == 0 or text[start - 1].isspace() else " ")
        made = f"{before}{self.opening} {text[start:]}"
        return made, len(made) - len(text)


@dataclass(slots=True)
class Query:
    """A marked source, the plain one, the target and the places of its words. longest: words of an admissible place."""

    marked: str
    plain: str
    target: str
    words: Sequence[Piece]
    longest: int
    totals: dict[Range, float] = field(default_factory=dict)
    unmarked: float = 0.0  # of the target without marks, given the marked source
    null: float = 0.0  # probability that nothing in the target corresponds
    n_scored: int = 0

    def posterior(self) -> list[tuple[Range, float]]:
        """Places with their probabilities among all admissible ones, best first; of equals the earlier, then the shorter."""
        top = max(self.totals.values())
        weights = {place: math.exp(total - top) for place, total in self.totals.items()}
        whole = sum(weights.values())
        return sorted(
            ((place, weight / whole) for place, weight in weights.items()),
            key=lambda one: (-self.totals[one[0]], one[0]),
        )


def search(
    queries: Sequence[Query], ask: Ask, marks: Marks, exact_words: int, margin: float, null: bool, branch: Branch | None = None
) -> None:  # fmt: skip
    """Fill the totals and the null probability of each query; ask scores (source, target) pairs and is called five times at most.

    branch: scores the places of a query itself, where a scorer can share what they have in common. A query whose totals stay empty could
    not be scored.
    """
    asked: list[tuple[str, str]] = []
    for query in queries:
        asked += ((query.marked, query.target), (query.plain, query.target))
    answers = ask(asked)
    plain = {id(query): (answers[2 * n], answers[2 * n + 1]) for n, query in enumerate(queries)}
    live = [query for query in queries if math.isfinite(plain[id(query)][0].total)]
    for query in live:
        query.unmarked = plain[id(query)][0].total
    openings = {id(query): _openings(query, *plain[id(query)], exact_words) for query in live}
    if branch is not None:
        for query in live:
            _share(query, openings[id(query)], branch, marks, margin)
    else:
        _bound_and_score(live, openings, plain, ask, marks, margin)
    if null:
        _weigh_null([query for query in live if query.totals], plain, ask, marks)


def _share(query: Query, openings: Sequence[int], branch: Branch, marks: Marks, margin: float) -> None:
    places = _admissible(query, openings)
    stems = [marks.opened(query.target, query.words[i][0])[0] for i in openings]
    number = {i: n for n, i in enumerate(openings)}
    texts = [(number[place[0]], marks.around(query.target, _piece(query, place))) for place in places]
    for place, total in zip(places, branch(query.marked, stems, texts, margin), strict=True):
        if math.isfinite(total):
            query.n_scored += 1
            query.totals[place] = round(total, 4)


def _admissible(query: Query, openings: Sequence[int]) -> list[Range]:
    return [(i, j) for i in openings for j in range(i + 1, min(len(query.words), i + query.longest) + 1)]


def _bound_and_score(
    live: Sequence[Query],
    openings: Mapping[int, Sequence[int]],
    plain: Mapping[int, tuple[Scored, Scored]],
    ask: Ask,
    marks: Marks,
    margin: float,
) -> None:
    bounds = _bounded(live, openings, plain, ask, marks)
    first = {id(query): _promising(bounds[id(query)]) for query in live}
    _score(live, first, ask, marks)
    rest: dict[int, list[Range]] = {}
    for query in live:
        least = max(query.totals.values(), default=-math.inf) - margin
        rest[id(query)] = [
            place for place, (bound, _) in bounds[id(query)].items() if bound >= least and place not in query.totals
        ]
    _score(live, rest, ask, marks)


def _promising(bounds: Mapping[Range, tuple[float, float]]) -> list[Range]:
    return sorted(bounds, key=lambda place: (-bounds[place][1], place))[:_FIRST]


def _openings(query: Query, marked: Scored, plain: Scored, exact_words: int) -> list[int]:
    """All words where the target is short enough, else those where the source's marks change what the model expects."""
    everything = list(range(len(query.words)))
    if len(everything) <= exact_words:
        return everything
    change = [0.0] * len(everything)
    for start, end, one, two in zip(marked.starts, marked.ends, marked.log_probs, plain.log_probs, strict=False):
        for number, (low, high) in enumerate(query.words):
            if start < high and low < end:
                change[number] = max(change[number], abs(one - two))
    anchors = [number for number, value in enumerate(change) if value >= _ANCHOR]
    near = {other for number in anchors for other in range(number - _AROUND, number + _AROUND + 1)}
    return [number for number in everything if number in near and change[number] >= _CHANGED] or everything


def _bounded(
    queries: Sequence[Query],
    openings: Mapping[int, Sequence[int]],
    plain: Mapping[int, tuple[Scored, Scored]],
    ask: Ask,
    marks: Marks,
) -> dict[int, dict[Range, tuple[float, float]]]:
    """For every admissible place a bound of its total and a guess at it."""
    asked: list[tuple[str, str]] = []
    kept: list[tuple[Query, int, int]] = []
    found: dict[int, dict[Range, tuple[float, float]]] = {id(query): {} for query in queries}
    for query in queries:
        places = _admissible(query, openings[id(query)])
        if not _parted(query):
            # Without spaces a mark may change the tokens before it: no bound holds, and every place is scored.
            found[id(query)] = dict.fromkeys(places, (0.0, 0.0))
            continue
        for i in openings[id(query)]:
            text, moved = marks.opened(query.target, query.words[i][0])
            asked.append((query.marked, text))
            kept.append((query, i, moved))
    for (query, i, moved), scored in zip(kept, ask(asked), strict=True):
        unmarked = plain[id(query)][0]
        for j in range(i + 1, min(len(query.words), i + query.longest) + 1):
            last = _group(query.target, query.words[j - 1][0])
            bound = _before(scored, last + moved)
            found[id(query)][i, j] = bound, bound + unmarked.total - _before(unmarked, last)
    return found


def _group(text: str, position: int) -> int:
    """Where the run without white space begins that the position lies in: the tokens before it do not depend on what is in it."""
    while position and not text[position - 1].isspace():
        position -= 1
    return position


def _before(scored: Scored, position: int) -> float:
    """The log-probability of the tokens that end there at the latest."""
    return sum(value for end, value in zip(scored.ends, scored.log_probs, strict=False) if end <= position)


def _parted(query: Query) -> bool:
    """Whether white space stands between any two words: then a word's tokens do not depend on its neighbours."""
    return all(
        any(char.isspace() for char in query.target[one[1] : two[0]])
        for one, two in zip(query.words, query.words[1:], strict=False)
    )


def _score(queries: Iterable[Query], places: Mapping[int, Sequence[Range]], ask: Ask, marks: Marks) -> None:
    chosen = [(query, place) for query in queries for place in places[id(query)]]
    texts = [(query.marked, marks.around(query.target, _piece(query, place))) for query, place in chosen]
    for (query, place), scored in zip(chosen, ask(texts), strict=True):
        query.n_scored += 1
        if math.isfinite(scored.total):
            # Rounded, so that equals stay equal in floating point.
            query.totals[place] = round(scored.total, 4)


def _piece(query: Query, place: Range) -> Piece:
    return query.words[place[0]][0], query.words[place[1] - 1][1]


def _weigh_null(queries: Sequence[Query], plain: Mapping[int, tuple[Scored, Scored]], ask: Ask, marks: Marks) -> None:
    """How likely the span has no counterpart: the marks of the source make marks in the target no likelier than leaving them out.

    Both hypotheses are held against the plain source, so a model that writes marks rarely does not say "none" of everything.
    """
    best = [query.posterior()[0][0] for query in queries]
    texts = [
        (query.plain, marks.around(query.target, _piece(query, place)))
        for query, place in zip(queries, best, strict=True)
    ]
    for query, place, scored in zip(queries, best, ask(texts), strict=True):
        with_marks = query.totals[place] - scored.total
        without = query.unmarked - plain[id(query)][1].total
        query.null = 1 / (1 + math.exp(max(-50.0, min(50.0, with_marks - without))))
