"""Longest common substring, edit distance and repetition of pairs of texts, compiled.

Substring: a suffix automaton (A. Blumer et al. 1985) of the shorter side, linear. Distance: bit-parallel rows of 64 (G. Myers 1999;
blocks after H. Hyyrö 2003). Repetition: only places where the same three characters come again are looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dsbuild.filters.characters import SPACE
from dsbuild.filters.utf8 import CODES, Bytes, Offsets, compiled, decode

Codes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

# Beyond these both abstain: code points of the shorter side, and cells of the table of distances that were never filled.
MOST_CODES = 1_000_000
MOST_CELLS = 400_000_000
# Characters of a repeated stretch, and how often it must come again, as OpusFilter has them (its expression allows one more).
SHORTEST, LONGEST, AGAIN = 3, 101, 2

_SPACE, _LF = 0x20, 0x0A


@compiled
def _codes(data: Bytes, start: int, end: int, out: Codes) -> int:
    n, index = 0, start
    while index < end:
        code, index = decode(data, index)
        out[n] = code
        n += 1
    return n


@compiled
def _longest(offsets: Offsets) -> int:
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    return longest


@compiled
def common_substring(data: Bytes, offsets: Offsets, other: Bytes, others: Offsets) -> Floats:
    """The longest common substring over the shorter side; 0 where a side is empty, NaN where it abstains."""
    rows = len(offsets) - 1
    out = np.zeros(rows)
    left, right = np.empty(_longest(offsets), np.int32), np.empty(_longest(others), np.int32)
    ids = np.zeros(CODES, np.int32)
    most = 64
    states = np.empty((3, 2 * most), np.int32)
    edges = np.empty((3, 4 * most), np.int32)
    root = np.zeros(most + 1, np.int32)
    for row in range(rows):
        n = _codes(data, offsets[row], offsets[row + 1], left)
        m = _codes(other, others[row], others[row + 1], right)
        if min(n, m) == 0:
            continue
        if min(n, m) > MOST_CODES:
            out[row] = np.nan
            continue
        short, long = (left[:n], right[:m]) if n <= m else (right[:m], left[:n])
        if len(short) > most:
            most = 2 * len(short)
            states = np.empty((3, 2 * most), np.int32)
            edges = np.empty((3, 4 * most), np.int32)
            root = np.zeros(most + 1, np.int32)
        out[row] = _substring(short, long, ids, states, edges, root) / len(short)
        for code in short:
            ids[code] = 0
    return out


@compiled
def _edge(head: Any, letter: Any, rest: Any, state: int, wanted: int) -> Any:
    edge = head[state]
    while edge >= 0 and letter[edge] != wanted:
        edge = rest[edge]
    return edge


@compiled
def _substring(short: Codes, long: Codes, ids: Codes, states: Any, edges: Any, root: Codes) -> int:
    """Builds the automaton of `short` and runs `long` through it; `ids` is zero, and holds the letters' numbers afterwards.

    The edges of a state are a linked list, those of the root, which has most, a table.
    """
    length, link, head = states[0], states[1], states[2]
    letter, target, rest = edges[0], edges[1], edges[2]
    n_ids, n_states, n_edges, last = 0, 1, 0, 0
    length[0], link[0], head[0] = 0, -1, -1
    for code in short:
        if ids[code] == 0:
            n_ids += 1
            ids[code] = n_ids
            root[n_ids] = 0
        sign = ids[code]
        new = n_states
        n_states += 1
        length[new], head[new] = length[last] + 1, -1
        state = last
        edge = -1
        while state > 0:
            edge = _edge(head, letter, rest, state, sign)
            if edge >= 0:
                break
            letter[n_edges], target[n_edges], rest[n_edges] = sign, new, head[state]
            head[state] = n_edges
            n_edges += 1
            state = link[state]
        if state == 0 and root[sign] == 0:
            root[sign] = new
            link[new] = 0
        else:
            known = root[sign] if state == 0 else target[edge]
            if length[known] == length[state] + 1:
                link[new] = known
            else:
                clone = n_states
                n_states += 1
                length[clone], link[clone], head[clone] = length[state] + 1, link[known], -1
                edge = head[known]
                while edge >= 0:
                    letter[n_edges], target[n_edges], rest[n_edges] = letter[edge], target[edge], head[clone]
                    head[clone] = n_edges
                    n_edges += 1
                    edge = rest[edge]
                while state > 0:
                    edge = _edge(head, letter, rest, state, sign)
                    if edge < 0 or target[edge] != known:
                        break
                    target[edge] = clone
                    state = link[state]
                if state == 0 and root[sign] == known:
                    root[sign] = clone
                link[known] = link[new] = clone
        last = new
    best, state, size = 0, 0, 0
    for code in long:
        sign = ids[code]
        if sign == 0:
            state, size = 0, 0
            continue
        while state > 0:
            edge = _edge(head, letter, rest, state, sign)
            if edge >= 0:
                state, size = target[edge], size + 1
                break
            state = link[state]
            size = length[state]
        else:
            state, size = root[sign], 1
        best = max(best, size)
    return best


@compiled
def similarity(data: Bytes, offsets: Offsets, other: Bytes, others: Offsets) -> Floats:
    """One less the edit distance over the longer side; 1 for two empty texts, NaN where it abstains."""
    rows = len(offsets) - 1
    out = np.ones(rows)
    left, right = np.empty(_longest(offsets), np.int32), np.empty(_longest(others), np.int32)
    ids = np.zeros(CODES, np.int32)
    for row in range(rows):
        n = _codes(data, offsets[row], offsets[row + 1], left)
        m = _codes(other, others[row], others[row + 1], right)
        if max(n, m) == 0:
            continue
        first, shorter = 0, min(n, m)
        while first < shorter and left[first] == right[first]:
            first += 1
        tail = 0
        while tail < shorter - first and left[n - 1 - tail] == right[m - 1 - tail]:
            tail += 1
        one, two = left[first : n - tail], right[first : m - tail]
        if len(one) > len(two):
            one, two = two, one
        if len(one) == 0:
            distance = len(two)
        elif len(one) * len(two) > MOST_CELLS:
            out[row] = np.nan
            continue
        else:
            distance = _distance(one, two, ids)
        out[row] = 1.0 - distance / max(n, m)
    return out


@compiled
def _distance(short: Codes, long: Codes, ids: Codes) -> Any:
    """The edit distance; neither side is empty. `ids` is zero before and after."""
    blocks = (len(short) + 63) // 64
    n_ids = 0
    for code in short:
        if ids[code] == 0:
            n_ids += 1
            ids[code] = n_ids
    one = np.uint64(1)
    where = np.zeros((n_ids + 1) * blocks, np.uint64)
    for place in range(len(short)):
        where[ids[short[place]] * blocks + place // 64] |= one << np.uint64(place & 63)
    up, down = np.full(blocks, ~np.uint64(0)), np.zeros(blocks, np.uint64)
    last = np.uint64((len(short) - 1) & 63)
    top = np.uint64(63)
    distance: Any = len(short)
    for code in long:
        base = ids[code] * blocks
        plus, minus = one, np.uint64(0)
        for block in range(blocks):
            equal, pv, mv = where[base + block], up[block], down[block]
            vertical = equal | mv
            equal |= minus
            across = (((equal & pv) + pv) ^ pv) | equal
            ph, mh = mv | ~(across | pv), pv & across
            if block == blocks - 1:
                distance += np.int64((ph >> last) & one) - np.int64((mh >> last) & one)
            carried, borrowed = (ph >> top) & one, (mh >> top) & one
            ph, mh = (ph << one) | plus, (mh << one) | minus
            up[block], down[block] = mh | ~(vertical | ph), ph & vertical
            plus, minus = carried, borrowed
    for code in short:
        ids[code] = 0
    return distance


@compiled
def repetitions(data: Bytes, offsets: Offsets, bits: Bytes, peer: bool) -> npt.NDArray[np.int64]:
    """How often the first stretch that comes again at least `AGAIN` times in a row does so; 0 where none does.

    A stretch begins with no space and has `SHORTEST` to `LONGEST` characters, none of them a line feed; there may be spaces between
    its copies (`peer`: U+0020 only). The leftmost stretch counts, and the shortest that begins there.
    """
    rows = len(offsets) - 1
    out = np.zeros(rows, np.int64)
    longest = _longest(offsets)
    codes, following, ink = np.empty(longest, np.int32), np.empty(longest, np.int32), np.empty(longest + 1, np.int32)
    room = 64
    while room < 2 * longest:
        room *= 2
    keys, places = np.zeros(room, np.uint64), np.empty(room, np.int32)
    for row in range(rows):
        n = _codes(data, offsets[row], offsets[row + 1], codes)
        if n < SHORTEST * (AGAIN + 1):
            continue
        size = 64
        while size < 2 * n:
            size *= 2
        _chain(codes, n, keys[:size], places[:size], following)
        # ink[i]: one past the last character before i that may not stand between copies.
        ink[0] = 0
        for place in range(n):
            between = codes[place] == _SPACE if peer else (bits[codes[place]] & SPACE) > 0
            ink[place + 1] = ink[place] if between else place + 1
        for start in range(n - SHORTEST * (AGAIN + 1) + 1):
            if following[start] > 0 and not bits[codes[start]] & SPACE:
                out[row] = _again(codes, n, start, following, ink)
                if out[row] > 0:
                    break
    return out


@compiled
def _chain(codes: Codes, n: int, keys: Any, places: Codes, following: Codes) -> None:
    """For each place the next one where the same three characters stand, 0 where there is none."""
    mask = len(keys) - 1
    keys[:] = 0
    following[n - 2 : n] = 0
    for place in range(n - 3, -1, -1):
        key = (
            (np.uint64(codes[place]) << np.uint64(42))
            | (np.uint64(codes[place + 1]) << np.uint64(21))
            | np.uint64(codes[place + 2])
        )
        key += np.uint64(1)
        slot = np.int64((key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(33)) & mask
        while keys[slot] != 0 and keys[slot] != key:
            slot = (slot + 1) & mask
        following[place] = places[slot] if keys[slot] == key else 0
        keys[slot], places[slot] = key, place


@compiled
def _again(codes: Codes, n: int, start: int, following: Codes, ink: Codes) -> int:
    place = following[start]
    while place > 0:
        # The first copy ends at the place, or before spaces that lead to it.
        least = max(ink[place] - start, SHORTEST)
        if least > LONGEST:
            return 0
        for size in range(least, min(place - start, LONGEST) + 1):
            copies, at = 0, place
            while at + size <= n and _same(codes, start, at, size):
                copies += 1
                at += size
                while at < n and ink[at + 1] != at + 1:
                    at += 1
            if copies >= AGAIN:
                return copies
        place = following[place]
    return 0


@compiled
def _same(codes: Codes, one: int, other: int, size: int) -> bool:
    for step in range(size):
        if codes[one + step] != codes[other + step] or codes[one + step] == _LF:
            return False
    return size > 0
