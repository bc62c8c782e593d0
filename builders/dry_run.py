"""Compute all scores once, drop nothing, and answer what each threshold would do: `dsbuild filter --dry-run`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from dsbuild import executors, files, parquet, run
from dsbuild.builders.filtered import FilterRecipe, PreparedFilter, Stream, prepare_filter
from dsbuild.cards.threshold_report import render_report
from dsbuild.graph import Input, Progress
from dsbuild.run import Reporter
from dsbuild.store import Store

N_BORDERLINE = 20
N_STEPS = 11
N_BINS = 40
_EXCERPT = 240
# Values of a column that are kept to find quantiles: chosen by hash, so that the answer does not depend on the order of units.
_MAX_VALUES = 200_000

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass
class _Rule:
    """What is gathered of one rule in one table over all languages."""

    rule: Any
    fails: int = 0
    first: int = 0
    sole: int = 0
    scored: int = 0
    values: list[Floats] = field(default_factory=list)
    others: list[Bools] = field(default_factory=list)
    safe: list[Bools] = field(default_factory=list)
    below: list[tuple[float, int, dict[str, Any]]] = field(default_factory=list)
    above: list[tuple[float, int, dict[str, Any]]] = field(default_factory=list)


def dry_run(
    recipe: FilterRecipe, out: Path | None, store: Path, executor: str, workers: int | None, reporter: Reporter
) -> dict[str, Any]:
    """Score every row and say what the thresholds would do; writes `report.html` and `report.json`, no release.

    Scores stay in the store, so that the next question is answered without computing them again.
    """
    folder = out or Path("outputs") / recipe.title() / "dry-run"
    prepared = prepare_filter(recipe, store / "digests")
    progress = run.run(prepared.nodes, Store(store), recipe.title(), executors.make(executor, workers), reporter)
    tables = [_table(prepared, progress, stream) for stream in prepared.streams]
    found: dict[str, Any] = {"recipe": recipe.title(), "profile": recipe.profile, "tables": tables}
    files.write_text(folder / "report.json", json.dumps(found, ensure_ascii=False, indent=1) + "\n")
    files.write_text(folder / "report.html", render_report(found))
    return {**found, "report": str(folder / "report.html")}


def _table(prepared: PreparedFilter, progress: Progress, stream: Stream) -> dict[str, Any]:
    """One table: rows by language, and each rule of each language."""
    from dsbuild.filters.decide_texts import DecideTexts
    from dsbuild.filters.profiles import rules_for

    decide = next(node.stage for node in prepared.nodes if node.name == f"decide.{stream.table}")
    assert isinstance(decide, DecideTexts)
    langs: dict[str, dict[str, int]] = defaultdict(lambda: {"in": 0, "kept": 0})
    gathered: dict[tuple[str, float | None, str], _Rule] = {}
    for rows in _shards(progress, prepared, stream):
        lang_column = rows[stream.lang_columns[-1]]
        for lang in pc.unique(lang_column).to_pylist():
            own = rows.filter(pc.equal(lang_column, lang))
            langs[lang]["in"] += own.num_rows
            langs[lang]["kept"] += int(pc.sum(pc.equal(own["fate"], "kept")).as_py() or 0)
            rules = rules_for(decide.groups, decide.profile, lang, decide.settings, decide.thresholds)
            _gather(own, stream, [rule for rule in rules if rule.column in own.column_names], gathered)
    return {
        "table": stream.table,
        "languages": dict(sorted(langs.items())),
        "rules": [_told(one) for one in gathered.values()],
        "duplicates": _duplicates(progress, stream),
    }


def _shards(progress: Progress, prepared: PreparedFilter, stream: Stream) -> Iterator[pa.Table]:
    for shard in progress.shards(Input(prepared.decided(stream))):
        yield parquet.read(shard.path)


def _gather(
    rows: pa.Table, stream: Stream, rules: Sequence[Any], gathered: dict[tuple[str, float | None, str], _Rule]
) -> None:
    """Add rows of one language to what is known of each rule."""
    from dsbuild.filters.decide import fails, scores

    columns = [scores(rows[rule.column]) for rule in rules]
    failed = np.array([fails(column, rule) for column, rule in zip(columns, rules, strict=True)]).reshape(len(rules), -1)
    dropping = np.array([rule.action == "drop" for rule in rules], np.bool_)
    total = failed[dropping].sum(axis=0) if dropping.any() else np.zeros(rows.num_rows, np.int64)
    before = np.zeros(rows.num_rows, np.bool_)
    safe = np.asarray(rows["protected"].to_numpy(zero_copy_only=False), np.bool_)
    ids = rows[stream.id_column].to_pylist()
    order = np.fromiter((xxhash.xxh3_64_intdigest(row_id.encode()) for row_id in ids), np.uint64, len(ids))
    for place, rule in enumerate(rules):
        one = gathered.setdefault((rule.name, rule.value, rule.source), _Rule(rule))
        fell, known = failed[place], ~np.isnan(columns[place])
        one.fails += int(fell.sum())
        one.scored += int(known.sum())
        if dropping[place]:
            one.first += int((fell & ~before & ~safe).sum())
            one.sole += int((fell & (total == 1) & ~safe).sum())
            before |= fell
        if rule.op != "is":
            rest = ((total - (fell & dropping[place])) == 0) | safe
            keep = known & (order % np.uint64(max(1, one.scored // _MAX_VALUES + 1)) == 0)
            one.values.append(columns[place][keep])
            one.others.append(rest[keep])
            one.safe.append(safe[keep])
            _borderline(one, rows, stream, columns[place], known, order)


def _borderline(one: _Rule, rows: pa.Table, stream: Stream, column: Floats, known: Bools, order: npt.NDArray[np.uint64]) -> None:
    """Keep the rows nearest to the threshold on each side; equally near ones are chosen by the hash of their id."""
    measured = np.abs(column) if one.rule.op == "abs>" else column
    for side, store in ((measured < one.rule.value, one.below), (measured >= one.rule.value, one.above)):
        places = np.flatnonzero(known & side)
        if not places.size:
            continue
        far = np.abs(measured[places] - one.rule.value)
        for at in places[np.lexsort((order[places], far))[:N_BORDERLINE]].tolist():
            text = " | ".join(str(rows[name][at].as_py()) for name in stream.texts)
            row = {
                "id": rows[stream.id_column][at].as_py(), "lang": rows[stream.lang_columns[-1]][at].as_py(), "value": float(measured[at]),
                "text": text if len(text) <= _EXCERPT else f"{text[: _EXCERPT - 1]}…",
            }  # fmt: skip
            store.append((abs(float(measured[at]) - one.rule.value), int(order[at]), row))
        store.sort(key=lambda entry: entry[:2])
        del store[N_BORDERLINE:]


def _told(one: _Rule) -> dict[str, Any]:
    """A rule as the report says it: what it takes, what other thresholds would, and the rows on each side."""
    rule = one.rule
    told: dict[str, Any] = {
        "rule": rule.name, "column": rule.column, "op": rule.op, "threshold": rule.value, "source": rule.source, "action": rule.action,
        "scored": one.scored, "fails": one.fails, "first": one.first, "sole": one.sole, "sweep": [], "histogram": None, "below": [], "above": [],
    }  # fmt: skip
    if rule.op == "is" or not one.values:
        return told
    values, others, safe = (np.concatenate(parts) for parts in (one.values, one.others, one.safe))
    measured = np.abs(values) if rule.op == "abs>" else values
    if not len(measured):
        return told
    steps = np.unique(np.append(np.quantile(measured, np.linspace(0, 1, N_STEPS)), rule.value))
    for step in steps.tolist():
        passes = {"<": measured >= step, ">=": measured < step}.get(rule.op, measured <= step)
        told["sweep"].append(
            {"threshold": step, "passes_share": float(passes.mean()), "kept_share": float(((passes & others) | safe).mean())}
        )
    low, high = np.quantile(measured, [0.005, 0.995])
    low, high = min(float(low), rule.value), max(float(high), rule.value)
    counts, edges = np.histogram(np.clip(measured, low, high), N_BINS, (low, high if high > low else low + 1))
    told["histogram"] = {"counts": counts.tolist(), "low": float(edges[0]), "high": float(edges[-1])}
    told["below"], told["above"] = ([entry[2] for entry in side] for side in (one.below, one.above))
    return told


def _duplicates(progress: Progress, stream: Stream) -> Mapping[str, Any]:
    """What the searches for duplicates found."""
    return {
        name: dict(progress.done[f"{name}.{stream.table}"][0].facts)
        for name in ("exact", "neardup")
        if f"{name}.{stream.table}" in progress.done
    }
