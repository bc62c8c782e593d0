"""A column of texts as one array of code points: what every vectorised check counts with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dsbuild.text import SCRIPT_CODES, class_ranges, codepoints, script_table

Ints = npt.NDArray[np.int64]

# Classes of code points, as bits.
SPACE, LETTER, DIGIT, STOP, QUOTE, BRACKET = 1, 2, 4, 8, 16, 32

_STOPS = ".!?…。！？｡．؟۔।॥።፧။៖។៕։;\u037e\n\r•"
QUESTION_MARKS = "?？؟;\u037e፧՞⸮"
_QUOTES = '"“”„«»「」『』‟＂〞〝'
_BRACKETS = "()（）[]【】"


class Letters:
    """Texts laid end to end: `codes` holds the code points, text i is `codes[bounds[i]:bounds[i + 1]]`."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        self.bounds: Ints = np.concatenate(([0], np.cumsum(lengths)))
        self.codes = codepoints("".join(texts))
        self.classes = class_table()[self.codes]
        self.scripts = script_table()[self.codes]

    def __len__(self) -> int:
        return len(self.texts)

    def sums(self, values: npt.NDArray[np.generic]) -> Ints:
        """The sum of one value per code point over each text."""
        total = np.concatenate(([0], np.cumsum(values, dtype=np.int64)))
        return total[self.bounds[1:]] - total[self.bounds[:-1]]

    def count(self, bit: int) -> Ints:
        """How many code points of a class each text has."""
        return self.sums((self.classes & bit) > 0)

    def sizes(self) -> Ints:
        """The lengths that length ratios are made of: code points, an ideograph counted 3, kana and hangul 2.

        The weights make texts in several scripts, and lengths across scripts, nearly comparable; surrounding
        differences are the prior's business.
        """
        return self.sums(self.weights())

    def weights(self) -> Ints:
        """What each code point counts in `sizes`."""
        return _weights()[self.scripts]

    def in_scripts(self, codes: Sequence[str]) -> Ints:
        """How many letters and marks of each text belong to the given scripts."""
        wanted = np.zeros(len(SCRIPT_CODES), np.bool_)
        wanted[[SCRIPT_CODES.index(code) if code in SCRIPT_CODES else len(SCRIPT_CODES) - 1 for code in codes]] = True
        return self.sums(wanted[self.scripts])

    def lettered(self) -> Ints:
        """How many letters and marks of any script each text has."""
        return self.sums(self.scripts > 0)


@lru_cache(maxsize=1)
def class_table() -> npt.NDArray[np.uint8]:
    """For every code point the bits of the classes that it belongs to."""
    table = np.zeros(sys.maxunicode + 1, np.uint8)
    for pattern, bit in ((r"\s", SPACE), (r"\p{L}", LETTER), (r"\p{Nd}", DIGIT)):
        for start, end in class_ranges(pattern):
            table[start:end] |= bit
    for characters, bit in ((_STOPS, STOP), (_QUOTES, QUOTE), (_BRACKETS, BRACKET)):
        table[[ord(character) for character in characters]] |= bit
    return table


@lru_cache(maxsize=1)
def _weights() -> npt.NDArray[np.int64]:
    weights = np.ones(len(SCRIPT_CODES), np.int64)
    weights[SCRIPT_CODES.index("Hani")] = 3
    weights[[SCRIPT_CODES.index(code) for code in ("Hira", "Kana", "Hang")]] = 2
    return weights
