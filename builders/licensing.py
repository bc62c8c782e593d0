"""What the texts of a build come under, and the stop before work starts where their licences forbid it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsbuild.builders.sources.opened import Opened
from dsbuild.builders.sources.source import SourceFacts
from dsbuild.cards import licences
from dsbuild.engine import Terms
from dsbuild.errors import RecipeError


def check(source: SourceFacts, terms: Mapping[str, Terms], stated: str | None, *, derived: bool) -> None:
    """Raise `RecipeError` where the licences forbid the release; with `stated` the user has said under which terms it comes."""
    engines = {name: {"license": one.license, "origin": one.origin} for name, one in terms.items()}
    check_texts(source, engines, stated, derived=derived)


def check_opened(opened: Opened, stated: str | None, *, derived: bool) -> None:
    """The same for what was opened: of a translated release its translations are texts too."""
    check_texts(opened.facts, opened.engines, stated, derived=derived)


def check_texts(
    source: SourceFacts, engines: Mapping[str, Mapping[str, Any]], stated: str | None, *, derived: bool
) -> None:
    """The same with engines as a manifest has them."""
    if stated:
        return
    texts = licences.of_texts({"name": source.name, "license": source.license}, engines)
    if why := licences.conflict(texts, derived=derived):
        raise RecipeError(f"{why}; leave one out, or say under which terms you may publish: --set release.license=ID")
