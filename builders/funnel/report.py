"""What the funnel lost: counts, samples and distributions of each language, for a manifest, a report page and `dsbuild funnel`."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from dsbuild import parquet, release
from dsbuild.builders.funnel.nodes import Funnelled
from dsbuild.builders.funnel.plan import FunnelPlan
from dsbuild.builders.made_by import command_of
from dsbuild.builders.sources.opened import IDS
from dsbuild.errors import ReleaseError, UnknownName
from dsbuild.filters.decide_funnel import LOST_AT, STAGE
from dsbuild.filters.funnel_rules import rules_of, step
from dsbuild.filters.generated_texts import FIRST, released, texts_of
from dsbuild.filters.query_shapes import Shapes, distance
from dsbuild.filters.settle import Settle
from dsbuild.graph import Progress

N_SAMPLES = 3
_EXCERPT = 200
_DUPLICATES = "duplicates"
_VERDICTS = ["table", "lang", "id", "stage", "outcome", "rule", "value", "op", "threshold", "primary", "detail"]
# The text in which an evaluation item was found.
_FOUND_IN = "contamination_field"

# Shards with the columns id, lost_at, the texts and perhaps where an evaluation item was found; and shards of verdicts; read as often as asked for.
Shards = Callable[[], Iterable[pa.Table]]
# A lost row: the negated hash of its id, so that a heap gives up the highest one; the id; its columns.
_Sample = tuple[int, str, dict[str, Any]]


def funnel_facts(
    plan: FunnelPlan, part: Funnelled, progress: Progress, *, table: str = "queries", samples: int = N_SAMPLES, real: Shapes | None = None
) -> dict[str, Any]:  # fmt: skip
    """What a manifest says of the funnel of one language (`manifest["funnel"][lang]`), from a finished build.

    real: people's queries in this language to compare with (`Shapes`), None where there are none.
    """
    steps = [
        {
            **asdict(one),
            **_without_scores(part.lang, one.name, progress),
            "about": step(one.name).about,
            "rules": _rules(plan, part.lang, one.name, progress),
        }
        for one in part.states
    ]

    texts = [released(name, table) for name in plan.texts]

    def rows() -> Iterator[pa.Table]:
        for shard in progress.shards(part.rows):
            found = [_FOUND_IN] if _FOUND_IN in pq.read_schema(shard.path).names else []
            yield parquet.read(shard.path, ["id", *plan.texts, LOST_AT, *found]).rename_columns(
                ["id", *texts, LOST_AT, *found]
            )

    def verdicts() -> Iterator[pa.Table]:
        for node in part.nodes:
            for record in progress.done[node.name]:
                if record.verdicts.rows:
                    yield parquet.read(progress.store.path(record.key, record.verdicts.file), _VERDICTS)

    told = _told(part.lang, table, texts, steps, rows, verdicts, samples, real)
    told["judged"] = progress.done[part.judged.node][0].facts if part.judged else None
    return told


def _without_scores(lang: str, name: str, progress: Progress) -> dict[str, Any]:
    """A step that had nothing to compare did not run: no row has its score (a generator without log-probabilities)."""
    records = progress.done.get(f"funnel.cutoff.{name}.{lang}", ())
    if not records or any(record.facts["scored"] for record in records):
        return {}
    if not any(record.facts.get("left", 1) for record in records):
        return {"ran": False, "why": "no row was left"}
    return {"ran": False, "why": f"no row has the score {records[0].descriptor['params']['column']}"}


def _rules(plan: FunnelPlan, lang: str, name: str, progress: Progress) -> list[dict[str, Any]]:
    """The rules of a step with their thresholds."""
    if name == _DUPLICATES:
        return [
            {
                "rule": "exact_duplicate",
                "column": "duplicate_jaccard",
                "op": ">=",
                "threshold": 1.0,
                "source": "definition",
                "action": "drop",
            },
            {
                "rule": "near_duplicate",
                "column": "duplicate_jaccard",
                "op": ">=",
                "threshold": plan.near.jaccard,
                "source": plan.near_source,
                "action": "drop",
            },
        ]
    found = [
        {
            "rule": one.name,
            "column": one.column,
            "op": one.op,
            "threshold": one.value,
            "source": one.source,
            "action": one.action,
        }
        for one in rules_of(name, lang, plan.said.get(name, {}), plan.texts)
    ]
    for record in progress.done.get(f"funnel.cutoff.{name}.{lang}", ()):
        found += [
            {"rule": f"{name}.below_cutoff", "column": row["column"], "op": "<", "threshold": row["threshold"], "source": row["source"],
             "action": "drop"}
            for shard in record.outputs["out"]
            for row in parquet.read(progress.store.path(record.key, shard.file)).to_pylist()
        ]  # fmt: skip
    return found


def facts_of_release(
    folder: Path, *, samples: int = N_SAMPLES, real: Mapping[str, Shapes] | None = None
) -> dict[str, dict[str, Any]]:
    """The same of every language of a release, counted in its files. real: other queries to compare with, by language."""
    manifest = release.read_manifest(folder)
    held = manifest.get("funnel")
    if not held:
        raise ReleaseError(f"{folder}: made by {command_of(manifest)}: no queries of it went through a funnel")
    if real is not None and not set(real) & set(held):
        raise UnknownName("language of this release (--real)", ", ".join(real), list(held))
    found = {}
    for lang, told in held.items():
        table = told["table"]
        # Releases of before every text was looked at know of the first only.
        texts = told.get("texts", [released(name, table) for name in FIRST])

        def rows(
            lang: str = lang, table: str = table, id_column: str = IDS[table], texts: Sequence[str] = texts
        ) -> Iterator[pa.Table]:
            for prefix, lost in ((f"{lang}-{table}/", False), (f"dropped/{lang}-{table}-", True)):
                for shard in release.read_part(folder, prefix):
                    if "origin" in shard.column_names:
                        shard = shard.filter(pc.equal(shard["origin"], "generated"))
                    at = shard[LOST_AT] if lost else pa.repeat(pa.scalar(""), shard.num_rows)
                    found = [_FOUND_IN] if _FOUND_IN in shard.column_names else []
                    columns = [shard[id_column], at, *(shard[name] for name in (*texts, *found))]
                    yield pa.table(columns, names=["id", LOST_AT, *texts, *found])

        def verdicts() -> Iterator[pa.Table]:
            return release.read_part(folder, "dropped/verdicts-", _VERDICTS)

        shapes = (real or {}).get(lang) or (Shapes.of_json(told["real"]) if told["real"] else None)
        kept = ("name", "ran", "why", "by", "about")
        steps = [
            {**{key: one[key] for key in kept}, "rules": [{k: v for k, v in rule.items() if k not in _COUNTED} for rule in one["rules"]]}
            for one in told["steps"]
        ]  # fmt: skip
        found[lang] = {
            **_told(lang, table, texts, steps, rows, verdicts, samples, shapes),
            "judged": told.get("judged"),
        }
    return found


# What is counted of a rule.
_COUNTED = ("lost", "flagged")


def _told(
    lang: str, table: str, texts: Sequence[str], steps: Sequence[dict[str, Any]], rows: Shards, verdicts: Shards, samples: int,
    real: Shapes | None,
) -> dict[str, Any]:  # fmt: skip
    lost: Counter[str] = Counter()
    shapes = Shapes()
    chosen: dict[str, list[_Sample]] = {}
    total = 0
    for shard in rows():
        total += shard.num_rows
        lost.update(shard[LOST_AT].to_pylist())
        shapes.add(shard.filter(pc.equal(shard[LOST_AT], ""))[texts[0]].to_pylist(), lang)
        _choose(chosen, shard.filter(pc.not_equal(shard[LOST_AT], "")), samples)
    wanted = pa.array(sorted({key for held in chosen.values() for _, key, _ in held}), pa.string())
    by_rule, flagged, reasons = _counted(lang, table, verdicts, wanted)
    made = []
    left = total
    for one in steps:
        entered, left = left, left - lost[one["name"]]
        rules = [{**rule, "lost": by_rule[rule["rule"]], "flagged": flagged[rule["rule"]]} for rule in one["rules"]]
        shown = [
            {"id": key, "text": _excerpt(row, texts, reasons.get(key, {})), **reasons.get(key, {})}
            for _, key, row in sorted(chosen.get(one["name"], ()), key=lambda held: (-held[0], held[1]))
        ]
        counts = {
            "in": entered,
            "lost": lost[one["name"]],
            "left": left,
            "flagged": sum(rule["flagged"] for rule in rules),
        }
        made.append({**one, "rules": rules, **counts, "samples": shown})
    return {
        "table": table, "texts": list(texts),
        "in": total, "kept": lost[""], "steps": made, "generated": shapes.as_json(), "real": real.as_json() if real else None,
        "distance": {name: distance(getattr(shapes, name), getattr(real, name)) for name in ("lengths", "kinds")} if real else None,
    }  # fmt: skip


def _choose(chosen: dict[str, list[_Sample]], rows: pa.Table, samples: int) -> None:
    """Of each step the rows whose ids hash lowest: the same in every run, whatever the order of the rows."""
    if not samples:
        return
    for place, (key, at) in enumerate(zip(*(rows[name].to_pylist() for name in ("id", LOST_AT)), strict=True)):
        held = chosen.setdefault(at, [])
        entry = (-xxhash.xxh3_64_intdigest(key.encode()), key)
        if len(held) < samples:
            heapq.heappush(held, (*entry, rows.slice(place, 1).to_pylist()[0]))
        elif entry > held[0][:2]:
            heapq.heapreplace(held, (*entry, rows.slice(place, 1).to_pylist()[0]))


def _excerpt(row: Mapping[str, Any], texts: Sequence[str], reason: Mapping[str, Any]) -> str:
    """The beginning of the text that a row was lost by: that of the rule's ending, of contamination that where the item stands."""
    rule = reason.get("rule", "")
    name = texts[0]
    if rule.startswith("contamination.") and row.get(_FOUND_IN) in texts:
        name = row[_FOUND_IN]
    for one in texts_of(texts):
        if one.ending and rule.endswith(one.ending):
            name = one.column
    text = str(row[name])
    return text if len(text) <= _EXCERPT else f"{text[: _EXCERPT - 1]}…"


def _counted(
    lang: str, table: str, verdicts: Shards, wanted: pa.Array
) -> tuple[Counter[str], Counter[str], dict[str, dict[str, Any]]]:
    """Rows by the rule that lost them, rows by the rules that flag them, and why some rows were lost."""
    by_rule: Counter[str] = Counter()
    flagged: Counter[str] = Counter()
    reasons: dict[str, dict[str, Any]] = {}
    for shard in verdicts():
        mine = pc.and_(pc.equal(shard["lang"], lang), pc.equal(shard["table"], table))
        stages = pa.array([STAGE, Settle.name])
        shard = shard.filter(pc.and_(mine, pc.is_in(shard["stage"], stages)))
        primary = shard.filter(pc.and_(shard["primary"], pc.equal(shard["outcome"], "dropped")))
        by_rule.update(primary["rule"].to_pylist())
        flagged.update(shard.filter(pc.equal(shard["outcome"], "flagged"))["rule"].to_pylist())
        for row in primary.filter(pc.is_in(primary["id"], wanted)).to_pylist():
            reasons[row["id"]] = {key: row[key] for key in ("rule", "value", "op", "threshold", "detail")}
    return by_rule, flagged, reasons
