from __future__ import annotations

import unicodedata
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.filters.utf8 import buffers, class_bits, decode, digit_table, encode, lower_table


def codes_of(data: np.ndarray, start: int, end: int) -> list[int]:
    found = []
    while start < end:
        code, start = decode(data, start)
        found.append(code)
    assert start == end
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(), max_size=6), st.integers(0, 3), st.booleans())
def test_every_code_point_of_every_slice(texts: list[str], skip: int, large: bool) -> None:
    array = pa.array(texts, pa.large_string() if large else pa.string())[skip:]
    data, offsets = buffers(array)
    found = [codes_of(data, start, end) for start, end in pairwise(offsets)]
    assert found == [[ord(letter) for letter in text] for text in texts[skip:]]


def test_bytes_are_not_copied() -> None:
    array = pa.array(["one", "two", "three"])
    data, offsets = buffers(array[1:])
    assert data.ctypes.data == array.buffers()[2].address
    assert offsets.tolist() == [3, 6, 11]


def test_nulls_chunks_and_no_rows() -> None:
    assert buffers(pa.array(["ab", None, "c"]))[1].tolist() == [0, 2, 2, 3]
    data, offsets = buffers(pa.chunked_array([["a"], ["b", "c"]]))
    assert (bytes(data), offsets.tolist()) == (b"abc", [0, 1, 2, 3])
    for empty in (pa.array([], pa.string()), pa.chunked_array([], pa.string()), pa.array([None], pa.string())):
        assert buffers(empty)[1].tolist() == [0] * (len(empty) + 1)
    with pytest.raises(TypeError, match="int64"):
        buffers(pa.array([1]))


def test_a_lone_surrogate_is_a_code_point() -> None:
    data, offsets = encode(["a\ud800b", "𝄞"])
    assert codes_of(data, 0, offsets[1]) == [ord("a"), 0xD800, ord("b")]
    assert codes_of(data, offsets[1], offsets[2]) == [ord("𝄞")]
    assert encode([])[1].tolist() == [0]


def test_tables_agree_with_the_standard_library() -> None:
    lower, digit = lower_table(), digit_table()
    for code in [*range(0x3000), *range(0xA640, 0xA800), *range(0xFF00, 0x10500), 0x1E900, 0x1D7CE]:
        letter = chr(code)
        one = letter.lower()
        assert lower[code] == (ord(one) if len(one) == 1 else ord("i")), hex(code)
        if unicodedata.category(letter) == "Nd":
            assert digit[code] == unicodedata.digit(letter), hex(code)
    bits = class_bits({r"\p{L}": 1, r"\p{M}": 2, r"\p{Lu}": 4})
    assert [int(bits[ord(letter)]) for letter in "aAि1"] == [1, 5, 2, 0]


def test_kept_code_goes_when_a_file_of_a_called_kernel_changes() -> None:
    from dsbuild.filters import minhash, shingles

    def files(kernel) -> set[str]:
        return {name for name, _, _ in kernel._cache._cache_file._source_stamp}

    assert files(decode) == {"utf8.py"}
    assert files(shingles.shingle) == {"utf8.py", "folding.py", "shingles.py"}
    assert files(minhash._sign) == {"utf8.py", "folding.py", "shingles.py", "minhash.py"}
