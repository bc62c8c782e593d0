"""How long queries are and what they ask for, and how far two such distributions lie apart."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import regex

from dsbuild.filters.leaked_words import as_pattern, listed_words
from dsbuild.filters.letters import QUESTION_MARKS
from dsbuild.text import words

_FILE = Path(__file__).with_name("question_words.tsv")
# Longer queries count as if they had so many words.
MOST_WORDS = 40
# What a query without a question word is: a question by its mark, or something else.
QUESTION, OTHER = "question", "no question"
_DRAWS = 400
_QUANTILES = (0.025, 0.975)


@dataclass(frozen=True)
class Shapes:
    """Queries counted by their number of words (at most `MOST_WORDS`) and by kind: a word of `question_words.tsv`, `QUESTION` or `OTHER`."""

    lengths: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def n(self) -> int:
        """How many queries."""
        return self.lengths.total()

    def add(self, texts: Iterable[str], lang: str) -> None:
        """Count some more."""
        for text in texts:
            self.lengths[min(len(words(text)), MOST_WORDS)] += 1
            self.kinds[kind_of(text, lang)] += 1

    def as_json(self) -> dict[str, Any]:
        """Both counts with string keys, sorted."""
        return {
            "lengths": {str(key): self.lengths[key] for key in sorted(self.lengths)},
            "kinds": {key: self.kinds[key] for key in sorted(self.kinds)},
        }

    @classmethod
    def of_json(cls, told: Mapping[str, Mapping[str, int]]) -> Shapes:
        """The counts that `as_json` gave."""
        return cls(Counter({int(key): value for key, value in told["lengths"].items()}), Counter(told["kinds"]))


def kind_of(text: str, lang: str) -> str:
    """What a query asks for: the kind of its first question word, of several that begin there the longest.

    A yes-no word (`whether`) counts only at the start. In a language without a list all that is told is whether it ends like a question.

    >>> kind_of("how many moons has Mars", "en"), kind_of("moons of mars", "en"), kind_of("moni kuu?", "fi")
    ('how_much', 'no question', 'question')
    """
    text = unicodedata.normalize("NFC", text)
    best: tuple[int, int, str] | None = None
    for kind, pattern in _kinds().get(lang.partition("-")[0], {}).items():
        found = pattern.match(text) if kind == "whether" and lang != "zh" else pattern.search(text)
        if found and (best is None or (found.start(), -found.end()) < best[:2]):
            best = found.start(), -found.end(), kind
    if best:
        return best[2]
    return QUESTION if text.rstrip()[-1:] in QUESTION_MARKS and text.strip() else OTHER


@lru_cache(maxsize=1)
def _kinds() -> dict[str, dict[str, regex.Pattern[str]]]:
    made: dict[str, dict[str, regex.Pattern[str]]] = {}
    for lang, kind, listed in listed_words(_FILE):
        # The longest first: alternatives are tried in order.
        parts = sorted((part.strip() for part in listed.split("|")), key=len, reverse=True)
        pattern = "|".join(as_pattern(part, lang) for part in parts)
        made.setdefault(lang, {})[kind] = regex.compile(pattern, regex.IGNORECASE)
    return made


def distance(one: Counter[Any], other: Counter[Any], seed: int = 0) -> dict[str, float] | None:
    """How far apart two distributions lie: the Jensen-Shannon divergence in bits (0: the same, 1: nothing in common; J. Lin 1991).

    low, high: the 95 % percentile interval where both are drawn again from themselves; chance: what two samples of these sizes would be
    apart on average if they came from one distribution (small samples differ by chance alone). None where one is empty.
    """
    keys = sorted({*one, *other}, key=str)
    counts = np.array([[side[key] for key in keys] for side in (one, other)], np.float64)
    sizes = counts.sum(axis=1).astype(np.int64)
    if not sizes.all():
        return None
    rng = np.random.default_rng(seed)
    shares = counts / sizes[:, None]
    drawn = [rng.multinomial(size, share, _DRAWS) / size for size, share in zip(sizes, shares, strict=True)]
    both = counts.sum(axis=0) / counts.sum()
    same = [rng.multinomial(size, both, _DRAWS) / size for size in sizes]
    low, high = np.quantile(_divergence(*drawn), _QUANTILES)
    value = float(_divergence(shares[:1], shares[1:])[0])
    return {"value": value, "low": float(low), "high": float(high), "chance": float(_divergence(*same).mean())}


def _divergence(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    middle = (one + other) / 2

    def relative(side: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        ratio = np.divide(side, middle, out=np.ones_like(side), where=side > 0)
        found: npt.NDArray[np.float64] = (side * np.log2(ratio)).sum(axis=1)
        return found

    return np.clip((relative(one) + relative(other)) / 2, 0.0, 1.0)
