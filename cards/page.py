"""Pages that need no network: templates with everything escaped, and the drawings and words that they share."""

from __future__ import annotations

from importlib import resources
from typing import Any

from dsbuild import languages
from dsbuild.cards import curves, plots, report_words


def environment() -> Any:
    """The templates of pages. Texts of rows are escaped: they are data of strangers."""
    import jinja2
    import markupsafe

    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: resources.files("dsbuild.cards").joinpath(name).read_text("utf-8")),
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    made.filters.update(
        count=lambda number: f"{number:,}", percent=plots.percent, short=plots.short, apart=plots.apart, column=plots.column,
        language=language,
    )  # fmt: skip
    made.globals.update(
        histogram=lambda rule, unit="": markupsafe.Markup(plots.histogram(rule, unit)),
        bars=lambda drawn: markupsafe.Markup(plots.bars(drawn)),
        curve=lambda points: markupsafe.Markup(curves.coverage_precision(points, styled=False)),
        lengths=lambda drawn: markupsafe.Markup(plots.lengths(drawn)),
        direction=plots.direction, meaning=report_words.meaning, unit=report_words.unit, finding=report_words.finding,
    )  # fmt: skip
    return made


def language(code: str) -> str:
    """The English name of a language; a code that is not known stands for itself.

    >>> language("ta"), language("und"), language("zz")
    ('Tamil', 'Language not identified', 'zz')
    """
    if code == "und":
        return "Language not identified"
    return languages.get(code).name if code in languages.codes() else code
