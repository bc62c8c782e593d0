"""The draft release of a judged set: its tables, the model's word beside them, and how far it agrees with the set's own judgements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dsbuild import release
from dsbuild.builders.generation.generated_draft import first_detail
from dsbuild.builders.judging.judge_pairs import JUDGED_PAIRS
from dsbuild.builders.judging.judge_preferences import COMPARED
from dsbuild.builders.judging.judge_sections import judge_sections
from dsbuild.builders.judging.judging import Judging
from dsbuild.builders.parts import Rows, language_name, parts_of, public_recipe, source_notes
from dsbuild.builders.retrieval.retriever_section import public_searched
from dsbuild.builders.set_draft import Draft, write
from dsbuild.builders.sources.opened import RELEASE, as_spec
from dsbuild.errors import EngineError, SourceError
from dsbuild.graph import Input, Progress
from dsbuild.tables import CANDIDATES

_SAID = ("said", "order", "outcomes")


def write_judged(folder: Path, judging: Judging, progress: Progress) -> dict[str, Any]:
    """Write the draft of a finished build; returns what the command prints.

    `SourceError` where there was no pair to judge, `EngineError` where none got an answer: what was answered is kept in the store.
    """
    recipe = judging.recipe
    languages = {lang: _found(judging, lang, progress) for lang in judging.langs}
    _stop_if_nothing(judging, languages, progress)
    raw = recipe.model_dump(mode="json", exclude_none=True)
    shown = public_searched(recipe, recipe.retriever.use) if recipe.retriever else public_recipe(raw)
    prompt, terms = recipe.prompt(), judging.choice.opened().terms()
    findings: dict[str, Any] = {
        "mode": recipe.mode, "judge": judging.choice.label, "pairs": recipe.pairs.of, "depth": recipe.depth(), "seed": recipe.seed,
        "relevant": recipe.qrels.relevant,
        "model": {**asdict(terms), "fingerprint": dict(judging.choice.opened().fingerprint())},
        "prompt": {"version": prompt.version, "digest": prompt.digest, "source": prompt.source}, "judging": languages, **_carried(judging),
    }  # fmt: skip
    added = {
        judging_key: sum(record.facts["added"] for record in progress.done[rows.node])
        for judging_key, rows in judging.final.items()
        if rows.node.startswith("qrels.")
    }
    draft = Draft(shown, recipe.title(), judging.opened, judging.nodes, judging.final, progress, added)
    notes = [*recipe.notes(), *_notes(judging, languages, progress)]
    notes.append(f"{judging.choice.label}: {terms.license}{f' ({terms.note})' if terms.note else ''}")
    manifest = write(draft, folder, findings, notes, list(_parts(judging, progress)), judge_sections(findings))
    return {
        "release": str(folder), "mode": recipe.mode, "judge": judging.choice.label, "languages": languages, "notes": manifest["notes"],
    }  # fmt: skip


def _carried(judging: Judging) -> dict[str, Any]:
    """What the source's manifest says of the negatives that come along."""
    kind, _, path = as_spec(judging.recipe.source.src).partition(":")
    if kind != RELEASE or not judging.negatives:
        return {}
    said = release.read_manifest(Path(path).expanduser()).get("findings", {})
    return {name: said[name] for name in ("negatives",) if name in said}


def _stop_if_nothing(judging: Judging, found: Mapping[str, Mapping[str, Any]], progress: Progress) -> None:
    if not any(one["pairs"] for one in found.values()):
        raise SourceError(
            f"{judging.opened.facts.name}: no pair to judge; see --pairs, --limit and pairs.unjudged, and that queries and documents match"
        )
    if any(one["answered"] for one in found.values()):
        return
    problems: Counter[str] = Counter()
    for one in found.values():
        problems.update(one["problems"])
    worst = ", ".join(f"{name} ({number:,})" for name, number in problems.most_common(3))
    detail = first_detail(problems.most_common(1)[0][0], [f"ask.{lang}" for lang in judging.langs], progress)
    raise EngineError(
        f"{judging.choice.label}: no usable answer: {worst}{f', such as: {detail}' if detail else ''}; "
        "nothing was written, answers are kept in the store"
    )


def _found(judging: Judging, lang: str, progress: Progress) -> dict[str, Any]:
    """The numbers of one language."""
    (chosen,) = progress.done[f"pairs.{lang}"]
    (asked,) = progress.done[f"ask.{lang}"]
    told: dict[str, Any] = {
        "name": language_name(lang), **chosen.facts, "asked": asked.counts.n_in, "answered": asked.counts.kept, "failed": asked.counts.failed,
        "problems": asked.facts["problems"],
        "tokens": {name: int(asked.measured.get(name, 0)) for name in ("n_asked", "n_said", "n_calls")},
    }  # fmt: skip
    told |= {name: asked.facts[name] for name in _SAID if name in asked.facts}
    for node in (f"measure.{lang}", f"qrels.{lang}"):
        for record in progress.done.get(node, ()):
            told |= {name: value for name, value in record.facts.items() if name != "bands"}
            if "bands" in record.facts:
                told["grades_by_band"] = record.facts["bands"]
    if f"rank.{lang}" in progress.done:
        told["ranked"] = sum(shard.rows for shard in progress.shards(Input(f"rank.{lang}")))
    return told


def _parts(judging: Judging, progress: Progress) -> Iterator[release.Part]:
    schema = COMPARED if judging.recipe.mode == "pairwise" else JUDGED_PAIRS
    for lang in judging.langs:
        rows = _rows(progress, Input(f"ask.{lang}"))
        yield release.Part("judged", lang, schema, sum(one.num_rows for one in rows), rows)
    for lang, inputs in judging.candidates.items():
        if inputs:
            yield from parts_of(_rows(progress, *inputs), lang, "candidates", CANDIDATES)
    for lang, source in judging.negatives.items():
        rows = _rows(progress, source)
        own: pa.Schema = pq.read_schema(rows.paths[0])
        yield from parts_of(rows, lang, "negatives", pa.schema([column for column in own if column.name != "split"]))


def _rows(progress: Progress, *inputs: Input) -> Rows:
    return Rows([shard.path for one in inputs for shard in progress.shards(one)])


def _notes(judging: Judging, languages: Mapping[str, Mapping[str, Any]], progress: Progress) -> list[str]:
    recipe = judging.recipe
    found = source_notes(progress)
    for lang, one in languages.items():
        if missing := one["problems"].get("budget"):
            found.append(
                f"{lang}: the budget was reached with {missing:,} of {one['asked']:,} questions not asked; "
                "run again with a larger one: what was answered is not asked again"
            )
        if one["failed"]:
            found.append(f"{lang}: {one['failed']:,} of {one['asked']:,} failed; dropped/verdicts-* says why for each")
        if one["dangling"]:
            found.append(f"{lang}: {one['dangling']:,} judgements name a query or document that is not there")
        if one.get("binary") and one["added"]:
            found.append(
                f"{lang}: the set's grades are 0 and 1, so the model's became 1 from {recipe.qrels.relevant} on; "
                "as they were given they are in judged/ (--set qrels.scale=judge writes them to qrels)"
            )
        for judge, told in one.get("agreement", {}).items():
            if told["one_sided"]:
                found.append(
                    f"{lang}: {judge} gives all {told['pairs']:,} pairs that both judged one and the same verdict, so kappa says nothing of the model"
                )
    if any("agreement" in one and not one["agreement"] for one in languages.values()):
        found.append("no pair has a judgement of the set and one of the model: nothing is known of how far they agree")
    return found
