"""Scorers from settings: what may be set of each, and one object for all groups that one class serves."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from dsbuild.errors import RecipeError
from dsbuild.filters import SCORERS


def option_names(group: str) -> list[str]:
    """What of a scorer may be set besides its thresholds: the fields of its class."""
    if group == "language":
        return ["model"]
    return [name for name in _fields(SCORERS.get(group)) if name != "groups"]


def scorers_of(groups: Sequence[str], options: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The scorers of some groups; groups that one class serves are scored in one pass, with the options of all of them.

    A value of the wrong kind is a `RecipeError`.
    """
    by_class: dict[str, list[str]] = {}
    for group in groups:
        by_class.setdefault(SCORERS.target(group), []).append(group)
    made: dict[str, Any] = {}
    for served in by_class.values():
        kind = SCORERS.get(served[0])
        given = {key: value for group in served for key, value in options[group].items()}
        if "groups" in _fields(kind):
            given["groups"] = tuple(served)
        if missing := [name for name in _required(kind) if name not in given]:
            raise RecipeError(f"{served[0]}: needs {missing[0]}; say --set {served[0]}.{missing[0]}=VALUE")
        try:
            made["+".join(served)] = kind(**given)
        except (TypeError, ValueError) as error:
            raise RecipeError(f"{served[0]}: {error}") from error
    return made


def _required(kind: Any) -> list[str]:
    none = dataclasses.MISSING
    return [one.name for one in dataclasses.fields(kind) if one.init and one.default is one.default_factory is none]


def _fields(kind: Any) -> list[str]:
    return [one.name for one in dataclasses.fields(kind) if one.init]
