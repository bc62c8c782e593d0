"""An index of the n-grams of evaluation items, and the exact search for them in texts.

A text is folded (`dsbuild.filters.folding`) and cut into units: words in scripts with spaces between words, letters with their marks
in scripts without. Each unit weighs as much of a word as its script puts into it, and an n-gram is the shortest run of units that
weighs n words: 13 words of English, 21 Chinese characters, and in a text of both so much of each. An item below that weight is
looked for as a whole. What the hashes find is compared unit by unit, so no match is a collision.

Sources: n = 13 words as in T. Brown et al., Language Models are Few-Shot Learners, 2020, appendix C, and the lm-eval harness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsbuild.filters.folding import Codes, fold_table
from dsbuild.filters.ngram_units import MIN_WEIGHT, WORD, Places, cut, load_table, space_for
from dsbuild.filters.shingles import Hashes, mix
from dsbuild.filters.utf8 import Bytes, Offsets, compiled

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

DEFAULT_N = 13

# How an item is looked for.
UNCHECKABLE, AS_ROW, WHOLE, GRAMS = 0, 1, 2, 3
# An item of less than `MIN_WEIGHT` is only compared with whole texts, and only if it has so many letters.
MIN_LETTERS = 10
# Postings of one n-gram beyond this many items are left out: boilerplate that all items share.
MAX_POSTINGS = 64

_FACTOR = np.uint64(0xD6E8FEB86659FD93)
_FILTER_BITS = 16


@dataclass(frozen=True, slots=True)
class Index:
    """What is looked for. Item i has the units `bounds[i]:bounds[i + 1]`; unit u has the folded codes `codes[firsts[u]:firsts[u + 1]]`.

    loads: weight before each unit, cumulated; kinds: how each item is looked for; grams: hashes in ascending order, each with its item
    and the units that it stands for; lengths: of whole items, in units; present: which hashes there may be, as bits.
    """

    bounds: Ints
    firsts: Ints
    codes: Codes
    loads: Ints
    kinds: npt.NDArray[np.int8]
    grams: Hashes
    items: npt.NDArray[np.int32]
    places: Ints
    sizes: npt.NDArray[np.int32]
    lengths: Ints
    present: Bytes
    n: int

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(getattr(self, name).nbytes for name in self.__slots__ if name != "n")


@dataclass(frozen=True, slots=True)
class Hits:
    """Where parts of items stand in texts, text by text: the item, its units from `place` on, code points `start:end` of the text."""

    text: Ints
    item: Ints
    place: Ints
    size: Ints
    start: Ints
    end: Ints


def build_index(data: Bytes, offsets: Offsets, n: int = DEFAULT_N) -> Index:
    """The index of the items `data[offsets[i]:offsets[i + 1]]`; n: words an n-gram."""
    table = fold_table("folded")
    codes, firsts, hashes, loads, bounds = _fold_items(data, offsets, table.one, table.many, load_table())
    kinds, grams, items, places, sizes = _grams(codes, firsts, hashes, loads, bounds, n * WORD)
    order = np.argsort(grams, kind="stable")
    grams, items, places, sizes = grams[order], items[order], places[order], sizes[order]
    first = np.flatnonzero(np.concatenate((np.ones(min(1, len(grams)), np.bool_), grams[1:] != grams[:-1])))
    rank = np.arange(len(grams)) - np.repeat(first, np.diff(np.append(first, len(grams))))
    kept = rank < MAX_POSTINGS
    grams, items, places, sizes = grams[kept], items[kept], places[kept], sizes[kept]
    lengths = np.unique((bounds[1:] - bounds[:-1])[kinds == WHOLE])
    present = _bits(grams, max(10, int(len(grams) * _FILTER_BITS).bit_length()))
    return Index(bounds, firsts, codes, loads, kinds, grams, items, places, sizes, lengths, present, n)


def find(index: Index, data: Bytes, offsets: Offsets) -> Hits:
    """Every place of the texts where an n-gram of an item, or a whole short item, stands."""
    table = fold_table("folded")
    found = _find(
        data, offsets, table.one, table.many, load_table(), index.codes, index.firsts, index.bounds, index.kinds, index.grams,
        index.items, index.places, index.sizes, index.lengths, index.present, index.n * WORD,
    )  # fmt: skip
    return Hits(*found)


@dataclass(frozen=True, slots=True)
class Matches:
    """A text and an item that have hits in common, by text and item. coverage: the share of the item, by weight, that stands in the text.

    Spans: where, as merged code-point ranges of the text; `span_match` is the match that each belongs to, ascending.
    """

    text: Ints
    item: Ints
    coverage: Floats
    span_match: Ints
    span_start: Ints
    span_end: Ints


def matches(index: Index, hits: Hits) -> Matches:
    """The hits put together by text and item."""
    order = np.lexsort((hits.place, hits.item, hits.text))
    text, item = hits.text[order], hits.item[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (text[1:] != text[:-1]) | (item[1:] != item[:-1])
    first = np.flatnonzero(new)
    bounds = np.append(first, len(order))
    coverage = _covered(bounds, item, hits.place[order], hits.size[order], index.loads, index.bounds)
    number = np.cumsum(new) - 1
    by_start = np.lexsort((hits.start[order], number))
    spans = _merged(number[by_start], hits.start[order][by_start], hits.end[order][by_start])
    return Matches(text[first], item[first], coverage, *spans)


@compiled
def _fold_items(
    data: Bytes, offsets: Offsets, one: Codes, many: Codes, table: Bytes
) -> tuple[Codes, Ints, Hashes, Ints, Ints]:
    n_items = len(offsets) - 1
    space = space_for(offsets)
    codes, firsts, hashes = np.empty(space, np.uint32), np.empty(space, np.int32), np.empty(space, np.uint64)
    loads, begins, ends = np.empty(space, np.uint8), np.empty(space, np.int32), np.empty(space, np.int32)
    bounds = np.zeros(n_items + 1, np.int64)
    n_codes = n_units = 0
    all_codes, all_firsts = np.empty(1024, np.uint32), np.zeros(1024, np.int64)
    all_hashes, all_loads = np.empty(1024, np.uint64), np.zeros(1024, np.int64)
    for item in range(n_items):
        count = cut(
            data, offsets[item], offsets[item + 1], one, many, table, codes, firsts, hashes, loads, begins, ends
        )
        size = firsts[count]
        if n_codes + size > len(all_codes):
            larger_codes = np.empty(2 * (n_codes + size), np.uint32)
            larger_codes[:n_codes] = all_codes[:n_codes]
            all_codes = larger_codes
        if n_units + count + 1 > len(all_hashes):
            room_for = 2 * (n_units + count + 1)
            larger_hashes, larger_firsts = np.empty(room_for, np.uint64), np.zeros(room_for, np.int64)
            larger_loads = np.zeros(room_for, np.int64)
            larger_hashes[:n_units] = all_hashes[:n_units]
            larger_firsts[: n_units + 1] = all_firsts[: n_units + 1]
            larger_loads[: n_units + 1] = all_loads[: n_units + 1]
            all_hashes, all_firsts, all_loads = larger_hashes, larger_firsts, larger_loads
        all_codes[n_codes : n_codes + size] = codes[:size]
        for unit in range(count):
            all_hashes[n_units + unit] = hashes[unit]
            all_firsts[n_units + unit] = n_codes + firsts[unit]
            all_loads[n_units + unit + 1] = all_loads[n_units + unit] + loads[unit]
        n_codes += size
        n_units += count
        all_firsts[n_units] = n_codes
        bounds[item + 1] = n_units
    return all_codes[:n_codes], all_firsts[: n_units + 1], all_hashes[:n_units], all_loads[: n_units + 1], bounds


@compiled
def _cumulate(hashes: Hashes, first: int, count: int, out: Hashes) -> None:
    """Write over `out` the hash of the units from `first` to each; `out` may be `hashes` where first is 0."""
    value = np.uint64(0)
    for unit in range(count):
        value = value * _FACTOR + hashes[first + unit]
        out[unit] = value


@compiled
def _run_hash(prefix: Hashes, start: int, end: int) -> np.uint64:
    """The hash of the units `start:end`, from cumulated hashes."""
    before = prefix[start - 1] if start else np.uint64(0)
    power, base, left = np.uint64(1), _FACTOR, end - start
    while left:
        if left & 1:
            power *= base
        base *= base
        left >>= 1
    return mix(prefix[end - 1] - before * power + np.uint64(end - start))


@compiled
def _grams(
    codes: Codes, firsts: Ints, hashes: Hashes, loads: Ints, bounds: Ints, wanted: int
) -> tuple[npt.NDArray[np.int8], Hashes, npt.NDArray[np.int32], Ints, npt.NDArray[np.int32]]:
    n_items = len(bounds) - 1
    kinds = np.zeros(n_items, np.int8)
    # At most one n-gram begins at each unit.
    grams, items = np.empty(len(hashes), np.uint64), np.empty(len(hashes), np.int32)
    places, sizes = np.empty(len(hashes), np.int64), np.empty(len(hashes), np.int32)
    longest = 0
    for item in range(n_items):
        longest = max(longest, bounds[item + 1] - bounds[item])
    prefix = np.empty(longest, np.uint64)
    size = 0
    for item in range(n_items):
        first, last = bounds[item], bounds[item + 1]
        count = last - first
        _cumulate(hashes, first, count, prefix)
        load = loads[last] - loads[first]
        if load < wanted:
            if load >= MIN_WEIGHT:
                kinds[item] = WHOLE
            elif load > 0 and firsts[last] - firsts[first] >= MIN_LETTERS:
                kinds[item] = AS_ROW
            else:
                continue
            grams[size], items[size], places[size], sizes[size] = _run_hash(prefix, 0, count), item, first, count
            size += 1
            continue
        kinds[item] = GRAMS
        end = 0
        for start in range(count):
            end = max(end, start)
            while end < count and loads[first + end] - loads[first + start] < wanted:
                end += 1
            if loads[first + end] - loads[first + start] < wanted:
                break
            grams[size], items[size] = _run_hash(prefix, start, end), item
            places[size], sizes[size] = first + start, end - start
            size += 1
    return kinds, grams[:size], items[:size], places[:size], sizes[:size]


@compiled
def _bits(grams: Hashes, bits: int) -> Bytes:
    present = np.zeros(1 << (bits - 3), np.uint8)
    mask = np.uint64((1 << bits) - 1)
    for gram in grams:
        place = gram & mask
        present[place >> np.uint64(3)] |= np.uint8(1) << np.uint8(place & np.uint64(7))
    return present


@compiled
def _may_be(present: Bytes, gram: np.uint64) -> bool:
    place = gram & np.uint64(8 * len(present) - 1)
    return bool(present[place >> np.uint64(3)] >> np.uint8(place & np.uint64(7)) & np.uint8(1))


@compiled
def _same(codes: Codes, firsts: Places, start: int, others: Codes, other_firsts: Ints, other: int, size: int) -> bool:
    """Whether two runs of units are equal, unit by unit."""
    for unit in range(size):
        left, right = firsts[start + unit], other_firsts[other + unit]
        length = firsts[start + unit + 1] - left
        if length != other_firsts[other + unit + 1] - right:
            return False
        for code in range(length):
            if codes[left + code] != others[right + code]:
                return False
    return True


@compiled
def _find(
    data: Bytes, offsets: Offsets, one: Codes, many: Codes, table: Bytes, item_codes: Codes, item_firsts: Ints, bounds: Ints,
    kinds: npt.NDArray[np.int8], grams: Hashes, items: npt.NDArray[np.int32], places: Ints, sizes: npt.NDArray[np.int32], lengths: Ints,
    present: Bytes, wanted: int,
) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints]:  # fmt: skip
    space = space_for(offsets)
    codes, firsts, hashes = np.empty(space, np.uint32), np.empty(space, np.int32), np.empty(space, np.uint64)
    loads, begins, ends = np.empty(space, np.uint8), np.empty(space, np.int32), np.empty(space, np.int32)
    out = np.empty((1024, 6), np.int64)
    size = 0
    for text in range(len(offsets) - 1):
        count = cut(
            data, offsets[text], offsets[text + 1], one, many, table, codes, firsts, hashes, loads, begins, ends
        )
        _cumulate(hashes, 0, count, hashes)
        end = load = 0
        for start in range(count):
            while end < count and load < wanted:
                load += int(loads[end])
                end += 1
            # The n-gram from here on, then the whole text, then whole items of each length.
            for turn in range(len(lengths) + 2):
                if turn == 0:
                    if load < wanted:
                        continue
                    stop = end
                elif turn == 1:
                    if start:
                        continue
                    stop = count
                else:
                    stop = start + int(lengths[turn - 2])
                    if stop > count:
                        break
                gram = _run_hash(hashes, start, stop)
                if not _may_be(present, gram):
                    continue
                place = np.searchsorted(grams, gram)
                while place < len(grams) and grams[place] == gram:
                    item = items[place]
                    fits = (
                        (turn == 0 and kinds[item] == GRAMS)
                        or (turn > 1 and kinds[item] == WHOLE)
                        or (turn == 1 and kinds[item] == AS_ROW)
                    )
                    fits = fits and sizes[place] == stop - start
                    if fits and _same(codes, firsts, start, item_codes, item_firsts, places[place], stop - start):
                        if size == len(out):
                            larger = np.empty((2 * size, 6), np.int64)
                            larger[:size] = out
                            out = larger
                        out[size, 0], out[size, 1], out[size, 2] = text, item, places[place]
                        out[size, 3], out[size, 4], out[size, 5] = stop - start, begins[start], ends[stop - 1]
                        size += 1
                    place += 1
            load -= int(loads[start])
    found = out[:size].T.copy()
    return found[0], found[1], found[2], found[3], found[4], found[5]


@compiled
def _covered(hits: Ints, items: Ints, places: Ints, sizes: Ints, loads: Ints, bounds: Ints) -> Floats:
    out = np.empty(len(hits) - 1, np.float64)
    for pair in range(len(hits) - 1):
        reached = covered = np.int64(0)
        for hit in range(hits[pair], hits[pair + 1]):
            start, end = places[hit], places[hit] + sizes[hit]
            start = max(start, reached)
            if end > start:
                covered += loads[end] - loads[start]
                reached = end
        item = items[hits[pair]]
        out[pair] = covered / (loads[bounds[item + 1]] - loads[bounds[item]])
    return out


@compiled
def _merged(numbers: Ints, starts: Ints, ends: Ints) -> tuple[Ints, Ints, Ints]:
    """Ranges with the same number that overlap or touch as one; the numbers, and starts within one, ascend."""
    out = np.empty((3, len(numbers)), np.int64)
    size = 0
    for index in range(len(numbers)):
        if size and out[0, size - 1] == numbers[index] and starts[index] <= out[2, size - 1]:
            out[2, size - 1] = max(out[2, size - 1], ends[index])
        else:
            out[0, size], out[1, size], out[2, size] = numbers[index], starts[index], ends[index]
            size += 1
    return out[0, :size].copy(), out[1, :size].copy(), out[2, :size].copy()
