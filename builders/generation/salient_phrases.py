"""What a passage speaks of: phrases between function words, ranked by how rare their words are in the collection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import regex

from dsbuild.builders.retrieval.lexical_tokens import Vocabulary, blocks, term_hashes
from dsbuild.filters.quality import stop_words
from dsbuild.text import word_spans

# Words in a row belong together where nothing else than this stands between them.
_JOINED = regex.compile(r"[^\S\n]?|[-‐‑·・'’]")
_HYPHENS = frozenset("-‐‑")
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]", regex.V1)
_LETTER = regex.compile(r"\p{L}")
# Words in a greater share of the passages (and more than one) say little, whether they are listed or not: the lists are short.
_COMMON = 0.1
# In scripts without spaces a unit is a character or syllable; two of them count as one word.
_HALF = 0.5


@dataclass
class Frequencies:
    """In how many passages each term of `lexical_tokens` stands; grows with the vocabulary, not with the passages."""

    n: int = 0
    _terms: Vocabulary = field(default_factory=Vocabulary, repr=False)
    _counts: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32), repr=False)

    def add(self, texts: pa.Array) -> None:
        """Count some passages."""
        for block in blocks(texts):
            hashes, bounds = term_hashes(block)
            numbers = self._terms.number(hashes, add=True)
            passage = np.repeat(np.arange(len(bounds) - 1, dtype=np.int64), np.diff(bounds))
            once = np.unique(passage << 32 | numbers) & 0xFFFF_FFFF
            if len(self._counts) < self._terms.size:
                grown = np.zeros(2 * self._terms.size, np.int32)
                grown[: len(self._counts)] = self._counts
                self._counts = grown
            self._counts += np.bincount(once, minlength=len(self._counts)).astype(np.int32)
        self.n += len(texts)

    def of(self, keys: Sequence[str]) -> npt.NDArray[np.int64]:
        """The passages of each key's rarest term; 0 for a key that no passage holds."""
        hashes, bounds = term_hashes(pa.array(keys, pa.string()))
        numbers = self._terms.number(hashes, add=False)
        counts = np.full(len(numbers) + 1, self.n, np.int64)  # one more, for keys without a term at the end
        counts[:-1] = np.where(numbers >= 0, self._counts[numbers], 0) if len(self._counts) else 0
        found = np.minimum.reduceat(counts, bounds[:-1]) if len(keys) else np.zeros(0, np.int64)
        return np.where(np.diff(bounds) > 0, found, 0)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase of a text: where it stands (code points), how many words it counts as, and its score."""

    start: int
    end: int
    size: float
    score: float


@dataclass(frozen=True)
class Phrases:
    """Phrases of passages in one language, at most `max_words` long; several of them make a query that is no run of its passage.

    A candidate is a run of words without function words and punctuation between them, as RAKE has it (S. Rose et al. 2010); of a longer run the
    best part is taken. Its score is the sum of its words' idf, each times 1 + ln of its count in the passage, over the square root of the
    length: RAKE's own score favours whatever is long. Function words are those of the language's list, if it has one, and words that stand in more
    than a tenth of the passages; inside "state-of-the-art" there are none. In scripts without spaces each character or syllable is looked up
    together with the next one, and phrases may end inside a word: nothing here knows where words end.
    """

    frequencies: Frequencies
    lang: str
    max_words: int = 3

    def found(self, texts: Sequence[str]) -> Iterator[list[Phrase]]:
        """The phrases of each text, the best first; of those that read the same, whatever their case, the first."""
        spans = [word_spans(text) for text in texts]
        keys = [_keys(text, own) for text, own in zip(texts, spans, strict=True)]
        distinct = {key: place for place, key in enumerate(dict.fromkeys(key for own in keys for key in own))}
        df = self.frequencies.of(list(distinct))
        n = self.frequencies.n
        # Lucene's form of idf: never below 0.
        idf = np.log1p((n - df + 0.5) / (df + 0.5))
        common = df > max(1, _COMMON * n)
        stops = frozenset(stop_words().get(self.lang, ()))
        for text, own, names in zip(texts, spans, keys, strict=True):
            numbers = np.array([distinct[name] for name in names], np.int64)
            counts = np.bincount(numbers)[numbers] if len(numbers) else numbers
            weights = idf[numbers] * (1 + np.log(np.maximum(counts, 1)))
            stop = [
                (bool(common[number]) or text[start:end].lower() in stops)
                and _HYPHENS.isdisjoint((text[start - 1 : start], text[end : end + 1]))
                for (start, end), number in zip(own, numbers, strict=True)
            ]
            yield self._ranked(text, own, weights.tolist(), stop)

    def _ranked(
        self, text: str, spans: Sequence[tuple[int, int]], weights: list[float], stop: Sequence[bool]
    ) -> list[Phrase]:
        best: dict[str, Phrase] = {}
        for first, last in _runs(text, spans, stop):
            phrase = self._best(text, spans[first:last], weights[first:last])
            said = text[phrase.start : phrase.end]
            # A number or a single letter says little.
            if len(said) > 1 and _LETTER.search(said):
                best.setdefault(said.casefold(), phrase)
        return sorted(best.values(), key=lambda one: (-one.score, one.start))

    def _best(self, text: str, spans: Sequence[tuple[int, int]], weights: Sequence[float]) -> Phrase:
        sizes = [_HALF if _UNSPACED.match(text, start) else 1.0 for start, _ in spans]
        found: Phrase | None = None
        first, size, total = 0, 0.0, 0.0
        for last, own in enumerate(sizes):
            size, total = size + own, total + weights[last]
            while size > self.max_words:
                size, total = size - sizes[first], total - weights[first]
                first += 1
            score = total / size**0.5
            if found is None or score > found.score:
                found = Phrase(spans[first][0], spans[last][1], size, score)
        assert found is not None
        return found


def _keys(text: str, spans: Sequence[tuple[int, int]]) -> list[str]:
    """What each word is looked up by."""
    found = []
    for place, (start, end) in enumerate(spans):
        follows = place + 1 < len(spans) and spans[place + 1][0] == end and _UNSPACED.match(text, end)
        found.append(text[start : spans[place + 1][1]] if follows and _UNSPACED.match(text, start) else text[start:end])
    return found


def _runs(text: str, spans: Sequence[tuple[int, int]], stop: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Half-open ranges of words that are no function words and stand together."""
    first = None
    for place, (start, _) in enumerate(spans):
        if first is not None and (stop[place] or not _JOINED.fullmatch(text, spans[place - 1][1], start)):
            yield first, place
            first = None
        if first is None and not stop[place]:
            first = place
    if first is not None:
        yield first, len(spans)
