from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dsbuild.builders.retrieval.vector_cache import Encoding, VectorCache
from dsbuild.errors import EngineError

ENCODING = Encoding("weights", "query: ", 128, 3)


class Encoder:
    """Three numbers of a text; remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.asked.append(list(texts))
        return np.array([[len(text), sum(map(ord, text)), 1] for text in texts], np.float32)


def fill(cache: VectorCache, texts: list[str], encoder: Encoder, batch: int = 2) -> np.ndarray:
    out = np.empty((len(texts), 3), np.float32)
    cache.fill(pa.array(texts, pa.large_string()), encoder, batch, out)
    return out


def test_each_text_is_encoded_once_longest_first(tmp_path: Path) -> None:
    encoder = Encoder()
    texts = ["a", "ccc", "", "bb", "a"]
    found = fill(VectorCache(tmp_path, ENCODING), texts, encoder)
    assert encoder.asked == [["ccc", "bb"], ["a", ""]]
    assert found.tolist() == Encoder()(texts).tolist()
    again = fill(VectorCache(tmp_path, ENCODING), ["bb", "dddd"], encoder)
    assert encoder.asked[2:] == [["dddd"]]
    assert again.tolist() == Encoder()(["bb", "dddd"]).tolist()


@pytest.mark.parametrize("change", [{"weights": "other"}, {"prompt": ""}, {"max_length": 64}, {"options": "x"}])
def test_vectors_are_shared_only_by_the_same_encoding(change: dict[str, object], tmp_path: Path) -> None:
    encoder = Encoder()
    fill(VectorCache(tmp_path, ENCODING), ["a"], encoder)
    fill(VectorCache(tmp_path, replace(ENCODING, **change)), ["a"], encoder)
    assert encoder.asked == [["a"], ["a"]]


def test_a_record_that_was_cut_or_damaged_is_made_again(tmp_path: Path) -> None:
    encoder = Encoder()
    cache = VectorCache(tmp_path, ENCODING)
    fill(cache, ["ccc", "bb", "a"], encoder)
    data = bytearray(cache.path.read_bytes())
    data[20] ^= 1
    cache.path.write_bytes(bytes(data[:-5]))
    encoder.asked.clear()
    assert (
        fill(VectorCache(tmp_path, ENCODING), ["a", "bb", "ccc"], encoder).tolist()
        == Encoder()(["a", "bb", "ccc"]).tolist()
    )
    assert encoder.asked == [["ccc", "a"]]
    encoder.asked.clear()
    fill(VectorCache(tmp_path, ENCODING), ["a", "bb", "ccc"], encoder)
    assert encoder.asked == []


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_vector_cache import ENCODING, Encoder, fill
from dsbuild.builders.retrieval.vector_cache import VectorCache
fill(VectorCache(Path(sys.argv[1]), ENCODING), [str(10 ** n) for n in range(9)], Encoder())
"""


def test_a_killed_run_repeats_at_most_a_batch(tmp_path: Path) -> None:
    environment = {**os.environ, "DSBUILD_FAILPOINT": "before-vectors:4"}
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(Path(__file__).parent)]
    assert subprocess.run(command, check=False, env=environment, capture_output=True).returncode == -9
    encoder = Encoder()
    fill(VectorCache(tmp_path, ENCODING), [str(10**n) for n in range(9)], encoder)
    assert encoder.asked == [["100", "10"], ["1"]]


def test_vectors_of_another_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"\(1, 3\) is wanted"):
        fill(VectorCache(tmp_path, replace(ENCODING, dim=3)), ["a"], lambda texts: np.zeros((len(texts), 4)))  # type: ignore[arg-type]
