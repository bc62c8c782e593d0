"""Plan and run a graph: which units there are, which are done, why the others run, and running them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dsbuild import files
from dsbuild.executors import Executor
from dsbuild.graph import Node, Progress, Unit, ordered, units, why
from dsbuild.stage import Counts, digest
from dsbuild.store import Store, UnitRecord


class Reporter(Protocol):
    """Told of what a run does; it only prints."""

    def node(self, name: str, n_units: int, n_done: int) -> None:
        """A node starts: its units, and how many of them were done before."""

    def unit(self, name: str, record: UnitRecord) -> None:
        """A unit is done."""


class Silent:
    """A reporter that prints nothing."""

    def node(self, name: str, n_units: int, n_done: int) -> None:
        """Nothing."""

    def unit(self, name: str, record: UnitRecord) -> None:
        """Nothing."""


class History:
    """Which unit was last done in each place of a build: what `plan` compares with.

    An append-only file of `slot<TAB>key` lines, so that a killed run has told of every unit it finished;
    a torn last line is passed over.
    """

    def __init__(self, store: Store, build: str) -> None:
        self.store = store
        self.path = store.root / "builds" / f"{digest(build)}.tsv"
        self.keys: dict[str, str] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in self.path.read_text("utf-8").splitlines():
                slot, tab, key = line.partition("\t")
                if tab and len(key) == 32:
                    self.keys[slot] = key

    def note(self, unit: Unit) -> None:
        """Remember that this unit is the one last done in its place."""
        if self.keys.get(unit.slot) == unit.key:
            return
        self.keys[unit.slot] = unit.key
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as handle:
                handle.write(f"{unit.slot}\t{unit.key}\n")
        except OSError as error:
            raise files.disk_error(self.path, error) from error

    def before(self, unit: Unit) -> UnitRecord | None:
        """The unit last done in this unit's place, if its record is still in the store."""
        key = self.keys.get(unit.slot)
        return self.store.record(key) if key else None

    def explain(self, unit: Unit) -> str:
        """Why the unit runs."""
        if unit.slot not in self.keys:
            return "never run"
        before = self.before(unit)
        return why(before.descriptor, unit.descriptor) if before else "its files are gone from the store"


@dataclass(slots=True)
class PlanLine:
    """A node of the plan. `seconds`: from rates measured in this store, None where none is known.

    waits_for: nodes that must run first, so that its units cannot be told yet.
    """

    node: str
    n_units: int = 0
    n_done: int = 0
    rows: int = 0
    size_bytes: int = 0
    seconds: float | None = None
    reasons: dict[str, int] = field(default_factory=dict)
    waits_for: list[str] = field(default_factory=list)


def plan(nodes: Sequence[Node], store: Store, build: str) -> list[PlanLine]:
    """What a run would do, node by node, without doing it."""
    progress, history, lines = Progress(store), History(store, build), []
    for node in ordered(nodes):
        line = PlanLine(node.name)
        lines.append(line)
        if not progress.ready(node):
            line.waits_for = sorted(
                {source.node for source in node.inputs.values() if source.node not in progress.done}
            )
            continue
        made = units(node, progress)
        records = [store.record(unit.key) for unit in made]
        todo = [unit for unit, record in zip(made, records, strict=True) if record is None]
        line.n_units, line.n_done = len(made), len(made) - len(todo)
        line.rows = sum(unit.rows for unit in todo)
        line.size_bytes = sum(ref.path.stat().st_size for unit in todo for ref in _own(unit))
        line.reasons = dict(Counter(history.explain(unit) for unit in todo).most_common())
        line.seconds = _estimate(history, node, todo)
        if not todo:
            progress.done[node.name] = [record for record in records if record is not None]
    return lines


def _own(unit: Unit) -> list[Any]:
    return [ref for ref in unit.inputs.values() if not isinstance(ref, tuple)]


def _estimate(history: History, node: Node, todo: Sequence[Unit]) -> float | None:
    """Seconds for the units, from the rows per second of the units last done at this node or at a like one."""
    if not todo:
        return 0.0
    rows = seconds = 0.0
    kind = node.name.split(".")[0]
    for slot, key in history.keys.items():
        if slot.split("#")[0].split(".")[0] == kind and (record := history.store.record(key)):
            rows += record.counts.n_in
            seconds += record.measured.get("seconds", 0.0)
    return None if rows == 0 else sum(unit.rows for unit in todo) * seconds / rows


def run(
    nodes: Sequence[Node], store: Store, build: str, executor: Executor, reporter: Reporter | None = None
) -> Progress:
    """Run every unit that is not done; returns the records of all nodes. Stops at the first failing unit."""
    progress, history, told = Progress(store), History(store, build), reporter or Silent()
    for node in ordered(nodes):
        made = units(node, progress)
        records: dict[str, UnitRecord] = {}
        for unit in made:
            if (record := store.record(unit.key)) is not None:
                records[unit.key] = record
                history.note(unit)
        todo = [unit for unit in made if unit.key not in records]
        told.node(node.name, len(made), len(made) - len(todo))

        def done(
            unit: Unit, record: UnitRecord, records: dict[str, UnitRecord] = records, name: str = node.name
        ) -> None:
            records[unit.key] = record
            history.note(unit)
            told.unit(name, record)

        if todo:
            executor.run(store, todo, done)
        progress.done[node.name] = [records[unit.key] for unit in made]
    return progress


def total(records: Sequence[UnitRecord]) -> Counts:
    """The counts of all units of a node."""
    return sum((record.counts for record in records), Counts())


def measured(records: Sequence[UnitRecord], name: str) -> float:
    """The sum of one measured figure over units."""
    return sum(record.measured.get(name, 0.0) for record in records)
