"""Stop a bad run early: translate and check the first units, and look at what would be lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dsbuild import executors, parquet, run
from dsbuild.builders.translation.translated import Prepared
from dsbuild.errors import EngineError
from dsbuild.executors import Executor
from dsbuild.graph import ordered, units
from dsbuild.run import Reporter
from dsbuild.store import Store

_MIN_SEGMENTS = 50
_BEFORE_MODELS = ("read", "sound", "limit", "mend", "segment", "unique")


def stop_if_bad(prepared: Prepared, store: Store, executor: Executor, reporter: Reporter) -> None:
    """Run the first unit of each language and raise if more than `max_drop` of its segments fail or break a rule.

    The units are kept like all others, so a run that goes on has lost nothing. Does nothing without `max_drop`.
    """
    limit = prepared.recipe.max_drop
    if limit is None:
        return
    from dsbuild.filters.decide import decide, load_thresholds

    nodes = ordered(prepared.nodes)
    first = [node for node in nodes if node.name.partition(".")[0] in _BEFORE_MODELS]
    progress = run.run(first, store, prepared.recipe.title(), executor, reporter)
    history = run.History(store, prepared.recipe.title())
    # One shard only: the probe's nodes see the first unit of each language.
    unique = progress.done["unique"][0]
    progress.done["unique"] = [replace(unique, outputs={**unique.outputs, "out": unique.outputs["out"][:1]})]
    for node in nodes:
        kind, _, lang = node.name.partition(".")
        if kind not in ("examples", "translate", "check"):
            continue
        chosen = units(node, progress)[:1]
        records = []
        for unit in chosen:
            record = executors.run_unit(store, unit)
            history.note(unit)
            records.append(record)
        progress.done[node.name] = records
        if kind == "check" and chosen:
            translated = parquet.read(store.paths(progress.done[f"translate.{lang}"][0], "out")[0])
            checked = parquet.read(store.paths(records[0], "out")[0])
            for name in checked.column_names:
                if name != "uid":
                    translated = translated.append_column(name, checked[name])
            rules = [rule for rule in load_thresholds(prepared.recipe.bitext, tgt=lang) if rule.action == "drop"]
            bad: Counter[str] = Counter()
            for failure in translated["failure"].to_pylist():
                if failure:
                    bad[failure.partition(": ")[0]] += 1
            for found in decide(translated, rules).verdicts:
                if found.primary and not translated["failure"][found.index].as_py():
                    bad[found.rule] += 1
            total = translated.num_rows
            if total >= _MIN_SEGMENTS and bad.total() > limit * total:
                rule, number = bad.most_common(1)[0]
                raise EngineError(
                    f"{lang}: {bad.total()} of the first {total} segments are bad (most: {rule}, {number}), above --max-drop {limit:.0%}; "
                    f"nothing was released; look at the engine and the language, or raise --max-drop"
                )


def stop_if_lost(limit: float | None, accounting: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise before anything is released if a language lost more than `limit` (`max_drop`) of its rows; finished units are kept."""
    if limit is None:
        return
    for lang, tables in accounting.items():
        rows = [row for table, row in tables.items() if table != "qrels"]
        n_in = sum(row["in"] for row in rows)
        lost = sum(row["dropped"] + row["failed"] for row in rows)
        if n_in and lost > limit * n_in:
            reasons: Counter[str] = Counter()
            for row in rows:
                reasons.update(row["reasons"])
            rule, number = reasons.most_common(1)[0]
            raise EngineError(
                f"{lang}: {lost} of {n_in} rows would be lost (most: {rule}, {number}), above --max-drop {limit:.0%}; "
                "nothing was released; look at the engine and the language, or raise --max-drop"
            )
