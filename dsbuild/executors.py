"""Where units run: in this process, in a pool of processes, or placed by datatrove.

Each executor runs the same `run_unit` on the same units; only the place differs, so the outputs do not.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol

from dsbuild import files
from dsbuild.errors import MissingExtra, RecipeError, StoreError, UnknownName
from dsbuild.graph import Unit
from dsbuild.stage import Counts
from dsbuild.store import Store, UnitRecord

Done = Callable[[Unit, UnitRecord], None]


def run_unit(store: Store, unit: Unit) -> UnitRecord:
    """Run one unit and commit it, unless it is done already; checks that its input keys add up.

    Two runs that share a store may come to the same unit at the same time: one makes it, the other waits and takes it.
    """
    record = store.record(unit.key)
    if record is not None:
        return record
    lock = store.path(unit.key, f"{unit.key}.lock")
    with files.turn(lock):
        record = store.record(unit.key) or _make(store, unit)
        # Who waited on the removed file finds the record, so nobody works without a lock.
        lock.unlink(missing_ok=True)
    return record


def _make(store: Store, unit: Unit) -> UnitRecord:
    started = time.perf_counter()
    result = unit.stage.run(unit.load(), store.workspace(unit.key))

    def counted() -> Counts:
        counts = result.counts or Counts(unit.rows, unit.rows)
        if not counts.balanced():
            raise StoreError(
                f"{unit.slot}: {counts.n_in} rows in, but {counts.kept} kept + {counts.dropped} dropped + {counts.failed} failed; nothing was kept"
            )
        return counts

    return store.commit(unit.key, unit.descriptor, result, counted, started)


class Executor(Protocol):
    """Runs independent units and tells of each that is done."""

    def run(self, store: Store, units: Sequence[Unit], done: Done) -> None:
        """Run all units; the first failure stops the rest and is raised."""


class InProcess:
    """One unit after another in this process."""

    def run(self, store: Store, units: Sequence[Unit], done: Done) -> None:
        """Run the units in order."""
        for unit in units:
            done(unit, run_unit(store, unit))


def _die_with_parent() -> None:
    # Without this, workers of a killed run would go on and hold memory and the model.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _pool_task(root: Path, unit: Unit) -> UnitRecord:
    return run_unit(Store(root), unit)


class LocalPool:
    """Units in worker processes of this machine; stages that hold a model stay in this process."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or os.cpu_count() or 1

    def run(self, store: Store, units: Sequence[Unit], done: Done) -> None:
        """Run the units, in a pool where that pays."""
        if self.workers == 1 or len(units) < 2 * self.workers or any(unit.stage.resident for unit in units):
            InProcess().run(store, units, done)
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            min(self.workers, len(units)), mp_context=context, initializer=_die_with_parent
        ) as pool:
            try:
                for unit, record in _collect(pool, store, units):
                    done(unit, record)
            except BrokenProcessPool as error:
                raise StoreError(
                    "a worker process died (out of memory?); run again: finished units are kept"
                ) from error
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _collect(pool: ProcessPoolExecutor, store: Store, units: Sequence[Unit]) -> Iterator[tuple[Unit, UnitRecord]]:
    futures = {pool.submit(_pool_task, store.root, unit): unit for unit in units}
    for future in as_completed(futures):
        yield futures[future], future.result()


class RunUnits:
    """The one thing datatrove sees: a pipeline step that runs every `world_size`-th unit from `rank` on."""

    name = "dsbuild units"
    type = "dsbuild"

    def __init__(self, root: Path, units: Sequence[Unit]) -> None:
        self.root = root
        self.units = list(units)

    def __call__(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Any:
        """Run this rank's units; rows do not travel through datatrove, so nothing is yielded."""
        store = Store(self.root)
        for unit in self.units[rank::world_size]:
            run_unit(store, unit)
        return data


class DatatrovePlacement:
    """Units under a datatrove executor (its local one here); our keys, not its rank files, say what is done."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or os.cpu_count() or 1

    def run(self, store: Store, units: Sequence[Unit], done: Done) -> None:
        """Place the units as datatrove tasks and read their records when all have ended."""
        try:
            from datatrove.executor import LocalPipelineExecutor  # type: ignore[import-not-found, unused-ignore]
        except ModuleNotFoundError as error:
            raise MissingExtra("the datatrove executor", "datatrove", "scale") from error
        if any(unit.stage.resident for unit in units):
            tasks = workers = 1
        else:
            tasks, workers = len(units), min(self.workers, len(units))
        logs = store.root / "datatrove" / units[0].key
        LocalPipelineExecutor(
            pipeline=[RunUnits(store.root, units)],
            tasks=tasks,
            workers=workers,
            logging_dir=str(logs),
            skip_completed=False,
        ).run()
        for unit in units:
            record = store.record(unit.key)
            if record is None:
                raise StoreError(f"{unit.slot}: datatrove ended without it; see {logs}")
            done(unit, record)


EXECUTORS: dict[str, Callable[[int | None], Executor]] = {
    "in-process": lambda workers: InProcess(),
    "local": LocalPool,
    "datatrove": DatatrovePlacement,
}


def make(name: str, workers: int | None) -> Executor:
    """The executor of that name; `workers` None means one per core."""
    if workers is not None and workers < 1:
        raise RecipeError(f"--workers {workers}: at least 1")
    try:
        return EXECUTORS[name](workers)
    except KeyError:
        raise UnknownName("executor", name, EXECUTORS) from None
