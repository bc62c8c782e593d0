"""Plan, run, resume and why, on a small graph of real stages."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from dsbuild import executors, run
from dsbuild.errors import StoreError, UnknownName
from dsbuild.graph import Input, Node, why
from dsbuild.stage import Counts, Result, Shard, Workspace
from dsbuild.store import Store


@dataclass(frozen=True)
class Numbers:
    """Shards of consecutive numbers."""

    sizes: tuple[int, ...]
    name: ClassVar[str] = "numbers"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        start, shards = 0, []
        for size in self.sizes:
            shards.append(Shard(pa.table({"n": list(range(start, start + size))}), {"needs": [0]}))
            start += size
        return Result({"out": shards})


@dataclass(frozen=True)
class Times:
    """Each number times a factor; odd results are dropped."""

    factor: int
    lie: bool = dataclasses.field(default=False, compare=False)
    name: ClassVar[str] = "times"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        values = [self.factor * value for value in inputs["rows"]["n"].to_pylist()]
        even = [value for value in values if value % 2 == 0]
        return Result(
            {"out": [Shard(pa.table({"n": pa.array(even, pa.int64())}))]},
            counts=Counts(len(values), len(even) + self.lie, len(values) - len(even)),
        )


@dataclass(frozen=True)
class Total:
    """The sum of a whole table."""

    name: ClassVar[str] = "total"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        return Result(
            {"out": [Shard(pa.table({"sum": [sum(sum(shard["n"].to_pylist()) for shard in inputs["rows"])]}))]}
        )


def graph(sizes: tuple[int, ...] = (3, 4, 2), factor: int = 3, *, lie: bool = False) -> list[Node]:
    return [
        Node("total", Total(), {"rows": Input("times", how="all")}),
        Node("times", Times(factor, lie), {"rows": Input("numbers")}),
        Node("numbers", Numbers(sizes)),
    ]


def result_of(store: Store, progress: Any) -> int:
    from dsbuild import parquet

    return parquet.read(store.paths(progress.done["total"][0], "out")[0])["sum"][0].as_py()


def test_a_graph_runs_in_order_and_a_second_run_does_nothing(tmp_path) -> None:
    store = Store(tmp_path)
    progress = run.run(graph(), store, "b", executors.InProcess())
    assert result_of(store, progress) == sum(3 * n for n in range(9) if n % 2 == 0)
    assert run.total(progress.done["times"]) == Counts(9, 5, 4, 0)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    run.run(graph(), store, "b", executors.InProcess())
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == before


@pytest.mark.parametrize("executor", ["in-process", "local"])
def test_the_place_of_work_does_not_change_the_files(tmp_path, executor) -> None:
    stores = [Store(tmp_path / name) for name in ("a", "b")]
    sizes = (2,) * 8
    run.run(graph(sizes), stores[0], "b", executors.InProcess())
    run.run(graph(sizes), stores[1], "b", executors.make(executor, 2))
    files = [{path.name: path.read_bytes() for path in store.units.rglob("*.parquet")} for store in stores]
    assert files[0] == files[1]


def test_datatrove_runs_the_same_units(tmp_path) -> None:
    pytest.importorskip("datatrove", reason="the datatrove executor needs the extra [scale]")
    stores = [Store(tmp_path / name) for name in ("a", "b")]
    run.run(graph(), stores[0], "b", executors.InProcess())
    run.run(graph(), stores[1], "b", executors.make("datatrove", 1))
    files = [{path.name: path.read_bytes() for path in store.units.rglob("*.parquet")} for store in stores]
    assert files[0] == files[1]


def test_the_plan_says_why_each_unit_runs(tmp_path) -> None:
    store = Store(tmp_path)
    lines = {line.node: line for line in run.plan(graph(), store, "b")}
    assert lines["numbers"].reasons == {"never run": 1}
    assert lines["times"].waits_for == ["numbers"]
    run.run(graph(), store, "b", executors.InProcess())
    assert all(line.n_units == line.n_done for line in run.plan(graph(), store, "b"))

    lines = {line.node: line for line in run.plan(graph(factor=5), store, "b")}
    assert lines["times"].reasons == {"factor 3 -> 5": 3}
    assert lines["times"].rows == 9
    assert lines["times"].seconds is not None
    assert lines["total"].waits_for == ["times"]

    lines = {line.node: line for line in run.plan(graph(sizes=(3, 4, 3)), store, "b")}
    run.run(graph(sizes=(3, 4, 3)), store, "b", executors.InProcess())
    lines = {line.node: line for line in run.plan(graph(sizes=(3, 4, 2), factor=3), store, "b")}
    assert lines["times"].n_units == lines["times"].n_done, "units of an earlier form of the set are still there"


def test_a_longer_set_reuses_its_beginning(tmp_path) -> None:
    store = Store(tmp_path)
    run.run(graph(sizes=(3, 4)), store, "b", executors.InProcess())
    run.run([graph(sizes=(3, 4, 2))[2]], store, "b", executors.InProcess())
    line = next(line for line in run.plan(graph(sizes=(3, 4, 2)), store, "b") if line.node == "times")
    assert (line.n_units, line.n_done, line.reasons) == (3, 2, {"never run": 1})


def test_a_unit_whose_rows_do_not_add_up_stops_the_run(tmp_path) -> None:
    store = Store(tmp_path)
    with pytest.raises(StoreError, match=r"times#0: 3 rows in, but 3 kept \+ 1 dropped"):
        run.run(graph(lie=True), store, "b", executors.InProcess())
    assert not [path for path in store.units.rglob("*.json") if '"stage": "times"' in path.read_text()]


def test_a_cut_shard_is_made_again_and_a_damaged_one_is_named(tmp_path) -> None:
    store = Store(tmp_path)
    progress = run.run(graph(), store, "b", executors.InProcess())
    path = store.paths(progress.done["numbers"][0], "out")[1]
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    run.run(graph(), store, "b", executors.InProcess())
    assert path.read_bytes() == whole

    path.write_bytes(b"x" * len(whole))
    with pytest.raises(StoreError, match=path.name):
        run.run(graph(factor=7), store, "b", executors.InProcess())


def test_names_and_reasons() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'local'"):
        executors.make("locl", None)
    assert why(
        {"stage": "s", "version": 1, "inputs": {"rows": "a"}}, {"stage": "s", "version": 2, "inputs": {"rows": "b"}}
    ) == ("stage version 1 -> 2; input changed: rows")


def test_a_store_of_another_format_is_refused(tmp_path) -> None:
    (tmp_path / "store.json").write_text('{"format": 99}')
    with pytest.raises(StoreError, match="format 99"):
        Store(tmp_path)


def test_what_a_finished_unit_says_is_what_a_later_run_reads(tmp_path: Path) -> None:
    store = Store(tmp_path)
    facts = {"left_out": {"queries": 1, "corpus": 2}, "pair": (1, 2), "by_rank": {3: "c", 1: "a"}}
    made = store.commit(
        "ab", {}, Result({"out": [Shard(pa.table({"x": [1]}))]}, facts=facts), lambda: Counts(1, 1), 0.0
    )
    read = store.record("ab")
    assert read == made
    assert json.dumps(read.facts) == json.dumps(made.facts)
