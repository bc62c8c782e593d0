"""Pages that need no network: templates with everything escaped, and the drawings and words that they share."""

from __future__ import annotations

from importlib import resources
from typing import Any

from dsbuild.cards import plots


def environment() -> Any:
    """The templates of pages. Texts of rows are escaped: they are data of strangers."""
    import jinja2
    import markupsafe

    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: resources.files("dsbuild.cards").joinpath(name).read_text("utf-8")),
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    made.filters.update(count=lambda number: f"{number:,}", percent=plots.percent, short=plots.short)
    made.globals.update(
        histogram=lambda rule: markupsafe.Markup(plots.histogram(rule)),
        lengths=lambda drawn: markupsafe.Markup(plots.lengths(drawn)),
        direction=plots.direction,
    )
    return made
