"""The steps of the funnel that generated queries pass, and the rules of each as data (`funnel.yaml`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from dsbuild.errors import RecipeError, UnknownName
from dsbuild.filters.decide import Rule, threshold
from dsbuild.filters.generated_texts import FIRST, RowText, texts_of
from dsbuild.filters.profiles import DEFAULT_THRESHOLDS, rules_digest, rules_for, split_settings
from dsbuild.stage import digest

_FOLDER = Path(__file__).parent
_FILE = _FOLDER / "funnel.yaml"
# Lists that the scorers of steps read, beside those of the language filter.
LISTS = ("leaked_words.tsv", "dangling_words.tsv")
ACTIONS = ("drop", "flag")
# A setting of every step that has rules: what becomes of a row that fails one of them.
ACTION = "action"
# What a rule is of: the row as a whole, each of its texts, or (by its kind) those that are queries or documents.
ROW, EACH = "row", "each"


@dataclass(frozen=True, slots=True)
class StepRule:
    """A rule of a step, and what it is of: "row", "each" text, or the texts of a kind ("query", "document")."""

    rule: Rule
    of: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    usual: whether it runs unless a recipe says otherwise; needs: "passages" or ""; group: whose rules it has beside its own; of: what those are of.
    """

    name: str
    about: str
    usual: bool
    needs: str
    group: str
    profile: str
    of: str
    rules: tuple[StepRule, ...]


@lru_cache(maxsize=1)
def steps() -> dict[str, Step]:
    """All steps by name, cheap to dear."""
    data = yaml.safe_load(_FILE.read_text("utf-8"))
    return {entry["name"]: _step(entry, data) for entry in data["steps"]}


def _step(entry: Mapping[str, Any], data: Mapping[str, Any]) -> Step:
    of = entry.get("of", ROW)
    rules = tuple(
        StepRule(
            Rule(
                f"{entry['name']}.{one['name']}", one["column"], one["op"], one.get("value"), one["action"], (),
                source=one.get("source", entry.get("source", data["source"])), key=one.get("key", ""), by_lang=one.get("by_lang", {}),
            ),
            one.get("of", of),
        )
        for one in entry.get("rules", ())
    )  # fmt: skip
    return Step(
        entry["name"], entry["about"], bool(entry["usual"]), entry.get("needs", ""), entry.get("group", ""), data["profile"], of, rules
    )  # fmt: skip


def step(name: str) -> Step:
    """A step by name; `UnknownName` with the nearest."""
    found = steps()
    if name not in found:
        raise UnknownName("step of the funnel", name, found)
    return found[name]


def split(
    name: str, given: Mapping[str, Any], options: Sequence[str], texts: Sequence[str] = FIRST
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a recipe says of a step as (options, thresholds and action); an unknown key names the nearest.

    A threshold is a number, or None for a rule that is off. texts: columns of a row's texts (`generated_texts`); a threshold of a kind that is not
    among them is unknown.
    """
    one = step(name)
    group_keys = _group_keys(one)
    own = {
        found.rule.key
        for found in one.rules
        if found.rule.key and any(_is_of(found.of, text) for text in texts_of(texts))
    }
    action = [ACTION] if one.rules or one.group else []
    said_options: dict[str, Any] = {}
    said: dict[str, Any] = {}
    for key, value in given.items():
        if key in options:
            said_options[key] = value
        elif key == ACTION and action:
            if value not in ACTIONS:
                raise UnknownName(f"funnel.{name}.{ACTION}", str(value), ACTIONS)
            said[key] = value
        elif key in own or key in group_keys:
            if value is None and key in group_keys:
                raise RecipeError(f"funnel.{name}.{key}: a threshold is a number")
            said[key] = None if value is None else threshold(f"funnel.{name}.{key}", value)
        else:
            known = [*own, *group_keys, *options, *action]
            raise UnknownName("setting", f"funnel.{name}.{key}", [f"funnel.{name}.{other}" for other in known])
    return said_options, said


def _group_keys(one: Step) -> list[str]:
    if not one.group:
        return []
    found = rules_for([one.group], one.profile, "und", {}, DEFAULT_THRESHOLDS)
    return [rule.key for rule in found if rule.key]


def _is_of(of: str, text: RowText) -> bool:
    """Whether a rule looks at a text; one of the row stands with the first."""
    return of in (EACH, text.kind) or (of == ROW and not text.ending)


def rules_of(name: str, lang: str, said: Mapping[str, Any], texts: Sequence[str] = FIRST) -> list[Rule]:
    """The rules of a step for a language, those that are off left out; said: what a recipe says of it (`split`).

    texts: columns of a row's texts. Rules of the first come first; those of another one have its ending on their names and columns.
    """
    one = step(name)
    known: list[StepRule] = []
    if one.group:
        settings = {key: value for key, value in said.items() if key in _group_keys(one)}
        split_settings(one.group, settings, ())
        for rule in rules_for([one.group], one.profile, lang, {one.group: settings}, DEFAULT_THRESHOLDS):
            known.append(StepRule(replace(rule, name=f"{name}.{rule.name.partition('.')[2]}"), one.of))
    for each in one.rules:
        rule = each.rule
        if lang in rule.by_lang:
            rule = replace(rule, value=rule.by_lang[lang])
        if rule.key and rule.key in said:
            rule = replace(rule, value=said[rule.key], source="user")
        if rule.op == "is" or rule.value is not None:
            known.append(StepRule(rule, each.of))
    if ACTION in said:
        known = [replace(each, rule=replace(each.rule, action=said[ACTION])) for each in known]
    return [
        replace(each.rule, name=f"{each.rule.name}{text.ending}", column=f"{each.rule.column}{text.ending}")
        for text in texts_of(texts)
        for each in known
        if _is_of(each.of, text)
    ]


def funnel_digest(names: Iterable[str]) -> str:
    """What decides in some steps besides their settings: the files of their rules and lists."""
    groups = [step(name).group for name in names if step(name).group]
    return digest(_FILE.read_bytes(), rules_digest(groups, DEFAULT_THRESHOLDS))


@lru_cache(maxsize=1)
def lists_digest() -> str:
    """The lists that scorers of queries read."""
    return digest(*((_FOLDER / name).read_bytes() for name in LISTS))
