"""The draft release of a filtered set: which rows go where, and the numbers that describe it."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import dsbuild
from dsbuild import parquet, release
from dsbuild.builders.filtering.filtered import PreparedFilter, Stream
from dsbuild.builders.filtering.threshold_facts import threshold_facts
from dsbuild.builders.parts import (
    Rows,
    language_name,
    parts_of,
    public_recipe,
    release_schema,
    source_notes,
    stage_facts,
    verdict_part,
)
from dsbuild.cards.card import render_card
from dsbuild.cards.threshold_report import render_report
from dsbuild.errors import RecipeError
from dsbuild.filters.calibration import read_calibration
from dsbuild.filters.profiles import DEFAULT_THRESHOLDS, NAMED_THRESHOLDS, language_thresholds
from dsbuild.graph import Input, Progress
from dsbuild.stage import digest
from dsbuild.tables import SCHEMAS

_INTERNAL = ("split", "fate", "protected")
N_SAMPLES = 3
_MAX_CHARS = 160

Accounting = dict[str, dict[str, dict[str, Any]]]


def write_filtered(out: Path, prepared: PreparedFilter, progress: Progress) -> dict[str, Any]:
    """Write the draft release of a finished filter build to `out`; returns its manifest."""
    counted = accounting(prepared, progress)
    refuse_nothing(prepared, counted)
    facts = _facts(prepared, progress, counted)
    parts = itertools.chain(
        *(_table_parts(prepared, progress, stream, counted) for stream in prepared.streams),
        _qrels_parts(prepared, progress),
        _untouched_parts(prepared, progress),
        [verdict_part(progress)],
    )
    report = render_report(threshold_facts(prepared, progress))
    return release.write(
        out, parts, facts, lambda manifest, written: {**render_card(manifest, written), "report.html": report}
    )


def refuse_nothing(prepared: PreparedFilter, counted: Accounting) -> None:
    """Refuse a release in which a table lost all of its rows, and name the rule that took most, unless it is forced."""
    for stream in prepared.streams:
        rows = [tables[stream.table] for tables in counted.values() if stream.table in tables]
        if rows and not sum(row["kept"] for row in rows) and not prepared.recipe.force:
            reasons: Counter[str] = Counter()
            for row in rows:
                reasons.update(row["reasons"])
            rule, number = reasons.most_common(1)[0]
            raise RecipeError(
                f"{stream.table}: every one of the {sum(row['in'] for row in rows):,} rows would be dropped, {number:,} of them first by {rule}; "
                "loosen that threshold with --set, or say --set force=true"
            )


def _shards(progress: Progress, prepared: PreparedFilter, stream: Stream) -> list[Path]:
    return [shard.path for shard in progress.shards(Input(prepared.decided(stream)))]


def _extra(progress: Progress, lang: str, table: str) -> pa.Array:
    """Ids that the cascade dropped besides."""
    if "cascade" not in progress.done:
        return pa.array([], pa.string())
    found = [
        row_id
        for shard in progress.shards(Input("cascade", f"{lang}.{table}"))
        for row_id in parquet.read(shard.path, ["id"])["id"].to_pylist()
    ]
    return pa.array(sorted(found), pa.string())


def _lang_of(rows: pa.Table, stream: Stream) -> pa.ChunkedArray:
    """The language of each row: of a pair both, joined by a dash."""
    columns = [rows[name] for name in stream.lang_columns]
    return columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, "-")


def _table_parts(
    prepared: PreparedFilter, progress: Progress, stream: Stream, counted: Accounting
) -> Iterator[release.Part]:
    by_lang: dict[str, list[Path]] = defaultdict(list)
    paths = _shards(progress, prepared, stream)
    for path in paths:
        for lang in pc.unique(_lang_of(parquet.read(path, list(stream.lang_columns)), stream)).to_pylist():
            by_lang[lang].append(path)
    found = pq.read_schema(paths[0])
    for lang in sorted(by_lang):
        extra = _extra(progress, lang, stream.table)
        row = counted[lang][stream.table]

        def stays(rows: pa.Table, lang: str = lang, extra: pa.Array = extra) -> pa.ChunkedArray:
            inside = pc.and_(pc.equal(_lang_of(rows, stream), lang), pc.equal(rows["fate"], "kept"))
            return pc.and_(inside, pc.invert(pc.is_in(rows[stream.id_column], extra))) if len(extra) else inside

        def goes(rows: pa.Table, lang: str = lang, extra: pa.Array = extra) -> pa.ChunkedArray:
            lost = pc.or_(pc.not_equal(rows["fate"], "kept"), pc.is_in(rows[stream.id_column], extra))
            return pc.and_(pc.equal(_lang_of(rows, stream), lang), lost)

        yield from parts_of(Rows(by_lang[lang], stays), lang, stream.table, _schema(found, stream))
        if row["dropped"]:
            lost = Rows(by_lang[lang], goes, lost=True)
            yield release.Part(
                "dropped", f"{lang}-{stream.table}", _schema(found, stream, ("fate",)), row["dropped"], lost
            )


def _qrels_parts(prepared: PreparedFilter, progress: Progress) -> Iterator[release.Part]:
    if prepared.qrels is not None:
        lang = prepared.source_facts.lang
        rows = Rows([shard.path for shard in progress.shards(Input("cascade", f"{lang}.qrels"))])
        yield from parts_of(rows, lang, "qrels", _canonical("qrels"))


def _untouched_parts(prepared: PreparedFilter, progress: Progress) -> Iterator[release.Part]:
    """The table of a retrieval set that `only` left alone."""
    if prepared.qrels is None:
        return
    done = {stream.table for stream in prepared.streams}
    for table in ("corpus", "queries"):
        if table not in done:
            source = prepared.nodes[0].name if prepared.qrels.node == "sound" else prepared.qrels.node
            rows = Rows([shard.path for shard in progress.shards(Input(source, table))])
            yield from parts_of(rows, prepared.source_facts.lang, table, _canonical(table))


def _canonical(table: str) -> pa.Schema:
    return pa.schema([column for column in SCHEMAS[table] if column.name != "split"])


def _schema(found: pa.Schema, stream: Stream, extra: tuple[str, ...] = ()) -> pa.Schema:
    """The canonical columns that the rows have, then the source's own and the scores; what only the build needs is left out."""
    canonical = (column for column in _canonical(stream.table) if column.name in found.names)
    return release_schema(canonical, found, set(_INTERNAL) - set(extra))


def accounting(prepared: PreparedFilter, progress: Progress) -> Accounting:
    """Per language and table: rows in, kept, dropped, and the first reason of each that was lost."""
    result: Accounting = defaultdict(dict)
    for stream in prepared.streams:
        rows: dict[str, Counter[str]] = defaultdict(Counter)
        for path in _shards(progress, prepared, stream):
            table = parquet.read(path, [*stream.lang_columns, "fate"])
            pairs = pa.table({"lang": _lang_of(table, stream), "fate": table["fate"]})
            for entry in pairs.group_by(["lang", "fate"]).aggregate([([], "count_all")]).to_pylist():
                rows[entry["lang"]][entry["fate"]] += entry["count_all"]
        reasons = _reasons(prepared, progress, stream)
        repaired = _repaired(progress, stream, _shards(progress, prepared, stream))
        for lang, counts in sorted(rows.items()):
            extra = len(_extra(progress, lang, stream.table))
            kept = counts["kept"] - extra
            if extra:
                reasons[lang]["no_positive"] += extra
            result[lang][stream.table] = {
                "in": counts.total(), "kept": kept, "repaired": repaired[lang], "dropped": counts["dropped"] + extra, "failed": 0,
                "reasons": dict(sorted(reasons[lang].items())),
            }  # fmt: skip
    if prepared.qrels is not None:
        lang = prepared.source_facts.lang
        n_in = sum(shard.rows for shard in progress.shards(prepared.qrels))
        kept = sum(shard.rows for shard in progress.shards(Input("cascade", f"{lang}.qrels")))
        merged = sum(record.counts.dropped for record in progress.done.get("merge", ()))
        result[lang]["qrels"] = {"in": n_in, "kept": kept, "orphaned": n_in - kept - merged, "merged": merged}
    return dict(result)


def _repaired(progress: Progress, stream: Stream, paths: Sequence[Path]) -> Counter[str]:
    """Kept rows whose text was changed by a declared stage, by language."""
    found: Counter[str] = Counter()
    for record, path in zip(progress.done.get(f"mask.{stream.table}", ()), paths, strict=False):
        if record.verdicts.rows:
            verdicts = parquet.read(progress.store.path(record.key, record.verdicts.file), ["id", "outcome"])
            changed = verdicts.filter(pc.equal(verdicts["outcome"], "repaired"))["id"]
            rows = parquet.read(path, [stream.id_column, *stream.lang_columns, "fate"])
            kept = rows.filter(
                pc.and_(pc.is_in(rows[stream.id_column], changed.combine_chunks()), pc.equal(rows["fate"], "kept"))
            )
            found.update(_lang_of(kept, stream).to_pylist())
    return found


def _reasons(prepared: PreparedFilter, progress: Progress, stream: Stream) -> dict[str, Counter[str]]:
    """The primary rule of every dropped row, by language; verdicts of pairs are told apart by their second language."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for node in (f"decide.{stream.table}", f"settle.{stream.table}"):
        for record, shard in zip(progress.done[node], progress.shards(Input(node)), strict=True):
            if not record.verdicts.rows:
                continue
            verdicts = parquet.read(progress.store.path(record.key, record.verdicts.file), ["id", "outcome", "rule"])
            verdicts = verdicts.filter(pc.equal(verdicts["outcome"], "dropped"))
            rows = parquet.read(shard.path, [stream.id_column, *stream.lang_columns])
            langs = _lang_of(rows, stream).take(pc.index_in(verdicts["id"], rows[stream.id_column]))
            # Verdicts stand in the order of rows and rules: the first that drops is the reason.
            seen: set[str] = set()
            for row_id, rule, lang in zip(
                verdicts["id"].to_pylist(), verdicts["rule"].to_pylist(), langs.to_pylist(), strict=True
            ):
                if row_id not in seen:
                    seen.add(row_id)
                    found[lang][rule] += 1
    return found


def _facts(prepared: PreparedFilter, progress: Progress, counted: Accounting) -> dict[str, Any]:
    """Everything that the manifest says and nothing that changes from run to run: no times, hosts or paths."""
    recipe = prepared.recipe.model_dump(mode="json", exclude_none=True)
    found: dict[str, Any] = {}
    for stream in prepared.streams:
        for node in prepared.nodes:
            if node.name in [f"{step}.{stream.table}" for step in ("exact", "neardup", "retain", "mask")]:
                # A stage of rows says how many it changed in each unit, one of tables has one unit.
                records = progress.done[node.name]
                found[node.name] = dict(records[0].facts)
                if node.name.startswith("mask."):
                    found[node.name] = {"masked": sum(record.facts["masked"] for record in records)}
    langs = {lang: {"name": language_name(lang)} for lang in counted}
    facts = {
        "name": prepared.recipe.title(),
        "version": "0.0.0-draft",
        "dsbuild": dsbuild.__version__,
        "recipe": public_recipe(recipe),
        "filters": {stream.table: list(stream.groups) for stream in prepared.streams},
        "source": asdict(prepared.source_facts),
        "engines": {},
        "languages": langs,
        "stages": stage_facts(prepared.nodes, progress),
        "findings": found,
        "notes": [*notes(prepared, progress), *_without_thresholds(prepared, counted)],
        "accounting": counted,
        **_calibration(prepared),
    }
    facts["build_key"] = digest(json.dumps(facts, sort_keys=True, ensure_ascii=False, default=str))
    return facts


def _calibration(prepared: PreparedFilter) -> dict[str, Any]:
    """The calibration that decided, whole: the recipe says no more than its name, and a report shows every threshold."""
    said = prepared.recipe.thresholds
    return {} if said in NAMED_THRESHOLDS else {"calibration": read_calibration(Path(said)).document()}


def _without_thresholds(prepared: PreparedFilter, counted: Accounting) -> list[str]:
    """In which languages the thresholds that were asked for say nothing."""
    said = prepared.recipe.thresholds
    if said == DEFAULT_THRESHOLDS:
        return []
    found = []
    for stream in prepared.streams:
        # Of pairs the thresholds of each side are those of its own language; here they stand together.
        langs = [lang for lang in sorted(counted) if stream.table in counted[lang] and len(stream.lang_columns) == 1]
        if silent := [lang for lang in langs if not language_thresholds(said, lang)]:
            name = said if said in NAMED_THRESHOLDS else Path(said).name
            found.append(
                f"thresholds of {stream.table}: {name} has none for {', '.join(silent)}; the defaults decide there"
            )
    return found


def notes(prepared: PreparedFilter, progress: Progress) -> list[str]:
    """What a user should know of how the source was read and of what duplicates were looked for."""
    found = [*prepared.remarks, *source_notes(progress)]
    for stream in prepared.streams:
        for record in progress.done.get(f"neardup.{stream.table}", ()):
            facts = record.facts
            found.append(
                f"near duplicates of {stream.table}: Jaccard >= {facts['jaccard']:g} verified exactly; "
                f"{facts['bands']} bands of {facts['rows_a_band']} hashes, "
                f"expected to miss {facts['expected_miss']:.2%} of the pairs at that similarity"
            )
    return found


def summary(prepared: PreparedFilter, manifest: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """What the command prints at the end: per language and table the rows and how they ended."""
    langs: dict[str, Any] = {}
    for lang, tables in manifest["accounting"].items():
        rows = [row for name, row in tables.items() if name != "qrels"]
        reasons: Counter[str] = Counter()
        for row in rows:
            reasons.update(row["reasons"])
        langs[lang] = {
            **{name: sum(row[name] for row in rows) for name in ("in", "kept", "dropped", "failed")},
            "reasons": dict(reasons.most_common()),
        }
    return {"release": str(out), "languages": langs}


def samples(folder: Path, prepared: PreparedFilter) -> list[Mapping[str, str]]:
    """Three dropped rows with their rule: the first of the rules that dropped most."""
    reasons: Counter[str] = Counter()
    manifest = release.read_manifest(folder)
    for tables in manifest["accounting"].values():
        for row in tables.values():
            reasons.update(row.get("reasons", {}))
    wanted = [rule for rule, _ in reasons.most_common(N_SAMPLES)]
    found: dict[str, dict[str, Any]] = {}
    for shard in release.read_part(folder, "dropped/verdicts-"):
        dropped = shard.filter(
            pc.and_(pc.equal(shard["outcome"], "dropped"), pc.is_in(shard["rule"], pa.array(wanted, pa.string())))
        )
        for rule in wanted:
            if rule not in found and (rows := dropped.filter(pc.equal(dropped["rule"], rule)).slice(0, 1).to_pylist()):
                found[rule] = rows[0]
    shown: list[Mapping[str, str]] = []
    for rule in wanted:
        if rule in found:
            row = found[rule]
            text = _text_of(folder, prepared, row)
            value = (
                ""
                if row["value"] is None
                else f"{row['value']:.4g} {row['op']} {row['threshold']:.4g}"
                if row["threshold"] is not None
                else ""
            )
            shown.append(
                {
                    "id": row["id"],
                    "lang": row["lang"],
                    "rule": rule,
                    "value": value,
                    "text": text,
                    "keeper": row["detail"],
                }
            )
    return shown


def _text_of(folder: Path, prepared: PreparedFilter, row: Mapping[str, Any]) -> str:
    stream = next((one for one in prepared.streams if one.table == row["table"]), None)
    if stream is None:
        return ""
    for path in release.part_files(folder, "dropped/"):
        if f"-{stream.table}-" in path.name and stream.id_column in pq.read_schema(path).names:
            table = parquet.read(path, [stream.id_column, *stream.texts])
            hit = table.filter(pc.equal(table[stream.id_column], row["id"]))
            if hit.num_rows:
                line = " ".join(" | ".join(str(hit[name][0].as_py()) for name in stream.texts).split())
                return line if len(line) <= _MAX_CHARS else f"{line[: _MAX_CHARS - 1]}…"
    return ""
