"""Drawings for pages without a network: SVG with the page's colours, and how numbers and directions are said."""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from dsbuild import languages

_WIDTH, _HEIGHT = 400, 172
_LEFT, _RIGHT = 40, 16
_INNER, _BASE = _WIDTH - _LEFT - _RIGHT, _HEIGHT - 38
# Above the bars there is room for what the threshold says.
_TALL = _BASE - 20
_GAP = 0.6
_AXIS = f'<line class="axis" x1="{_LEFT}" y1="{_BASE}" x2="{_WIDTH - _RIGHT}" y2="{_BASE}"/>'
_NEARLY_ALL = 0.995
# A number that stands in words already: 0.313, 95.6%.
_SAID_NUMBER = re.compile(r"-?\d[\d,]*(\.\d+)?( ?%)?")
# Between the middles of two labels of an axis.
_APART = 44


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


def apart(values: Sequence[float]) -> list[str]:
    """Numbers of one column in as few digits as tell all of them apart.

    >>> apart([0.99981, 0.99984, 1.0]), apart([0.1, 0.57])
    (['0.99981', '0.99984', '1'], ['0.1', '0.57'])
    """
    for digits in range(4, 17):
        said = [short(value) if digits == 4 else f"{value:,.{digits}g}" for value in values]
        if len(set(said)) == len(set(values)):
            break
    return said if values else []


def number(value: Any) -> str:
    """A value in a table: a number as people read it, nothing as a dash.

    >>> number(8436), number(0.018295), number(None), number("hi")
    ('8,436', '0.0183', '–', 'hi')
    """
    if value is None:
        return "–"
    if isinstance(value, float):
        return short(value) if value.is_integer() or abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def column(values: Sequence[Any]) -> list[str]:
    """The values of a table's column; fractions have as many digits behind the point as each other, so that they can be compared.

    >>> column([3.1, 10.55, 1.0, None]), column([13, 0.1, "graphemes"])
    (['3.10', '10.55', '1.00', '–'], ['13', '0.1', 'graphemes'])
    """
    fractions = [value for value in values if value is not None]
    said = [f"{value:.4g}" for value in fractions if isinstance(value, float)]
    if len(said) < max(1, len(fractions)) or any(one.strip("-.0123456789") for one in said):
        return [number(value) for value in values]
    digits = max(len(one.partition(".")[2]) for one in said)
    return [number(value) if value is None else f"{value:,.{digits}f}" for value in values]


def is_numeric(values: Sequence[Any]) -> bool:
    """Whether a table's column holds numbers, as such or as fractions and shares in words, and so is read from the right.

    Ids that look like whole numbers are texts.

    >>> is_numeric([3, None]), is_numeric(["0.313", "-"]), is_numeric(["95.6%", None]), is_numeric(["265", "58"]), is_numeric([True])
    (True, True, True, False, False)
    """
    texts = [value for value in values if isinstance(value, str) and value not in ("", "-")]
    if texts and not any("." in text or "%" in text for text in texts):
        return False
    return all(_SAID_NUMBER.fullmatch(text) for text in texts) and all(
        value is None or (isinstance(value, int | float | str) and not isinstance(value, bool)) for value in values
    )


def histogram(rule: Mapping[str, Any], unit: str = "") -> str:
    """An SVG drawing of the column's values with the threshold, if there is one; bars on the dropping side are marked.

    unit: what the axis counts.
    """
    drawn, bound, op = rule["histogram"], rule["threshold"], rule["op"]
    counts, low, high = drawn["counts"], drawn["low"], drawn["high"]
    span = (high - low) or 1.0
    tallest = max(counts) or 1
    wide = _INNER / len(counts)
    said = f", fails {_comparison(op, bound)}" if bound is not None else ""
    parts = [_open(f"histogram of {sum(counts):,} rows by {unit or rule['column']}{said}")]
    # The square root lets small bars be seen beside tall ones; the page says so, and half the height is a quarter of the rows.
    parts += _heights(tallest, {tallest: 1.0, round(tallest / 4): (round(tallest / 4) / tallest) ** 0.5})
    failing = _failing(rule)
    for place, count in enumerate(counts):
        if not count:
            continue
        first, last = low + span * place / len(counts), low + span * (place + 1) / len(counts)
        kind = "falls" if failing[place] else "stays"
        tall = _TALL * (count / tallest) ** 0.5
        parts.append(_bar(kind, place, wide, tall, f"{short(first)} to {short(last)}: {count:,}"))
    parts.append(_AXIS)
    parts += [_label(_LEFT + _INNER * (tick - low) / span, text) for tick, text in _steps(low, high)]
    if bound is not None:
        at = _LEFT + _INNER * (bound - low) / span
        anchor, nudge = ("start", 5) if at < _WIDTH / 2 else ("end", -5)
        parts.append(f'<line class="bound" x1="{at:.1f}" y1="2" x2="{at:.1f}" y2="{_BASE}"/>')
        text = html.escape(f"fails {_comparison(op, bound)}")
        parts.append(f'<text class="bound" x="{at + nudge:.1f}" y="12" text-anchor="{anchor}">{text}</text>')
    return "".join([*parts, _title(unit), "</svg>"])


def _comparison(op: str, bound: float) -> str:
    return f"beyond ±{short(bound)}" if op == "abs>" else f"{op} {short(bound)}"


def _failing(rule: Mapping[str, Any]) -> list[bool]:
    """For each bar whether it stands on the side that fails; of a rule that no row fails none does."""
    drawn, bound, op = rule["histogram"], rule["threshold"], rule["op"]
    counts, low = drawn["counts"], drawn["low"]
    if bound is None or rule.get("fails") == 0:
        return [False] * len(counts)
    step = ((drawn["high"] - low) or 1.0) / len(counts)
    if op == "<":
        return [low + step * (place + 0.5) < bound for place in range(len(counts))]
    found = []
    for place in range(len(counts)):
        falls = low + step * (place + 0.5) > bound
        if falls and op != ">=" and abs(low + step * place - bound) < step / 1000 and rule.get("scored"):
            # A value equal to the threshold passes. Where most values are just that (a threshold of zero), so does their bar.
            falls = sum(counts[place:]) <= 1 + 1.02 * sum(counts) * rule["fails"] / rule["scored"]
        found.append(falls)
    return found


def lengths(drawn: Mapping[str, Any]) -> str:
    """An SVG drawing of text lengths on a logarithmic axis: bars for the texts, an outline for those they were made from.

    drawn: counts (a decade is `a_decade` bins wide; the first bin begins at one character), outline (the same, or none).
    """
    counts, outline, wide_decade = drawn["counts"], drawn["outline"] or [], drawn["a_decade"]
    filled = [place for series in (counts, outline) for place, count in enumerate(series) if count]
    if not filled:
        return ""
    first, last = min(filled), max(filled) + 1
    # Few texts that are far longer than all others do not press these into a corner: the last bar holds them.
    usual = max(_most(counts), _most(outline)) + 1
    rest = usual + 3 < last
    last = usual + 1 if rest else last
    counts, outline = _gathered(counts, last), _gathered(outline, last)
    wide = _INNER / (last - first)
    tallest = max([*counts, *outline])
    parts = [_open(f"histogram of {sum(counts):,} texts by length in characters, logarithmic axis")]
    parts += _heights(tallest, {tallest: 1.0, round(tallest / 2): round(tallest / 2) / tallest})
    for place in range(first, min(last, len(counts))):
        if counts[place]:
            until = "more" if rest and place == last - 1 else f"{_edge(place + 1, wide_decade):,}"
            said = f"{_edge(place, wide_decade):,} to {until} characters: {counts[place]:,}"
            parts.append(_bar("stays", place - first, wide, _TALL * counts[place] / tallest, said))
    if outline:
        steps = [f"M{_LEFT} {_BASE}"]
        for place in range(first, last):
            top = _BASE - _TALL * (outline[place] if place < len(outline) else 0) / tallest
            steps.append(f"V{top:.1f}H{_LEFT + (place - first + 1) * wide:.1f}")
        parts.append(f'<path class="outline" d="{"".join(steps)}V{_BASE}"/>')
    parts.append(_AXIS)
    more = _WIDTH - _RIGHT - wide / 2
    parts += _ticks(first, last - rest, wide, wide_decade, more - _APART if rest else _WIDTH)
    if rest:
        parts.append(_label(more, "more"))
    return "".join([*parts, _title("characters a text"), "</svg>"])


def _most(series: Sequence[int]) -> int:
    """The bin up to which nearly all of a series lie."""
    below, total = 0, sum(series)
    for place, count in enumerate(series):
        below += count
        if below >= _NEARLY_ALL * total:
            return place
    return 0


def _gathered(series: Sequence[int], size: int) -> list[int]:
    """The first bins, the last of them with all that lies beyond."""
    return [*series[: size - 1], sum(series[size - 1 :])] if len(series) >= size else list(series)


def bars(drawn: Mapping[str, Any]) -> str:
    """An SVG drawing of named values, each with the interval that it lies in where there is one.

    drawn: unit, bars [{label, value, low, high}]; low and high may be None.
    """
    rows = drawn["bars"]
    ends: list[float] = [one[name] for one in rows for name in ("value", "low", "high") if one[name] is not None]
    low, high = float(min(0.0, *ends)), float(max(0.0, *ends))
    high = high if high > low else low + 1
    left, line = 150, 24
    inner, base = _WIDTH - left - 58, line * len(rows) + 4

    def across(value: float) -> float:
        return left + inner * (value - low) / (high - low)

    label = "; ".join(f"{one['label']} {short(one['value'])}" for one in rows)
    parts = [_open(f"{drawn['unit']}: {label}", base + 34)]
    for tick, text in _steps(low, high):
        at = across(tick)
        parts.append(f'<line class="grid" x1="{at:.1f}" y1="0" x2="{at:.1f}" y2="{base}"/>')
        parts.append(f'<text x="{at:.1f}" y="{base + 14}" text-anchor="middle">{text}</text>')
    for place, one in enumerate(rows):
        top, zero, at = place * line + 6, across(0.0), across(one["value"])
        name = one["label"] if len(one["label"]) <= 22 else f"{one['label'][:21]}…"
        bounds = [one["low"], one["high"]] if one["low"] is not None and one["high"] is not None else []
        said = f"{one['label']}: {short(one['value'])}" + (
            f" ({short(bounds[0])} to {short(bounds[1])})" if bounds else ""
        )
        parts.append(f'<text x="{left - 6}" y="{top + 11}" text-anchor="end">{html.escape(name)}</text>')
        parts.append(
            f'<rect class="stays" x="{min(zero, at):.1f}" y="{top}" width="{max(abs(at - zero), 1):.1f}" height="14">'
            f"<title>{html.escape(said)}</title></rect>"
        )
        if bounds:
            y, (start, stop) = top + 7, map(across, bounds)
            parts.append(
                f'<path class="interval" d="M{start:.1f} {y}H{stop:.1f}M{start:.1f} {y - 4}v8M{stop:.1f} {y - 4}v8"/>'
            )
        right = max([at, *map(across, bounds)])
        parts.append(f'<text class="value" x="{right + 5:.1f}" y="{top + 11}">{short(one["value"])}</text>')
    parts.append(
        f'<text x="{left + inner / 2:.1f}" y="{base + 29}" text-anchor="middle">{html.escape(drawn["unit"])}</text>'
    )
    return "".join([*parts, "</svg>"])


def _steps(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers from low to high, three to six, as an axis names them."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [(low, short(low))]
    power = 10.0 ** math.floor(math.log10(span / 10))
    for step in (power * size for size in (1, 2, 2.5, 5, 10, 20, 25, 50, 100)):
        places = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
        if len(places) <= 6:
            break
    return [(place * step, short(round(place * step, 12))) for place in places]


def _ticks(first: int, last: int, wide: float, a_decade: int, until: float) -> list[str]:
    """Labels at 1, 2, 5, 10, 20, ... as far as they lie inside and apart; at more lengths where all texts are nearly alike."""
    parts: list[str] = []
    for steps in ((1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0), tuple(step / 10 for step in range(10, 100))):
        parts, before = [], -1000.0
        for length in (step * 10**power for power in range(8) for step in steps if (step * 10**power).is_integer()):
            at = _LEFT + (a_decade * math.log10(length) - first) * wide
            if _LEFT - 1 <= at <= min(_LEFT + (last - first) * wide + 1, until) and at - before >= _APART:
                parts.append(_label(at, f"{int(length):,}"))
                before = at
        if len(parts) > 2:
            return parts
    return parts or [_label(_LEFT, f"{_edge(first, a_decade):,}")]


def _edge(place: int, a_decade: int) -> int:
    """The least length that falls into a bin, in characters."""
    return -(-int(10 ** (place / a_decade) * 1000) // 1000)


def _heights(tallest: int, shares: Mapping[int, float]) -> list[str]:
    """Lines across with the rows that they stand for."""
    parts = []
    for rows, share in shares.items():
        if rows and (rows == tallest or share < 0.9):
            y = _BASE - _TALL * share
            parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{_brief(rows)}</text>')
    return parts


def _brief(count: int) -> str:
    """A count in a few characters.

    >>> _brief(950), _brief(12_340), _brief(2_000_000)
    ('950', '12k', '2M')
    """
    for size, name in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if count >= size:
            value = count / (1000 if name == "k" else size)
            return f"{value:.0f}{name}" if value >= 10 or value == int(value) else f"{value:.1f}{name}"
    return f"{count:,}"


def _open(label: str, height: int = 0) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height or _HEIGHT}" role="img" aria-label="{html.escape(label)}">'


def _bar(kind: str, place: int, wide: float, tall: float, title: str) -> str:
    # A bar of one row is drawn as well: a pixel is the least that can be seen.
    tall = max(tall, 1.0)
    return (
        f'<rect class="{kind}" x="{_LEFT + place * wide + _GAP / 2:.1f}" y="{_BASE - tall:.1f}" width="{max(wide - _GAP, 1):.1f}" '
        f'height="{tall:.1f}"><title>{title}</title></rect>'
    )


def _label(at: float, text: str) -> str:
    return (
        f'<line class="axis" x1="{at:.1f}" y1="{_BASE}" x2="{at:.1f}" y2="{_BASE + 4}"/>'
        f'<text x="{at:.1f}" y="{_BASE + 17}" text-anchor="middle">{text}</text>'
    )


def _title(text: str) -> str:
    return f'<text x="{_LEFT + _INNER / 2:.1f}" y="{_HEIGHT - 4}" text-anchor="middle">{html.escape(text)}</text>'
