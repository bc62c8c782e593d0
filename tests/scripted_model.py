"""A language model that answers by a function of its call, in any order, and remembers what it was asked."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsbuild.builders.generation import ask_model
from dsbuild.builders.generation.ask_model import AskModel, ModelChoice
from dsbuild.engine import Terms
from dsbuild.language_model import Abilities, Call, Said
from dsbuild.stage import Result, Workspace

Answer = Callable[[dict[str, Any], Call], Any]


class ScriptedModel:
    """answer: from (the data of the question, the call) a JSON value, a text or a `Said`; late: how many answers wait for others, drawn by seed."""

    name = "scripted"
    abilities = Abilities(schema=True, logprobs=True)

    def __init__(self, answer: Answer, label: str = "small", late: int = 0, seed: int = 0) -> None:
        self._answer, self._label, self._late = answer, label, late
        self._drawing = random.Random(seed)
        self.calls: list[Call] = []

    def fingerprint(self) -> dict[str, Any]:
        return {"model": self._label}

    def terms(self) -> Terms:
        return Terms("mit", "here")

    def check(self) -> None: ...

    def close(self) -> None: ...

    def answer(self, calls: Iterable[tuple[int, Call]]) -> Iterator[tuple[int, Said]]:
        held: list[tuple[int, Said]] = []
        for number, call in calls:
            self.calls.append(call)
            held.append((number, self._said(call)))
            if len(held) > self._late:
                yield held.pop(self._drawing.randrange(len(held)))
        self._drawing.shuffle(held)
        yield from held

    def _said(self, call: Call) -> Said:
        said = self._answer(data_of(call), call)
        if isinstance(said, Said):
            return said
        text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
        return Said(text, n_asked=20, n_said=5, logprob=-0.25 if call.logprobs else None)


def data_of(call: Call) -> dict[str, Any]:
    """The question of a call."""
    found: dict[str, Any] = json.loads(call.messages[-1].text)
    return found


def passages(*texts: str, lang: str = "en", title: str = "") -> pa.Table:
    """A table of passages p0, p1, …"""
    n = len(texts)
    ids = [f"p{number}" for number in range(n)]
    return pa.table({"doc_id": ids, "title": [title] * n, "text": list(texts), "lang": [lang] * n})


def ask(
    models: dict[str, ScriptedModel], folder: Path, monkeypatch: Any, rows: pa.Table | list[pa.Table], task: str = "queries/zero-shot",
    *, lang: str = "en", seed: int = 0, options: dict[str, Any] | None = None, spent: pa.Table | None = None,
    examples: pa.Table | None = None, choice: ModelChoice | None = None, **fields: Any,
) -> tuple[list[dict[str, Any]], Result, pa.Table]:  # fmt: skip
    """Run the stage; returns its rows, its result and what was spent. models: by kind."""
    monkeypatch.setattr(ask_model, "open_model", lambda kind, options: models[kind])
    kind = next(iter(models))
    stage = AskModel(task, options or {}, lang, seed, choice or ModelChoice(kind, kind), **fields)
    inputs: dict[str, Any] = {"rows": rows if isinstance(rows, list) else [rows]}
    if spent is not None:
        inputs["spent"] = [spent]
    if examples is not None:
        inputs["examples"] = [examples]
    folder.mkdir(exist_ok=True, parents=True)
    result = stage.run(inputs, Workspace("unit", folder, folder))
    made = [row for shard in result.outputs["out"] for row in shard.table.to_pylist()]
    (used,) = [shard.table for shard in result.outputs["spent"]]
    return made, result, used
