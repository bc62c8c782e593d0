"""What the words of a set say of each other: how strongly two go together, and how little a word pins down what it is linked to.

Learned from the set itself, without its labels: counts of pairs in which two words stand together (pointwise mutual information, Church
and Hanks 1990), and counts of links.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from dsbuild.project.alignment import Link

Array = npt.NDArray[np.float64]
Words = Sequence[str]

# A lift of e**4 over chance is as much as counts of a few thousand pairs can tell.
_CLIP = 4.0


class Association:
    """Counts of a set of pairs. n_most: pairs that are counted; of more, as many at equal distances, so that memory stays bounded."""

    def __init__(self, pairs: Sequence[tuple[Words, Words, Iterable[Link]]], n_most: int = 20_000) -> None:
        from scipy.sparse import csr_matrix

        if len(pairs) > n_most:
            pairs = [pairs[int(place)] for place in np.linspace(0, len(pairs) - 1, n_most)]
        self.n_pairs = len(pairs)
        self._src, self._tgt = _Side(pair[0] for pair in pairs), _Side(pair[1] for pair in pairs)
        for src, tgt, links in pairs:
            joined = list(links)
            self._src.count(src, [(src[i], tgt[j]) for i, j in joined])
            self._tgt.count(tgt, [(tgt[j], src[i]) for i, j in joined])

        def table(side: _Side, texts: Iterable[Words]) -> csr_matrix:
            rows = [[side.number[word] for word in set(words)] for words in texts]
            starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
            columns = np.fromiter((number for row in rows for number in row), np.int32)
            return csr_matrix((np.ones(len(columns), np.int32), columns, starts), (len(rows), len(side.number)))

        left, right = table(self._src, (pair[0] for pair in pairs)), table(self._tgt, (pair[1] for pair in pairs))
        self._together = (left.T @ right).tocsr()
        self._src_texts = np.asarray(left.sum(0)).ravel()
        self._tgt_texts = np.asarray(right.sum(0)).ravel()

    def strength(self, src: Words, tgt: Words) -> Array:
        """How strongly each source word goes with each target word, in [0, 1]; 0 for words that were not counted.

        1 is a lift of e**4 over chance or more.
        """
        rows, columns = self._src.numbers(src), self._tgt.numbers(tgt)
        found = np.zeros((len(src), len(tgt)))
        known_rows, known_columns = np.flatnonzero(rows >= 0), np.flatnonzero(columns >= 0)
        if not self.n_pairs or not len(known_rows) or not len(known_columns):
            return found
        rows, columns = rows[known_rows], columns[known_columns]
        together = self._together[rows][:, columns].toarray().astype(float)
        chance = self._src_texts[rows][:, None] * self._tgt_texts[columns][None, :] / self.n_pairs
        lift = np.log(np.maximum(together, 0.5) / chance)
        found[np.ix_(known_rows, known_columns)] = np.where(together > 0, np.clip(lift, 0, _CLIP) / _CLIP, 0.0)
        return found

    def vague_src(self, words: Words) -> Array:
        """How little each source word pins down its partner, in (0, 1): near 1 for a word that is mostly unlinked or linked to many."""
        return self._src.vague(words)

    def vague_tgt(self, words: Words) -> Array:
        """As `vague_src`, for target words."""
        return self._tgt.vague(words)


class _Side:
    """The words of one language: their numbers, how often each stands, how often it is linked, and to its most frequent partner."""

    def __init__(self, texts: Iterable[Words]) -> None:
        self.number: dict[str, int] = {}
        for words in texts:
            for word in words:
                self.number.setdefault(word, len(self.number))
        self._stands: Counter[str] = Counter()
        self._linked: Counter[str] = Counter()
        self._partners: Counter[tuple[str, str]] = Counter()
        self._best: dict[str, int] = {}

    def count(self, words: Words, links: Sequence[tuple[str, str]]) -> None:
        self._stands.update(words)
        for word, partner in links:
            self._linked[word] += 1
            self._partners[word, partner] += 1
            self._best[word] = max(self._best.get(word, 0), self._partners[word, partner])

    def numbers(self, words: Words) -> npt.NDArray[np.int64]:
        return np.array([self.number.get(word, -1) for word in words], np.int64)

    def vague(self, words: Words) -> Array:
        return np.array(
            [1 - (self._best.get(word, 0) + 1) / (max(self._stands[word], self._linked[word]) + 2) for word in words],
            float,
        )
