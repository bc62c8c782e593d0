"""CHANGELOG.md of a data set: what each version changed, computed from the rows of both versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsbuild.cards.card import _environment, cell

NAME = "CHANGELOG.md"


def render_changelog(
    name: str,
    version: str,
    changes: Mapping[str, Any],
    previous: str | None,
    *,
    date: str | None,
    override: str | None,
    earlier: str = "",
) -> str:
    """The changelog with a section for `version` on top.

    changes: as `difference` returns them; of a first release everything counts as added. earlier: the changelog of the previous
    release, whose sections follow. What came from data or options is text: nothing in it becomes Markdown or HTML.
    """
    configs = changes["configs"]
    section = (
        _environment()
        .get_template("changelog.md.jinja")
        .render(
            version=version, date=date, previous=previous, bump=changes["bump"]["proposed"], reasons=changes["bump"]["reasons"],
            override=override, configs=configs, stages=changes["stages"], total=sum(one["added"] for one in configs),
            columns=[(one["config"], column, rows) for one in configs for column, rows in one["columns"].items()],
        )
    )  # fmt: skip
    older = earlier[earlier.index("\n## ") + 1 :] if "\n## " in earlier else ""
    return f"# Changes of {cell(name)}\n\n{section.strip()}\n" + (f"\n{older}" if older else "")
