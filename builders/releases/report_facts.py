"""What the report page shows of a release: funnels, thresholds, lengths, and rows chosen by a seed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import files, languages, release
from dsbuild.builders.chosen import batches, choose, fetch, files_of
from dsbuild.builders.made_by import TRANSLATIONS
from dsbuild.builders.releases.report_sections import sections
from dsbuild.builders.releases.report_thresholds import (
    Verdicts,
    length_facts,
    lengths,
    read_verdicts,
    rows_of,
    table_facts,
)
from dsbuild.builders.sources.opened import FIELDS, LANGS
from dsbuild.cards.card import row_license
from dsbuild.cards.report import render_page
from dsbuild.errors import ReleaseError
from dsbuild.filters.funnel_rules import steps as steps_of_funnel
from dsbuild.tables import ID_COLUMNS

NAME = "report.html"
_SEED = 1
_SHOWN = {"queries": 4}
_DEFAULT_SHOWN = 5
_MAX_CHARS = 900
# Scores of a translated row that are worth a word beside it.
_TAGS = ("flag", "logprob", "rung", "unrelated", "length_ratio")
_STAGES = {
    "failed": "no usable translation",
    "decide": "thresholds",
    "adapt": "instructions",
    "settle": "duplicates",
    "cascade": "taken along",
    "settle_contamination": "overlap with evaluation sets",
    "prune": "pruning",
    "project": "projection",
    "apply_splits": "splits",
}
_UNKNOWN = {"und": "Language not identified"}


def render_report(folder: Path, manifest: Mapping[str, Any], answers: Path | None = None) -> dict[str, str]:
    """`report.html` of a release whose tables lie in `folder`; the manifest need not be written yet.

    answers: not read; a registry calls all renderers of a release alike. The same files give the same page.
    """
    return {NAME: render_page(report_facts(folder, manifest))}


def write_report(folder: Path, out: Path | None) -> dict[str, Any]:
    """Write the page of a finished release to `out` (beside the folder by default: a release is not changed)."""
    manifest = release.read_manifest(folder)
    out = out or folder.resolve().parent / f"{folder.resolve().name}-{NAME}"
    if out.is_dir():
        raise ReleaseError(f"{out}: a folder; --out names the file to write")
    if out.resolve().is_relative_to(folder.resolve()) and out.exists():
        raise ReleaseError(f"{out}: part of the release, which would no longer verify; choose another --out")
    page = render_report(folder, manifest)[NAME]
    files.write_text(out, page)
    return {
        "report": str(out),
        "name": manifest["name"],
        "version": manifest["version"],
        "size_bytes": len(page.encode("utf-8")),
    }


def report_facts(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the page says, in memory that does not grow with the rows of the release."""
    verdicts = read_verdicts(folder)
    src = manifest["source"]["lang"]
    translated = manifest["recipe"]["build"] in TRANSLATIONS
    source_lengths = _source_lengths(folder, src) if translated else {}
    langs = []
    for lang, accounted in manifest["accounting"].items():
        tables = [
            _table(folder, manifest, lang, table, row, verdicts, source_lengths.get(table))
            for table, row in accounted.items()
            if table in ID_COLUMNS
        ]
        name = _UNKNOWN.get(lang) or manifest["languages"].get(lang, {}).get("name", lang)
        langs.append(
            {"lang": lang, "name": name, "autonym": _autonym(lang), "tables": tables, "qrels": accounted.get("qrels")}
        )
    rows = [table["accounting"] for one in langs for table in one["tables"]]
    return {
        "name": manifest["name"], "version": manifest["version"], "dsbuild": manifest["dsbuild"], "build": manifest["recipe"]["build"],
        "translated": translated, "source": {**manifest["source"], "lang_name": _name(src)}, "src": src,
        "license": row_license(manifest), "engines": manifest["engines"], "notes": manifest["notes"], "langs": langs,
        "splits": _splits(rows),
        "totals": {name: sum(row.get(name, 0) for row in rows) for name in ("in", "kept", "dropped", "failed", "repaired")},
        "sections": sections(folder, manifest),
        "has_source": bool(source_lengths) or not translated,
    }  # fmt: skip


def _splits(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Rows of each split, in the order in which people read them; none where all rows are in one."""
    found: Counter[str] = Counter()
    for row in rows:
        found.update(row.get("splits", {}))
    usual = [name for name in ("train", "dev", "validation", "test") if name in found]
    return {name: found[name] for name in [*usual, *sorted(set(found) - set(usual))]} if len(found) > 1 else {}


def _table(
    folder: Path,
    manifest: Mapping[str, Any],
    lang: str,
    table: str,
    row: Mapping[str, Any],
    verdicts: Verdicts,
    source: Any,
) -> dict[str, Any]:
    found = table_facts(folder, manifest, lang, table, verdicts, _judged(folder, manifest, lang, table))
    if manifest["recipe"]["build"] in TRANSLATIONS:
        _add_sources(folder, manifest["source"]["lang"], table, found["rules"])
    return {
        "table": table, "accounting": row, "steps": funnel(manifest, table, row, verdicts), "rules": found["rules"],
        "flagged": verdicts.flagged(table, lang), "lengths": length_facts(found["lengths"], source),
        "examples": examples(folder, manifest, lang, table), "dropped": dropped(folder, manifest, lang, table),
    }  # fmt: skip


def funnel(manifest: Mapping[str, Any], table: str, row: Mapping[str, Any], verdicts: Verdicts) -> list[dict[str, Any]]:
    """The rows of one language and table from the source on, with what each stage took and by which rule."""
    steps: list[dict[str, Any]] = []
    if manifest["recipe"]["build"] in TRANSLATIONS:
        # All languages begin with the same rows; of a filtered set the source's rows are in several languages.
        for stage in manifest["stages"]:
            number = stage["rows_out"].get(table)
            if stage["node"] in ("read", "limit") and number is not None and number > row["in"]:
                steps.append({"label": "read from the source", "rows": number, "lost": 0, "reasons": {}})
    before = steps[-1]["rows"] if steps else row["in"]
    lost = before - row["in"]
    steps.append({"label": "taken in", "rows": row["in"], "lost": lost, "reasons": {"limit": lost} if lost else {}})
    failed = verdicts.stages(table, "failed")
    stages = verdicts.stages(table, "dropped")
    by_stage: dict[str, dict[str, int]] = defaultdict(dict)
    for rule, number in row["reasons"].items():
        by_stage["failed" if rule in failed else stages.get(rule, "cascade")][rule] = number
    order = ["failed", *dict.fromkeys(stage["stage"] for stage in manifest["stages"])]
    if manifest["recipe"]["build"] == "generate":
        # What a generated row is lost by is a step of the funnel; which of its rules, the funnel's own section says.
        order = list(steps_of_funnel())
        by_stage = {name: {name: number} for name, number in row["reasons"].items()}
    always = "decide" if manifest["recipe"]["build"] in (*TRANSLATIONS, "filter") else ""
    left = row["in"]
    for name in [*order, *sorted(set(by_stage) - set(order))]:
        reasons = by_stage.get(name, {})
        if reasons or name == always:
            taken = sum(reasons.values())
            left -= taken
            reasons = dict(sorted(reasons.items(), key=lambda one: (-one[1], one[0])))
            steps.append(
                {"label": f"after: {_STAGES.get(name, name)}", "rows": left, "lost": taken, "reasons": reasons}
            )
    return steps


def examples(folder: Path, manifest: Mapping[str, Any], lang: str, table: str) -> list[dict[str, Any]]:
    """Kept rows chosen by a seed; of a translation with the source beside it and the segments that belong together."""
    id_column = ID_COLUMNS[table]
    paths = files_of(folder, f"{lang}-{table}/")
    chosen = choose(paths, id_column, f"{lang}-{table}", _SHOWN.get(table, _DEFAULT_SHOWN), _SEED)
    rows = fetch(paths, id_column, chosen)
    source, maps = {}, {}
    if manifest["recipe"]["build"] in TRANSLATIONS:
        source = fetch(files_of(folder, f"{manifest['source']['lang']}-{table}/"), id_column, chosen)
        maps = fetch(files_of(folder, f"segments/{lang}-{table}-"), "id", chosen)
    elif manifest["recipe"]["build"] == "project":
        source = fetch(files_of(folder, f"{manifest['source']['lang']}-{table}/"), id_column, chosen)
        spans = fetch(files_of(folder, f"spans/{lang}-"), "id", chosen)
        maps = {row_id: _span_map(those) for row_id, those in spans.items()}
    shown = []
    for row_id in chosen:
        row = rows[row_id][0]
        sides = [_side(row, table, maps.get(row_id, ()), "tgt", lang)]
        if row_id in source:
            sides.insert(0, _side(source[row_id][0], table, maps.get(row_id, ()), "src", manifest["source"]["lang"]))
        shown.append({"id": row_id, "sides": sides, "tags": _tags(row)})
    return shown


def _span_map(spans: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Kept spans as a segment map has its segments, so that the page shows which belong together."""
    return [
        {
            "field": "text",
            "segment": number,
            "src_start": one["src_start"],
            "src_end": one["src_end"],
            "tgt_start": piece["start"],
            "tgt_end": piece["end"],
        }
        for number, one in enumerate(spans)
        if one["outcome"] == "kept"
        for piece in one["pieces"]
    ]


def dropped(folder: Path, manifest: Mapping[str, Any], lang: str, table: str) -> list[dict[str, Any]]:
    """Dropped rows chosen by a seed, with the rule that took each."""
    id_column = ID_COLUMNS[table]
    paths = files_of(folder, f"dropped/{lang}-{table}-")
    chosen = choose(paths, id_column, f"{lang}-{table}", _DEFAULT_SHOWN, _SEED)
    rows = fetch(paths, id_column, chosen)
    reasons: dict[str, dict[str, Any]] = {}
    if chosen:
        for row_id, found in fetch(files_of(folder, "dropped/verdicts-"), "id", chosen).items():
            own = [one for one in found if one["table"] == table and one["outcome"] in ("dropped", "failed")]
            own = [one for one in own if one["lang"] == lang] or own
            if own:
                reasons[row_id] = next((one for one in own if one["primary"]), own[0])
    return [
        {"id": row_id, "reason": reasons.get(row_id), "side": _side(rows[row_id][0], table, (), "tgt", lang)}
        for row_id in chosen
    ]


def parts_of(text: str, spans: Iterable[tuple[int, int, int]], limit: int = _MAX_CHARS) -> list[dict[str, Any]]:
    """A text cut at spans (start, end, number), in order; what no span covers has the number None.

    >>> [(one["text"], one["segment"]) for one in parts_of("One. Two.", [(0, 4, 0), (5, 9, 1)])]
    [('One.', 0), (' ', None), ('Two.', 1)]
    """
    end = min(len(text), limit)
    parts: list[dict[str, Any]] = []
    at = 0
    for start, stop, number in sorted(spans):
        start, stop = max(start, at), min(stop, end)
        if start >= stop:
            continue
        if start > at:
            parts.append({"text": text[at:start], "segment": None})
        parts.append({"text": text[start:stop], "segment": number})
        at = stop
    if at < end:
        parts.append({"text": text[at:end], "segment": None})
    return [*parts, {"text": "…", "segment": None}] if end < len(text) else parts


def _side(row: Mapping[str, Any], table: str, maps: Iterable[Mapping[str, Any]], end: str, lang: str) -> dict[str, Any]:
    fields = []
    maps = list(maps)
    # Of a table of texts other columns may have been translated too.
    names = tuple(dict.fromkeys((*FIELDS[table], *(one["field"] for one in maps))))
    # Each field counts its segments from 0, and a row has one number for each of them.
    places = sorted({(names.index(one["field"]), one["segment"]) for one in maps})
    numbers = {place: number for number, place in enumerate(places)}
    codes = [row[column] for column in LANGS.get(table, ())] or [str(row.get("lang", lang))] * len(names)
    for place, (name, code) in enumerate(zip(names, codes, strict=True)):
        spans = [
            (one[f"{end}_start"], one[f"{end}_end"], numbers[place, one["segment"]])
            for one in maps
            if one["field"] == name
        ]
        text = str(row.get(name) or "")
        if text:
            fields.append({"name": name, "lang": code, "parts": parts_of(text, spans)})
    return {"lang": lang, "fields": fields}


def _tags(row: Mapping[str, Any]) -> list[str]:
    said = []
    for name in _TAGS:
        value = row.get(name)
        if value not in (None, "", 0):
            said.append(f"{name.replace('_', ' ')} {value:.3g}" if isinstance(value, float) else f"{name} {value}")
    return said


def _add_sources(folder: Path, src: str, table: str, rules: Sequence[Mapping[str, Any]]) -> None:
    """Put the source text beside the translations that stand nearest to a threshold."""
    nearest = [row for rule in rules for side in ("below", "above") for row in rule[side]]
    text = FIELDS[table][-1]
    found = fetch(files_of(folder, f"{src}-{table}/"), ID_COLUMNS[table], (row["id"] for row in nearest), [text])
    for row in nearest:
        if row["id"] in found:
            said = found[row["id"]][0][text]
            row["source"] = said if len(said) <= 240 else f"{said[:239]}…"


def _source_lengths(folder: Path, src: str) -> dict[str, Any]:
    found = {}
    for table in ("corpus", "queries", "documents"):
        sizes = None
        for _, _, rows in rows_of(folder, src, table):
            counted = lengths(rows, FIELDS[table][-1:])
            sizes = counted if sizes is None else sizes + counted
        if sizes is not None:
            found[table] = sizes
    return found


def _judged(folder: Path, manifest: Mapping[str, Any], lang: str, table: str) -> pa.Array:
    """Ids of rows that an evaluation set never drops; a training set protects none."""
    if not manifest["source"].get("evaluation") or table not in ("corpus", "queries"):
        return pa.array([], pa.string())
    column = ID_COLUMNS[table]
    found: set[str] = set()
    for rows in batches(files_of(folder, f"{lang}-qrels/"), [column]):
        found.update(pc.unique(rows[column]).to_pylist())
    return pa.array(sorted(found), pa.string())


def _name(code: str) -> str:
    return languages.get(code).name if code in languages.codes() else code


def _autonym(code: str) -> str:
    return languages.get(code).autonym if code in languages.codes() else ""
