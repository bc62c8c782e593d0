"""Parts of a release that lie in the store: which rows of which shards, and what the manifest says of each stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsbuild import languages, parquet, release, run
from dsbuild.graph import Node, Progress
from dsbuild.stage import VERDICTS, digest
from dsbuild.store import UnitRecord

_DECIDING = (
    "split",
    "fate",
    "lang",
    "lang_a",
    "lang_b",
    "doc_id",
    "query_id",
    "pair_id",
)  # what masks look at: texts need not be read to count rows

Mask = Callable[[pa.Table], pa.ChunkedArray]


@dataclass(frozen=True)
class Rows:
    """Rows of a table in the store: its shards, which of their rows are meant, and with `lost` that all of them are lost."""

    paths: Sequence[Path]
    mask: Mask | None = None
    lost: bool = False

    def __iter__(self) -> Iterator[pa.Table]:
        for path in self.paths:
            table = parquet.read(path)
            chosen = table.filter(self.mask(table)) if self.mask else table
            yield _dropped_later(chosen) if self.lost else chosen

    def splits(self, default: str) -> dict[str, int]:
        """Rows per value of the `split` column, or all under `default`."""
        counts: Counter[str] = Counter()
        for path in self.paths:
            table = parquet.read(path, [name for name in pq.read_schema(path).names if name in _DECIDING])
            table = table.filter(self.mask(table)) if self.mask else table
            if "split" in table.column_names:
                counts.update(
                    {entry["values"]: entry["counts"] for entry in pc.value_counts(table["split"]).to_pylist()}
                )
            else:
                counts[default] += table.num_rows
        return dict(sorted(counts.items())) or {default: 0}

    def of_split(self, split: str) -> Rows:
        """The rows of one split."""

        def chosen(table: pa.Table) -> pa.ChunkedArray:
            inside = (
                pc.equal(table["split"], split) if "split" in table.column_names else pa.repeat(True, table.num_rows)
            )
            return pc.and_(inside, self.mask(table)) if self.mask else inside

        return Rows(self.paths, chosen)


def _dropped_later(rows: pa.Table) -> pa.Table:
    """Lost rows, those that only the cascade dropped with the fate "dropped" as well."""
    place = rows.column_names.index("fate")
    fates = pc.if_else(pc.equal(rows["fate"], "kept"), "dropped", rows["fate"])
    return rows.set_column(place, rows.schema.field(place), fates)


def parts_of(rows: Rows, lang: str, table: str, schema: pa.Schema) -> Iterator[release.Part]:
    """One part per split of a configuration `<lang>-<table>`."""
    config = f"{lang}-{table}"
    for split, count in rows.splits(table).items():
        yield release.Part(
            config,
            split,
            schema,
            count,
            rows.of_split(split),
            # `datasets` cannot open a split without rows: the file is there, and no configuration names it.
            config if count else "",
            table,
            lang,
        )


def release_schema(canonical: Iterable[pa.Field], found: pa.Schema, hidden: Iterable[str]) -> pa.Schema:
    """The canonical columns of a table, then the source's own and those that the build adds; `hidden` ones are left out."""
    first = list(canonical)
    names = {column.name for column in first} | set(hidden)
    return pa.schema([*first, *(column for column in found if column.name not in names)])


def language_name(code: str) -> str:
    """The name of a language, of two joined by a dash both.

    >>> language_name("hi"), language_name("en-hi")
    ('Hindi', 'English - Hindi')
    """
    if code in languages.codes():
        return languages.get(code).name
    return " - ".join(languages.get(part).name if part in languages.codes() else part for part in code.split("-"))


def source_notes(progress: Progress) -> list[str]:
    """What was noticed when the source was read and checked."""
    return [
        said
        for node, name in (("read", "notes"), ("sound", "warnings"))
        for record in progress.done.get(node, ())
        for said in record.facts.get(name, ())
    ]


def stage_facts(nodes: Sequence[Node], progress: Progress) -> list[dict[str, Any]]:
    """Per node: stage, version, units, input keys by how they ended, rows written, and a digest of the units' keys."""
    stages = []
    for node in nodes:
        records = progress.done[node.name]
        stages.append(
            {
                "node": node.name, "stage": node.stage.name, "version": node.stage.version,
                "units": len(records), "counts": asdict(run.total(records)), "rows_out": rows_out(records),
                "keys": digest(*(record.key for record in records)),
            }
        )  # fmt: skip
    return stages


def verdict_part(progress: Progress) -> release.Part:
    """All verdicts of a build."""
    paths = [
        progress.store.path(record.key, record.verdicts.file)
        for records in progress.done.values()
        for record in records
        if record.verdicts.rows
    ]
    total = sum(record.verdicts.rows for records in progress.done.values() for record in records)
    return release.Part("dropped", "verdicts", VERDICTS, total, Rows(paths))


def public_recipe(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe as a release may say it: no section tells where files lie here, or how an address is entered."""
    kind, colon, path = recipe["source"]["src"].partition(":")
    shown: dict[str, Any] = _public(recipe)
    shown["source"]["src"] = f"{kind}{colon}{public(path)}"
    return shown


def _public(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _public(inner) for key, inner in value.items()}
    return [_public(inner) for inner in value] if isinstance(value, list) else public(value)


def public(value: Any) -> Any:
    """A recipe value as a release may say it: local paths by their name, addresses without user, password and query."""
    if not isinstance(value, str) or "/" not in value:
        return value
    if "://" in value:
        parts = urlsplit(value)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return Path(value).name if Path(value).expanduser().exists() else value


def rows_out(records: Sequence[UnitRecord]) -> dict[str, int]:
    """Rows that the units wrote, by output."""
    rows: Counter[str] = Counter()
    for record in records:
        for name, shards in record.outputs.items():
            rows[name] += sum(shard.rows for shard in shards)
    return dict(sorted(rows.items()))
