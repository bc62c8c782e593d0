"""A quantised fastText classifier as one compiled pass over UTF-8 bytes: the library's probabilities, about ten times faster.

fastText takes a text for the mean of the vectors of its words and of their character n-grams; here the pruned,
quantised vectors are unpacked once, n-grams are hashed as they grow, and no string is built. Models of another make
(`read` gives None) are left to the library.
Sources: Joulin et al. 2016 (Bag of Tricks; FastText.zip: product quantisation, pruned vocabulary), Bojanowski et al.
2017 (subwords); the format is version 12 of fastText's own model files.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dsbuild.filters.utf8 import Bytes, Offsets, compiled, decode

Floats = npt.NDArray[np.float32]

_MAGIC, _VERSION = 793712314, 12
_SUPERVISED, _HIERARCHICAL, _SOFTMAX = 3, 1, 3
# Beyond this a probability is 0 or 1 for single precision, and its exponential would overflow.
_FAR = 80
_END = "</s>"
# 64-bit and 32-bit FNV-1a (Fowler, Noll, Vo).
_WIDE_START, _WIDE_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_START, _PRIME = np.uint32(2166136261), np.uint32(16777619)


@dataclass(frozen=True)
class Subwords:
    """A model that is unpacked.

    labels: without `__label__`; vectors: of words, then of n-grams; buckets: row of each n-gram bucket, -1 where it was
    pruned; kept: one bit for each bucket, whether it was not; slots, slot_rows: an open hash table of words; end: row of
    the end of a line, -1 if none; paths, turns, lengths: the inner nodes on the way to each label and which side is taken
    (empty for a plain softmax).
    """

    labels: tuple[str, ...]
    vectors: Floats
    buckets: npt.NDArray[np.int32]
    kept: Bytes
    slots: npt.NDArray[np.uint64]
    slot_rows: npt.NDArray[np.int32]
    end: int
    shortest: int
    longest: int
    output: Floats
    paths: npt.NDArray[np.int32]
    turns: npt.NDArray[np.bool_]
    lengths: npt.NDArray[np.int64]

    def predict(self, data: Bytes, offsets: Offsets, breaks: npt.NDArray[np.bool_]) -> Floats:
        """The probability of every label (columns) of every text (rows).

        breaks: for every code point whether it separates words. A text without words gets zeros.
        """
        hidden, seen = _hidden(
            data, offsets, breaks, self.vectors, self.buckets, self.kept, self.slots, self.slot_rows, self.end,
            self.shortest, self.longest,
        )  # fmt: skip
        scores = _scores(hidden, self.output)
        if not self.paths.size:
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            found = scores / scores.sum(axis=1, keepdims=True)
        else:
            right = 1 / (1 + np.exp(-np.clip(scores, -_FAR, _FAR)))
            found = _leaves(right.astype(np.float32), self.paths, self.turns, self.lengths)
        found[~seen] = 0
        return np.asarray(found, np.float32)


def read(path: Path) -> Subwords | None:
    """Unpack a quantised model file with a hierarchical or plain softmax; None if the file is of another make."""
    with path.open("rb") as handle:
        if handle.read(8) != struct.pack("<ii", _MAGIC, _VERSION):
            return None
        reader = _Reader(handle.read(56))
        dim, _, _, _, _, word_ngrams, loss, kind, n_buckets, shortest, longest, _ = reader.numbers("12i")
        if kind != _SUPERVISED or word_ngrams != 1 or loss not in (_HIERARCHICAL, _SOFTMAX) or longest < 1:
            return None
        head = handle.read(28)
        _, n_words, n_labels, _, n_pruned = struct.unpack("<iiiqq", head)
        # Only quantised models with a pruned vocabulary: others are as large as their buckets, and the library's business.
        if n_pruned < 1 or n_words < 1 or n_labels < 2:
            return None
        reader = _Reader(handle.read())
    names, counts = [], []
    for _ in range(n_words + n_labels):
        names.append(reader.text())
        counts.append(reader.numbers("qb")[0])
    pruned = reader.array("<i4", 2 * n_pruned).reshape(-1, 2)
    (quantised,) = reader.numbers("?")
    if not quantised:
        return None
    vectors = _unpack(reader)
    (quantised,) = reader.numbers("?")
    if quantised:
        return None
    rows, columns = reader.numbers("qq")
    output = reader.array("<f4", rows * columns).reshape(rows, columns)
    if columns != dim or vectors.shape != (n_words + n_pruned, dim):
        return None
    buckets = np.full(n_buckets, -1, np.int32)
    buckets[pruned[:, 0]] = pruned[:, 1] + n_words
    kept = np.packbits(buckets >= 0, bitorder="little")
    words = [name.encode() for name in names[:n_words]]
    slots, slot_rows = _table(words)
    tree = (
        _tree(counts[n_words:])
        if loss == _HIERARCHICAL
        else (np.empty((0, 0), np.int32), np.empty((0, 0), np.bool_), np.empty(0, np.int64))
    )
    end = words.index(_END.encode()) if _END.encode() in words else -1
    labels = tuple(name.removeprefix("__label__") for name in names[n_words:])
    return Subwords(labels, vectors, buckets, kept, slots, slot_rows, end, shortest, longest, output, *tree)


class _Reader:
    """Little-endian values one after another."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def numbers(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{form}", self.data, self.place)
        self.place += struct.calcsize(f"<{form}")
        return found

    def array(self, kind: str, size: int) -> npt.NDArray[Any]:
        found = np.frombuffer(self.data, kind, size, self.place).copy()
        self.place += found.nbytes
        return found

    def text(self) -> str:
        end = self.data.index(b"\0", self.place)
        found = self.data[self.place : end]
        self.place = end + 1
        return found.decode("utf-8", "surrogateescape")


def _unpack(reader: _Reader) -> Floats:
    """The rows of a product-quantised matrix: codes of sub-vectors, and of norms where those are kept apart."""
    with_norms, rows, columns, size = reader.numbers("?qqi")
    codes = reader.array("u1", size)
    vectors = _lookup(reader, codes, rows)[:, :columns]
    if with_norms:
        vectors = vectors * _lookup(reader, reader.array("u1", rows), rows)
    return np.ascontiguousarray(vectors, np.float32)


def _lookup(reader: _Reader, codes: Bytes, rows: int) -> Floats:
    dim, parts, width, last = reader.numbers("4i")
    centroids = reader.array("<f4", dim * 256)
    codes = codes.reshape(rows, parts)
    found = np.empty((rows, dim), np.float32)
    for part in range(parts):
        wide = last if part == parts - 1 else width
        table = centroids[part * 256 * width :][: 256 * wide].reshape(256, wide)
        found[:, part * width : part * width + wide] = table[codes[:, part]]
    return found


def _tree(counts: list[int]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """The Huffman tree over the labels' counts, which come in descending order."""
    n = len(counts)
    weight = [*counts, *[10**15] * (n - 1)]
    parent, right = [-1] * (2 * n - 1), [False] * (2 * n - 1)
    leaf, inner = n - 1, n
    for made in range(n, 2 * n - 1):
        chosen = []
        for _ in range(2):
            if leaf >= 0 and weight[leaf] < weight[inner]:
                chosen.append(leaf)
                leaf -= 1
            else:
                chosen.append(inner)
                inner += 1
        weight[made] = weight[chosen[0]] + weight[chosen[1]]
        parent[chosen[0]] = parent[chosen[1]] = made
        right[chosen[1]] = True
    ways = []
    for node in range(n):
        way = []
        while parent[node] != -1:
            way.append((parent[node] - n, right[node]))
            node = parent[node]
        ways.append(way)
    lengths = np.array([len(way) for way in ways], np.int64)
    paths, turns = np.zeros((n, lengths.max()), np.int32), np.zeros((n, lengths.max()), np.bool_)
    for place, way in enumerate(ways):
        for step, (node, side) in enumerate(way):
            paths[place, step], turns[place, step] = node, side
    return paths, turns, lengths


def _table(words: list[bytes]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
    """An open hash table of words by their 64-bit hash, at most a quarter full; 0 is an empty slot."""
    size = 1 << (4 * len(words)).bit_length()
    slots, rows = np.zeros(size, np.uint64), np.full(size, -1, np.int32)
    for row, word in enumerate(words):
        value = _hashed(np.frombuffer(word, np.uint8), 0, len(word))
        slot = int(value) & (size - 1)
        while slots[slot]:
            slot = (slot + 1) & (size - 1)
        slots[slot], rows[slot] = value, row
    return slots, rows


@compiled
def _hashed(data: Bytes, start: int, stop: int) -> np.uint64:
    value = _WIDE_START
    for index in range(start, stop):
        value = (value ^ np.uint64(data[index])) * _WIDE_PRIME
    return value | np.uint64(1)


@compiled
def _hidden(
    data: Bytes, offsets: Offsets, breaks: npt.NDArray[np.bool_], vectors: Floats, buckets: npt.NDArray[np.int32], kept: Bytes,
    slots: npt.NDArray[np.uint64], slot_rows: npt.NDArray[np.int32], end: int, shortest: int, longest: int,
) -> tuple[Floats, npt.NDArray[np.bool_]]:  # fmt: skip
    """The mean vector of each text, and whether it has any."""
    n, dim = len(offsets) - 1, vectors.shape[1]
    hidden, seen = np.zeros((n, dim), np.float32), np.zeros(n, np.bool_)
    mask, n_buckets = len(slots) - 1, np.int64(len(buckets))
    inverse = 1.0 / n_buckets
    most = 0
    for text in range(n):
        most = max(most, offsets[text + 1] - offsets[text])
    # The bytes of a word with its two marks, where its code points begin, and the rows that a text is made of: as many
    # as there can be, since arrays that grow would cost the loops their speed.
    word, begins, rows = (
        np.empty(most + 3, np.uint8),
        np.zeros(most + 4, np.int64),
        np.empty(3 * most * longest + 2, np.int32),
    )
    for text in range(n):
        used, index, stop = 0, offsets[text], offsets[text + 1]
        while index < stop:
            code, after = decode(data, index)
            if breaks[code]:
                index = after
                continue
            start, size, letters = index, 1, 1
            word[0] = np.uint8(60)
            while index < stop:
                code, after = decode(data, index)
                if breaks[code]:
                    break
                begins[letters] = size
                letters += 1
                for place in range(index, after):
                    word[size] = data[place]
                    size += 1
                index = after
            word[size] = np.uint8(62)
            begins[letters] = size
            size += 1
            letters += 1
            begins[letters] = size
            value = _hashed(data, start, index)
            slot = np.int64(value) & mask
            while slots[slot] != 0 and slots[slot] != value:
                slot = (slot + 1) & mask
            if slots[slot] == value:
                rows[used] = slot_rows[slot]
                used += 1
            for first in range(letters):
                short = _START
                place = begins[first]
                for last in range(first, min(letters, first + longest)):
                    while place < begins[last + 1]:
                        # fastText's bytes are signed: those above 127 flip the upper bits as well.
                        short = np.uint32((short ^ np.uint32(np.int8(word[place]))) * _PRIME)
                        place += 1
                    length = last - first + 1
                    if length < shortest or (length == 1 and (first == 0 or last == letters - 1)):
                        continue
                    # The remainder by way of a product, which is several times faster than a division.
                    rest = np.int64(short) - np.int64(short * inverse) * n_buckets
                    if rest < 0:
                        rest += n_buckets
                    # Most n-grams were pruned away; the bits stay in the cache, the rows would not.
                    if kept[rest >> 3] >> np.uint8(rest & 7) & 1:
                        rows[used] = buckets[rest]
                        used += 1
        if used:
            seen[text] = True
            if end >= 0:
                rows[used] = end
                used += 1
            _add(hidden[text], vectors, rows, used)
    return hidden, seen


@compiled
def _add(total: Floats, vectors: Floats, rows: npt.NDArray[np.int32], used: int) -> None:
    for place in range(used):
        row = rows[place]
        for column in range(len(total)):
            total[column] += vectors[row, column]
    for column in range(len(total)):
        total[column] /= np.float32(used)


@compiled
def _scores(hidden: Floats, output: Floats) -> Floats:
    # Without BLAS, whose threads cost more than such small products.
    found = np.zeros((len(hidden), len(output)), np.float32)
    for text in range(len(hidden)):
        for row in range(len(output)):
            for column in range(hidden.shape[1]):
                found[text, row] += hidden[text, column] * output[row, column]
    return found


@compiled
def _leaves(
    right: Floats, paths: npt.NDArray[np.int32], turns: npt.NDArray[np.bool_], lengths: npt.NDArray[np.int64]
) -> Floats:
    """The probability of each leaf: the product of the turns on the way to it."""
    found = np.ones((len(right), len(paths)), np.float32)
    for text in range(len(right)):
        for leaf in range(len(paths)):
            for step in range(lengths[leaf]):
                p = right[text, paths[leaf, step]]
                found[text, leaf] *= p if turns[leaf, step] else np.float32(1) - p
    return found
