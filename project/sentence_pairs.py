"""Which sentences of two texts translate each other: by their lengths and by what they share, in order.

The dynamic programme of Gale and Church (1993) over beads of up to two sentences on each side, with one addition: words that both sides
write alike (names, numbers) pull their sentences together. Word aligners lose their way in paragraphs; in sentence pairs they do not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from dsbuild.spans import Piece
from dsbuild.text import fold_digits, sentences, words

Segment = tuple[int, int, int, int]

# Gale and Church: variance of the length ratio for a character, and how usual each kind of bead is.
_VARIANCE = 6.8
_BEADS = {(1, 1): 0.89, (1, 0): 0.005, (0, 1): 0.005, (2, 1): 0.045, (1, 2): 0.045, (2, 2): 0.011}
# What a shared word is worth, in nats, before it is weighed by how rare it is in both texts.
_SHARED = 3.0


def sentence_pairs(source: str, target: str, src: str, tgt: str, ratio: float | None = None) -> tuple[Segment, ...]:
    """The parts (src_start, src_end, tgt_start, tgt_end) of two texts that translate each other, in order; they leave out no sentence.

    ratio: target characters a source character, of the whole set where it is known; else of the two texts. A sentence without
    counterpart joins the part before it (the first one the part after it), so that nothing of either text lies outside.
    """
    ours, theirs = _cut(source, src), _cut(target, tgt)
    if len(ours) <= 1 or len(theirs) <= 1:
        return ((0, len(source), 0, len(target)),)
    ratio = ratio or max(len(target), 1) / max(len(source), 1)
    shared = _shared(source, target, ours, theirs, src, tgt)
    best: dict[tuple[int, int], tuple[float, tuple[int, int]]] = {(0, 0): (0.0, (0, 0))}
    for i in range(len(ours) + 1):
        for j in range(len(theirs) + 1):
            reached = [
                (best[i - n, j - m][0] + _cost(ours, theirs, shared, i, j, n, m, ratio), (n, m))
                for n, m in _BEADS
                if (i - n, j - m) in best
            ]
            if reached and (i, j) != (0, 0):
                best[i, j] = min(reached)
    i, j = len(ours), len(theirs)
    beads: list[tuple[int, int, int, int]] = []
    while (i, j) != (0, 0):
        n, m = best[i, j][1]
        beads.append((i - n, i, j - m, j))
        i, j = i - n, j - m
    return _joined(beads[::-1], ours, theirs, len(source), len(target))


def _cut(text: str, lang: str) -> list[tuple[int, int]]:
    return [(start, end) for start, end in sentences(text, lang) if text[start:end].strip()]


def _cost(
    ours: Sequence[Piece], theirs: Sequence[Piece], shared: Sequence[Sequence[float]], i: int, j: int, n: int, m: int, ratio: float
) -> float:  # fmt: skip
    cost = -math.log(_BEADS[n, m])
    if n and m:
        long = sum(end - start for start, end in ours[i - n : i])
        wide = sum(end - start for start, end in theirs[j - m : j])
        delta = (wide - long * ratio) / math.sqrt(max(long * ratio, 1.0) * _VARIANCE)
        cost += delta * delta / 2 - sum(shared[a][b] for a in range(i - n, i) for b in range(j - m, j))
    return cost


def _shared(
    source: str, target: str, ours: Sequence[tuple[int, int]], theirs: Sequence[tuple[int, int]], src: str, tgt: str
) -> list[list[float]]:
    """How much each pair of sentences shares: rare words written alike, with digits of any script."""
    left = [Counter(_forms(source[start:end], src)) for start, end in ours]
    right = [Counter(_forms(target[start:end], tgt)) for start, end in theirs]
    held = [Counter(word for one in side for word in one) for side in (left, right)]
    return [
        [sum(_SHARED / (held[0][word] * held[1][word]) for word in one.keys() & other.keys()) for other in right]
        for one in left
    ]


def _forms(text: str, lang: str) -> list[str]:
    return [word for word in words(fold_digits(text).casefold(), lang) if len(word) > 3 or word.isdigit()]


def _joined(
    beads: Sequence[tuple[int, int, int, int]], ours: Sequence[tuple[int, int]], theirs: Sequence[tuple[int, int]], long: int, wide: int
) -> tuple[Segment, ...]:  # fmt: skip
    """Beads as parts that cover both texts: those without a side join a neighbour."""
    merged: list[list[int]] = []
    for a, b, c, d in beads:
        if merged and (a == b or c == d or merged[-1][0] == merged[-1][1] or merged[-1][2] == merged[-1][3]):
            merged[-1][1], merged[-1][3] = b, d
        else:
            merged.append([a, b, c, d])
    found = []
    for number, (a, _, c, _) in enumerate(merged):
        last = number + 1 == len(merged)
        found.append(
            (
                ours[a][0] if number else 0, long if last else ours[merged[number + 1][0]][0],
                theirs[c][0] if number else 0, wide if last else theirs[merged[number + 1][2]][0],
            )
        )  # fmt: skip
    return tuple(found)
