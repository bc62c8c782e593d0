"""What the texts of a build come under, and the stop before work starts where their licences forbid it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsbuild.builders.source import SourceFacts
from dsbuild.cards import licences
from dsbuild.engine import Terms
from dsbuild.errors import RecipeError


def text_licences(source: Mapping[str, Any], engines: Mapping[str, Mapping[str, Any]]) -> dict[str, str | None]:
    """The licences that the texts of a release stand under, by whose they are; both arguments as a manifest has them.

    A model that translates has terms of use, which bind its user and not the texts; translations that people made are texts with a
    licence of their own.
    """
    found: dict[str, str | None] = {str(source["name"]): source["license"]}
    return found | {name: one["license"] for name, one in engines.items() if one["origin"] == "human"}


def check(source: SourceFacts, terms: Mapping[str, Terms], stated: str | None, *, derived: bool) -> None:
    """Raise `RecipeError` where the licences forbid the release; with `stated` the user has said under which terms it comes."""
    if stated:
        return
    engines = {name: {"license": one.license, "origin": one.origin} for name, one in terms.items()}
    if why := licences.conflict(
        text_licences({"name": source.name, "license": source.license}, engines), derived=derived
    ):
        raise RecipeError(f"{why}; leave one out, or say under which terms you may publish: --set release.license=ID")
