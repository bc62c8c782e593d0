"""Vectors of texts that were encoded once: one file for each way of encoding, records appended, whole or not there.

A way of encoding is what `Encoding` says: the digest of the model's files, the prompt, the length at which texts are cut, the dimension. Its
file holds records of one size: the hash of the text, the vector, a check sum of both. A record that a killed run or a full disk left
incomplete fails its check and is written again; two runs that share the folder take turns.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from dsbuild import files
from dsbuild.errors import EngineError
from dsbuild.stage import digest

Floats = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], npt.NDArray[Any]]

_KEY_BYTES = 16
# Records that are looked through at once.
_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True)
class Encoding:
    """What, beside the text, a vector depends on. weights: digest of the model's files; max_length: in tokens; dim: of the vectors."""

    weights: str
    prompt: str
    max_length: int
    dim: int
    options: str = ""

    @property
    def key(self) -> str:
        """The name of its file."""
        return digest(json.dumps(asdict(self), sort_keys=True))


class VectorCache:
    """The vectors of one encoding in a folder."""

    def __init__(self, folder: Path, encoding: Encoding) -> None:
        self.path = folder / f"{encoding.key}.vectors"
        self.encoding = encoding
        self._record = np.dtype([("key", f"V{_KEY_BYTES}"), ("vector", "<f4", (encoding.dim,)), ("check", "<u8")])
        self._places: dict[bytes, int] = {}
        self._seen = 0

    def _records(self) -> npt.NDArray[Any]:
        """The file's whole records; new ones are looked through and known from then on."""
        size = self.path.stat().st_size // self._record.itemsize if self.path.exists() else 0
        if not size:
            return np.empty(0, self._record)
        records: npt.NDArray[Any] = np.memmap(self.path, self._record, "r", shape=(size,))
        body = self._record.itemsize - 8
        for start in range(self._seen, size, _AT_ONCE):
            part = records[start : start + _AT_ONCE]
            data, checks = part.tobytes(), part["check"].tolist()
            for index, check in enumerate(checks):
                first = index * self._record.itemsize
                if xxhash.xxh3_64_intdigest(data[first : first + body]) == check:
                    self._places.setdefault(data[first : first + _KEY_BYTES], start + index)
        self._seen = size
        return records

    def fill(self, texts: pa.Array, encode: Encode, batch: int, out: Floats) -> int:
        """Put the vectors of texts into `out`, (n, dim), encoding those that are not known; returns how many were encoded.

        Unknown texts are encoded longest first in batches, each of which is on the disk before the next begins; a run that was killed forms the
        same batches again from where it stopped. `EngineError` for vectors of another shape than (batch, dim); a vector with NaN is not kept.
        """
        keys = [xxhash.xxh3_128_digest(text.as_buffer()) for text in texts]
        with files.turn(self.path.with_suffix(".lock")):
            records = self._records()
            new: dict[bytes, int] = {}
            for row, key in enumerate(keys):
                if key not in self._places:
                    new.setdefault(key, row)
            todo = sorted(new.items(), key=lambda one: (-texts[one[1]].as_buffer().size, one[0]))
            for part in _runs(todo, batch):
                self._append(part, encode([texts[row].as_py() for _, row in part]))
            records = self._records() if todo else records
        for start in range(0, len(keys), _AT_ONCE):
            places = [self._places[key] for key in keys[start : start + _AT_ONCE]]
            out[start : start + len(places)] = records["vector"][places]
        return len(todo)

    def _append(self, part: Sequence[tuple[bytes, int]], vectors: npt.NDArray[Any]) -> None:
        if vectors.shape != (len(part), self.encoding.dim):
            raise EngineError(
                f"the encoder gave an array {vectors.shape} where {(len(part), self.encoding.dim)} is wanted"
            )
        records = np.zeros(len(part), self._record)
        records["key"] = np.array([key for key, _ in part], f"V{_KEY_BYTES}")
        records["vector"] = vectors
        body = self._record.itemsize - 8
        whole = records.view(np.uint8).reshape(len(part), -1)
        records["check"] = [xxhash.xxh3_64_intdigest(row[:body].tobytes()) for row in whole]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                # What a killed run left of a record would shift all that follow.
                file.truncate(file.tell() // self._record.itemsize * self._record.itemsize)
                files.failpoint("before-vectors")
                file.write(records.tobytes())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise files.disk_error(self.path, error) from error


def _runs(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
