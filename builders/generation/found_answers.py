"""Where an answer stands in its passage, or how much of it is there: compared by match keys, told in places of the text as it came."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import regex

from dsbuild.normal import key
from dsbuild.text import word_spans

# An ending of a word that the answer leaves out (மதுரை in மதுரையில், Berlin in Berliner): a stem of four code points at least, longer than what
# follows. A number ends where its digits end.
_MIN_STEM = 4
# Words with a common beginning count as one word: this share of the answer's word, and a stem as above.
_COMMON = 0.7
_ENDING = regex.compile(r"[\p{L}\p{M}'’]+")
_DIGIT = regex.compile(r"\p{N}")
_FRAME = regex.compile(r"^[\s\p{Ps}\p{Pi}\p{Pf}\"'`]+|[\s\p{Pe}\p{Pi}\p{Pf}\"'`.,;:!?。．।॥؟،؛！？、…]+$")
_QUOTED = regex.compile(r"“([^“”]+)”|„([^„“”]+)[“”]|«([^«»]+)»|»([^«»]+)«|「([^「」]+)」|『([^『』]+)』|\"([^\"]+)\"")
_GAP = regex.compile(r"\.{3,}|…+|\[\s*\]")


@dataclass(frozen=True, slots=True)
class Found:
    """What of an answer is in a passage.

    start, end: its place, half-open code points of the passage as it came, None where it does not stand there in one piece; overlap: the share
    of its words that the passage has too, 0 to 1, and 1 where it has a place.
    """

    start: int | None
    end: int | None
    overlap: float

    @property
    def verbatim(self) -> bool:
        """Whether the answer stands there in one piece."""
        return self.start is not None


class Passage:
    """A passage that answers and quotes are looked for in.

    Compared are match keys (`dsbuild.normal`): letter case, width, digits of any script and invisible characters make no difference. An answer
    begins and ends where words do, so 5 is not found in 1995 nor art in party; an ending of its last word may be missing.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._key = key(text)
        self._inside = _inside_words(self._key.text)

    def holds(self, answer: str) -> bool:
        """Whether an answer stands there in one piece."""
        return bool(self._matches(key(answer).text))

    def find(self, answer: str, near: tuple[tuple[int, int], ...] = ()) -> Found:
        """An answer; of several places the first in a range of `near` (code points of the passage), else the first that is typed like it."""
        wanted = key(answer).text
        places = self._matches(wanted)
        if not places:
            return Found(None, None, self._overlap(wanted))
        spans = [self._key.to_original(start, end) for start, end in places]
        for span in spans:
            if any(start <= span[0] and span[1] <= end for start, end in near):
                return Found(*span, 1.0)
        return Found(*next((span for span in spans if self._text[slice(*span)] == answer), spans[0]), 1.0)

    def quotes(self, reasoning: str) -> tuple[list[tuple[int, int]], int]:
        """Where the quotations of a text stand in the passage, and how many it has; of one with gaps (…) every part must stand there."""
        quoted = [next(part for part in found.groups() if part) for found in _QUOTED.finditer(reasoning)]
        places = []
        for one in quoted:
            parts = [_FRAME.sub("", key(part).text) for part in _GAP.split(one)]
            starts = [self._key.text.find(part) for part in parts if part]
            if starts and min(starts) >= 0:
                ends = [start + len(part) for start, part in zip(starts, filter(None, parts), strict=True)]
                places.append(self._key.to_original(min(starts), max(ends)))
        return places, len(quoted)

    def _matches(self, wanted: str) -> list[tuple[int, int]]:
        """As it is written, else without brackets, quotation marks and closing punctuation around it."""
        return self._places(wanted) or self._places(_FRAME.sub("", wanted))

    def _places(self, wanted: str) -> list[tuple[int, int]]:
        """Whole words first; where there is none, words that go on with an ending."""
        if not wanted:
            return []
        text, whole, stems = self._key.text, [], []
        start = text.find(wanted)
        while start >= 0:
            end = start + len(wanted)
            if not self._inside[start]:
                if not self._inside[end]:
                    whole.append((start, end))
                elif self._has_ending(start, end):
                    stems.append((start, end))
            start = text.find(wanted, start + 1)
        return whole or stems

    def _has_ending(self, start: int, end: int) -> bool:
        """Whether what is left of the word that a match ends in is no more than an ending."""
        text = self._key.text
        first, last = end, end
        while first > start and self._inside[first]:
            first -= 1
        while last < len(text) and self._inside[last]:
            last += 1
        stem, rest = text[first:end], text[end:last]
        number = _DIGIT.search(stem) is not None
        return bool(_ENDING.fullmatch(rest)) and len(rest) < len(stem) and (number or len(stem) >= _MIN_STEM)

    @cached_property
    def _units(self) -> frozenset[str]:
        return frozenset(_units(self._key.text))

    def _overlap(self, wanted: str) -> float:
        units = _units(wanted)
        return sum(self._has(one) for one in units) / len(units) if units else 0.0

    def _has(self, unit: str) -> bool:
        if unit in self._units:
            return True
        least = max(_MIN_STEM, int(np.ceil(_COMMON * len(unit))))
        if len(unit) < least or _DIGIT.search(unit):
            return False
        return any(one.startswith(unit[:least]) for one in self._units)


def _inside_words(text: str) -> npt.NDArray[np.bool_]:
    """Which places of a text lie inside a word."""
    inside = np.zeros(len(text) + 1, np.bool_)
    for start, end in word_spans(text):
        inside[start + 1 : end] = True
    return inside


def _units(text: str) -> list[str]:
    """The words of a text; in scripts without spaces pairs of neighbours, because single signs stand anywhere."""
    spans = word_spans(text)
    touching = [one[1] == other[0] for one, other in pairwise(spans)]
    pairs = [text[spans[place][0] : spans[place + 1][1]] for place, touch in enumerate(touching) if touch]
    alone = [
        text[start:end]
        for place, (start, end) in enumerate(spans)
        if not (place and touching[place - 1]) and not (place < len(touching) and touching[place])
    ]
    return pairs + alone
