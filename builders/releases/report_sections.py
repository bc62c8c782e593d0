"""Sections of the report page that builds fill themselves: measures, certificates, what people said, each with text, table and drawing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dsbuild import languages
from dsbuild.builders.evaluation import evaluations
from dsbuild.builders.projection import projection_scores
from dsbuild.builders.releases import reviewed
from dsbuild.cards.plots import is_numeric, number
from dsbuild.cards.report_words import finding, title
from dsbuild.errors import ReleaseError

_MEASURED = ("certificates", "certificate", "false_negatives", "review")
_KINDS = ("bars", "histogram", "curve")
# Findings of one language after another, which builds show by sections of their own.
_SHOWN = frozenset({"certificate", "generation", "mining", "false_negatives", "judge_band", "judging", "languages"})


def sections(folder: Path, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the page shows after the languages, in order: the manifest's own `sections`, the review of native speakers, retrieval, findings.

    Each has a title, a text, a table {columns, rows} or None, and a chart or None; see docs/releases.md.
    """
    given = [section(one, f"section {place + 1}") for place, one in enumerate(manifest.get("sections", ()))]
    measured = evaluations.held(folder, manifest.get("build_key", ""))
    shown = [section(one, evaluations.RETRIEVAL) for one in evaluations.sections(measured)] if measured else []
    if scores := projection_scores.held(folder, manifest.get("build_key", "")):
        shown.append(section(projection_scores.section_of(scores), projection_scores.PROJECTION))
    return [*given, *_review(folder), *shown, *_findings(manifest)]


def section(raw: Any, where: str) -> dict[str, Any]:
    """One section as the page reads it; `ReleaseError` for one that cannot be shown.

    >>> section({"title": "False negatives", "table": {"columns": ["lang"], "rows": [["hi"]]}}, "section 1")["chart"] is None
    True
    """
    if not isinstance(raw, Mapping) or not isinstance(raw.get("title"), str) or not raw["title"].strip():
        raise ReleaseError(f"report, {where}: a section is a mapping with a title")
    where = f"{where} ({raw['title'][:40]!r})"
    if unknown := sorted(map(str, set(raw) - {"title", "text", "table", "chart"})):
        raise ReleaseError(f"report, {where}: unknown {', '.join(unknown)}; a section has title, text, table, chart")
    text = raw.get("text") or ""
    if not isinstance(text, str):
        raise ReleaseError(f"report, {where}: text is a string")
    table, chart = raw.get("table"), raw.get("chart")
    return {
        "title": raw["title"], "text": text, "table": _table(table, where) if table else None,
        "chart": _chart(chart, where) if chart else None,
    }  # fmt: skip


def _table(raw: Any, where: str) -> dict[str, Any]:
    try:
        columns = [str(name) for name in raw["columns"]]
        rows = [[_cell(value) for value in row] for row in raw["rows"]]
    except (KeyError, TypeError) as error:
        raise ReleaseError(f"report, {where}: a table has columns and rows ({error})") from error
    if not columns or any(len(row) != len(columns) for row in rows):
        raise ReleaseError(f"report, {where}: every row of a table has a value for each of its {len(columns)} columns")
    numeric = [is_numeric([row[at] for row in rows]) for at in range(len(columns))]
    return {"columns": columns, "rows": rows, "numeric": numeric}


def _chart(raw: Any, where: str) -> dict[str, Any]:
    kind = raw.get("kind") if isinstance(raw, Mapping) else None
    if kind not in _KINDS:
        raise ReleaseError(f"report, {where}: a chart is of kind {' or '.join(_KINDS)}")
    try:
        if kind == "bars":
            bars = [
                {"label": str(one["label"]), **{name: _finite(one.get(name)) for name in ("value", "low", "high")}}
                for one in raw["bars"]
            ]
            if not bars or any(one["value"] is None for one in bars):
                raise ValueError("every bar has a label and a value")
            return {"kind": kind, "unit": str(raw.get("unit", "")), "bars": bars}
        if kind == "curve":
            names = ("confidence", "coverage", "precision")
            points = [{name: float(one[name]) for name in names} for one in raw["points"]]
            if not points or any(not 0 <= one[name] <= 1 for one in points for name in names[1:]):
                raise ValueError("points with coverage and precision from 0 to 1")
            return {"kind": kind, "points": points}
        counts = [int(count) for count in raw["counts"]]
        low, high = float(raw["low"]), float(raw["high"])
        if not counts or min(counts) < 0 or not (math.isfinite(low) and math.isfinite(high)) or high <= low:
            raise ValueError("counts from 0 on, low below high")
        bound = _finite(raw.get("threshold"))
        return {
            "kind": kind, "unit": str(raw.get("unit", "")), "column": str(raw.get("unit", "value")), "threshold": bound,
            "op": "<" if raw.get("op") == "<" else ">", "histogram": {"counts": counts, "low": low, "high": high},
        }  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReleaseError(f"report, {where}: this chart cannot be drawn ({error})") from error


def _finite(value: Any) -> float | None:
    if value is None:
        return None
    if not math.isfinite(found := float(value)):
        raise ValueError(f"{value} is no finite number")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any) -> Any:
    """A value that a table shows: numbers and texts as they are, what holds others in words, nothing where nothing is held.

    >>> _cell({"bm25": 12.0, "lsa": None, "kept": {"hi": 3}}), _cell([0.25, "x"]), _cell({})
    ('bm25 12, kept (hi 3)', '0.25, x', None)
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping | list | tuple):
        return _words(value) or None
    return value if value is None or _is_number(value) else str(value)


def _words(value: Any) -> str:
    """What holds other values, in one line; what is not known is left out."""
    if isinstance(value, Mapping):
        known = {name: one for name, one in value.items() if one is not None and one != {} and one != []}
        inner = ((finding(str(name)), one) for name, one in known.items())
        return ", ".join(f"{name} ({_words(one)})" if _holds(one) else f"{name} {_words(one)}" for name, one in inner)
    if isinstance(value, list | tuple):
        return ", ".join(f"({_words(one)})" if _holds(one) else _words(one) for one in value)
    return ("yes" if value else "no") if isinstance(value, bool) else number(value)


def _holds(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple)


def _made(name: str, columns: Sequence[str], rows: Iterable[Iterable[Any]], text: str = "") -> dict[str, Any]:
    return section({"title": name, "text": text, "table": {"columns": columns, "rows": rows}}, "findings")


def _review(folder: Path) -> list[dict[str, Any]]:
    """What native speakers said, where the release holds their summary: acceptance with its interval, and their agreement."""
    if not (folder / reviewed.REVIEW).is_file():
        return []
    found = reviewed.load(folder / reviewed.REVIEW)
    judged = [one for one in found["tables"] if one["rate"] is not None]
    percent = {name: [round(100 * one[name], 1) for one in judged] for name in ("rate", "low", "high")}
    said = [", ".join(f"{kind} {number}" for kind, number in one["categories"].items()) or None for one in judged]
    names = [f"{_name(one['lang'])}, {one['table']}" for one in judged]
    columns = ["language, table", "judged", "yes", "no", "cannot tell", "disputed", "accepted, %", "from, %", "to, %", "kinds of error"]  # fmt: skip
    counts = [[one[name] for name in ("judged", "yes", "no", "unsure", "disputed")] for one in judged]
    rows = [
        [name, *row, *bounds, kinds]
        for name, row, bounds, kinds in zip(names, counts, zip(*percent.values(), strict=True), said, strict=True)
    ]
    bars = [
        {"label": name, "value": rate, "low": low, "high": high}
        for name, rate, low, high in zip(names, percent["rate"], percent["low"], percent["high"], strict=True)
    ]
    agreed = [
        f" Two reviewers of {_name(one['lang'])} agree on {100 * one['raw']:.1f} % of {one['rows']:,} rows"
        + (f" (kappa {one['kappa']:.2f})." if one["kappa"] is not None else ".")
        for one in found["agreement"]
    ]
    text = f"{found['answers']:,} answers of {found['reviewers']} native speakers on rows that a seed chose; lines are 95 % Wilson intervals."
    given = {
        "title": "accepted by native speakers", "text": text.replace(" 1 native speakers", " 1 native speaker") + "".join(agreed),
        "table": {"columns": columns, "rows": rows}, "chart": {"kind": "bars", "unit": "% accepted", "bars": bars},
    }  # fmt: skip
    return [section(given, reviewed.REVIEW)] if judged else []


def _findings(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a build found, as tables: searches for duplicates, overlap, false negatives, certificates; only what is there."""
    given = dict(manifest.get("findings", {}))
    given.update({name: manifest[name] for name in _MEASURED if name in manifest})
    given = {name: value for name, value in given.items() if value not in (None, "", [], {})}
    found = []
    if plain := [[finding(name), _line(one)] for name, one in given.items() if _line(one) is not None]:
        found.append(_made("settings and counts", ["name", "value"], plain))
    for name, value in given.items():
        if _line(value) is not None or (name in _SHOWN and manifest.get("sections")):
            continue
        rows = value.items() if isinstance(value, Mapping) else enumerate(value, 1)
        if all(isinstance(one, Mapping) for _, one in rows):
            columns = list(dict.fromkeys(key for _, one in rows for key in one))
            body = [[key, *(one.get(column) for column in columns)] for key, one in rows]
            found.append(_made(title(name), ["name", *map(finding, columns)], body))
        else:
            body = [[finding(key) if isinstance(key, str) else key, one] for key, one in rows]
            found.append(_made(title(name), ["name", "value"], body))
    return found


def _line(value: Any) -> Any:
    """A finding that goes into one cell: a number, a text, or some of them; None for what needs a table."""
    if isinstance(value, list) and not any(isinstance(one, Mapping | list) for one in value):
        return ", ".join(map(str, value))
    return None if isinstance(value, Mapping | list) else value


def _name(code: str) -> str:
    return languages.get(code).name if code in languages.codes() else code
