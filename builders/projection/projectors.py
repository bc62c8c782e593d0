"""Open projection methods by name: options are checked, and what a method asks for besides (an engine, a scorer) is handed in."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dsbuild.errors import RecipeError, UnknownName
from dsbuild.project import PROJECTORS
from dsbuild.project.projector import Projector

if TYPE_CHECKING:
    from dsbuild.builders.projection.projected import ProjectRecipe

# Arguments of a method that are models, made here from sections of the recipe; nobody sets them as options.
_MODELS = ("engine", "scorer")


@dataclass(frozen=True)
class Tool:
    """A method for one language pair: what decides its answers, and how to get it."""

    fingerprint: Mapping[str, Any]
    make: Callable[[], Projector]


def open_tool(recipe: ProjectRecipe, src: str, tgt: str) -> Tool:
    """The method of a recipe. `UnknownName` for a method or an option that is none, `RecipeError` for a model that it lacks."""
    factory = PROJECTORS.get(recipe.method)
    options = dict(getattr(recipe, recipe.method))
    known = inspect.signature(factory).parameters
    for name in options:
        if name not in known or name in _MODELS:
            raise UnknownName(f"option of method {recipe.method!r}", name, set(known) - set(_MODELS))
    if recipe.target_precision is not None:
        options["target_precision"] = recipe.target_precision
    options |= {name: value for name, value in (("src", src), ("tgt", tgt)) if name in known and name not in options}
    for model in _MODELS:
        if model in known:
            found = _model(recipe, model, src, tgt)
            if found is not None:
                options[model] = found
            elif known[model].default is inspect.Parameter.empty:
                how = "an engine: --engine NAME" if model == "engine" else "a scorer: --set scorer.name=…"
                raise RecipeError(f"method {recipe.method}: needs {how}")
    made: Projector = factory(**options)
    return Tool(made.fingerprint(), lambda: made)


def translates(method: str) -> bool:
    """Whether a method makes the translation itself, where none is given (see `project_spans.Translating`)."""
    return bool(getattr(PROJECTORS.get(method), "translates", False))


def _model(recipe: ProjectRecipe, model: str, src: str, tgt: str) -> Any:
    """The engine or scorer that the recipe names, None where it names none."""
    if model == "engine" and recipe.engine is not None:
        from dsbuild.translate.engines import shared_engine

        engine = shared_engine(recipe.engine.name, recipe.engine.choice().options)
        engine.check(src, [tgt])
        return engine
    if model == "scorer" and recipe.scorer is not None:
        from dsbuild.translate import SCORERS

        return SCORERS.get(recipe.scorer.name)(**recipe.scorer.choice().options)
    return None
