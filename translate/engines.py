"""Open translation engines by name, and keep one open for all units that use it."""

from __future__ import annotations

import atexit
import inspect
import json
from collections.abc import Mapping
from typing import Any

from dsbuild.engine import TranslationEngine
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.translate import ENGINES

_open: dict[str, TranslationEngine] = {}


def options_of(name: str) -> dict[str, Any]:
    """The options of an engine with their defaults; not those that it hands on to what it opens itself."""
    signature = inspect.signature(ENGINES.get(name))
    return {
        option: one.default
        for option, one in signature.parameters.items()
        if one.kind is not inspect.Parameter.VAR_KEYWORD
    }


def open_engine(name: str, options: Mapping[str, Any]) -> TranslationEngine:
    """Make an engine; the caller closes it. An option that it does not have is an error with the nearest one.

    An engine whose class says `isolated` runs in a child process, so that a native crash costs one batch.
    """
    factory = ENGINES.get(name)
    known = options_of(name)
    # Further options of an engine that takes them are checked by what they are meant for.
    hands_on = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in inspect.signature(factory).parameters.values())
    for option in options:
        if option not in known and not hands_on:
            raise UnknownName(f"option of engine {name!r}", option, known)
    if missing := [
        option for option, default in known.items() if default is inspect.Parameter.empty and option not in options
    ]:
        raise RecipeError(f"engine {name!r} needs {', '.join(missing)}: --set engine.{missing[0]}=…")
    if factory.capabilities.isolated:
        from dsbuild.host import HostedEngine

        hosted: TranslationEngine = HostedEngine(ENGINES.target(name), dict(options))
        return hosted
    engine: TranslationEngine = factory(**options)
    return engine


def shared_engine(name: str, options: Mapping[str, Any]) -> TranslationEngine:
    """The open engine with these options, opened at the first call and closed at exit or by `close_engines`."""
    key = f"{name} {json.dumps(dict(options), sort_keys=True, default=str)}"
    if key not in _open:
        _open[key] = open_engine(name, options)
    return _open[key]


@atexit.register
def close_engines() -> None:
    """Close every shared engine."""
    while _open:
        _open.popitem()[1].close()
