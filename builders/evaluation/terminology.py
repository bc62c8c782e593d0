"""Terminology splits: a term of a query that the translations of the query and of its positive passage render differently."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsbuild.builders.evaluation.pair_signs import Signs
from dsbuild.builders.retrieval import lexical_tokens
from dsbuild.builders.retrieval.lexical_tokens import Vocabulary

Ints = npt.NDArray[np.int64]

# A term is looked at if so few of the texts hold it (or three), and if it is rendered elsewhere so often.
_RARE, _LEAST_RARE, _ELSEWHERE = 0.05, 6, 2
# What a term is rendered by usually: this share of its links.
_USUAL = 0.3
# This share of the other texts has a usual rendering, where nothing is found that stands in its place.
_FIRM = 0.8
# Forms of one word share so much of the shorter one at its beginning.
_STEM = 0.6


@dataclass(frozen=True, slots=True)
class Split:
    """A term of the source, and what renders it in the query, in the passage and usually; all folded.

    "" on one side: the usual rendering is lacking there, and no word is found that stands in its place; it may be left out.
    """

    query: int
    doc: int
    term: str
    in_query: str
    in_passage: str
    usual: str


def splits(signs: Signs) -> list[Split]:
    """The splits of all pairs, in their order.

    A term of both sources; its usual translation, from the other texts, stands in one of both translations in some form and in the other in
    none; and nothing else that renders it usually stands in both.
    """
    names = (_names(signs.src_texts, signs.src_words), _names(signs.tgt_texts, signs.tgt_words))
    n_queries = len(signs.parallel.src_queries)
    row_of = {int(doc): n_queries + place for place, doc in enumerate(signs.judged)}
    times = np.bincount(signs.source.numbers, minlength=signs.src_words.size)
    most = max(_LEAST_RARE, int(_RARE * len(signs.source)))
    common = np.bincount(signs.target.numbers, minlength=signs.tgt_words.size) > most
    linked = _links(signs)
    found = []
    for query, doc in signs.parallel.pairs.tolist():
        row = row_of[doc]
        shared = np.intersect1d(signs.source.of(query), signs.source.of(row))
        sides = [
            [(term, names[1].get(term, "")) for term in signs.target.of(one).tolist() if not common[term]]
            for one in (query, row)
        ]
        for term in shared.tolist():
            if times[term] > most or times[term] < 2 + _ELSEWHERE:
                continue
            usual = linked.get(term, ())
            if not usual:
                continue
            best = names[1].get(usual[0], "")
            # Whatever renders it, in any form.
            forms = [names[1].get(one, "") for one in usual]
            here = [[name for _, name in side if any(_same(name, form) for form in forms)] for side in sides]
            if bool(here[0]) == bool(here[1]) or not best or best == names[0].get(term) or common[usual[0]]:
                continue
            lacking = 0 if here[1] else 1
            other = _rendering(signs, term, (query, row)[lacking], sides[lacking], sides[1 - lacking])
            # What stands for the term cannot always be told; then the other texts must nearly all have a usual rendering.
            if not other and _kept(signs, term, usual, (query, row)) < _FIRM:
                continue
            said = (other, here[1][0]) if lacking == 0 else (here[0][0], other)
            found.append(Split(query, doc, names[0].get(term, ""), *said, best))
    return found


def _kept(signs: Signs, term: int, usual: list[int], but: tuple[int, int]) -> float:
    """The share of the other texts with a source term whose translation holds a usual rendering."""
    place = np.flatnonzero(signs.source.numbers == term)
    rows = np.searchsorted(signs.source.bounds, place, "right") - 1
    rows = rows[~np.isin(rows, but)]
    found = [bool(np.isin(signs.target.of(row), usual).any()) for row in rows.tolist()]
    return sum(found) / len(found) if found else 0.0


def _links(signs: Signs) -> dict[int, list[int]]:
    """By source term, the target terms that render it in a good share of its texts, best first."""
    made = signs.made
    source, target = made.keys % (made.n_from + 1), made.keys // (made.n_from + 1)
    share = made.counts / np.maximum(made.totals[source], 1e-9)
    use = (source < made.n_from) & (made.counts >= _ELSEWHERE) & (share >= _USUAL / 3)
    order = np.lexsort((-share[use], source[use]))
    found: dict[int, list[int]] = {}
    for term, one, part in zip(
        source[use][order].tolist(), target[use][order].tolist(), share[use][order].tolist(), strict=True
    ):
        if term in found or part >= _USUAL:
            found.setdefault(term, []).append(one)
    return found


def _rendering(
    signs: Signs,
    term: int,
    row: int,
    side: list[tuple[int, str]],
    other: list[tuple[int, str]],
) -> str:
    """The word of the side that lacks the usual one which most likely renders the term; "" where no word is left for it."""
    made = signs.made
    low, high = made.own_bounds[row], made.own_bounds[row + 1]
    keys, counts = made.own_keys[low:high], made.own_counts[low:high]
    mine = {
        int(key // (made.n_from + 1)): float(count)
        for key, count in zip(keys, counts, strict=True)
        if key % (made.n_from + 1) == term
    }
    ranked = sorted(((mine.get(number, 0.0), name) for number, name in side), reverse=True)
    for share, name in ranked:
        if share < 0.3:
            break
        if len(name) > 2 and not any(_same(name, one) for _, one in other):
            return name
    return ""


def _same(one: str, other: str) -> bool:
    """Whether two words may be forms of one: the same beginning."""
    size = max(3, round(_STEM * max(len(one), len(other))))
    return one == other or (len(one) >= size and len(other) >= size and one[:size] == other[:size])


def _names(texts: pa.Array, vocabulary: Vocabulary) -> dict[int, str]:
    """The terms of texts as strings, by number."""
    found: dict[int, str] = {}
    for text in texts.to_pylist():
        hashes, _ = lexical_tokens.term_hashes(pa.array([text], pa.large_string()))
        numbers = vocabulary.number(hashes, add=False).tolist()
        found.update(zip(numbers, lexical_tokens.terms(text), strict=True))
    return found
