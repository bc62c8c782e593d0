"""What other thresholds of a funnel would keep, from the scores in a release: no step is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import release
from dsbuild.builders.filtering.decided import Decided
from dsbuild.builders.funnel.plan import OPTIONS
from dsbuild.builders.sources.opened import IDS
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.filters.decide import Rule, decide
from dsbuild.filters.funnel_rules import rules_of, split
from dsbuild.filters.generated_texts import FIRST
from dsbuild.recipe import apply_settings

_DUPLICATES = "duplicates"


def what_if_funnel(folder: Path, manifest: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Decide again on every generated row of a release, step by step; rows that a later step never scored are told apart.

    settings: `funnel.STEP.THRESHOLD=VALUE`. Duplicates stay what they are: one whose keeper would be lost counts as lost, and is told.
    `RecipeError` or `UnknownName` for a step that did not run, and for what needs a run (another retriever, another share).
    """
    if not settings:
        raise RecipeError("what-if: name a threshold, such as --set funnel.copied.max_share=0.9")
    values = apply_settings({}, settings)
    if unknown := sorted(set(values) - {"funnel"}):
        raise UnknownName("section of thresholds", unknown[0], ["funnel"])
    asked = values["funnel"]
    if not isinstance(asked, Mapping):
        raise RecipeError("what-if: funnel is a section; name a threshold, such as --set funnel.copied.max_share=0.9")
    ran = sorted({one["name"] for told in manifest["funnel"].values() for one in told["steps"] if one["ran"]})
    texts = _texts(*manifest["funnel"].values())
    said = _before(manifest["recipe"].get("funnel", {}), texts)
    for name, given in asked.items():
        if name not in ran:
            raise UnknownName("step that ran", name, ran)
        if not isinstance(given, Mapping):
            raise RecipeError(f"what-if: funnel.{name} is a step with thresholds; write funnel.{name}.THRESHOLD=VALUE")
        if needs := [key for key in given if key in OPTIONS.get(name, ())]:
            raise RecipeError(
                f"what-if: funnel.{name}.{needs[0]} is no threshold of a stored score; build again with it: what a model said is not asked again"
            )
        said[name] = {**said.get(name, {}), **split(name, given, (), texts)[1]}
    tables, unscored, replaced = [], 0, 0
    for lang, told in manifest["funnel"].items():
        decided, without, others = _again(folder, lang, told, said)
        unscored, replaced = unscored + without, replaced + others
        tables.append({"lang": lang, "table": told["table"], **decided.counts({})})
    notes = ["From stored scores; no step was run."]
    if unscored:
        notes.append(f"{unscored:,} rows that would be kept were lost before a later step: not scored downstream.")
    if replaced:
        notes.append(
            f"{replaced:,} rows that would be lost have duplicates that would pass: a build keeps one of these in their place."
        )
    return {"settings": list(settings), "tables": tables, "notes": notes}


def _texts(*told: Mapping[str, Any]) -> list[str]:
    """The texts that the steps looked at; the first alone in releases of before they looked at every one."""
    return list(dict.fromkeys(name for one in told for name in one.get("texts", FIRST)))


def _before(section: Mapping[str, Any], texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The thresholds that the release was made with, by step."""
    found = {}
    for name, given in section.items():
        if name != "stages" and isinstance(given, Mapping):
            found[name] = split(name, given, OPTIONS.get(name, ()), texts)[1]
    return found


def _again(
    folder: Path, lang: str, told: Mapping[str, Any], said: Mapping[str, Mapping[str, Any]]
) -> tuple[Decided, int, int]:
    """What would become of each row; rows that would be kept unscored; rows that stood for others and would be lost where those pass."""
    decided = Decided()
    unscored = 0
    passing: set[str] = set()  # rows that stand for one that passes
    gone: set[str] = set()
    order = {one["name"]: place for place, one in enumerate(told["steps"])}
    for rows, was_kept in _shards(folder, lang, told["table"]):
        before = np.array([order[name] if name else len(order) for name in rows["lost_at"].to_pylist()], np.int64)
        alive = np.ones(rows.num_rows, np.bool_)
        missing = np.zeros(rows.num_rows, np.bool_)
        reasons: dict[int, str] = {}
        for one in told["steps"]:
            if not one["ran"]:
                continue
            if one["name"] == _DUPLICATES:
                failed = np.asarray(pc.is_valid(rows["duplicate_of"]).to_numpy(), np.bool_)
                reasons |= {int(row): _DUPLICATES for row in np.flatnonzero(failed & alive)}
                searched = before >= order[_DUPLICATES]
                passing.update(rows["duplicate_of"].filter(pa.array(failed & alive)).to_pylist())
                gone.update(rows[IDS[told["table"]]].filter(pa.array(~failed & ~alive & searched)).to_pylist())
                unknown = before < order[one["name"]]
            else:
                rules = [
                    rule for rule in _rules(one, lang, said.get(one["name"], {}), _texts(told)) if rule.action == "drop"
                ]
                failed = np.zeros(rows.num_rows, np.bool_)
                for found in decide(rows, rules).verdicts:
                    failed[found.index] = True
                    if alive[found.index]:
                        reasons.setdefault(found.index, found.rule)
                unknown = _unscored(rows, rules)
            missing |= alive & unknown & (before < order[one["name"]])
            alive &= ~failed
        unscored += int((alive & missing).sum())
        decided.add([""] * rows.num_rows, was_kept, alive.tolist())
        decided.reasons.update(reasons[row] for row in np.flatnonzero(~alive).tolist())
    return decided, unscored, len(passing & gone)


def _rules(one: Mapping[str, Any], lang: str, said: Mapping[str, Any], texts: Sequence[str]) -> list[Rule]:
    """The rules of a step: with other thresholds, and those that were found from all rows as they were."""
    kept = [
        Rule(rule["rule"], rule["column"], rule["op"], rule["threshold"], rule["action"], ())
        for rule in one["rules"]
        if rule["rule"].endswith(".below_cutoff")
    ]
    return [*rules_of(one["name"], lang, said, texts), *kept]


def _unscored(rows: pa.Table, rules: Sequence[Rule]) -> np.ndarray[Any, Any]:
    """Rows that have none of the scores that the rules look at."""
    columns = [rule.column for rule in rules if rule.column in rows.column_names]
    if not columns:
        return np.zeros(rows.num_rows, np.bool_)
    return np.asarray(np.all([pc.is_null(rows[name]).to_numpy() for name in columns], axis=0), np.bool_)


def _shards(folder: Path, lang: str, table: str) -> Iterator[tuple[pa.Table, bool]]:
    """The generated rows of a table, kept ones first, each with the step that lost it."""
    for prefix, kept in ((f"{lang}-{table}/", True), (f"dropped/{lang}-{table}-", False)):
        for shard in release.read_part(folder, prefix):
            if "origin" in shard.column_names:
                shard = shard.filter(pc.equal(shard["origin"], "generated"))
            if kept and "lost_at" not in shard.column_names:
                shard = shard.append_column("lost_at", pa.repeat(pa.scalar(""), shard.num_rows))
            yield shard, kept
