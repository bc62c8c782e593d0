"""Content digests: what rows a table holds, whatever files, encodings and order they are stored in.

A row's hash is 128 bits over its values in the order of the schema, with names and kinds of the columns as the seed. The digest of a table is
the number of its rows and the sum of their hashes modulo 2^128, so it needs no order, can be taken in parts and counts repeated rows.
It survives chunks, row groups, compression, dictionaries, and the width of offsets and numbers (int32 or int64 holding the same values).
It finds changes; it is no seal against somebody who constructs collisions: for that there is the sha256 of each file.
Source of the kernel: Y. Collet, xxHash specification, XXH64; both halves are XXH64 with seeds of their own, chained from value to value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from dsbuild.errors import ReleaseError

States = npt.NDArray[np.uint64]
Kernel = TypeVar("Kernel", bound=Callable[..., Any])

BATCH_ROWS = 65_536
_MASK = (1 << 128) - 1

_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_P4 = np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)
# Put over the seed where a value is null, so that it is no text and no number.
_NULL = np.uint64(0x5BD1E9955BD1E995)
_CANONICAL_NAN = np.uint64(0x7FF8000000000000)


def _compiled(function: Kernel) -> Kernel:
    """Compile at the first call, without the interpreter's lock; the code is kept on disk where that can be written."""
    try:
        return cast(Kernel, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:
        return cast(Kernel, numba.njit(nogil=True)(function))


@dataclass(frozen=True, slots=True)
class Content:
    """What a table holds: rows, their digest (32 hexadecimal digits), and their size in memory in bytes."""

    rows: int
    digest: str
    nbytes: int = 0


def kind(given: pa.DataType) -> str:
    """What a column holds, apart from how wide its numbers and offsets are: columns of one kind can hold the same values.

    >>> kind(pa.large_string()), kind(pa.int32()), kind(pa.list_(pa.float32()))
    ('string', 'int', 'list<float>')
    """
    is_ = pa.types
    if is_.is_dictionary(given):
        return kind(given.value_type)
    if is_.is_string(given) or is_.is_large_string(given) or is_.is_string_view(given):
        return "string"
    if (
        is_.is_binary(given)
        or is_.is_large_binary(given)
        or is_.is_binary_view(given)
        or is_.is_fixed_size_binary(given)
    ):
        return "binary"
    if is_.is_uint64(given):
        return "uint64"
    if is_.is_integer(given):
        return "int"
    if is_.is_floating(given):
        return "float"
    if is_.is_list(given) or is_.is_large_list(given) or is_.is_fixed_size_list(given):
        return f"list<{kind(given.value_type)}>"
    if is_.is_struct(given):
        return f"struct<{', '.join(f'{one.name!r}: {kind(one.type)}' for one in given)}>"
    return str(given)


def kinds(schema: pa.Schema) -> dict[str, str]:
    """The kind of each column, in order."""
    return {column.name: kind(column.type) for column in schema}


def row_hashes(table: pa.Table) -> tuple[States, States]:
    """The two halves (low, high) of the hash of each row; `ReleaseError` for a column of a type that releases do not have."""
    seed = xxhash.xxh3_128_intdigest(repr(list(kinds(table.schema).items())).encode("utf-8", "surrogatepass"))
    low = np.full(table.num_rows, seed & (2**64 - 1), np.uint64)
    high = np.full(table.num_rows, seed >> 64, np.uint64)
    for name in table.column_names:
        column = table[name]
        place = 0
        for chunk in column.chunks:
            stop = place + len(chunk)
            _fold(name, chunk, low[place:stop], high[place:stop])
            place = stop
    return low, high


def content_of(tables: Iterable[pa.Table]) -> Content:
    """The content of tables of one schema taken together."""
    rows = total = nbytes = 0
    for table in tables:
        low, high = row_hashes(table)
        rows += table.num_rows
        nbytes += table.nbytes
        total = (total + _sum(low) + (_sum(high) << 64)) & _MASK
    return Content(rows, f"{total:032x}", nbytes)


def read_content(paths: Sequence[Path], columns: Sequence[str] | None = None) -> Content:
    """The content of Parquet files, or of some of their columns in that order, read a batch at a time."""
    return content_of(batches(paths, columns))


def batches(paths: Iterable[Path], columns: Sequence[str] | None = None) -> Iterable[pa.Table]:
    """The rows of Parquet files in tables of at most `BATCH_ROWS`; a damaged file is a `ReleaseError` that names it."""
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                wanted = list(columns) if columns is not None else None
                for batch in file.iter_batches(BATCH_ROWS, columns=wanted, use_threads=False):
                    table = pa.Table.from_batches([batch])
                    yield table.select(wanted) if wanted is not None else table
        except (OSError, pa.ArrowInvalid) as error:
            raise ReleaseError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from error


def _sum(halves: States) -> int:
    """The exact sum: of 65,536 numbers of 64 bits the halves of 32 bits cannot overflow."""
    return int((halves & np.uint64(0xFFFFFFFF)).sum()) + (int((halves >> np.uint64(32)).sum()) << 32)


def _fold(name: str, array: pa.Array, low: States, high: States) -> None:
    """Chain one value per row to the states of the rows."""
    given = array.type
    if pa.types.is_dictionary(given):
        _fold(name, array.dictionary_decode(), low, high)
        return
    named = kind(given)
    valid = _valid(array)
    if named in ("string", "binary"):
        wide = array if given in (pa.large_string(), pa.large_binary()) else array.cast(pa.large_binary())
        _fold_bytes(*_bytes(wide), valid, low, high)
    elif named.startswith("list<"):
        wide = array.cast(pa.large_list(given.value_type))
        offsets = (
            np.frombuffer(wide.buffers()[1], np.int64, len(wide) + 1, wide.offset * 8)
            if len(wide)
            else np.zeros(1, np.int64)
        )
        inner = wide.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
        states = np.full(len(inner), _P1, np.uint64), np.full(len(inner), _P2, np.uint64)
        _fold(name, inner, *states)
        _fold_lists(offsets, *states, valid, low, high)
    elif named.startswith("struct<"):
        _fold_words(np.zeros(len(array), np.uint64), valid, low, high)
        for inner in array.flatten():
            _fold(name, inner, low, high)
    else:
        _fold_words(_words(name, array), valid, low, high)


def _words(name: str, array: pa.Array) -> States:
    """Values of a fixed width as 64 bits each; those of nulls mean nothing."""
    given, is_ = array.type, pa.types
    if is_.is_null(given):
        return np.zeros(len(array), np.uint64)
    if is_.is_floating(given):
        numbers = pc.fill_null(array.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False)
        return np.where(np.isnan(numbers), _CANONICAL_NAN, numbers.view(np.uint64))
    if is_.is_uint64(given):
        return np.ascontiguousarray(pc.fill_null(array, 0).to_numpy(zero_copy_only=False))
    if is_.is_boolean(given):
        array = array.cast(pa.uint8())
    elif is_.is_date32(given) or is_.is_time32(given):
        array = array.cast(pa.int32())
    elif not is_.is_integer(given) and not (is_.is_temporal(given) and given.bit_width == 64):
        raise ReleaseError(f"column {name}: {given} has no place in a release")
    return np.ascontiguousarray(pc.fill_null(array.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)).view(np.uint64)


def _valid(array: pa.Array) -> npt.NDArray[np.bool_]:
    """True where a value is not null; empty if none is."""
    if not array.null_count:
        return np.empty(0, np.bool_)
    return cast("npt.NDArray[np.bool_]", array.is_valid().to_numpy(zero_copy_only=False))


def _bytes(array: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    _, starts, content = array.buffers()
    if not len(array) or starts is None:
        return np.empty(0, np.uint8), np.zeros(len(array) + 1, np.int64)
    data = np.frombuffer(content, np.uint8) if content is not None and content.size else np.empty(0, np.uint8)
    return data, np.frombuffer(starts, np.int64, len(array) + 1, array.offset * 8)


@_compiled
def _rotate(value: np.uint64, count: int) -> np.uint64:
    return (value << np.uint64(count)) | (value >> np.uint64(64 - count))


@_compiled
def _round(state: np.uint64, word: np.uint64) -> np.uint64:
    return _rotate(state + word * _P2, 31) * _P1


@_compiled
def _avalanche(state: np.uint64) -> np.uint64:
    state = (state ^ (state >> np.uint64(33))) * _P2
    state = (state ^ (state >> np.uint64(29))) * _P3
    return state ^ (state >> np.uint64(32))


@_compiled
def _word(data: npt.NDArray[np.uint8], at: int, size: int) -> np.uint64:
    """`size` bytes from `at` as a number, the first the lowest."""
    found = np.uint64(0)
    for place in range(size):
        found |= np.uint64(data[at + place]) << np.uint64(8 * place)
    return found


@_compiled
def _hash_word(word: np.uint64, seed: np.uint64) -> np.uint64:
    """XXH64 of eight bytes."""
    state = seed + _P5 + np.uint64(8)
    return _avalanche(_rotate(state ^ _round(np.uint64(0), word), 27) * _P1 + _P4)


@_compiled
def _hash_bytes(data: npt.NDArray[np.uint8], start: int, stop: int, seed: np.uint64) -> np.uint64:
    """XXH64 of `data[start:stop]`."""
    at = start
    if stop - start >= 32:
        one, two, three, four = seed + _P1 + _P2, seed + _P2, seed, seed - _P1
        while stop - at >= 32:
            one = _round(one, _word(data, at, 8))
            two = _round(two, _word(data, at + 8, 8))
            three = _round(three, _word(data, at + 16, 8))
            four = _round(four, _word(data, at + 24, 8))
            at += 32
        state = _rotate(one, 1) + _rotate(two, 7) + _rotate(three, 12) + _rotate(four, 18)
        for lane in (one, two, three, four):
            state = (state ^ _round(np.uint64(0), lane)) * _P1 + _P4
    else:
        state = seed + _P5
    state += np.uint64(stop - start)
    while stop - at >= 8:
        state = _rotate(state ^ _round(np.uint64(0), _word(data, at, 8)), 27) * _P1 + _P4
        at += 8
    if stop - at >= 4:
        state = _rotate(state ^ (_word(data, at, 4) * _P1), 23) * _P2 + _P3
        at += 4
    while at < stop:
        state = _rotate(state ^ (np.uint64(data[at]) * _P5), 11) * _P1
        at += 1
    return _avalanche(state)


@_compiled
def _fold_bytes(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], valid: npt.NDArray[np.bool_], low: States, high: States
) -> None:
    for row in range(len(low)):
        if len(valid) and not valid[row]:
            low[row], high[row] = _hash_word(_NULL, low[row] ^ _NULL), _hash_word(_NULL, high[row] ^ _NULL)
        else:
            start, stop = offsets[row], offsets[row + 1]
            low[row] = _hash_bytes(data, start, stop, low[row])
            high[row] = _hash_bytes(data, start, stop, high[row])


@_compiled
def _fold_words(words: States, valid: npt.NDArray[np.bool_], low: States, high: States) -> None:
    for row in range(len(low)):
        if len(valid) and not valid[row]:
            low[row], high[row] = _hash_word(_NULL, low[row] ^ _NULL), _hash_word(_NULL, high[row] ^ _NULL)
        else:
            low[row], high[row] = _hash_word(words[row], low[row]), _hash_word(words[row], high[row])


@_compiled
def _fold_lists(
    offsets: npt.NDArray[np.int64],
    inner_low: States,
    inner_high: States,
    valid: npt.NDArray[np.bool_],
    low: States,
    high: States,
) -> None:
    first = offsets[0]
    for row in range(len(low)):
        if len(valid) and not valid[row]:
            low[row], high[row] = _hash_word(_NULL, low[row] ^ _NULL), _hash_word(_NULL, high[row] ^ _NULL)
            continue
        start, stop = offsets[row] - first, offsets[row + 1] - first
        one, other = _hash_word(np.uint64(stop - start), low[row]), _hash_word(np.uint64(stop - start), high[row])
        for place in range(start, stop):
            one, other = _hash_word(inner_low[place], one), _hash_word(inner_high[place], other)
        low[row], high[row] = one, other
