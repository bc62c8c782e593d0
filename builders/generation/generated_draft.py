"""The draft release of a generated set: tables, what was asked, and what the funnel lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from dsbuild import parquet, release
from dsbuild.builders.funnel.judge import JUDGED_QUERIES
from dsbuild.builders.funnel.report import funnel_facts
from dsbuild.builders.funnel.sections import funnel_sections
from dsbuild.builders.generation.generate_recipe import PAIRS, GenerateRecipe
from dsbuild.builders.generation.generated import Generating
from dsbuild.builders.generation.generation import open_task
from dsbuild.builders.parts import Rows, language_name, parts_of, public_recipe, source_notes
from dsbuild.builders.set_draft import Draft, write
from dsbuild.errors import EngineError
from dsbuild.filters.query_shapes import Shapes
from dsbuild.graph import Input, Progress
from dsbuild.tables import NEGATIVES

# How what was asked about ended, then questions and rows.
_ENDED = ("asked", "answered", "nothing", "failed", "items", "rows")


def write_generated(folder: Path, generating: Generating, progress: Progress) -> dict[str, Any]:
    """Write the draft of a finished build; returns what the command prints.

    `EngineError` where nothing at all was generated: a release without a row helps nobody, and what was answered is kept in the store.
    """
    recipe = generating.recipe
    languages = {lang: _asked(generating, lang, progress) for lang in generating.asks}
    if not any(one["rows"] for one in languages.values()):
        raise EngineError(_nothing(languages, generating, progress))
    shown = recipe.model_dump(mode="json", exclude_none=True, exclude={"source"} if recipe.source is None else None)
    findings = {
        "task": recipe.task, "style": recipe.style_name(), "generators": [one.label for one in recipe.asked()], "seed": recipe.seed,
        "generation": languages, "prompts": _prompts(recipe),
    }  # fmt: skip
    draft = Draft(
        public_recipe(shown) if recipe.source else shown, recipe.title(), generating.opened, generating.nodes, generating.final, progress
    )  # fmt: skip
    table = "pairs" if recipe.task in PAIRS else "queries"
    funnels = {
        lang: funnel_facts(generating.plan, found, progress, table=table, real=_real(generating, lang, progress))
        for lang, found in generating.funnels.items()
    }
    lost = {
        lang: sum(record.facts.get("lost_with_keeper", 0) for record in progress.done.get(f"judge.{lang}", ()))
        for lang in languages
    }
    notes = [*source_notes(progress), *recipe.notes(), *_notes(generating, languages, funnels, lost)]
    sections = [_section(findings), *funnel_sections(funnels)]
    parts = list(_parts(generating, progress))
    manifest = write(draft, folder, findings, notes, parts, sections, {"funnel": funnels})
    return {
        "release": str(folder), "task": recipe.task, "style": recipe.style_name(), "generators": findings["generators"],
        "languages": {lang: {**one, **_ended(manifest["accounting"].get(lang, {}).get(table, {}))} for lang, one in languages.items()},
        "notes": manifest["notes"],
    }  # fmt: skip


def _prompts(recipe: GenerateRecipe) -> dict[str, dict[str, Any]]:
    """The prompt of each step, by the task's name: the version, digest and source that rows name by the digest."""
    if recipe.salient:
        return {}
    task = open_task(f"{recipe.task}/{recipe.style_name()}", recipe.style_options())
    steps = [open_task(name, {}) for name in getattr(task, "steps", ())]
    return {
        f"{one.name}/{one.style}": {"version": one.prompt.version, "digest": one.prompt.digest, "source": one.prompt.source}
        for one in [*steps, task]
    }  # fmt: skip


def _real(generating: Generating, lang: str, progress: Progress) -> Shapes | None:
    """The source's own queries in a language, those that people wrote."""
    if lang not in generating.real:
        return None
    found = Shapes()
    for shard in progress.shards(generating.real[lang]):
        rows = parquet.read(shard.path)
        if "origin" in rows.column_names:
            rows = rows.filter(pc.not_equal(rows["origin"], "generated"))
        found.add(rows["text"].to_pylist(), lang)
    return found if found.n else None


def _ended(counted: Mapping[str, Any]) -> dict[str, Any]:
    return {"kept": counted.get("kept", 0), "lost": counted.get("reasons", {})}


def _parts(generating: Generating, progress: Progress) -> Iterator[release.Part]:
    if generating.recipe.task == "triplets":
        for lang in generating.asks:
            rows = Rows([shard.path for shard in progress.shards(Input(f"triplets.{lang}", "negatives"))])
            yield from parts_of(rows, lang, "negatives", NEGATIVES)
    for lang, funnel in generating.funnels.items():
        if funnel.judged:
            judged = Rows([shard.path for shard in progress.shards(funnel.judged)])
            yield release.Part("judged", lang, JUDGED_QUERIES, sum(one.num_rows for one in judged), judged)


def _asked(generating: Generating, lang: str, progress: Progress) -> dict[str, Any]:
    """The numbers of one language: passages, what became of those that were asked about, tokens.

    steps: the same of each step before the last one, whose rows the next one was asked about; counts of the language are of the last.
    """
    picked = progress.done[f"pick.{lang}"][0].facts
    found: Counter[str] = Counter()
    steps: dict[str, Counter[str]] = {}
    problems: Counter[str] = Counter()
    used: Counter[str] = Counter()
    for node in generating.asks[lang]:
        earlier = steps.setdefault(node.partition(".")[0], Counter()) if node.startswith("step") else None
        for record in progress.done[node]:
            used.update({name: int(record.measured.get(name, 0)) for name in ("n_asked", "n_said", "n_calls")})
            problems.update(record.facts.get("problems", {}))
            counts = record.counts
            (found if earlier is None else earlier).update(
                {"asked": counts.n_in, "answered": counts.kept, "nothing": counts.dropped, "failed": counts.failed,
                 "items": record.facts.get("items", 0), "rows": sum(shard.rows for shard in record.outputs["out"])}
            )  # fmt: skip
    return {
        "name": language_name(lang), **{name: int(value) for name, value in picked.items()},
        **{name: found[name] for name in _ENDED},
        "steps": [{name: one[name] for name in _ENDED} for one in steps.values()],
        "problems": dict(sorted(problems.items())), "tokens": dict(sorted(used.items())),
    }  # fmt: skip


def _nothing(languages: Mapping[str, Mapping[str, Any]], generating: Generating, progress: Progress) -> str:
    problems: Counter[str] = Counter()
    for one in languages.values():
        problems.update(one["problems"])
    asked = sum(one["steps"][0]["asked"] if one["steps"] else one["asked"] for one in languages.values())
    if not asked:
        return "no passage was asked about: see pick.min_chars, pick.max_chars and pick.limit"
    worst = ", ".join(f"{name} ({number:,})" for name, number in problems.most_common(3))
    asks = (node for nodes in generating.asks.values() for node in nodes)
    detail = first_detail(problems.most_common(1)[0][0], asks, progress)
    return (
        f"none of {asked:,} passages got a usable answer: {worst}{f', such as: {detail}' if detail else ''}; "
        "nothing was written, answers are kept in the store"
    )


def first_detail(problem: str, asks: Iterable[str], progress: Progress) -> str:
    """What was said of the first question of some nodes that ended with a problem, "" if nothing was."""
    for node in asks:
        for record in progress.done[node]:
            if not record.verdicts.rows:
                continue
            rows = parquet.read(progress.store.path(record.key, record.verdicts.file), ["rule", "detail"])
            for said in rows.filter(pc.equal(rows["rule"], problem))["detail"].to_pylist():
                if said:
                    return str(said)
    return ""


def _notes(
    generating: Generating,
    languages: Mapping[str, Mapping[str, Any]],
    funnels: Mapping[str, Mapping[str, Any]],
    lost_judgements: Mapping[str, int],
) -> list[str]:
    found = []
    for lang, one in languages.items():
        if missing := one["problems"].get("budget"):
            questions = sum(step["items"] for step in [*one["steps"], one])
            found.append(
                f"{lang}: the budget was reached with {missing:,} of {questions:,} questions not asked; "
                "run again with a larger one: what was answered is not asked again"
            )
        for number, step in enumerate([*one["steps"], one], 1):
            if step["failed"]:
                of = f"rows of step {number - 1}" if number > 1 else "passages"
                found.append(
                    f"{lang}: {step['failed']:,} of {step['asked']:,} {of} failed; dropped/verdicts-* says why for each"
                )
    for lang, told in funnels.items():
        if told["in"] and not told["kept"]:
            worst = max(told["steps"], key=lambda step: int(step["lost"]))
            found.append(
                f"{lang}: the funnel lost every one of {told['in']:,} rows, {worst['lost']:,} at the step {worst['name']}; "
                f"see dsbuild funnel, and loosen it with --set funnel.{worst['name']}.…, or leave it out: --set funnel.{worst['name']}=false"
            )
    for lang, n_lost in lost_judgements.items():
        if n_lost:
            found.append(
                f"{lang}: {n_lost:,} judgements of duplicates were lost with the query that stood for them, which a cut took afterwards"
            )
    for lang, told in funnels.items():
        found += [
            f"{lang}: funnel step {step['name']} did not run: {step['why']}"
            for step in told["steps"]
            if not step["ran"] and step["why"]
        ]
    found += [one.line(name) for name, one in generating.terms.items()]
    return found


def _section(findings: Mapping[str, Any]) -> dict[str, Any]:
    """The table for people."""
    columns = [
        "language",
        "passages",
        "asked about",
        "answered",
        "nothing to ask",
        "failed",
        "questions",
        "rows",
        "tokens",
    ]
    rows: list[list[Any]] = []
    for lang, one in findings["generation"].items():
        for number, step in enumerate(one["steps"], 1):
            rows.append(
                [f"{lang}, step {number}", one["passages"] if number == 1 else "", *(step[name] for name in _ENDED), ""]
            )
        tokens = one["tokens"].get("n_asked", 0) + one["tokens"].get("n_said", 0)
        rows.append([lang, "" if one["steps"] else one["passages"], *(one[name] for name in _ENDED), tokens])
    text = (
        f"{findings['task']} in the style {findings['style']} by {', '.join(findings['generators'])}. "
        "A passage is answered if at least one row came of it. Every row was generated; nobody read it."
    )
    if any(one["steps"] for one in findings["generation"].values()):
        text += " The rows of a step are what the next one was asked about; the last line of a language has the tokens of all."
    return {"title": "Generation", "text": text, "table": {"columns": columns, "rows": rows}}
