"""The page of a dry run: what each threshold keeps and drops, drawn and with rows on either side of it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from dsbuild import languages

_WIDTH, _HEIGHT = 640, 150
_LEFT, _BOTTOM = 8, 22


def render_report(found: Mapping[str, Any]) -> str:
    """One HTML file that needs no network. Texts of rows are escaped: they are data of strangers."""
    import jinja2
    import markupsafe

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: resources.files("dsbuild.cards").joinpath(name).read_text("utf-8")),
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters["count"] = lambda number: f"{number:,}"
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    environment.filters["short"] = short
    environment.globals["histogram"] = lambda rule: markupsafe.Markup(histogram(rule))
    environment.globals["direction"] = direction
    return environment.get_template("threshold_report.html.jinja").render(found=found)


def short(value: float) -> str:
    """A number in as few characters as tell it apart.

    >>> short(0.123456), short(50.0), short(1234567.0)
    ('0.1235', '50', '1,234,567')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.4g}"


def direction(code: str) -> str:
    """The direction of a language's script, "auto" where it is not known."""
    return languages.get(code).direction if code in languages.codes() else "auto"


def histogram(rule: Mapping[str, Any]) -> str:
    """An SVG drawing of the column's values with the threshold; bars on the dropping side are marked."""
    drawn = rule["histogram"]
    counts, low, high = drawn["counts"], drawn["low"], drawn["high"]
    span = (high - low) or 1.0
    tallest = max(counts) or 1
    inner, base = _WIDTH - 2 * _LEFT, _HEIGHT - _BOTTOM
    wide = inner / len(counts)
    at = _LEFT + inner * (rule["threshold"] - low) / span
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="values of {rule["column"]}">']
    for place, count in enumerate(counts):
        # The square root lets small bars be seen beside tall ones; the axis says so.
        tall = (base - 12) * (count / tallest) ** 0.5
        middle = low + span * (place + 0.5) / len(counts)
        falls = middle < rule["threshold"] if rule["op"] == "<" else middle > rule["threshold"]
        kind = "falls" if falls else "stays"
        parts.append(
            f'<rect class="{kind}" x="{_LEFT + place * wide + 0.5:.1f}" y="{base - tall:.1f}" width="{wide - 1:.1f}" height="{tall:.1f}">'
            f"<title>{short(low + span * place / len(counts))} to {short(low + span * (place + 1) / len(counts))}: {count:,}</title></rect>"
        )
    anchor = "start" if at < _WIDTH / 2 else "end"
    nudge = 4 if anchor == "start" else -4
    parts.append(f'<line class="axis" x1="{_LEFT}" y1="{base}" x2="{_WIDTH - _LEFT}" y2="{base}"/>')
    parts.append(f'<line class="bound" x1="{at:.1f}" y1="2" x2="{at:.1f}" y2="{base}"/>')
    parts.append(
        f'<text x="{at + nudge:.1f}" y="12" text-anchor="{anchor}">fails {rule["op"].replace("<", "&lt;").replace(">", "&gt;")} {short(rule["threshold"])}</text>'
    )
    parts.append(f'<text x="{_LEFT}" y="{_HEIGHT - 6}">{short(low)}</text>')
    parts.append(f'<text x="{_WIDTH - _LEFT}" y="{_HEIGHT - 6}" text-anchor="end">{short(high)}</text></svg>')
    return "".join(parts)
