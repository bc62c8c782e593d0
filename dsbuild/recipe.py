"""Recipes: one strict YAML file per build. An unknown key or a wrong value is an error with file and line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from dsbuild.errors import RecipeError, UnknownName


class Section(BaseModel):
    """A part of a recipe: unknown keys are refused, values are not changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OpenSection(Section):
    """A section whose further keys are options of what it names.

    Their order says nothing, and a manifest does not keep it: they are sorted, so that a recipe that comes out of a manifest is written as it was.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _sorted(cls, values: Any) -> Any:
        return in_order(values)


def in_order(value: Any) -> Any:
    """A value with the keys of every mapping in it sorted.

    >>> in_order({"b": 1, "a": {"d": 2, "c": 3}})
    {'a': {'c': 3, 'd': 2}, 'b': 1}
    """
    if isinstance(value, Mapping):
        return {key: in_order(value[key]) for key in sorted(value, key=str)}
    return [in_order(one) for one in value] if isinstance(value, list) else value


Model = TypeVar("Model", bound=BaseModel)

Path_ = tuple[str | int, ...]


def read_yaml(path: Path) -> tuple[dict[str, Any], dict[Path_, int]]:
    """A recipe file as plain values, and the line (1-based) on which each key stands."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as a recipe ({error})") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RecipeError(f"{path}:{line}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:
        # Characters that YAML has not, and dates that no calendar has.
        raise RecipeError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path}:1: a recipe is a mapping of keys, such as 'source:' and 'langs:'")
    lines: dict[Path_, int] = {}
    _lines(node, (), lines)
    return values, lines


def _lines(node: Any, path: Path_, lines: dict[Path_, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            lines[inner] = key.start_mark.line + 1
            _lines(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*path, index)] = value.start_mark.line + 1
            _lines(value, (*path, index), lines)


def apply_settings(values: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Put `a.b=c` settings over recipe values; the right side is read as YAML.

    >>> apply_settings({"bitext": {"max_loop": 0.2}}, ["bitext.max_loop=0.3", "parallel=true"])
    {'bitext': {'max_loop': 0.3}, 'parallel': True}
    """
    result = dict(values)
    for setting in settings:
        name, equals, raw = setting.partition("=")
        keys = name.strip().split(".")
        if not equals or not all(keys):
            raise RecipeError(f"--set {setting}: write it as a.b=value")
        try:
            value = yaml.safe_load(raw) if raw else ""
        except (yaml.YAMLError, ValueError) as error:
            raise RecipeError(f"--set {setting}: the value is not YAML ({error})") from error
        target = result
        for key in keys[:-1]:
            inner = target.get(key)
            if inner is not None and not isinstance(inner, Mapping):
                raise RecipeError(f"--set {setting}: {key} is a value, not a section")
            target[key] = dict(inner or {})
            target = target[key]
        target[keys[-1]] = value
    return result


def validate(
    model: type[Model], values: Mapping[str, Any], *, where: str = "recipe", lines: Mapping[Path_, int] | None = None
) -> Model:
    """Values as a recipe model; the first problem is a `RecipeError` that names file, line and key."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        path: Path_ = tuple(problem["loc"])
        at = _line_of(path, lines or {})
        place = f"{where}:{at}" if at else where
        key = ".".join(str(part) for part in path)
        if problem["type"] == "extra_forbidden":
            known = _keys_at(model, path[:-1])
            # A key that no line of the file has was said beside it.
            place = "options" if lines and path not in lines else place
            raise RecipeError(f"{place}: {UnknownName('key', str(path[-1]), known)}") from None
        said = problem["msg"]
        if problem["type"] in ("model_type", "dict_type", "mapping_type"):
            inner = _keys_at(model, path)
            said = "a section of keys is needed" + (f", of {', '.join(inner)}" if inner else "")
        elif problem["type"] in ("tuple_type", "list_type"):
            said = "a list is needed, such as [a, b]"
        raise RecipeError(f"{place}: {key}: {said} (got {problem.get('input')!r})") from None


def _line_of(path: Path_, lines: Mapping[Path_, int]) -> int | None:
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def _keys_at(model: type[BaseModel], path: Path_) -> list[str]:
    current: Any = model
    for part in path:
        field = (
            current.model_fields.get(str(part))
            if isinstance(current, type) and issubclass(current, BaseModel)
            else None
        )
        inner = list(getattr(field.annotation, "__args__", None) or [field.annotation]) if field else []
        current = next((kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if current is None:
            return []
    return sorted(current.model_fields)


def to_yaml(values: Mapping[str, Any]) -> str:
    """Recipe values as YAML text, keys in their order."""
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=120)
