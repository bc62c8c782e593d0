"""The rule `weighted`: every range of target words near a span's links is weighed by what links and the set's own words say of it.

A log-linear model over ranges and "no counterpart" gives each a probability. What is weighed (`FEATURES`) is the same in every language:
links kept and lost, words of the range that belong elsewhere or to nobody, how strongly words go together in the set
(`project/association.py`), how vague the words at the edges are, punctuation crossed, length. No word list. The weights are in
`span_weights.json`, which says what they were fitted on; `bench/fit_span_weights.py` fits them.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dsbuild.project.alignment import Link
from dsbuild.project.association import Association
from dsbuild.spans import Piece

Array = npt.NDArray[np.float64]
Range = tuple[int, int]

FEATURES = (
    "own_strength", "foreign_clear", "foreign_vague", "free_clear", "lost_strength", "uncovered_clear", "edge_weak", "edge_free", "edge_foreign",
    "edge_vaguer", "length", "breaks", "association", "inner_extra", "next_free_vague", "none", "none_unlinked",
)  # fmt: skip
# Words before and after the links that a range may take in, and how much longer than its source it may be.
_AROUND = 4
_LONGEST = 60
_LONGEST_UNLINKED = 12
_HYPHENS = "-'’ʼ‐‑·"


@dataclass(frozen=True, slots=True)
class Texts:
    """What the rule reads of a pair: its words, where they stand, and their links with scores."""

    src: Sequence[str]
    tgt: Sequence[str]
    src_breaks: Array
    tgt_breaks: Array
    links: Mapping[Link, float]
    strength: Array
    src_vague: Array
    tgt_vague: Array


def keys(text: str, units: Sequence[Piece]) -> list[str]:
    """The words as they are counted: case folded."""
    return [text[start:end].casefold() for start, end in units]


def breaks(text: str, units: Sequence[Piece]) -> Array:
    """For each unit but the last 1 where punctuation parts it from the next, else 0; hyphens and apostrophes in a word part nothing."""
    found = np.zeros(max(len(units) - 1, 0))
    for place, ((_, end), (start, _)) in enumerate(pairwise(units)):
        between = text[end:start]
        signs = between.strip()
        parted = any(unicodedata.category(char)[0] in "PS" for char in signs)
        found[place] = parted and (len(between) > len(signs) or len(signs) > 1 or signs not in _HYPHENS + "/&")
    return found


def texts(
    src_text: str,
    src: Sequence[Piece],
    tgt_text: str,
    tgt: Sequence[Piece],
    links: Mapping[Link, float],
    association: Association,
) -> Texts:
    """Everything about a pair that its spans have in common."""
    left, right = keys(src_text, src), keys(tgt_text, tgt)
    return Texts(
        left, right, breaks(src_text, src), breaks(tgt_text, tgt), links,
        association.strength(left, right), association.vague_src(left), association.vague_tgt(right),
    )  # fmt: skip


def ranges(
    linked: Sequence[int], n_src: int, low: int, high: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The ranges of target units that are weighed, as starts and ends: near the links, not much longer than the source allows.

    linked: units that the span is linked to; n_src: its length; low, high: the units that the pair's segments allow.
    """
    longest = max(2 * n_src + 5, 6)
    first, last = low, high
    if linked:
        first, last = max(low, min(linked) - _AROUND), min(high, max(linked) + 1 + _AROUND)
    else:
        longest = min(2 * n_src + 1, _LONGEST_UNLINKED)
    starts = np.arange(first, last)
    ends = np.arange(first + 1, last + 1)
    if len(starts) > 2 * _LONGEST and longest > _LONGEST:
        # A long span: its edges lie near the first and the last links.
        starts, ends = starts[:_LONGEST], ends[-_LONGEST:]
    left, right = (grid.ravel() for grid in np.meshgrid(starts, ends, indexing="ij"))
    good = (right > left) & (right - left <= longest)
    if linked:
        hits = np.concatenate([[0], np.cumsum(np.isin(np.arange(high), list(linked)))])
        good &= hits[right] > hits[left]
    return left[good], right[good]


def features(pair: Texts, span: Sequence[int], low: int, high: int) -> tuple[list[Range], Array]:
    """The ranges that are weighed for a span and their features; the last row stands for "no counterpart".

    span: its source units; low, high: the target units that the pair's segments allow.
    """
    inside = set(span)
    n_tgt = len(pair.tgt)
    own, other = np.zeros(n_tgt, bool), np.zeros(n_tgt, bool)
    strongest, said = np.zeros(n_tgt), np.zeros(n_tgt)
    partners: dict[int, set[int]] = {}
    for i, j in pair.links:
        if i not in inside:
            other[j] = True
        elif low <= j < high:
            own[j] = True
            strongest[j] = max(strongest[j], pair.strength[i, j])
            said[j] = max(said[j], pair.src_vague[i])
            partners.setdefault(i, set()).add(j)
    linked = np.flatnonzero(own)
    left, right = ranges([int(unit) for unit in linked], len(inside), low, high)

    def total(values: npt.NDArray[np.generic]) -> Array:
        sums = np.concatenate([[0.0], np.cumsum(values, dtype=float)])
        return np.asarray(sums[right] - sums[left])

    def edges(values: npt.NDArray[np.generic]) -> Array:
        return np.asarray(values[left].astype(float) + values[right - 1].astype(float))

    vague = pair.tgt_vague
    foreign, free = other & ~own, ~own & ~other
    rest = np.delete(pair.strength, list(span), axis=0)
    here = pair.strength[list(span)].max(0) if span else np.zeros(n_tgt)
    association = here - (rest.max(0) if len(rest) else 0.0)
    uncovered, wanting = np.zeros(len(left)), np.zeros(len(left))
    for i in inside:
        missed = total(np.isin(np.arange(n_tgt), list(partners.get(i, ())))) == 0
        uncovered += missed
        wanting += missed * (1 - pair.src_vague[i])
    ordered = sorted(inside)
    # A weak link at an edge is suspicious, unless the source's word is itself one that goes with many: an article stands for an article.
    weak, vaguer = own * (1 - strongest) * (1 - said), np.maximum(0, vague - said)
    bare = np.maximum(0, edges(free) - uncovered)
    src_breaks = sum(pair.src_breaks[i] for i, after in pairwise(ordered) if after == i + 1)
    sums = np.concatenate([[0.0], np.cumsum(pair.tgt_breaks)])
    crossed = sums[right - 1] - sums[left]
    # The words next to the range, where no punctuation parts them from it.
    beside = np.concatenate([free * vague, [0.0]])
    closed = np.concatenate([[1.0], pair.tgt_breaks, [1.0]])
    columns = [
        total(own * ~other * strongest), total(foreign * (1 - vague)), total(foreign * vague), total(free * (1 - vague)),
        strongest.sum() - total(strongest), wanting, edges(weak), bare, edges(foreign), edges(vaguer),
        np.abs(np.log((right - left) / max(len(inside), 1))), np.clip(crossed - src_breaks, 0, 3), total(association),
        np.maximum(0, total(free) + total(foreign) - 1), (1 - closed[left]) * beside[left - 1] + (1 - closed[right]) * beside[right],
        np.zeros(len(left)), np.zeros(len(left)),
    ]  # fmt: skip
    table = np.zeros((len(left) + 1, len(FEATURES)))
    table[:-1] = np.column_stack(columns)
    # Without a counterpart all that is linked is lost, and no word is covered.
    nothing = {
        "lost_strength": strongest.sum(), "uncovered_clear": (1 - pair.src_vague[ordered]).sum(), "none": 1.0,
        "none_unlinked": float(not len(linked)),
    }  # fmt: skip
    table[-1, [FEATURES.index(name) for name in nothing]] = list(nothing.values())
    return list(zip(left.tolist(), right.tolist(), strict=True)), table


def posterior(pair: Texts, span: Sequence[int], low: int, high: int) -> list[tuple[Range | None, float]]:
    """Ranges of target units with their probabilities, likeliest first; None stands for "no counterpart"."""
    found, table = features(pair, span, low, high)
    scores = table @ weights()
    chances = np.exp(scores - scores.max())
    chances /= chances.sum()
    # Stable, so that of equal ranges the first, shortest one leads whatever the machine.
    order = np.argsort(-chances.round(9), kind="stable")
    return [(found[place] if place < len(found) else None, float(chances[place])) for place in order]


@lru_cache(maxsize=1)
def weights() -> Array:
    """The shipped weights in the order of `FEATURES`."""
    shipped = json.loads(files("dsbuild.project").joinpath("span_weights.json").read_text("utf-8"))
    return np.array([shipped["weights"][name] for name in FEATURES])
