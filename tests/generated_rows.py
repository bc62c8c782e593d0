"""Hand-made rows of generated queries with their passages, as a stage that tests put before the funnel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from dsbuild import executors, parquet, run
from dsbuild.builders.funnel import Funnelled, FunnelSection, funnel_nodes, plan_funnel
from dsbuild.builders.generation import GENERATED
from dsbuild.graph import Input, Node, Progress
from dsbuild.stage import Result, Shard, Workspace
from dsbuild.store import Store
from dsbuild.tables import CORPUS

Query = tuple[str, str, str]  # id, parent, text


@dataclass(frozen=True)
class Given:
    """Rows that are there already: `queries` as the output out, in shards of `height`, and passages as the output corpus."""

    queries: tuple[Query, ...]
    passages: tuple[tuple[str, str], ...]
    lang: str = "en"
    height: int = 1_000
    logprobs: tuple[float | None, ...] = ()

    name: ClassVar[str] = "given"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """Both tables."""
        rows = generated(self.queries, self.lang, self.logprobs)
        shards = [Shard(rows.slice(start, self.height)) for start in range(0, max(1, rows.num_rows), self.height)]
        corpus = [
            {"doc_id": key, "title": "", "text": text, "lang": "en", "source": "made", "group_id": key}
            for key, text in self.passages
        ]
        return Result({"out": shards, "corpus": [Shard(pa.Table.from_pylist(corpus, CORPUS))]})


def generated(queries: Sequence[Query], lang: str = "en", logprobs: Sequence[float | None] = ()) -> pa.Table:
    """Rows of `GENERATED`."""
    rest = {"generator": "made", "style": "made", "prompt": "", "model": "", "seed": 0, "n_said": 0, "details": "{}"}
    rows = [
        {
            "id": key,
            "parent_id": parent,
            "lang": lang,
            "text": text,
            **rest,
            "logprob": logprobs[at] if logprobs else None,
        }
        for at, (key, parent, text) in enumerate(queries)
    ]
    return pa.Table.from_pylist(rows, GENERATED)


def ran(
    given: Given, store: Path, settings: Mapping[str, Any] | None = None, *, passages_lang: str = "en"
) -> tuple[Funnelled, Progress]:
    """The rows through the funnel."""
    plan = plan_funnel(FunnelSection.model_validate(dict(settings or {})))
    part = funnel_nodes(
        plan, given.lang, Input("given"), passages=Input("given", "corpus"), passages_lang=passages_lang
    )
    nodes = [Node("given", given), *plan.shared, *part.nodes]
    return part, run.run(nodes, Store(store), "made", executors.make("in-process", None), None)


def came_out(part: Funnelled, progress: Progress) -> list[dict[str, Any]]:
    """The rows at the end of the funnel."""
    return [row for shard in progress.shards(part.rows) for row in parquet.read(shard.path).to_pylist()]


def verdicts(progress: Progress) -> list[dict[str, Any]]:
    """All verdicts."""
    found: list[dict[str, Any]] = []
    for records in progress.done.values():
        for record in records:
            if record.verdicts.rows:
                found += parquet.read(progress.store.path(record.key, record.verdicts.file)).to_pylist()
    return found


def lost(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Where each row was lost, "" where it is kept."""
    return {row["id"]: row["lost_at"] for row in rows}
