"""Made-up English-like prose for the benches: any amount of it, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

_ONSETS = ["", *"bcdfghjklmnprstvw", "br", "ch", "cl", "dr", "fl", "gr", "pl", "pr", "sh", "sp", "st", "str", "th", "tr"]
_VOWELS = [*"aeiou", "ai", "ea", "ee", "ou"]
_CODAS = ["", "", "", *"dlmnrst", "ck", "ng", "nt", "rd", "st"]


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
        self.words = np.array(list(found)[:n_words], dtype=object)
        weights = 1.0 / np.arange(10, n_words + 10)
        self._cumulative = np.cumsum(weights / weights.sum())

    def sentences(self, n_words: npt.NDArray[np.int64]) -> list[str]:
        """One sentence of so many words each: a capital, spaces, a full stop."""
        drawn = self.words[np.searchsorted(self._cumulative, self.rng.random(int(n_words.sum())), side="right")].tolist()
        ends = np.cumsum(n_words).tolist()
        return [
            " ".join(drawn[start:end]).capitalize() + "." for start, end in zip([0, *ends[:-1]], ends, strict=True)
        ]

    def lengths(self, n: int, mean: float = 18.0, sigma: float = 0.5, most: int = 90) -> npt.NDArray[np.int64]:
        """Sentence lengths in words, log-normal."""
        drawn = self.rng.lognormal(np.log(mean) - sigma**2 / 2, sigma, n)
        return np.clip(np.round(drawn), 3, most).astype(np.int64)

    def distinct(self, n: int) -> list[str]:
        """So many sentences, no two the same."""
        found: dict[str, None] = {}
        while len(found) < n:
            found |= dict.fromkeys(self.sentences(self.lengths(n - len(found))))
        return list(found)

    def passages(self, n: int, n_sentences: int = 3) -> Iterator[list[str]]:
        """Passages of MS MARCO's size (about 55 words), in batches of up to 10,000."""
        for start in range(0, n, 10_000):
            count = min(10_000, n - start)
            parts = self.sentences(self.lengths(count * n_sentences))
            yield [" ".join(parts[row * n_sentences : (row + 1) * n_sentences]) for row in range(count)]
