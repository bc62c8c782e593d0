"""The graph of a build: nodes (a stage and its inputs) and the units that they fall into."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dsbuild.stage import Shards, Stage, digest, parameters
from dsbuild.store import Store, UnitRecord

How = Literal["each", "all", "needed"]


@dataclass(frozen=True, slots=True)
class Input:
    """Where an input comes from: an output of another node.

    each: shard i goes to unit i (all `each` inputs of a node have the same number of shards);
    all: every unit gets every shard; needed: unit i gets the shards that the facts of its first
    `each` input name under "needs".
    """

    node: str
    output: str = "out"
    how: How = "each"


@dataclass(frozen=True, slots=True)
class Node:
    """A stage at its place: its inputs by name. Without an `each` input it is one single unit.

    `model`: what identifies the stage's model (an engine's fingerprint); it enters every unit's key.
    """

    name: str
    stage: Stage
    inputs: Mapping[str, Input] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShardRef:
    """A shard as an input: its file, rows, digest and facts."""

    path: Path
    rows: int
    digest: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of work: everything a worker needs to run it, and the key that its output is kept under."""

    node: str
    index: int
    stage: Stage
    inputs: Mapping[str, ShardRef | tuple[ShardRef, ...]]
    descriptor: Mapping[str, Any]
    key: str

    @property
    def slot(self) -> str:
        """The unit's place in the build, the same when its parameters change."""
        return f"{self.node}#{self.index}"

    @property
    def rows(self) -> int:
        """Rows of the unit's first aligned input: its input keys, unless the stage counts them itself."""
        return next((ref.rows for ref in self.inputs.values() if isinstance(ref, ShardRef)), 0)

    def load(self) -> dict[str, Any]:
        """The inputs as the stage wants them: tables for aligned shards, `Shards` for whole tables."""
        from dsbuild import parquet

        return {
            name: parquet.read(ref.path)
            if isinstance(ref, ShardRef)
            else Shards([one.path for one in ref], [one.facts for one in ref])
            for name, ref in self.inputs.items()
        }


class Progress:
    """What is known of a build so far: the records of each node whose units are all done."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.done: dict[str, list[UnitRecord]] = {}

    def shards(self, source: Input) -> list[ShardRef]:
        """The shards of one output of a finished node, in order."""
        return [
            ShardRef(self.store.path(record.key, shard.file), shard.rows, shard.digest, shard.facts)
            for record in self.done[source.node]
            for shard in record.outputs[source.output]
        ]

    def ready(self, node: Node) -> bool:
        """Whether every input of the node is there."""
        return all(source.node in self.done for source in node.inputs.values())


def units(node: Node, progress: Progress) -> list[Unit]:
    """The units of a node whose inputs are all there, in order."""
    shards = {name: progress.shards(source) for name, source in node.inputs.items()}
    aligned = {name: refs for name, refs in shards.items() if node.inputs[name].how == "each"}
    if not aligned:
        return [_unit(node, 0, {name: tuple(refs) for name, refs in shards.items()})]
    lengths = {len(refs) for refs in aligned.values()}
    if len(lengths) != 1:
        raise AssertionError(f"{node.name}: aligned inputs of {sorted(lengths)} shards")
    made = []
    first = next(iter(aligned))
    for index in range(lengths.pop()):
        inputs: dict[str, ShardRef | tuple[ShardRef, ...]] = {}
        for name, source in node.inputs.items():
            if source.how == "each":
                inputs[name] = shards[name][index]
            elif source.how == "all":
                inputs[name] = tuple(shards[name])
            else:
                inputs[name] = tuple(shards[name][needed] for needed in shards[first][index].facts["needs"])
        made.append(_unit(node, index, inputs))
    return made


def _unit(node: Node, index: int, inputs: dict[str, ShardRef | tuple[ShardRef, ...]]) -> Unit:
    descriptor = {
        "stage": node.stage.name,
        "version": node.stage.version,
        "params": parameters(node.stage),
        "model": dict(node.model),
        "inputs": {
            name: ref.digest if isinstance(ref, ShardRef) else digest(*(one.digest for one in ref))
            for name, ref in inputs.items()
        },
    }
    key = digest(json.dumps(descriptor, sort_keys=True, ensure_ascii=False))
    return Unit(node.name, index, node.stage, inputs, descriptor, key)


def why(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> str:
    """Why a unit runs: what differs from the one that was last done in its place.

    >>> why({"version": 1, "params": {"beam": 4}}, {"version": 1, "params": {"beam": 5}})
    'beam 4 -> 5'
    """
    if before is None:
        return "never run"
    changes = []
    if before.get("stage") != now.get("stage"):
        changes.append(f"stage {before.get('stage')} -> {now.get('stage')}")
    if before.get("version") != now.get("version"):
        changes.append(f"stage version {before.get('version')} -> {now.get('version')}")
    for part in ("params", "model"):
        old, new = before.get(part) or {}, now.get(part) or {}
        changes += [
            f"{name} {_short(old.get(name))} -> {_short(new.get(name))}"
            for name in sorted({*old, *new})
            if old.get(name) != new.get(name)
        ]
    old, new = before.get("inputs") or {}, now.get("inputs") or {}
    changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    if changed:
        changes.append(f"input changed: {', '.join(changed)}")
    return "; ".join(changes) or "its files are gone from the store"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True) if isinstance(value, Mapping | list) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def ordered(nodes: Sequence[Node]) -> list[Node]:
    """The nodes in an order in which every input comes first; a cycle or a missing node is a bug and raises."""
    known = {node.name for node in nodes}
    placed: list[Node] = []
    seen: set[str] = set()
    waiting = list(nodes)
    while waiting:
        ready = [node for node in waiting if all(source.node in seen for source in node.inputs.values())]
        if not ready:
            missing = {source.node for node in waiting for source in node.inputs.values()} - known
            raise AssertionError(f"cannot order {[node.name for node in waiting]}; unknown inputs: {sorted(missing)}")
        placed += ready
        seen |= {node.name for node in ready}
        waiting = [node for node in waiting if node.name not in seen]
    return placed
