"""Cut a text into segments, never inside a range that must stay whole."""

from __future__ import annotations

from collections.abc import Sequence

from dsbuild.text import sentences


def segment(text: str, lang: str, *, keep: Sequence[tuple[int, int]] = ()) -> list[tuple[int, int]]:
    """The sentences of a text as half-open code-point ranges, in order, without the white space around them.

    `keep`: ranges (spans of a label, protected items) that no border may fall into; sentences that such a
    range joins become one segment. What lies between the ranges is separators, to be kept as it is.

    >>> segment("It rains. Go home!", "en")
    [(0, 9), (10, 18)]
    >>> segment("It rains. Go home!", "en", keep=[(3, 12)])
    [(0, 18)]
    """
    ranges: list[tuple[int, int]] = []
    held = sorted(keep)
    position = 0
    for start, end in sentences(text, lang):
        while position < len(held) and held[position][1] <= start:
            position += 1
        joins = position < len(held) and held[position][0] < start and ranges
        if joins:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((start, end))
    return ranges
