"""MinHash: signatures from which near duplicates are found without comparing every text with every other.

A signature is cut into bands of rows; two texts are candidates when one band is equal. For Jaccard index J that happens with
probability 1 - (1 - J^rows)^bands, so bands and rows follow from the J and the recall that are wanted.
Sources: A. Broder et al., Min-wise independent permutations, 1998; P. Indyk and R. Motwani, Approximate nearest neighbors, 1998.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsbuild.errors import RecipeError
from dsbuild.filters.folding import Codes, fold_table, room
from dsbuild.filters.shingles import UNITS, Hashes, Shingling, Unit, mix, shingle
from dsbuild.filters.utf8 import Bytes, Offsets, compiled

Lanes = npt.NDArray[np.uint32]

MAX_PERMUTATIONS = 2048
_SEED = 0x5EED
# Costs of a plan in units of one permutation of one text, as measured: sets and comparison of a pair cost about as much as 100.
# Ten neighbours of a text are taken to be half as alike as wanted.
_PAIR_COST = 100.0
_NEIGHBOURS = 10.0
_MOST_IN_VAIN = 1_000.0
# How alike unrelated texts of 2.5 kB are, the more similar of them (NTREX documents in English, the highest of four languages).
BACKGROUND: dict[Unit, float] = {"graphemes": 0.08, "words": 0.02, "whitespace": 0.02}


@dataclass(frozen=True, slots=True)
class Bands:
    """How signatures are cut. expected_miss: the share of pairs at exactly the wanted J that are never compared."""

    bands: int
    rows: int
    expected_miss: float

    @property
    def permutations(self) -> int:
        """Numbers in a signature."""
        return self.bands * self.rows


def candidate_probability(jaccard: float, bands: int, rows: int) -> float:
    """The probability that two texts of that Jaccard index agree in a band.

    >>> round(candidate_probability(0.8, 14, 8), 3)
    0.924
    """
    return 1.0 - (1.0 - jaccard**rows) ** bands


def plan_bands(
    jaccard: float, recall: float, *, texts: int = 1_000_000, background: float = BACKGROUND["graphemes"],
    max_permutations: int = MAX_PERMUTATIONS,
) -> Bands:  # fmt: skip
    """The cheapest bands that find pairs at exactly `jaccard` with probability `recall` or more; pairs above it are found more surely.

    jaccard and recall lie strictly between 0 and 1 (jaccard may be 1). The cost of a signature is weighed against that of pairs
    compared in vain, which grow with the number of texts and with `background`, the Jaccard index of unrelated ones. A
    `RecipeError` says when `max_permutations` do not suffice or texts would be compared with a thousand others in vain.

    >>> plan_bands(0.8, 0.98, background=0.02)
    Bands(bands=13, rows=6, expected_miss=0.019214583329815516)
    """
    if not 0.0 < jaccard <= 1.0 or not 0.0 < recall < 1.0:
        raise RecipeError(f"jaccard={jaccard:g}, recall={recall:g}: they lie between 0 and 1, recall below 1")
    best: tuple[float, int, int] | None = None
    for rows in range(1, 33):
        hit = jaccard**rows
        bands = 1 if hit >= recall else math.ceil(math.log1p(-recall) / math.log1p(-hit))
        vain = _NEIGHBOURS * candidate_probability(jaccard / 2, bands, rows)
        vain += texts * candidate_probability(min(background, jaccard / 2), bands, rows)
        if bands * rows > max_permutations or vain > _MOST_IN_VAIN:
            continue
        cost = bands * rows + _PAIR_COST * vain
        if best is None or cost < best[0]:
            best = cost, bands, rows
    if best is None:
        raise RecipeError(
            f"recall {recall:g} at jaccard {jaccard:g} takes more than {max_permutations} permutations, or more than {_MOST_IN_VAIN:g} "
            "comparisons in vain of each text; lower the recall or raise jaccard"
        )
    _, bands, rows = best
    return Bands(bands, rows, 1.0 - candidate_probability(jaccard, bands, rows))


def sign(data: Bytes, offsets: Offsets, shingling: Shingling, bands: Bands) -> Hashes:
    """The band hashes of texts, one row of `bands.bands` numbers for each text."""
    table = fold_table("folded")
    factors, terms = _permutations(bands.permutations)
    return _sign(
        data,
        offsets,
        table.one,
        table.many,
        UNITS[shingling.unit],
        shingling.size,
        factors,
        terms,
        bands.bands,
        bands.rows,
    )


def _permutations(count: int) -> tuple[Lanes, Lanes]:
    # Odd factors permute the 32-bit numbers; drawn from a fixed seed, so that signatures made apart agree.
    drawn = np.random.Generator(np.random.PCG64(_SEED)).integers(0, 1 << 32, (2, MAX_PERMUTATIONS), np.uint32)
    return drawn[0, :count] | np.uint32(1), drawn[1, :count].copy()


@compiled
def _sign(
    data: Bytes,
    offsets: Offsets,
    one: Codes,
    many: Codes,
    unit: int,
    n: int,
    factors: Lanes,
    terms: Lanes,
    bands: int,
    rows: int,
) -> Hashes:
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    codes = np.empty(room(longest) + 1, np.uint32)
    units = np.empty(room(longest) + 1, np.uint64)
    lanes = np.empty(room(longest) + 1, np.uint32)
    smallest = np.empty(bands * rows, np.uint32)
    out = np.empty((len(offsets) - 1, bands), np.uint64)
    for text in range(len(offsets) - 1):
        count = shingle(data, offsets[text], offsets[text + 1], one, many, unit, n, codes, units)
        for index in range(count):
            lanes[index] = np.uint32(units[index] >> np.uint64(32))
        _minima(lanes, count, factors, terms, smallest)
        for band in range(bands):
            value = np.uint64(band)
            for row in range(rows):
                value = mix(value ^ np.uint64(smallest[band * rows + row])) + np.uint64(row)
            out[text, band] = mix(value)
    return out


@compiled
def _minima(lanes: Lanes, count: int, factors: Lanes, terms: Lanes, out: Lanes) -> None:
    """The smallest value of each permutation over the lanes; 32-bit arithmetic that the compiler vectorises."""
    for place in range(len(factors)):
        factor, term = factors[place], terms[place]
        smallest = np.uint32(0xFFFFFFFF)
        for index in range(count):
            value = np.uint32(np.uint32(lanes[index] * factor) + term)
            smallest = min(smallest, value)
        out[place] = smallest
