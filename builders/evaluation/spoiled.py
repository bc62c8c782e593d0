"""Texts spoiled on purpose, from the set itself: what the alarms on damaged queries are fitted on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from dsbuild.text import sentences, word_spans

# (source text, translation, another translation, language, words of the set, random numbers) -> the spoiled translation.
Spoil = Callable[[str, str, str, str, Sequence[str], np.random.Generator], str]


def _another(source: str, text: str, other: str, lang: str, words: Sequence[str], rng: np.random.Generator) -> str:
    return other


def _untranslated(source: str, text: str, other: str, lang: str, words: Sequence[str], rng: np.random.Generator) -> str:
    return source


def _shortened(source: str, text: str, other: str, lang: str, words: Sequence[str], rng: np.random.Generator) -> str:
    """Half of the sentences, or of the words of one sentence, are left out."""
    parts = sentences(text, lang)
    if len(parts) < 2:
        spans = word_spans(text, lang)
        if len(spans) < 4:
            return ""
        half = len(spans) // 2
        first = int(rng.integers(0, 2))
        return text[: spans[half][0]].strip() if first else text[spans[half][0] :]
    kept = np.sort(rng.permutation(len(parts))[: len(parts) // 2])
    return " ".join(text[start:end].strip() for start, end in (parts[at] for at in kept))


def _other_terms(source: str, text: str, other: str, lang: str, words: Sequence[str], rng: np.random.Generator) -> str:
    """A third of the longer words, wherever they stand, are others."""
    spans = word_spans(text, lang)
    long = sorted({text[start:end] for start, end in spans}, key=lambda word: (-len(word), word))
    long = long[: max(1, len(long) // 2)]
    gone = {long[at] for at in rng.permutation(len(long))[: max(1, (2 * len(long) + 2) // 3)]}
    new = {word: words[int(rng.integers(len(words)))] for word in sorted(gone)}
    return _with(text, spans, lambda word: new.get(word, word))


def _garbled(source: str, text: str, other: str, lang: str, words: Sequence[str], rng: np.random.Generator) -> str:
    """The letters of every second word are shuffled."""

    def shuffled(word: str) -> str:
        return word if rng.random() < 0.5 else "".join(word[at] for at in rng.permutation(len(word)))

    return _with(text, word_spans(text, lang), shuffled)


def _with(text: str, spans: Sequence[tuple[int, int]], change: Callable[[str], str]) -> str:
    made, last = [], 0
    for start, end in spans:
        made += [text[last:start], change(text[start:end])]
        last = end
    return "".join([*made, text[last:]])


SPOILS: dict[str, Spoil] = {
    "another": _another, "untranslated": _untranslated, "shortened": _shortened, "other_terms": _other_terms, "garbled": _garbled,
}  # fmt: skip


def spoil(
    sources: Sequence[str], texts: Sequence[str], lang: str, kind_of: npt.NDArray[np.int64], kinds: Sequence[str], rng: np.random.Generator
) -> list[str]:  # fmt: skip
    """The translations; kind_of: by row, the place in `kinds` of what is done to it, -1 where nothing is."""
    words = sorted(
        {text[start:end] for text in texts[:500] for start, end in word_spans(text, lang) if end - start > 3}
    )
    words = words or ["?"]
    made = list(texts)
    for row in np.flatnonzero(kind_of >= 0).tolist():
        other = texts[(row + 1 + int(rng.integers(max(1, len(texts) - 1)))) % len(texts)]
        made[row] = SPOILS[kinds[kind_of[row]]](sources[row], texts[row], other, lang, words, rng)
    return made
