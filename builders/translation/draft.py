"""The draft release of a translated set: which rows go where, and the numbers that describe it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import dsbuild
from dsbuild import languages, parquet, release, run
from dsbuild.builders.parts import (
    Rows,
    parts_of,
    public_recipe,
    release_schema,
    source_notes,
    stage_facts,
    verdict_part,
)
from dsbuild.builders.translation.translated import ID_COLUMNS, Prepared
from dsbuild.cards.card import render_card
from dsbuild.graph import Input, Progress
from dsbuild.stage import digest
from dsbuild.store import UnitRecord
from dsbuild.tables import RETRIEVAL_TABLES, SCHEMAS
from dsbuild.translate.assemble import SEGMENT_MAP

_INTERNAL = ("split", "fate", "failure")


def write_draft(out: Path, prepared: Prepared, progress: Progress) -> dict[str, Any]:
    """Write the draft release of a finished build to `out`; returns its manifest."""
    facts = _facts(prepared, progress)
    parts = (_source_parts(prepared, progress), _language_parts(prepared, progress), _side_parts(prepared, progress))
    return release.write(out, itertools.chain(*parts), facts, render_card)


def _source_parts(prepared: Prepared, progress: Progress) -> Iterator[release.Part]:
    if not prepared.recipe.release.source_tables:
        return
    for table in RETRIEVAL_TABLES:
        rows = Rows([shard.path for shard in progress.shards(prepared.tables[table])])
        yield from parts_of(rows, prepared.src, table, _schema(rows, table))


def _language_parts(prepared: Prepared, progress: Progress) -> Iterator[release.Part]:
    for lang in prepared.recipe.langs:
        for table in prepared.recipe.tables():
            kept, gone = _kept(progress, lang, table)
            schema = _schema(kept, table)
            yield from parts_of(kept, lang, table, schema)
            dropped = _schema(gone, table, extra=("failure", "fate"))
            total = sum(gone.splits(table).values())
            if total:
                yield release.Part("dropped", f"{lang}-{table}", dropped, total, gone)
        rows = Rows(_paths(progress, "cascade", f"{lang}.qrels"))
        yield from parts_of(rows, lang, "qrels", _schema(rows, "qrels"))


def _side_parts(prepared: Prepared, progress: Progress) -> Iterator[release.Part]:
    yield verdict_part(progress)
    for lang in prepared.recipe.langs:
        for table in prepared.recipe.tables():
            shards = progress.shards(Input(f"assemble.{lang}.{table}", "map"))
            paths = [shard.path for shard in shards]
            yield release.Part(
                "segments",
                f"{lang}-{table}",
                SEGMENT_MAP,
                sum(shard.rows for shard in shards),
                Rows(paths),
            )


def _kept(progress: Progress, lang: str, table: str) -> tuple[Rows, Rows]:
    """Rows that stay and rows that do not, after the cascade."""
    extra = {
        row_id
        for path in _paths(progress, "cascade", f"{lang}.{table}")
        for row_id in parquet.read(path, ["id"])["id"].to_pylist()
    }
    paths = _paths(progress, f"decide.{lang}.{table}", "out")
    dropped = pa.array(sorted(extra), pa.string())

    def stays(rows: pa.Table) -> pa.ChunkedArray:
        return pc.and_(pc.equal(rows["fate"], "kept"), pc.invert(pc.is_in(rows[ID_COLUMNS[table]], dropped)))

    return Rows(paths, stays), Rows(paths, lambda rows: pc.invert(stays(rows)), lost=True)


def _schema(rows: Rows, table: str, extra: tuple[str, ...] = ()) -> pa.Schema:
    """The canonical columns of the table, then score columns; what only the build needs is left out."""
    found = pa.schema([], None)
    for path in rows.paths[:1]:
        found = pq.read_schema(path)
    canonical = (column for column in SCHEMAS[table] if column.name != "split")
    return release_schema(canonical, found, set(_INTERNAL) - set(extra))


def _paths(progress: Progress, node: str, output: str) -> list[Path]:
    return [shard.path for shard in progress.shards(Input(node, output))]


def _facts(prepared: Prepared, progress: Progress) -> dict[str, Any]:
    """Everything that the manifest says and nothing that changes from run to run: no times, hosts or paths."""
    recipe = public_recipe(prepared.recipe.model_dump(mode="json", exclude_none=True))
    facts = {
        "name": prepared.recipe.title(),
        "version": "0.0.0-draft",
        "dsbuild": dsbuild.__version__,
        "recipe": recipe,
        "source": asdict(prepared.source_facts),
        "engines": {
            name: {"fingerprint": dict(prepared.fingerprints[name]), **asdict(terms)}
            for name, terms in prepared.terms.items()
        },
        "languages": {lang: {"name": languages.get(lang).name} for lang in (prepared.src, *prepared.recipe.langs)},
        "stages": stage_facts(prepared.nodes, progress),
        "notes": notes(progress),
        "accounting": accounting(prepared, progress),
    }
    facts["build_key"] = digest(str(facts))
    return facts


def notes(progress: Progress) -> list[str]:
    """What a user should know of the source and of what `--limit` left out."""
    return source_notes(progress) + [
        f"--limit leaves out {number:,} rows of {table}"
        for record in progress.done.get("limit", ())
        for table, number in record.facts["left_out"].items()
        if number
    ]


def accounting(prepared: Prepared, progress: Progress) -> dict[str, Any]:
    """Per language and table: rows in, kept, dropped, failed, and the primary reason of each that was lost.

    repaired: kept rows whose source text was mended, or whose translation was got by a later rung of the retry ladder.
    """
    result: dict[str, Any] = {}
    for lang in prepared.recipe.langs:
        tables: dict[str, Any] = {}
        for table in prepared.recipe.tables():
            cascaded = [
                row for path in _paths(progress, "cascade", f"{lang}.{table}") for row in parquet.read(path).to_pylist()
            ]
            tables[table] = rows_by_end(progress, progress.done[f"decide.{lang}.{table}"], table, cascaded)
        qrels_in = sum(shard.rows for shard in progress.shards(prepared.tables["qrels"]))
        qrels_kept = sum(shard.rows for shard in progress.shards(Input("cascade", f"{lang}.qrels")))
        tables["qrels"] = {"in": qrels_in, "kept": qrels_kept, "orphaned": qrels_in - qrels_kept}
        result[lang] = tables
    return result


def rows_by_end(
    progress: Progress, decided: Sequence[UnitRecord], table: str, cascaded: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The rows of one table and language by how they ended. decided: the units that dropped rows; cascaded: verdicts on rows that were lost later."""
    counts = run.total(decided)
    reasons: Counter[str] = Counter(row["rule"] for row in cascaded)
    repaired: set[str] = set()
    lost = {row["id"] for row in cascaded}
    for record in [*decided, *progress.done.get(f"mend.{table}", ())]:
        if not record.verdicts.rows:
            continue
        path = progress.store.path(record.key, record.verdicts.file)
        rows = parquet.read(path, ["id", "outcome", "rule", "primary"])
        for row in rows.filter(rows["primary"]).to_pylist():
            if row["outcome"] in ("dropped", "failed"):
                reasons[row["rule"]] += 1
                lost.add(row["id"])
            elif row["outcome"] == "repaired":
                repaired.add(row["id"])
    return {
        "in": counts.n_in, "kept": counts.kept - len(cascaded), "repaired": len(repaired - lost),
        "dropped": counts.dropped + len(cascaded), "failed": counts.failed, "reasons": dict(sorted(reasons.items())),
    }  # fmt: skip


def summary(
    langs: Sequence[str], tables: Sequence[str], progress: Progress, manifest: Mapping[str, Any], out: Path
) -> dict[str, Any]:
    """What the command prints at the end: per language the rows and how they ended, segments, and speed.

    segments: of all rows; reused: those that were not sent to the engine by this build, because the same text stood elsewhere
    in the set or was known from an earlier run; tokens_per_s: target tokens over the seconds of the units that made them.
    """
    uniques = progress.done["unique"][0].facts
    found: dict[str, Any] = {}
    for lang in langs:
        counted = [manifest["accounting"][lang][table] for table in tables]
        reasons: Counter[str] = Counter()
        for row in counted:
            reasons.update(row["reasons"])
        records = progress.done[f"translate.{lang}"]
        seconds = run.measured(records, "engine_seconds")
        found[lang] = {
            **{name: sum(row[name] for row in counted) for name in ("in", "kept", "repaired", "dropped", "failed")},
            "reasons": dict(reasons.most_common()),
            "segments": uniques["segments"],
            "reused": int(uniques["segments"] - uniques["distinct"] + run.measured(records, "remembered")),
            "tokens_per_s": round(run.measured(records, "tgt_tokens") / seconds, 1) if seconds else None,
        }
    return {"release": str(out), "languages": found}
