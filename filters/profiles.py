"""Which filters a kind of text gets, and the thresholds of each: profiles, groups and rules as data.

A group is a filter by name (`gopher`); its rules are `rules/<group>.yaml`. A rule's threshold comes, in rising order of
precedence, from the group's default, its value for the profile, the chosen thresholds for the row's language (`fineweb2`, or
a file that `dsbuild calibrate` wrote), and the user (`--set gopher.min_words=30`). Where it came from stays with every verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from dsbuild.errors import RecipeError, UnknownName
from dsbuild.filters.decide import Rule, set_by_user, threshold
from dsbuild.stage import digest

if TYPE_CHECKING:
    from dsbuild.filters.calibration import Calibration

_FOLDER = Path(__file__).parent
_PROFILES = _FOLDER / "profiles.yaml"
_RULES = _FOLDER / "rules"
DEFAULT_THRESHOLDS = "default"
# All other thresholds are a file of `dsbuild calibrate`.
NAMED_THRESHOLDS = (DEFAULT_THRESHOLDS, "fineweb2")


class Threshold(Protocol):
    """A value for one rule and where it comes from."""

    @property
    def value(self) -> float:
        """The bound."""

    @property
    def source(self) -> str:
        """Where it comes from, such as `fineweb2:hin_Deva`."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of text: the table it is for, and its filters in order (scorers, then those that look at all rows)."""

    name: str
    about: str
    table: str
    groups: tuple[str, ...]
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GroupRule:
    """A rule of a group before profile and language are known; `by_profile` may turn it off with None."""

    rule: Rule
    by_profile: Mapping[str, float | None]


def profile(name: str) -> Profile:
    """A profile by name; `UnknownName` with the nearest one."""
    found = _profiles()
    if name not in found:
        raise UnknownName("profile", name, found)
    return found[name]


def profile_names() -> list[str]:
    """The names of all profiles, in the order of the file."""
    return list(_profiles())


@lru_cache(maxsize=1)
def _profiles() -> dict[str, Profile]:
    data = yaml.safe_load(_PROFILES.read_text("utf-8"))
    return {
        name: Profile(name, entry["about"], entry["table"], tuple(entry["groups"]), entry.get("options", {}))
        for name, entry in data.items()
    }


def groups_with_rules() -> list[str]:
    """The groups that have a file of rules."""
    return sorted(path.stem for path in _RULES.glob("*.yaml"))


@lru_cache(maxsize=64)
def group_rules(group: str) -> tuple[GroupRule, ...]:
    """The rules of a group in order, as its file gives them; none for a group without a file."""
    path = _RULES / f"{group}.yaml"
    if not path.exists():
        return ()
    data = yaml.safe_load(path.read_text("utf-8"))
    entries = list(data["rules"])
    if "like" in data:
        prefix = data["prefix"]
        shared = yaml.safe_load((_FOLDER / data["like"]).read_text("utf-8"))["rules"]
        entries = [{**entry, "column": prefix + entry["column"]} for entry in shared] + entries
    return tuple(
        GroupRule(
            Rule(
                f"{group}.{entry['name']}", entry["column"], entry["op"], entry.get("value"), entry["action"], (), None,
                entry.get("source", data.get("source", DEFAULT_THRESHOLDS)), entry.get("key", ""), bool(entry.get("prior", False)),
                entry.get("by_lang", {}),
            ),
            entry.get("by_profile", {}),
        )
        for entry in entries
    )  # fmt: skip


def rules_for(
    groups: Iterable[str],
    profile_name: str,
    lang: str,
    settings: Mapping[str, Mapping[str, Any]],
    thresholds: str | Calibration,
) -> list[Rule]:
    """The rules of some groups for rows of one language, those that are off left out.

    settings: group -> key -> value, as the user said (None turns a rule off); thresholds: "default", "fineweb2", a calibration or the path of one.
    """
    chosen = language_thresholds(thresholds, lang)
    found: list[Rule] = []
    for group in groups:
        said = settings.get(group, {})
        for one in group_rules(group):
            rule = one.rule
            if profile_name in one.by_profile:
                rule = replace(rule, value=one.by_profile[profile_name], source=f"profile:{profile_name}")
            if lang in rule.by_lang:
                rule = replace(rule, value=rule.by_lang[lang])
            key = f"{group}.{rule.key}"
            if rule.key and key in chosen and rule.value is not None:
                rule = replace(rule, value=chosen[key].value, source=chosen[key].source)
            if rule.key in said:
                rule = set_by_user(rule, key, said[rule.key])
            if rule.op == "is" or rule.value is not None:
                found.append(rule)
    return found


def language_thresholds(thresholds: str | Calibration, lang: str) -> Mapping[str, Threshold]:
    """`group.key` -> threshold of a language from a named collection, a calibration or a file of one; nothing for "default"."""
    if not isinstance(thresholds, str):
        return thresholds.thresholds(lang)
    if thresholds == DEFAULT_THRESHOLDS:
        return {}
    if thresholds == "fineweb2":
        from dsbuild.filters.quality_thresholds import fineweb2

        return fineweb2(lang)
    from dsbuild.filters.calibration import read_calibration

    return read_calibration(Path(thresholds)).thresholds(lang)


def check_thresholds(thresholds: str) -> None:
    """Refuse a collection that there is not, or a file that is no calibration."""
    if thresholds in NAMED_THRESHOLDS:
        return
    if not Path(thresholds).expanduser().is_file():
        raise RecipeError(f"thresholds: {thresholds!r} is neither default, fineweb2 nor a file of dsbuild calibrate")
    language_thresholds(thresholds, "und")


def split_settings(
    group: str, given: Mapping[str, Any], options: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A group's settings as (options of the filter, thresholds); an unknown key names the nearest."""
    keys = {one.rule.key for one in group_rules(group) if one.rule.key}
    for key in given:
        if key not in keys and key not in options:
            raise UnknownName("setting", f"{group}.{key}", [f"{group}.{known}" for known in [*keys, *options]])
    for key in keys & given.keys():
        if given[key] is not None:
            threshold(f"{group}.{key}", given[key])
    return {key: value for key, value in given.items() if key in options and key not in keys}, {
        key: value for key, value in given.items() if key in keys
    }


def rules_digest(groups: Iterable[str], thresholds: str) -> str:
    """What decides besides the settings: the rules' files and the chosen thresholds."""
    parts = [_PROFILES.read_bytes()]
    paths = [path for group in groups if (path := _RULES / f"{group}.yaml").exists()]
    parts += [path.read_bytes() for path in paths]
    parts += [
        (_FOLDER / like).read_bytes() for path in paths if (like := yaml.safe_load(path.read_text("utf-8")).get("like"))
    ]
    if thresholds == "fineweb2":
        parts.append((_RULES / "fineweb2.tsv").read_bytes())
    elif thresholds != DEFAULT_THRESHOLDS:
        parts.append(Path(thresholds).expanduser().read_bytes())
    return digest(*parts)
