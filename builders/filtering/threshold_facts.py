"""What each threshold of a filter build keeps and drops: counts, sweeps, histograms, rows on either side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import parquet
from dsbuild.builders.filtering.filtered import PreparedFilter, Stream
from dsbuild.graph import Input, Progress

N_BORDERLINE = 20
N_STEPS = 11
N_BINS = 40
_EXCERPT = 240
# Values of a column that are kept to find quantiles, chosen by a hash of the row's place.
MAX_VALUES = 200_000

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass
class Gathered:
    """What is gathered of one rule in one table."""

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


def threshold_facts(prepared: PreparedFilter, progress: Progress) -> dict[str, Any]:
    """All tables of a finished build, as `report.json` holds them and `report.html` draws them."""
    recipe = prepared.recipe
    tables = [_table(prepared, progress, stream) for stream in prepared.streams]
    return {"recipe": recipe.title(), "profile": recipe.profile, "tables": tables}


def _table(prepared: PreparedFilter, progress: Progress, stream: Stream) -> dict[str, Any]:
    """One table: rows by language, and each rule of each language."""
    from dsbuild.filters.decide_texts import DecideTexts, by_language

    decide = next(node.stage for node in prepared.nodes if node.name == f"decide.{stream.table}")
    assert isinstance(decide, DecideTexts)
    name = f"retain.{stream.table}"
    retained = [parquet.read(shard.path) for shard in progress.shards(Input(name))] if name in progress.done else []
    langs: dict[str, dict[str, int]] = defaultdict(lambda: {"in": 0, "kept": 0})
    gathered: dict[tuple[str, float | None, str], Gathered] = {}
    total = sum(shard.rows for shard in progress.shards(Input(prepared.decided(stream))))
    seen = 0
    for rows in _shards(progress, prepared, stream):
        places = np.arange(seen, seen + rows.num_rows, dtype=np.uint64)
        seen += rows.num_rows
        for spoken, mask in by_language(rows, stream.lang_columns):
            lang = spoken[-1]
            own = rows.filter(mask)
            order = scattered(places[mask.to_numpy()])
            langs[lang]["in"] += own.num_rows
            langs[lang]["kept"] += int(pc.sum(pc.equal(own["fate"], "kept")).as_py() or 0)
            known = [rule for rule in decide.rules(spoken, retained) if rule.column in own.column_names]
            gather(own, order, -(-total // MAX_VALUES), stream, known, gathered)
    return {
        "table": stream.table,
        "languages": dict(sorted(langs.items())),
        "rules": [told(one) for one in gathered.values()],
        "duplicates": _duplicates(progress, stream),
    }


def _shards(progress: Progress, prepared: PreparedFilter, stream: Stream) -> Iterator[pa.Table]:
    for shard in progress.shards(Input(prepared.decided(stream))):
        yield parquet.read(shard.path)


def scattered(places: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """A pseudo-random number for each place of a row in its table (the finaliser of SplitMix64, G. Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        mixed = (places + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def gather(
    rows: pa.Table, order: npt.NDArray[np.uint64], step: int, stream: Stream, rules: Sequence[Any],
    gathered: dict[tuple[str, float | None, str], Gathered],
) -> None:  # fmt: skip
    """Add rows of one language to what is known of each rule; one value in `step` is kept for quantiles."""
    from dsbuild.filters.decide import fails, scores

    if not rules:
        return
    columns = [scores(rows[rule.column]) for rule in rules]
    failed = np.array([fails(column, rule) for column, rule in zip(columns, rules, strict=True)]).reshape(
        len(rules), -1
    )
    dropping = np.array([rule.action == "drop" for rule in rules], np.bool_)
    total = failed[dropping].sum(axis=0) if dropping.any() else np.zeros(rows.num_rows, np.int64)
    before = np.zeros(rows.num_rows, np.bool_)
    safe = np.asarray(rows["protected"].to_numpy(zero_copy_only=False), np.bool_)
    for place, rule in enumerate(rules):
        one = gathered.setdefault((rule.name, rule.value, rule.source), Gathered(rule))
        fell, known = failed[place], ~np.isnan(columns[place])
        one.fails += int(fell.sum())
        one.scored += int(known.sum())
        if dropping[place]:
            one.first += int((fell & ~before & ~safe).sum())
            one.sole += int((fell & (total == 1) & ~safe).sum())
            before |= fell
        if rule.op != "is":
            rest = ((total - (fell & dropping[place])) == 0) | safe
            keep = known & (order % np.uint64(max(1, step)) == 0)
            one.values.append(columns[place][keep])
            one.others.append(rest[keep])
            one.safe.append(safe[keep])
            _borderline(one, rows, stream, columns[place], known, order)


def _borderline(
    one: Gathered, rows: pa.Table, stream: Stream, column: Floats, known: Bools, order: npt.NDArray[np.uint64]
) -> None:
    """Keep the rows nearest to the threshold on each side; equally near ones are chosen by the hash of their id."""
    measured = np.abs(column) if one.rule.op == "abs>" else column
    # What is infinitely far (the length ratio to an empty side) is near no threshold.
    known = known & np.isfinite(measured)
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


def told(one: Gathered) -> dict[str, Any]:
    """A rule as the report says it: what it takes, what other thresholds would, and the rows on each side."""
    rule = one.rule
    told: dict[str, Any] = {
        "rule": rule.name, "key": rule.key, "column": rule.column, "op": rule.op, "threshold": rule.value, "source": rule.source,
        "action": rule.action,
        "scored": one.scored, "fails": one.fails, "first": one.first, "sole": one.sole, "sweep": [], "histogram": None, "below": [], "above": [],
    }  # fmt: skip
    if rule.op == "is" or not one.values:
        return told
    values, others, safe = (np.concatenate(parts) for parts in (one.values, one.others, one.safe))
    measured = np.abs(values) if rule.op == "abs>" else values
    finite = measured[np.isfinite(measured)]
    if not len(finite):
        return told
    steps = np.unique(np.append(np.quantile(finite, np.linspace(0, 1, N_STEPS)), rule.value))
    for step in steps.tolist():
        passes = {"<": measured >= step, ">=": measured < step}.get(rule.op, measured <= step)
        told["sweep"].append(
            {
                "threshold": step,
                "passes_share": float(passes.mean()),
                "kept_share": float(((passes & others) | safe).mean()),
            }
        )
    low, high = np.quantile(finite, [0.005, 0.995])
    low, high = _room(min(float(low), rule.value), max(float(high), rule.value), rule, one.fails)
    counts, edges = np.histogram(np.clip(measured, low, high), N_BINS, (low, high if high > low else low + 1))
    told["histogram"] = {"counts": counts.tolist(), "low": float(edges[0]), "high": float(edges[-1])}
    told["below"], told["above"] = ([entry[2] for entry in side] for side in (one.below, one.above))
    return told


def _room(low: float, high: float, rule: Any, fails: int) -> tuple[float, float]:
    """The drawn range with one bar beyond the threshold, where rows fail and are so few that it would end there."""
    bar = (high - low) / (N_BINS - 1)
    if fails and rule.op == "<" and low > rule.value - bar:
        return rule.value - bar, high
    return (low, rule.value + bar) if fails and rule.op != "<" and high < rule.value + bar else (low, high)


def _duplicates(progress: Progress, stream: Stream) -> Mapping[str, Any]:
    """What the searches for duplicates found."""
    return {
        name: dict(sorted(progress.done[f"{name}.{stream.table}"][0].facts.items()))
        for name in ("exact", "neardup")
        if f"{name}.{stream.table}" in progress.done
    }
