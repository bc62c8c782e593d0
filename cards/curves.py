"""A line drawn for pages without a network: how precision falls while more is kept."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from dsbuild.cards.plots import percent

_WIDTH, _HEIGHT = 400, 220
_LEFT, _RIGHT, _TOP, _BASE = 46, 16, 12, 176
_LEAST_SPAN = 0.1
_STYLE = "<style>text{font:11px sans-serif;fill:#555}.axis{stroke:#888}.grid{stroke:#ddd}.curve{fill:none;stroke:#2563a8;stroke-width:2}</style>"


def coverage_precision(points: Sequence[Mapping[str, float]], *, styled: bool = True) -> str:
    """An SVG drawing of points {confidence, coverage, precision}, surest first; an empty frame where there are none.

    styled: with colours of its own, as a file needs them; a page has its own.

    The axis of precision begins at the least one, rounded down to a tenth: what matters is near the top.
    """
    least = min((point["precision"] for point in points), default=0.0)
    low = max(0.0, min(int(least * 10) / 10, 1.0 - _LEAST_SPAN))
    said = "no answer has a confidence"
    if points:
        said = f"precision {percent(points[-1]['precision'])} at coverage {percent(points[-1]['coverage'])}"
    style = _STYLE if styled else ""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(said)}">{style}'
    ]
    for step in range(6):
        precision, coverage = low + (1 - low) * step / 5, step / 5
        x, y = _across(coverage), _down(precision, low)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{100 * precision:.0f} %</text>')
        parts.append(f'<text x="{x:.1f}" y="{_BASE + 15}" text-anchor="middle">{100 * coverage:.0f} %</text>')
    parts.append(f'<line class="axis" x1="{_LEFT}" y1="{_BASE}" x2="{_WIDTH - _RIGHT}" y2="{_BASE}"/>')
    if points:
        line = " ".join(f"{_across(point['coverage']):.1f},{_down(point['precision'], low):.1f}" for point in points)
        parts.append(f'<polyline class="curve" points="{line}"><title>{html.escape(said)}</title></polyline>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(
        f'<text x="{middle:.0f}" y="{_HEIGHT - 12}" text-anchor="middle">coverage (precision above)</text></svg>'
    )
    return "".join(parts)


def _across(coverage: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * coverage


def _down(precision: float, low: float) -> float:
    return _BASE - (_BASE - _TOP) * (precision - low) / (1 - low)
