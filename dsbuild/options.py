"""Options that a recipe gives to a class by name: known ones, of the types that its signature says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from dsbuild.errors import RecipeError, UnknownName


def check_options(what: str, where: str, factory: Any, known: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Refuse an option that is not among `known`, or none of the words that it may be (`UnknownName`), and a value of another type (`RecipeError`).

    what, where: what the options are of, and the section of the recipe, for messages; factory: a class whose fields, or the arguments of whose
    `__init__`, have types. A whole number does for a number, true and false do not; text is no number.
    """
    for option, value in options.items():
        if option not in known:
            raise UnknownName(what, option, known)
        kind = _hints(factory).get(option, Any)
        try:
            _adapter(kind).validate_python(value)
        except ValidationError as error:
            if get_origin(kind) is Literal and isinstance(value, str):
                raise UnknownName(f"{where}.{option}", value, get_args(kind)) from None
            said = error.errors(include_url=False)[0]["msg"]
            if kind is str and isinstance(value, int | float):
                said += ", in quotes within quotes: '\"…\"'"
            raise RecipeError(f"{where}.{option}={value!r}: {said[:1].lower()}{said[1:]}") from None


@lru_cache(maxsize=64)
def _hints(factory: Any) -> dict[str, Any]:
    own = get_type_hints(factory)
    return {**own, **get_type_hints(factory.__init__)}


@lru_cache(maxsize=128)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False))
