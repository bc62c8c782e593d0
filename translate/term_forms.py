"""Whether a fixed term stands in a translation, whatever form the sentence gave it."""

from __future__ import annotations

import math
import unicodedata

from dsbuild import text as texts

# Forms of a word share this much of it: from the beginning on (endings: नदी, नदियाँ), or anywhere (what is put before it: kitabu, vitabu).
_BEGINNING, _ANYWHERE = 2 / 3, 3 / 4
_LEAST_BEGINNING, _LEAST_ANYWHERE = 2, 4
# A form is not longer than this many letters beyond the term's own: endings and particles, no other compound.
_GROWTH = 6


def stands(term: str, translation: str) -> bool:
    """Whether the term, or a form of each of its words, stands in the translation.

    A word is a form of another if both begin with the same two thirds of it (at least 2 letters), or share a run of three quarters of it (at
    least 4), and it is at most 6 letters longer; signs that follow a consonant count as letters. Tolerant on purpose: it finds every ending,
    and now and then a word that is another. Ideographs, kana and syllables that are written without spaces have to stand there as they are.

    >>> stands("नदी", "दो नदियाँ मिलती हैं"), stands("river", "the sea")
    (True, False)
    """
    if not term.strip():
        return True
    wanted, said = _folded(term), _folded(translation)
    if _begins_somewhere(wanted, said):
        return True
    if any(len(word) < _LEAST_BEGINNING for word in texts.words(wanted)) or not texts.words(wanted):
        return False
    there = set(texts.words(said))
    return all(any(_is_form(word, other) for other in there) for word in texts.words(wanted))


def _begins_somewhere(wanted: str, said: str) -> bool:
    """Whether a text stands in another and begins no later than a word does: tea in "teas", not in "steam"."""
    at = said.find(wanted)
    inside = [range(start + 1, end) for start, end in texts.word_spans(said)] if at >= 0 else []
    while at >= 0 and any(at in one for one in inside):
        at = said.find(wanted, at + 1)
    return at >= 0


def _is_form(word: str, other: str) -> bool:
    if word == other:
        return True
    if len(other) > len(word) + _GROWTH:
        return False
    beginning = max(_LEAST_BEGINNING, math.ceil(_BEGINNING * len(word)))
    if len(word) > _LEAST_BEGINNING and word[:beginning] == other[:beginning]:
        return True
    run = max(_LEAST_ANYWHERE, math.ceil(_ANYWHERE * len(word)))
    return any(word[start : start + run] in other for start in range(len(word) - run + 1))


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())
