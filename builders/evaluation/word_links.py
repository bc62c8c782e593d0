"""Which words translate which, learned on the parallel texts of a set itself, and how well a translation is covered by them.

IBM Model 1 in both directions over pairs of short texts. Every judgement of a text leaves out what the text itself taught, so that a wrong
translation does not speak for itself. Terms are those of `dsbuild.builders.retrieval.lexical_tokens`.
Source: P. Brown et al., The mathematics of statistical machine translation, Computational Linguistics 19(2), 1993.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsbuild.builders.retrieval import lexical_tokens
from dsbuild.builders.retrieval.lexical_tokens import Vocabulary
from dsbuild.builders.retrieval.postings import Scanner, place_of
from dsbuild.filters.utf8 import compiled

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_ROUNDS = 6
# A word is explained by the source's words with this weight, by its frequency with the rest.
_EXPLAINED = 0.8
# Cells (source word, target word, text) that are learned from: bounds memory at about 40 bytes each.
_MOST_CELLS = 24_000_000


@dataclass(frozen=True, slots=True)
class Terms:
    """Distinct terms of texts: text i has `numbers[bounds[i]:bounds[i + 1]]`, ascending; counts beside them."""

    numbers: Ints
    bounds: Ints
    counts: Ints

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def of(self, text: int) -> Ints:
        """The terms of one text."""
        return self.numbers[self.bounds[text] : self.bounds[text + 1]]


def terms_of(
    texts: pa.Array, vocabulary: Vocabulary, *, add: bool, scanner: Scanner = lexical_tokens.term_hashes
) -> Terms:
    """The terms of texts by their numbers in a vocabulary; terms that it does not have are left out unless they are added."""
    hashes, bounds = scanner(texts)
    numbers = vocabulary.number(hashes, add=add).astype(np.int64)
    rows = np.repeat(np.arange(len(texts)), np.diff(bounds))[numbers >= 0]
    keys, counts = np.unique(rows * max(1, vocabulary.size) + numbers[numbers >= 0], return_counts=True)
    starts = np.searchsorted(keys, np.arange(len(texts) + 1) * max(1, vocabulary.size))
    return Terms(keys % max(1, vocabulary.size), starts.astype(np.int64), counts.astype(np.int64))


@dataclass(frozen=True, slots=True)
class Links:
    """One direction: how often a term of one side made a term of the other.

    keys: made * n_from + from, ascending (n_from: the term that stands for none); counts: expected; own: of each group of texts that was
    learned from, its `own_keys[own_bounds[g]:own_bounds[g + 1]]` and what it added to their counts; made: texts of each made term,
    own terms of a group likewise; totals: sums of counts by from.
    """

    n_from: int
    keys: Ints
    counts: Floats
    totals: Floats
    texts: Ints
    n_texts: int
    own_keys: Ints
    own_counts: Floats
    own_bounds: Ints
    groups: Terms

    def explained(self, groups: Ints, made: Terms, given: Terms) -> Floats:
        """How well each term of `made` is explained by the terms of `given` in the same row: a log-likelihood ratio over its frequency.

        groups: the group that each row belongs to, whose own counts are left out (-1: none). 0 for a term that no other group has.
        """
        found: Floats = _explained(
            self.n_from, self.keys, self.counts, self.totals, self.texts, self.n_texts, self.own_keys, self.own_counts, self.own_bounds,
            self.groups.numbers, self.groups.bounds, self.groups.counts, groups, made.numbers, made.bounds, given.numbers, given.bounds,
        )  # fmt: skip
        return found

    def best(self, source: int, most: int = 8) -> list[tuple[int, float]]:
        """The terms that a source term makes, with their shares, best first."""
        found = np.flatnonzero(self.keys % (self.n_from + 1) == source)
        order = found[np.argsort(-self.counts[found], kind="stable")][:most]
        total = max(self.totals[source], 1e-9)
        return [(int(self.keys[at] // (self.n_from + 1)), float(self.counts[at] / total)) for at in order]


def learn(given: Terms, made: Terms, groups: Ints, n_given: int, n_made: int) -> Links:
    """Links from the terms of `given` to those of `made`, whose rows are translations of each other.

    groups: the group of each row, ascending; n_given, n_made: sizes of the vocabularies.
    """
    sizes = (np.diff(given.bounds) + 1) * np.diff(made.bounds)
    use = np.cumsum(sizes) <= _MOST_CELLS
    sizes = np.where(use, sizes, 0)
    cells = _cells(
        given.numbers,
        given.bounds,
        made.numbers,
        made.bounds,
        use,
        n_given,
        np.empty(int(sizes.sum()), np.int64),
    )
    keys, inverse = np.unique(cells, return_inverse=True)
    source = keys % (n_given + 1)
    share = np.full(len(keys), 1.0 / max(1, n_made))
    posterior = np.empty(len(cells))
    counts: Floats = np.zeros(len(keys))
    for _ in range(_ROUNDS):
        _expect(inverse, share, given.bounds, made.bounds, use, posterior)
        counts = np.bincount(inverse, posterior, len(keys)).astype(np.float64)
        totals = np.bincount(source, counts, n_given + 1).astype(np.float64)
        share = counts / np.maximum(totals[source], 1e-12)
    totals = np.bincount(source, counts, n_given + 1).astype(np.float64)
    n_groups = int(groups[-1]) + 1 if len(groups) else 0
    rows = np.repeat(groups, sizes)
    both, place = np.unique(rows * max(1, len(keys)) + inverse, return_inverse=True)
    own = np.bincount(place, posterior, len(both)).astype(np.float64) if len(both) else np.empty(0)
    starts = np.searchsorted(both, np.arange(n_groups + 1) * max(1, len(keys)))
    texts = np.bincount(made.numbers, minlength=n_made)
    held, number = np.unique(
        np.repeat(groups, np.diff(made.bounds)) * max(1, n_made) + made.numbers, return_counts=True
    )
    in_group = Terms(
        held % max(1, n_made), np.searchsorted(held, np.arange(n_groups + 1) * max(1, n_made)).astype(np.int64), number.astype(np.int64)
    )  # fmt: skip
    return Links(
        n_given, keys, counts, totals, texts, len(made), keys[both % max(1, len(keys))] if len(both) else both, own,
        starts.astype(np.int64), in_group,
    )  # fmt: skip


@compiled
def _cells(given: Any, given_bounds: Any, made: Any, made_bounds: Any, use: Any, n_given: int, out: Any) -> Any:
    at = 0
    for row in range(len(use)):
        if not use[row]:
            continue
        for target in range(made_bounds[row], made_bounds[row + 1]):
            for source in range(given_bounds[row], given_bounds[row + 1]):
                out[at] = made[target] * (n_given + 1) + given[source]
                at += 1
            out[at] = made[target] * (n_given + 1) + n_given
            at += 1
    return out


@compiled
def _expect(inverse: Any, share: Any, given_bounds: Any, made_bounds: Any, use: Any, posterior: Any) -> None:
    at = 0
    for row in range(len(use)):
        if not use[row]:
            continue
        width = given_bounds[row + 1] - given_bounds[row] + 1
        for _ in range(made_bounds[row], made_bounds[row + 1]):
            total = 0.0
            for cell in range(at, at + width):
                total += share[inverse[cell]]
            for cell in range(at, at + width):
                posterior[cell] = share[inverse[cell]] / total
            at += width


@compiled
def _explained(
    n_from: int, keys: Any, counts: Any, totals: Any, texts: Any, n_texts: int, own_keys: Any, own_counts: Any, own_bounds: Any,
    group_terms: Any, group_bounds: Any, group_counts: Any, groups: Any, made: Any, made_bounds: Any, given: Any, given_bounds: Any,
) -> Any:  # fmt: skip
    out = np.zeros(len(made))
    room = 0
    for row in range(len(groups)):
        room = max(room, given_bounds[row + 1] - given_bounds[row])
    left = np.empty(room)
    for row in range(len(groups)):
        group = groups[row]
        first, width = given_bounds[row], given_bounds[row + 1] - given_bounds[row]
        for index in range(width):
            left[index] = totals[given[first + index]]
        if group >= 0:
            for at in range(own_bounds[group], own_bounds[group + 1]):
                place = place_of(given, first, first + width, own_keys[at] % (n_from + 1))
                if place >= 0:
                    left[place - first] -= own_counts[at]
        for target in range(made_bounds[row], made_bounds[row + 1]):
            term = made[target]
            others = texts[term]
            if group >= 0:
                place = place_of(group_terms, group_bounds[group], group_bounds[group + 1], term)
                if place >= 0:
                    others -= group_counts[place]
            if others <= 0 or width == 0:
                continue
            frequency = others / (n_texts + 1.0) / 10.0
            total = 0.0
            for index in range(width):
                if left[index] < 0.5:
                    continue
                key = term * (n_from + 1) + given[first + index]
                place = place_of(keys, 0, len(keys), key)
                if place < 0:
                    continue
                value = counts[place]
                if group >= 0:
                    own = place_of(own_keys, own_bounds[group], own_bounds[group + 1], key)
                    if own >= 0:
                        value -= own_counts[own]
                if value > 0:
                    total = max(total, value / (left[index] + 1.0))
            out[target] = np.log((_EXPLAINED * total + (1.0 - _EXPLAINED) * frequency) / frequency)
    return out
