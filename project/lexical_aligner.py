"""Which words go together in a set of translations, learned on the set itself: the built-in word aligner, with posteriors.

IBM model 1 with a prior on the diagonal and a null word, in both directions, by variational Bayes (Brown et al. 1993; Dyer, Chahuneau and
Smith 2013; Mermer and Saraçlar 2011): it needs no library and no model, and says how sure it is of each link. eflomal aligns better.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Words = Sequence[str]

_NULL = 0.08  # how often a word comes from nothing (fast_align's p0)
_TENSION = 4.0  # how strongly words are drawn to the diagonal
_ALPHA = 0.01  # of the Dirichlet prior over translations
_ITERATIONS = 5
_CHUNK = 2_000_000  # cells (word pairs of a sentence pair) worked on at a time


class LexicalAligner:
    """Learns from sentence pairs as words and gives posteriors of links for pairs it learned from, or for others.

    Memory: about 40 bytes for each pair of words that share a sentence pair.
    """

    def __init__(self, iterations: int = _ITERATIONS) -> None:
        self._iterations = iterations
        self._sides: tuple[dict[str, int], dict[str, int]] = ({}, {})
        self._keys: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._tables: tuple[Floats, Floats] = (np.zeros(0), np.zeros(0))

    def fit(self, pairs: Sequence[tuple[Words, Words]]) -> None:
        """Learn from pairs of (source words, target words), anew each time."""
        self._sides = ({}, {})
        coded = []
        for source, target in pairs:
            ours, theirs = (
                np.array([side.setdefault(word, len(side)) for word in words], np.int64)
                for side, words in zip(self._sides, (source, target), strict=True)
            )
            if len(ours) and len(theirs):
                coded.append((ours, theirs))
        width = max(len(self._sides[1]), 1)
        self._keys = _unique(coded, width)
        rows, columns = self._keys // width, self._keys % width
        self._tables = (
            self._learn(coded, width, rows, len(self._sides[0]), False),
            self._learn(coded, width, columns, len(self._sides[1]), True),
        )

    def _learn(
        self,
        coded: Sequence[tuple[npt.NDArray[np.int64], ...]],
        width: int,
        given: npt.NDArray[np.int64],
        size: int,
        turned: bool,
    ) -> Floats:
        """t(word | given word) for each known pair; `turned`: source words given target words."""
        table: Floats = np.ones(len(self._keys))
        for _ in range(self._iterations):
            counts: Floats = np.zeros(len(self._keys))
            for places, prior, owner, total in _chunks(coded, self._keys, width, turned):
                weight = table[places] * prior
                sums = np.bincount(owner, weight, total) + _NULL / max(1, size)
                counts = counts + np.bincount(places, weight / sums[owner], len(self._keys))
            totals = np.bincount(given, counts, size)
            kinds = np.bincount(given, minlength=size)
            table = np.asarray(
                np.exp(_digamma(counts + _ALPHA) - _digamma(totals + _ALPHA * np.maximum(kinds, 1))[given]), np.float64
            )
        return table

    def posteriors(self, source: Words, target: Words) -> tuple[Floats, Floats]:
        """Two arrays [source words, target words]: how likely each target word comes from each source word, and the other way round.

        Columns of the first and rows of the second sum to at most 1; the rest comes from nothing. Words never seen together have 0,
        unless they are written alike: then each may come from the other.
        """
        if not source or not target:
            return np.zeros((len(source), len(target))), np.zeros((len(source), len(target)))
        table = self._strength(source, target)
        prior = _diagonal(len(source), len(target))
        forward = table[0] * prior / prior.sum(0)
        backward = table[1] * prior / prior.sum(1)[:, None]
        sizes = [max(1, len(side)) for side in self._sides]
        return forward / (forward.sum(0) + _NULL / sizes[0]), backward / (backward.sum(1)[:, None] + _NULL / sizes[1])

    def _strength(self, source: Words, target: Words) -> tuple[Floats, Floats]:
        ours = np.array([self._sides[0].get(word, -1) for word in source], np.int64)
        theirs = np.array([self._sides[1].get(word, -1) for word in target], np.int64)
        width = max(len(self._sides[1]), 1)
        keys = ours[:, None] * width + theirs[None, :]
        known = (ours[:, None] >= 0) & (theirs[None, :] >= 0)
        places = np.minimum(np.searchsorted(self._keys, keys), max(len(self._keys) - 1, 0))
        known &= self._keys[places] == keys if len(self._keys) else False
        alike = np.array([[one == other for other in target] for one in source]) & ~known
        found = [
            np.where(known, table[places] if len(table) else 0.0, np.where(alike, 0.5, 0.0)) for table in self._tables
        ]
        return found[0], found[1]


def _unique(coded: Sequence[tuple[npt.NDArray[np.int64], ...]], width: int) -> npt.NDArray[np.int64]:
    """The sorted keys (source number * width + target number) of all words that share a pair."""
    held: list[npt.NDArray[np.int64]] = []
    waiting: list[npt.NDArray[np.int64]] = []
    size = 0
    for ours, theirs in coded:
        waiting.append((ours[:, None] * width + theirs[None, :]).ravel())
        size += waiting[-1].size
        if size > _CHUNK:
            held, waiting, size = [np.unique(np.concatenate([*held, *waiting]))], [], 0
    return np.unique(np.concatenate([*held, *waiting])) if held or waiting else np.zeros(0, np.int64)


def _chunks(
    coded: Sequence[tuple[npt.NDArray[np.int64], ...]], keys: npt.NDArray[np.int64], width: int, turned: bool
) -> Iterator[tuple[npt.NDArray[np.int64], Floats, npt.NDArray[np.int64], int]]:
    """Cells of many pairs at once: place of the word pair in `keys`, prior, and which word it explains (numbered within the chunk)."""
    parts: list[tuple[npt.NDArray[np.int64], Floats, npt.NDArray[np.int64]]] = []
    size = total = 0
    for number, (ours, theirs) in enumerate(coded):
        prior = _diagonal(len(ours), len(theirs))
        prior = prior / prior.sum(1)[:, None] if turned else prior / prior.sum(0)
        explained = len(ours) if turned else len(theirs)
        owner = np.broadcast_to(
            total + (np.arange(len(ours))[:, None] if turned else np.arange(len(theirs))[None, :]), prior.shape
        )
        parts.append(((ours[:, None] * width + theirs[None, :]).ravel(), prior.ravel(), owner.ravel()))
        size += prior.size
        total += explained
        if size > _CHUNK or number + 1 == len(coded):
            yield (
                np.searchsorted(keys, np.concatenate([cell for cell, _, _ in parts])),
                np.concatenate([cell for _, cell, _ in parts]),
                np.concatenate([cell for _, _, cell in parts]),
                total,
            )
            parts, size, total = [], 0, 0


def _diagonal(rows: int, columns: int) -> Floats:
    """How likely words at these places go together by their places alone (fast_align's prior, not yet normalised)."""
    gap = np.abs((np.arange(rows)[:, None] + 0.5) / rows - (np.arange(columns)[None, :] + 0.5) / columns)
    return np.exp(-_TENSION * gap)


def _digamma(values: Floats) -> Floats:
    """The digamma function for positive values: recurrence up to 6, then the asymptotic series (Bernardo 1976)."""
    shifted = values.astype(np.float64)
    low = np.zeros_like(shifted)
    for _ in range(6):
        small = shifted < 6
        low[small] -= 1 / shifted[small]
        shifted = np.where(small, shifted + 1, shifted)
    inverse = 1 / (shifted * shifted)
    return low + np.log(shifted) - 0.5 / shifted - inverse * (1 / 12 - inverse * (1 / 120 - inverse / 252))
