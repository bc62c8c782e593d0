"""The draft release of a projected set: labelled tables, what became of every span, and the numbers."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

import dsbuild
from dsbuild import parquet, release, run
from dsbuild.builders.labelled.labelled_rows import ITEMS
from dsbuild.builders.labelled.splits import SplitSet
from dsbuild.builders.parts import Rows, language_name, parts_of, release_schema, stage_facts, verdict_part
from dsbuild.builders.projection.back_translation import name_of as back_name
from dsbuild.builders.projection.project_spans import KEPT, OUTCOMES, SPANS
from dsbuild.builders.projection.projected import Projecting, public_project
from dsbuild.builders.projection.relation_sections import relation_sections
from dsbuild.builders.projection.span_accounting import FOLDER
from dsbuild.cards.card import render_card
from dsbuild.graph import Input, Progress
from dsbuild.project.marker_parser import METHOD as MARKERS
from dsbuild.stage import digest
from dsbuild.tables import LABELLED
from dsbuild.translate.assemble import SEGMENT_MAP

_TABLE = "labelled"
_HOW = {
    "given": "the labels of its file were not read", "engine": "translated here", "back": "the kept rows, translated back",
}  # fmt: skip


def write_projected(folder: Path, projecting: Projecting, progress: Progress) -> dict[str, Any]:
    """Write the draft of a finished build; returns what the command prints."""
    recipe = projecting.recipe
    languages = {lang: _counted(projecting, progress, lang) for lang in (*recipe.langs, *projecting.back)}
    facts: dict[str, Any] = {
        "name": recipe.title(), "version": "0.0.0-draft", "dsbuild": dsbuild.__version__, "recipe": public_project(recipe),
        "source": asdict(projecting.facts),
        "engines": {name: {"fingerprint": dict(projecting.fingerprints[name]), **asdict(terms)} for name, terms in projecting.terms.items()},
        "languages": _names(projecting),
        "stages": stage_facts(projecting.nodes, progress),
        "notes": _notes(projecting, progress, languages),
        "findings": {"method": recipe.method, "target_precision": recipe.target_precision, "languages": languages},
        "accounting": {lang: {_TABLE: _accounting(progress, lang)} for lang in languages},
        "sections": [*_sections(languages), *(relation_sections(projecting, progress) if projecting.source.relational else ())],
    }  # fmt: skip
    facts["build_key"] = digest(str(facts))
    parts = itertools.chain(_source_parts(projecting, progress), _parts(projecting, progress), [verdict_part(progress)])
    manifest = release.write(folder, parts, facts, render_card)
    return {
        "release": str(folder),
        "method": recipe.method,
        "languages": languages,
        "accounting": manifest["accounting"],
        "notes": manifest["notes"],
    }


def _names(projecting: Projecting) -> dict[str, dict[str, str]]:
    names = {lang: language_name(lang) for lang in (projecting.src, *projecting.recipe.langs)}
    names |= {code: back_name(projecting.src, lang) for code, lang in projecting.back.items()}
    return {code: {"name": name} for code, name in names.items()}


def _source_parts(projecting: Projecting, progress: Progress) -> Iterator[release.Part]:
    if projecting.recipe.release.source_tables:
        yield from parts_of(Rows(_paths(progress, "read")), projecting.src, _TABLE, ITEMS)


def _parts(projecting: Projecting, progress: Progress) -> Iterator[release.Part]:
    for lang in (*projecting.recipe.langs, *projecting.back):
        paths = _paths(progress, f"project.{lang}")
        found = pq.read_schema(paths[0])
        yield from parts_of(
            Rows(paths, lambda rows: pc.equal(rows["fate"], KEPT)),
            lang,
            _TABLE,
            release_schema(LABELLED, found, {"fate", "failure", "split"}),
        )
        lost = Rows(paths, lambda rows: pc.not_equal(rows["fate"], KEPT))
        number = sum(rows.num_rows for rows in lost)
        if number:
            yield release.Part("dropped", f"{lang}-{_TABLE}", release_schema(LABELLED, found, ()), number, lost)
        answers = progress.shards(Input(f"project.{lang}", "spans"))
        total = sum(shard.rows for shard in answers)
        yield release.Part(FOLDER, lang, SPANS, total, Rows([shard.path for shard in answers]))
        if f"assemble.{lang}.{_TABLE}" in progress.done:
            maps = progress.shards(Input(f"assemble.{lang}.{_TABLE}", "map"))
            total = sum(shard.rows for shard in maps)
            yield release.Part("segments", f"{lang}-{_TABLE}", SEGMENT_MAP, total, Rows([shard.path for shard in maps]))


def _paths(progress: Progress, node: str, output: str = "out") -> list[Path]:
    return [shard.path for shard in progress.shards(Input(node, output))]


def _accounting(progress: Progress, lang: str) -> dict[str, Any]:
    """Rows in, kept, dropped, failed, and the first reason of each that was lost."""
    counts = run.total(progress.done[f"project.{lang}"])
    reasons: Counter[str] = Counter()
    repaired = 0
    for node in (f"decide.{lang}.{_TABLE}", f"project.{lang}"):
        for record in progress.done.get(node, ()):
            if not record.verdicts.rows:
                continue
            verdicts = parquet.read(
                progress.store.path(record.key, record.verdicts.file), ["table", "outcome", "rule", "primary"]
            )
            for row in verdicts.to_pylist():
                if row["table"] == _TABLE and row["primary"]:
                    reasons.update([row["rule"]] if row["outcome"] in ("dropped", "failed") else [])
                    repaired += row["outcome"] == "repaired"
    return {
        "in": counts.n_in, "kept": counts.kept, "repaired": repaired, "dropped": counts.dropped, "failed": counts.failed,
        "reasons": dict(sorted(reasons.items())),
    }  # fmt: skip


def _counted(projecting: Projecting, progress: Progress, lang: str) -> dict[str, Any]:
    """What became of the spans of a language: in all, by label, by reason and by method."""
    labels: dict[str, Counter[str]] = {}
    reasons: Counter[str] = Counter()
    methods: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for path in _paths(progress, f"project.{lang}", "spans"):
        grouped = parquet.read(path, ["label", "outcome", "reason", "method"]).group_by(
            ["label", "outcome", "reason", "method"]
        )
        for row in grouped.aggregate([([], "count_all")]).to_pylist():
            number = row["count_all"]
            labels.setdefault(row["label"], Counter())[row["outcome"]] += number
            total[row["outcome"]] += number
            if row["outcome"] == KEPT:
                methods[row["method"]] += number
            else:
                reasons[row["reason"] or row["outcome"]] += number
    facts = progress.done[f"project.{lang}"][0].facts
    spans = _outcomes(total)
    return {
        "spans": spans, "coverage": round(spans[KEPT] / spans["in"], 6) if spans["in"] else None,
        "labels": {label: _outcomes(labels[label]) for label in sorted(labels)},
        "reasons": dict(sorted(reasons.items())), "methods": dict(sorted(methods.items())),
        "translation": "back" if lang in projecting.back else "engine" if lang in projecting.translated else "given",
        "fingerprint": dict(projecting.tools[lang].fingerprint), "learned": facts["learned"],
    }  # fmt: skip


def _outcomes(counts: Mapping[str, int]) -> dict[str, int]:
    return {"in": sum(counts.values()), **{name: counts.get(name, 0) for name in OUTCOMES}}


def _notes(projecting: Projecting, progress: Progress, languages: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What a user should know of the set and of the projection."""
    found = [*projecting.notes, *progress.done["read"][0].facts["notes"]]
    found += [one.line(name) for name, one in projecting.terms.items()]
    limit = projecting.recipe.source.limit
    if limit and progress.done["read"][0].facts["left_out"]:
        each = " of each split" if isinstance(projecting.source, SplitSet) else ""
        found.append(f"--limit leaves out the rows after the first {limit:,}{each}")
    for lang, one in languages.items():
        spans = one["spans"]
        said = ", ".join(f"{spans[name]:,} {name.replace('_', ' ')}" for name in OUTCOMES)
        how = _HOW[one["translation"]]
        method = MARKERS if one["translation"] == "back" else projecting.recipe.method
        found.append(f"{lang}: {spans['in']:,} spans by {method}: {said}; {how}")
        found += [f"{lang}: {said}" for said in one["learned"].get("notes", ())]
        if not progress.done[f"project.{lang}"][0].facts["deterministic"]:
            found.append(
                f"{lang}: the method draws at random, so a build from nothing may differ in a few spans; within one store its answers stay"
            )
        if not spans["in"]:
            found.append(f"{lang}: the source has no spans, so there was nothing to project")
    return found


def _sections(languages: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The tables for people: spans by language and label, and why spans were not kept."""
    names = [name.replace("_", " ") for name in OUTCOMES]
    rows = [
        [lang, label, *(one[name] for name in ("in", *OUTCOMES))]
        for lang, found in languages.items()
        for label, one in [("all", found["spans"]), *found["labels"].items()]
    ]
    yield {
        "title": "What became of every span",
        "text": (
            "Kept: in the table. Null: the translation has no counterpart. Low confidence: found, and less sure than was asked for. "
            "Rejected: nothing could be said, or what was said is not sound. Of each span the folder spans/ holds both texts, the method, its "
            "confidence and the reason."
        ),
        "table": {"columns": ["language", "label", "in", *names], "rows": rows},
        "chart": {
            "kind": "bars", "unit": "share of spans kept",
            "bars": [{"label": lang, "value": found["coverage"]} for lang, found in languages.items() if found["coverage"] is not None],
        },
    }  # fmt: skip
    reasons = [
        [lang, reason, number] for lang, found in languages.items() for reason, number in found["reasons"].items()
    ]
    if reasons:
        yield {
            "title": "Why spans were not kept",
            "text": "",
            "table": {"columns": ["language", "reason", "spans"], "rows": reasons},
        }
    methods = [
        [lang, method, number] for lang, found in languages.items() for method, number in found["methods"].items()
    ]
    if methods:
        yield {
            "title": "Methods of the kept spans",
            "text": "",
            "table": {"columns": ["language", "method", "spans"], "rows": methods},
        }
