"""Made-up English-like prose for the benches: any amount of it, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_CLUSTERS = ("br", "ch", "cl", "dr", "fl", "gr", "pl", "pr", "sh", "sp", "st", "str", "th", "tr")
_ONSETS = ("", *"bcdfghjklmnprstvw", *_CLUSTERS)
_VOWELS = (*"aeiou", "ai", "ea", "ee", "ou")
_CODAS = ("", "", "", *"dlmnrst", "ck", "ng", "nt", "rd", "st")


class Prose:
    """Sentences of words that are drawn by Zipf's law from a made-up lexicon."""

    def __init__(self, seed: int = 0, n_words: int = 30_000) -> None:
        self.rng = np.random.default_rng(seed)
        lexicon_rng = np.random.default_rng(7)  # the words are the same for every seed; their order is not
        syllables = np.array([onset + vowel + coda for onset in _ONSETS for vowel in _VOWELS for coda in _CODAS])
        drawn = syllables[lexicon_rng.integers(0, len(syllables), (4 * n_words, 4))].tolist()
        # The frequent words are short.
        sizes = 1 + lexicon_rng.binomial(3, np.minimum(0.6, 0.1 + np.arange(4 * n_words) / 20_000))
        found = dict.fromkeys("".join(row[:size]) for row, size in zip(drawn, sizes.tolist(), strict=True))
        self.words = pa.array(list(found)[:n_words], pa.string())
        weights = 1.0 / np.arange(10, n_words + 10)
        self._cumulative = np.cumsum(weights / weights.sum())

    def sentences(self, n_words: npt.NDArray[np.int64]) -> pa.StringArray:
        """One sentence of so many words each: a capital, spaces, a full stop."""
        places = np.searchsorted(self._cumulative, self.rng.random(int(n_words.sum())), side="right")
        words = self.words.take(pa.array(np.minimum(places, len(self.words) - 1)))
        joined = pc.binary_join(_lists(words, n_words), " ")
        return pc.binary_join_element_wise(pc.utf8_capitalize(joined), pa.scalar("."), "")

    def lengths(self, n: int, mean: float = 18.0, sigma: float = 0.5, most: int = 90) -> npt.NDArray[np.int64]:
        """Sentence lengths in words, log-normal."""
        drawn = self.rng.lognormal(np.log(mean) - sigma**2 / 2, sigma, n)
        return np.clip(np.round(drawn), 3, most).astype(np.int64)

    def distinct(self, n: int) -> list[str]:
        """So many sentences, no two the same."""
        found: dict[str, None] = {}
        while len(found) < n:
            found |= dict.fromkeys(self.sentences(self.lengths(n - len(found))).to_pylist())
        return list(found)

    def passages(self, n: int, n_sentences: int = 3) -> Iterator[pa.StringArray]:
        """Passages of MS MARCO's size (about 340 characters), in batches of up to 20,000."""
        for start in range(0, n, 20_000):
            count = min(20_000, n - start)
            parts = self.sentences(self.lengths(count * n_sentences, mean=14.0))
            yield pc.binary_join(_lists(parts, np.full(count, n_sentences)), " ")


def _lists(values: pa.Array, sizes: npt.NDArray[np.int64]) -> pa.ListArray:
    offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)
