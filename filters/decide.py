"""Score, then decide: rules with thresholds, and the verdicts that follow from a table of scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from dsbuild.errors import RecipeError, UnknownName

Op = Literal[">", ">=", "<", "abs>", "is"]
Action = Literal["drop", "flag"]

_FILE = Path(__file__).with_name("thresholds.yaml")
_GROUP = "bitext."


@dataclass(frozen=True, slots=True)
class Rule:
    """A row fails the rule when its score in `column` stands in relation `op` to `value`; a null score passes.

    op: ">", ">=", "<", "abs>" (absolute value), "is" (a boolean that is true; `value` is then None). action: drop or flag.
    tables: where it applies; langs: to which target languages (None: all); source: where the threshold comes from.
    key: the name of its setting, "" if it has none; prior: whether the bound may only be narrowed; by_lang: default
    values of some target languages.
    """

    name: str
    column: str
    op: Op
    value: float | None
    action: Action
    tables: tuple[str, ...]
    langs: tuple[str, ...] | None = None
    source: str = "default"
    key: str = ""
    prior: bool = False
    by_lang: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """One failed rule of one row. primary: the row's first failed rule in the order of the rules."""

    index: int
    rule: str
    action: Action
    value: float
    op: Op
    threshold: float | None
    source: str
    primary: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """keep: one boolean per row, false where a rule with action "drop" failed; verdicts: every failed rule, by row."""

    keep: pa.BooleanArray
    verdicts: tuple[Found, ...]


def load_thresholds(
    settings: Mapping[str, Any] | None = None, *, tgt: str | None = None, force: bool = False
) -> list[Rule]:
    """The default rules with a run's settings put over them, in order; rules that are off are left out.

    settings: key (with or without "bitext.") -> value, None to turn a rule off; an unknown key raises `UnknownName`, a value that
    is no number `RecipeError`. Widening a bound that comes from the prior is a `RecipeError` that names the bound, unless `force`.
    tgt: the target language; rules for other languages are left out.
    """
    rules = [replace(rule, value=rule.by_lang.get(tgt or "", rule.value)) for rule in _defaults()]
    places = {rule.key: place for place, rule in enumerate(rules) if rule.key}
    for name, raw in (settings or {}).items():
        key = name.removeprefix(_GROUP)
        if key not in places:
            raise UnknownName("setting", name, [_GROUP + known for known in places])
        rules[places[key]] = set_by_user(rules[places[key]], _GROUP + key, raw, force=force)
    return [
        rule
        for rule in rules
        if (rule.op == "is" or rule.value is not None) and (tgt is None or rule.langs is None or tgt in rule.langs)
    ]


def decide(table: pa.Table, rules: Sequence[Rule]) -> Decision:
    """Compare the score columns of a table with the rules; a rule whose column the table has not is skipped.

    Every failed rule of every row is reported, rows in order and rules in theirs. Score columns are numbers or booleans.
    """
    dropped = np.zeros(len(table), np.bool_)
    rows: list[npt.NDArray[np.int64]] = []
    places: list[npt.NDArray[np.int64]] = []
    values: list[npt.NDArray[np.float64]] = []
    for place, rule in enumerate(rules):
        if rule.column not in table.column_names:
            continue
        column = scores(table[rule.column])
        failed = np.flatnonzero(fails(column, rule))
        if rule.action == "drop":
            dropped[failed] = True
        rows.append(failed)
        places.append(np.full(len(failed), place))
        values.append(column[failed])
    if not rows:
        return Decision(pa.array(~dropped), ())
    row, place_of, value_of = np.concatenate(rows), np.concatenate(places), np.concatenate(values)
    order = np.lexsort((place_of, row))
    row, place_of, value_of = row[order], place_of[order], value_of[order]
    first = np.ones(len(row), np.bool_)
    first[1:] = row[1:] != row[:-1]
    found = tuple(
        Found(index, rules[at].name, rules[at].action, value, rules[at].op, rules[at].value, rules[at].source, primary)
        for index, at, value, primary in zip(
            row.tolist(), place_of.tolist(), value_of.tolist(), first.tolist(), strict=True
        )
    )
    return Decision(pa.array(~dropped), found)


def scores(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """A column as floats, NaN where it is null."""
    values: npt.NDArray[np.float64] = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
    return values


def fails(column: npt.NDArray[np.float64], rule: Rule) -> npt.NDArray[np.bool_]:
    """Which scores fail a rule."""
    # Comparisons with NaN are false, so a null score passes every rule.
    if rule.op == "is":
        return column > 0
    assert rule.value is not None
    if rule.op == "<":
        return column < rule.value
    if rule.op == ">=":
        return column >= rule.value
    return (np.abs(column) if rule.op == "abs>" else column) > rule.value


def threshold(name: str, raw: Any) -> float:
    """A setting's value as a number; `RecipeError` if it is none."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise RecipeError(f"{name}={raw!r}: a threshold is a number, or null to turn the rule off")
    try:
        value = float(raw)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RecipeError(f"{name}={raw!r}: a threshold is a number, or null to turn the rule off")
    return value


def set_by_user(rule: Rule, name: str, raw: Any, *, force: bool = False) -> Rule:
    """A rule with the value that a run says, None to turn it off; `name` is the setting as errors call it.

    A bound that comes from the prior may be narrowed only, unless `force`: anything wider is a `RecipeError`.
    """
    value = None if raw is None else threshold(name, raw)
    if rule.prior and not force and rule.value is not None and (value is None or value > rule.value):
        said = "off" if value is None else f"{value:g}"
        raise RecipeError(
            f"{name}={said} is wider than the prior's bound {rule.value:g}: a run may narrow it, not widen it"
        )
    return replace(rule, value=value, source="user")


@lru_cache(maxsize=1)
def _defaults() -> tuple[Rule, ...]:
    data = yaml.safe_load(_FILE.read_text("utf-8"))
    return tuple(
        Rule(
            entry["name"], entry["column"], entry["op"], entry.get("value"), entry["action"],
            tuple(entry.get("tables", data["tables"])), tuple(entry["langs"]) if "langs" in entry else None,
            entry.get("source", data["source"]), entry.get("key", ""), bool(entry.get("prior", False)), entry.get("by_lang", {}),
        )
        for entry in data["rules"]
    )  # fmt: skip
