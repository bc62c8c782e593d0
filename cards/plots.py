"""Drawings for pages without a network: SVG with the page's colours, and how numbers and directions are said."""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from dsbuild import languages

_WIDTH, _HEIGHT = 400, 124
_LEFT, _BOTTOM = 6, 20
_GAP = 0.6


def short(value: float) -> str:
    """A number in as few characters as tell it apart.

    >>> short(0.123456), short(50.0), short(1234567.0)
    ('0.1235', '50', '1,234,567')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.4g}"


def percent(share: float) -> str:
    """A share for people; what is not all never reads as all, what is not nothing never as nothing.

    >>> percent(0.5), percent(0.99999), percent(1.0), percent(0.00001)
    ('50.0 %', '> 99.9 %', '100 %', '< 0.1 %')
    """
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    if share >= 0.9995:
        return "> 99.9 %"
    return "< 0.1 %" if share < 0.0005 else f"{100 * share:.1f} %"


def direction(code: str, text: str = "") -> str:
    """The direction of a language's script, "auto" where it is not known; a text without a letter of that direction has the other.

    >>> direction("ur"), direction("hi"), direction("xx"), direction("ur", "not translated"), direction("ur", "WHO کے مطابق")
    ('rtl', 'ltr', 'auto', 'ltr', 'rtl')
    """
    if code not in languages.codes():
        return "auto"
    usual = languages.get(code).direction
    found = {
        "ltr" if kind == "L" else "rtl" for kind in map(unicodedata.bidirectional, text) if kind in ("L", "R", "AL")
    }
    return usual if usual in found or not found else found.pop()


def histogram(rule: Mapping[str, Any]) -> str:
    """An SVG drawing of the column's values with the threshold; bars on the dropping side are marked."""
    drawn = rule["histogram"]
    counts, low, high = drawn["counts"], drawn["low"], drawn["high"]
    span = (high - low) or 1.0
    tallest = max(counts) or 1
    inner, base = _WIDTH - 2 * _LEFT, _HEIGHT - _BOTTOM
    wide = inner / len(counts)
    at = _LEFT + inner * (rule["threshold"] - low) / span
    parts = [_open(f"values of {rule['column']}, threshold {short(rule['threshold'])}")]
    for place, count in enumerate(counts):
        if not count:
            continue
        # The square root lets small bars be seen beside tall ones; the axis says so.
        tall = (base - 18) * (count / tallest) ** 0.5
        middle = low + span * (place + 0.5) / len(counts)
        falls = middle < rule["threshold"] if rule["op"] == "<" else middle > rule["threshold"]
        first, last = low + span * place / len(counts), low + span * (place + 1) / len(counts)
        parts.append(
            _bar("falls" if falls else "stays", place, wide, base, tall, f"{short(first)} to {short(last)}: {count:,}")
        )
    anchor, nudge = ("start", 4) if at < _WIDTH / 2 else ("end", -4)
    bound = (
        f"beyond ±{short(rule['threshold'])}" if rule["op"] == "abs>" else f"{rule['op']} {short(rule['threshold'])}"
    )
    parts.append(f'<line class="axis" x1="{_LEFT}" y1="{base}" x2="{_WIDTH - _LEFT}" y2="{base}"/>')
    parts.append(f'<line class="bound" x1="{at:.1f}" y1="2" x2="{at:.1f}" y2="{base}"/>')
    parts.append(f'<text x="{at + nudge:.1f}" y="11" text-anchor="{anchor}">fails {html.escape(bound)}</text>')
    parts.append(_label(_LEFT, short(low), "start"))
    parts.append(_label(_WIDTH - _LEFT, short(high), "end"))
    return "".join([*parts, "</svg>"])


def lengths(drawn: Mapping[str, Any]) -> str:
    """An SVG drawing of text lengths on a logarithmic axis: bars for the texts, an outline for those they were made from.

    drawn: counts (a decade is `a_decade` bins wide; the first bin begins at one character), outline (the same, or none).
    """
    counts, outline, wide_decade = drawn["counts"], drawn["outline"] or [], drawn["a_decade"]
    filled = [place for series in (counts, outline) for place, count in enumerate(series) if count]
    if not filled:
        return ""
    first, last = min(filled), max(filled) + 1
    inner, base = _WIDTH - 2 * _LEFT, _HEIGHT - _BOTTOM
    wide = inner / (last - first)
    parts = [_open("characters a text")]
    tallest = max([*counts, *outline])
    for place in range(first, min(last, len(counts))):
        if counts[place]:
            said = f"{_edge(place, wide_decade):,} to {_edge(place + 1, wide_decade):,} characters: {counts[place]:,}"
            parts.append(_bar("stays", place - first, wide, base, (base - 18) * counts[place] / tallest, said))
    if outline:
        steps = [f"M{_LEFT} {base}"]
        for place in range(first, last):
            top = base - (base - 18) * (outline[place] if place < len(outline) else 0) / tallest
            steps.append(f"V{top:.1f}H{_LEFT + (place - first + 1) * wide:.1f}")
        parts.append(f'<path class="outline" d="{"".join(steps)}V{base}"/>')
    parts.append(f'<line class="axis" x1="{_LEFT}" y1="{base}" x2="{_WIDTH - _LEFT}" y2="{base}"/>')
    parts += _ticks(first, last, wide, wide_decade)
    return "".join([*parts, "</svg>"])


def _ticks(first: int, last: int, wide: float, a_decade: int) -> list[str]:
    """Labels at 1, 2, 5, 10, 20, ... as far as they lie inside and apart."""
    parts, before = [], -1000.0
    for length in (step * 10**power for power in range(8) for step in (1, 2, 5)):
        place = a_decade * math.log10(length) - first
        at = _LEFT + place * wide
        if 0 <= place <= last - first and at - before >= 44:
            anchor = "start" if at < 20 else "end" if at > _WIDTH - 24 else "middle"
            parts.append(_label(at, f"{length:,}", anchor))
            before = at
    if len(parts) < 2:
        ends = ((first, _LEFT, "start"), (last, _WIDTH - _LEFT, "end"))
        parts = [_label(at, f"{_edge(place, a_decade):,}", anchor) for place, at, anchor in ends]
    return parts


def _edge(place: int, a_decade: int) -> int:
    """The least length that falls into a bin, in characters."""
    return -(-int(10 ** (place / a_decade) * 1000) // 1000)


def _open(label: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(label)}">'


def _bar(kind: str, place: int, wide: float, base: float, tall: float, title: str) -> str:
    # A bar of one row is drawn as well: a pixel is the least that can be seen.
    tall = max(tall, 1.0)
    return (
        f'<rect class="{kind}" x="{_LEFT + place * wide + _GAP / 2:.1f}" y="{base - tall:.1f}" width="{max(wide - _GAP, 1):.1f}" '
        f'height="{tall:.1f}"><title>{title}</title></rect>'
    )


def _label(at: float, text: str, anchor: str) -> str:
    return f'<text x="{at:.1f}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{text}</text>'
