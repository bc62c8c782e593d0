"""What the texts of a build come under, and the stop before work starts where their licences forbid it."""

from __future__ import annotations

from collections.abc import Mapping

from dsbuild.builders.source import SourceFacts
from dsbuild.cards import licences
from dsbuild.engine import Terms
from dsbuild.errors import RecipeError


def check(source: SourceFacts, terms: Mapping[str, Terms], stated: str | None, *, derived: bool) -> None:
    """Raise `RecipeError` where the licences forbid the release; with `stated` the user has said under which terms it comes."""
    if stated:
        return
    engines = {name: {"license": one.license, "origin": one.origin} for name, one in terms.items()}
    texts = licences.of_texts({"name": source.name, "license": source.license}, engines)
    if why := licences.conflict(texts, derived=derived):
        raise RecipeError(f"{why}; leave one out, or say under which terms you may publish: --set release.license=ID")
