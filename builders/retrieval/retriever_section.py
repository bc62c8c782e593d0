"""First stages in a recipe: which ones, how deep, with which options; and how a release may name them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from dsbuild.builders.parts import public, public_recipe
from dsbuild.errors import RecipeError
from dsbuild.recipe import OpenSection, Section


class RetrieverSection(OpenSection):
    """First stages. use: a comma list; depth: candidates of each for a query; every other key is the options of one retriever."""

    use: str
    depth: int = Field(default=200, ge=1)

    def options(self) -> dict[str, dict[str, Any]]:
        """The options by retriever."""
        found = dict(self.model_extra or {})
        for name, value in found.items():
            if not isinstance(value, Mapping):
                raise RecipeError(f"retriever.{name}={value!r}: options of a retriever, such as retriever.bm25.k1=0.9")
        return found


def public_searched(recipe: Section, use: str) -> dict[str, Any]:
    """A recipe whose retrievers are `use` as a release may say it, without the folders of models and run files."""
    shown = public_recipe(recipe.model_dump(mode="json", exclude_none=True))
    shown["retriever"]["use"] = public_spec(use)
    return shown


def public_spec(spec: str) -> str:
    """A list of retrievers whose arguments are names instead of paths.

    >>> public_spec("bm25,dense:/models/e5,rrf:bm25+lsa")
    'bm25,dense:e5,rrf:bm25+lsa'
    """
    parts = []
    for part in re.split(r"([,+])", spec):
        head, colon, path = part.partition(":")
        parts.append(f"{head}{colon}{Path(path).name if path.startswith(('/', '~', '.')) else public(path)}")
    return "".join(parts)
