"""Hand-made rows of generated queries with their passages, as a stage that tests put before the funnel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import executors, parquet, release, run
from dsbuild.builders.funnel.nodes import Funnelled, funnel_nodes
from dsbuild.builders.funnel.plan import FunnelSection, plan_funnel
from dsbuild.builders.funnel.report import funnel_facts
from dsbuild.builders.funnel.sections import funnel_sections
from dsbuild.builders.generation.generation import GENERATED
from dsbuild.filters.query_shapes import Shapes
from dsbuild.graph import Input, Node, Progress
from dsbuild.stage import VERDICTS, Result, Shard, Workspace
from dsbuild.store import Store
from dsbuild.tables import CORPUS

Query = tuple[str, str, str]  # id, parent, text


@dataclass(frozen=True)
class Given:
    """Rows that are there already: `queries` as the output out, in shards of `height`, and passages as the output corpus.

    others: further texts of the rows, by column.
    """

    queries: tuple[Query, ...]
    passages: tuple[tuple[str, str], ...]
    lang: str = "en"
    height: int = 1_000
    logprobs: tuple[float | None, ...] = ()
    titles: bool = True
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    name: ClassVar[str] = "given"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """Both tables."""
        rows = generated(self.queries, self.lang, self.logprobs)
        for name, texts in self.others.items():
            rows = rows.append_column(name, pa.array(texts, pa.string()))
        shards = [Shard(rows.slice(start, self.height)) for start in range(0, max(1, rows.num_rows), self.height)]
        corpus = [
            {"doc_id": key, "title": "", "text": text, "lang": "en", "source": "made", "group_id": key}
            for key, text in self.passages
        ]
        passages = pa.Table.from_pylist(corpus, CORPUS)
        return Result({"out": shards, "corpus": [Shard(passages if self.titles else passages.drop_columns(["title"]))]})


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
    plan = plan_funnel(FunnelSection.model_validate(dict(settings or {})), texts=("text", *given.others))
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


def released(
    folder: Path, part: Funnelled, progress: Progress, settings: Mapping[str, Any], real: Shapes | None = None
) -> Path:
    """The rows as a small release with what a manifest says of a funnel."""
    plan = plan_funnel(FunnelSection.model_validate(dict(settings)))
    told = {part.lang: funnel_facts(plan, part, progress, real=real)}
    table = pa.concat_tables([parquet.read(shard.path) for shard in progress.shards(part.rows)])
    table = table.rename_columns({"id": "query_id"}).append_column(
        "origin", pa.repeat(pa.scalar("generated"), table.num_rows)
    )
    kept, gone = (table.filter(pc.equal(table["fate"], fate)) for fate in ("kept", "dropped"))
    said = pa.Table.from_pylist(verdicts(progress), VERDICTS)
    config = f"{part.lang}-queries"
    parts = [
        release.Part(config, "train", kept.schema, kept.num_rows, [kept], config, "queries", part.lang),
        release.Part("dropped", config, gone.schema, gone.num_rows, [gone]),
        release.Part("dropped", "verdicts", VERDICTS, said.num_rows, [said]),
    ]
    facts = {
        "name": "made", "version": "0.0.0-draft", "dsbuild": "0", "source": {"name": "made"}, "engines": {}, "accounting": {}, "build_key": "1",
        "recipe": {"build": "generate", "funnel": dict(settings)}, "funnel": told, "sections": funnel_sections(told),
    }  # fmt: skip
    release.write(folder, parts, facts, lambda manifest, written: {})
    return folder
