"""The store: finished units by key. A cache, so deleting it costs only time."""

from __future__ import annotations

import json
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

from dsbuild import files, parquet
from dsbuild.errors import StoreError
from dsbuild.stage import VERDICTS, Counts, Result, Shard, Workspace

FORMAT = 1
_WRITERS = 2  # compressing and syncing leave the interpreter to whoever makes the next shard


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """One written shard of a unit's output: file name, rows, size, a digest of its bytes, and its facts."""

    file: str
    rows: int
    size_bytes: int
    digest: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """What a finished unit wrote. `descriptor` is what its key is the hash of."""

    key: str
    descriptor: Mapping[str, Any]
    outputs: Mapping[str, list[ShardRecord]]
    verdicts: ShardRecord
    counts: Counts
    facts: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)


class Store:
    """A folder of units. A unit is done when `<key>.json` exists, which is written last."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.units = root / "units"
        marker = root / "store.json"
        if marker.exists():
            try:
                found = json.loads(marker.read_text("utf-8"))["format"]
            except (ValueError, OSError, KeyError, TypeError) as error:
                raise StoreError(
                    f"{marker}: damaged, so this is not a store that can be used; name another --store or delete it"
                ) from error
            if found != FORMAT:
                raise StoreError(
                    f"{root}: a store of format {found}, this version reads {FORMAT}; name another --store or delete it"
                )
        else:
            files.write_text(marker, json.dumps({"format": FORMAT}) + "\n")

    def folder(self, key: str) -> Path:
        """The folder that holds the unit's files."""
        return self.units / key[:2]

    def path(self, key: str, file: str) -> Path:
        """A file of a unit."""
        return self.folder(key) / file

    def workspace(self, key: str) -> Workspace:
        """Where the unit may leave its journal until it is done."""
        return Workspace(key, self.folder(key), self.root)

    def record(self, key: str) -> UnitRecord | None:
        """The record of a finished unit, or None. A listed file that is gone or cut means not done."""
        try:
            raw = json.loads((self.folder(key) / f"{key}.json").read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (ValueError, OSError) as error:
            raise StoreError(f"{self.folder(key) / key}.json: damaged ({error}); delete it and run again") from error
        record = _record(raw)
        for shard in [record.verdicts, *(shard for shards in record.outputs.values() for shard in shards)]:
            try:
                size = self.path(key, shard.file).stat().st_size
            except FileNotFoundError:
                return None
            if size != shard.size_bytes:
                return None
        return record

    def commit(
        self, key: str, descriptor: Mapping[str, Any], result: Result, counted: Callable[[], Counts], started: float
    ) -> UnitRecord:
        """Write a unit's outputs, then its verdicts, then its record, each atomically and in this order.

        counted: asked when the outputs are written, because outputs, and with them verdicts, facts and counts, may be made while they are;
        started: when the unit was begun (`time.perf_counter`).
        """
        with ThreadPoolExecutor(_WRITERS) as writers:
            outputs = {name: self._write_all(writers, key, name, shards) for name, shards in result.outputs.items()}
        verdicts = self._write(key, f"{key}.verdicts.parquet", Shard(pa.Table.from_pylist(result.verdicts, VERDICTS)))
        measured = {**result.measured, "seconds": round(time.perf_counter() - started, 3)}
        record = UnitRecord(key, descriptor, outputs, verdicts, counted(), result.facts, measured)
        text = json.dumps(asdict(record), ensure_ascii=False, sort_keys=True)
        files.write_text(self.folder(key) / f"{key}.json", text)
        shutil.rmtree(self.folder(key) / f"{key}.work", ignore_errors=True)
        # What a later run reads, in the order in which it reads it: a release must not show which run made a unit.
        return _record(json.loads(text))

    def _write_all(
        self, writers: ThreadPoolExecutor, key: str, name: str, shards: Iterable[Shard]
    ) -> list[ShardRecord]:
        """Write the shards of an output while the next one is made; few wait at a time, so that memory stays flat."""
        records: list[ShardRecord] = []
        waiting: deque[Future[ShardRecord]] = deque()
        for index, shard in enumerate(shards):
            if len(waiting) == _WRITERS:
                records.append(waiting.popleft().result())
            waiting.append(writers.submit(self._write, key, f"{key}{_suffix(name, index)}.parquet", shard))
        return [*records, *(one.result() for one in waiting)]

    def _write(self, key: str, file: str, shard: Shard) -> ShardRecord:
        path = self.path(key, file)
        parquet.write_unit(path, shard.table)
        data = path.read_bytes()
        return ShardRecord(file, shard.table.num_rows, len(data), xxhash.xxh3_128_hexdigest(data), shard.facts)

    def paths(self, record: UnitRecord, output: str) -> list[Path]:
        """The files of one output of a unit."""
        return [self.path(record.key, shard.file) for shard in record.outputs[output]]


def _record(raw: Mapping[str, Any]) -> UnitRecord:
    return UnitRecord(
        raw["key"], raw["descriptor"],
        {name: [ShardRecord(**shard) for shard in shards] for name, shards in raw["outputs"].items()},
        ShardRecord(**raw["verdicts"]), Counts(**raw["counts"]), raw["facts"], raw["measured"],
    )  # fmt: skip


def _suffix(name: str, index: int) -> str:
    """`<key>.parquet` for the first shard of the main output; further ones and other outputs are told apart."""
    main = "" if name == "out" else f".{name}"
    return f"{main}-{index:05d}" if index else main
