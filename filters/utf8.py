"""Arrow string columns for compiled kernels: their bytes without a copy, decoding, and tables over code points.

A kernel walks `data[offsets[i]:offsets[i + 1]]` of text i with `decode`, and looks each code point up in a table of
`CODES` entries. Source: the UTF-8 definition in the Unicode Standard, section 3.9, table 3-6.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsbuild.text import class_ranges

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]

# Entries of a table over all code points.
CODES = sys.maxunicode + 1

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """Compile a function to machine code at its first call, and keep the code on disk; it runs without the interpreter's lock."""
    try:
        made: Any = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # neither beside the source nor in the user's cache folder may files be written
        return cast(Kernel, numba.njit(nogil=True)(function))
    # numba keeps code until the file of the function changes, but kernels of other files that it calls are inside the code.
    made._cache._cache_file._source_stamp = _stamp(function)
    return cast(Kernel, made)


_files: dict[str, set[str]] = {}


def _stamp(function: Callable[..., Any]) -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of every file whose kernels the function may call, directly or through others."""
    own = function.__code__.co_filename
    found = _files.setdefault(own, {own})
    for value in list(function.__globals__.values()):
        if isinstance(kernel := getattr(value, "py_func", None), FunctionType):
            found |= _files.get(kernel.__code__.co_filename, set())
    return tuple((Path(file).name, Path(file).stat().st_mtime_ns, Path(file).stat().st_size) for file in sorted(found))


def buffers(array: pa.Array | pa.ChunkedArray) -> tuple[Bytes, Offsets]:
    """The UTF-8 bytes of a string or large_string column and where its texts stand in them, without copying the bytes.

    Text i is `data[offsets[i]:offsets[i + 1]]`, whatever slice the array is. The bytes are read-only and belong to the
    array: they live as long as the result does. A null has the length 0. Several chunks are joined first, which copies.
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()
    if pa.types.is_string(array.type):
        kind: Any = np.int32
    elif pa.types.is_large_string(array.type):
        kind = np.int64
    else:
        raise TypeError(f"a string column is wanted, this one is {array.type}")
    _, starts, content = array.buffers()
    if starts is None or starts.size == 0:
        return _read_only(np.empty(0, np.uint8)), np.zeros(len(array) + 1, np.int64)
    size = np.dtype(kind).itemsize
    offsets = np.frombuffer(starts, kind, len(array) + 1, array.offset * size).astype(np.int64)
    data = np.frombuffer(content, np.uint8) if content is not None and content.size else np.empty(0, np.uint8)
    return _read_only(data), offsets


def encode(texts: Sequence[str]) -> tuple[Bytes, Offsets]:
    r"""The same for Python strings; a lone surrogate becomes the three bytes that its code point would have.

    >>> data, offsets = encode(["ab", "", "é"])
    >>> bytes(data), offsets.tolist()
    (b'ab\xc3\xa9', [0, 2, 2, 4])
    """
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    lengths = np.fromiter(map(len, parts), np.int64, len(parts))
    data = np.frombuffer(b"".join(parts), np.uint8) if parts else np.empty(0, np.uint8)
    return _read_only(data), np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))


@compiled
def decode(data: Bytes, index: int) -> tuple[np.int64, int]:
    """The code point whose first byte is `data[index]`, and the index of the byte after it; `data` must be valid UTF-8."""
    first = np.int64(data[index])
    if first < 0x80:
        return first, index + 1
    if first < 0xE0:
        return (first & 0x1F) << 6 | (np.int64(data[index + 1]) & 0x3F), index + 2
    second = np.int64(data[index + 1]) & 0x3F
    third = np.int64(data[index + 2]) & 0x3F
    if first < 0xF0:
        return (first & 0x0F) << 12 | second << 6 | third, index + 3
    return (first & 0x07) << 18 | second << 12 | third << 6 | (np.int64(data[index + 3]) & 0x3F), index + 4


def selected(data: Bytes, offsets: Offsets, rows: npt.NDArray[np.int64]) -> tuple[Bytes, Offsets]:
    """Some of the texts, in the order that is asked for, copied end to end."""
    chosen, bounds = _selected(data, offsets, rows)
    return _read_only(chosen), bounds


@compiled
def _selected(data: Bytes, offsets: Offsets, rows: npt.NDArray[np.int64]) -> tuple[Bytes, Offsets]:
    bounds = np.zeros(len(rows) + 1, np.int64)
    for place, row in enumerate(rows):
        bounds[place + 1] = bounds[place] + offsets[row + 1] - offsets[row]
    out = np.empty(bounds[-1], np.uint8)
    for place, row in enumerate(rows):
        out[bounds[place] : bounds[place + 1]] = data[offsets[row] : offsets[row + 1]]
    return out, bounds


@compiled
def lengths(data: Bytes, offsets: Offsets) -> npt.NDArray[np.int64]:
    """How many code points each text has."""
    out = np.zeros(len(offsets) - 1, np.int64)
    for text in range(len(offsets) - 1):
        count = 0
        for byte in data[offsets[text] : offsets[text + 1]]:
            count += byte & 0xC0 != 0x80
        out[text] = count
    return out


def class_bits(patterns: Mapping[str, int]) -> Bytes:
    r"""A table over all code points: the bits of the character classes, such as `{r"\p{L}": 1, r"\s": 2}`, that each is in.

    Code points from U+40000 on, which are tags, selectors and private use, are in no class.
    """
    table = np.zeros(CODES, np.uint8)
    for pattern, bit in patterns.items():
        for start, end in class_ranges(pattern):
            table[start:end] |= np.uint8(bit)
    return _read_only(table)


@lru_cache(maxsize=1)
def lower_table() -> npt.NDArray[np.int32]:
    """A table over all code points: the lower-case code point of each, itself where that is none or more than one.

    >>> chr(lower_table()[ord("Ж")])
    'ж'
    """
    table = np.arange(CODES, dtype=np.int32)
    for start, end in class_ranges(r"[\p{Lu}\p{Lt}\p{Changes_When_Lowercased}]"):
        for code in range(start, end):
            lower = chr(code).lower()
            if len(lower) == 1:
                table[code] = ord(lower)
    table[ord("İ")] = ord("i")  # its two lower-case code points are an i and a dot above
    table.flags.writeable = False
    return table


@lru_cache(maxsize=1)
def digit_table() -> npt.NDArray[np.int8]:
    """A table over all code points: the value of each decimal digit of any script, -1 for the rest."""
    table = np.full(CODES, -1, np.int8)
    # Decimal digits stand in runs of ten that begin with zero (Unicode Standard, section 4.6).
    for start, end in class_ranges(r"\p{Nd}"):
        table[start:end] = np.arange(end - start) % 10
    table.flags.writeable = False
    return table


def _read_only(data: Bytes) -> Bytes:
    # One kernel signature for all callers: numba compiles read-only and writable arrays apart.
    data.flags.writeable = False
    return data
