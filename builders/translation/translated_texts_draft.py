"""The draft release of a translated table of texts, and the build that ends in it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import dsbuild
from dsbuild import executors, languages, parquet, release, run
from dsbuild.builders.parts import Rows, parts_of, public_recipe, release_schema, stage_facts, verdict_part
from dsbuild.builders.place import held_folder
from dsbuild.builders.translation.draft import rows_by_end, summary
from dsbuild.builders.translation.guard import stop_if_lost
from dsbuild.builders.translation.instruction_stages import ARGUMENTS, IDS, instructions_of
from dsbuild.builders.translation.translated_texts import TABLE, PreparedTexts, TextsRecipe, prepare_texts
from dsbuild.cards.card import render_card
from dsbuild.graph import Input, Progress
from dsbuild.run import Reporter
from dsbuild.stage import digest
from dsbuild.store import Store
from dsbuild.tables import DOCUMENTS
from dsbuild.translate.assemble import SEGMENT_MAP

_INTERNAL = frozenset({"split", "fate", "failure"})


def run_texts(
    recipe: TextsRecipe, out: Path | None, store: Path, executor: str, workers: int | None, reporter: Reporter | None
) -> dict[str, Any]:
    """Run a recipe and write its draft release; returns what the command prints."""
    chosen = executors.make(executor, workers)
    prepared = prepare_texts(recipe, store / "digests")
    with held_folder(out, recipe.title()) as folder:
        release.check_replaceable(folder, asdict(prepared.facts))
        progress = run.run(prepared.nodes, Store(store), recipe.title(), chosen, reporter)
        counted = accounting(prepared, progress)
        stop_if_lost(recipe.max_drop, counted)
        parts = itertools.chain(
            _source_parts(prepared, progress), _language_parts(prepared, progress), _side_parts(prepared, progress)
        )

        def render(manifest: Mapping[str, Any], written: Sequence[release.Written]) -> dict[str, str]:
            return {**render_card(manifest, written), **_ifeval_files(prepared, progress)}

        manifest = release.write(folder, parts, _facts(prepared, progress, counted), render)
    notes = [one.line(name) for name, one in prepared.terms.items()]
    return {**summary(recipe.langs, (TABLE,), progress, manifest, folder), "notes": [*manifest["notes"], *notes]}


def accounting(prepared: PreparedTexts, progress: Progress) -> dict[str, Any]:
    """Per language the rows in, kept, dropped, failed, and the first reason of each that was lost."""
    counted: dict[str, Any] = {}
    for lang in prepared.recipe.langs:
        lost = [
            row
            for record in progress.done.get(f"adapt.{lang}.{TABLE}", ())
            if record.verdicts.rows
            for row in parquet.read(progress.store.path(record.key, record.verdicts.file)).to_pylist()
            if row["outcome"] == "dropped" and row["primary"]
        ]
        counted[lang] = {TABLE: rows_by_end(progress, progress.done[f"decide.{lang}.{TABLE}"], TABLE, lost)}
    return counted


def _source_parts(prepared: PreparedTexts, progress: Progress) -> Iterator[release.Part]:
    if prepared.recipe.release.source_tables:
        rows = Rows([shard.path for shard in progress.shards(prepared.rows)])
        yield from parts_of(rows, prepared.src, TABLE, _schema(rows))


def _language_parts(prepared: PreparedTexts, progress: Progress) -> Iterator[release.Part]:
    for lang in prepared.recipe.langs:
        kept = _kept(prepared, progress, lang)
        gone = Rows(kept.paths, lambda rows: pc.not_equal(rows["fate"], "kept"), lost=True)
        yield from parts_of(kept, lang, TABLE, _schema(kept))
        if total := sum(gone.splits(TABLE).values()):
            yield release.Part("dropped", f"{lang}-{TABLE}", _schema(gone, {"failure", "fate"}), total, gone)


def _kept(prepared: PreparedTexts, progress: Progress, lang: str) -> Rows:
    paths = [shard.path for shard in progress.shards(Input(prepared.final(lang)))]
    return Rows(paths, lambda rows: pc.equal(rows["fate"], "kept"))


def _side_parts(prepared: PreparedTexts, progress: Progress) -> Iterator[release.Part]:
    yield verdict_part(progress)
    for lang in prepared.recipe.langs:
        shards = progress.shards(Input(f"assemble.{lang}.{TABLE}", "map"))
        rows = Rows([shard.path for shard in shards])
        yield release.Part("segments", f"{lang}-{TABLE}", SEGMENT_MAP, sum(shard.rows for shard in shards), rows)


def _schema(rows: Rows, extra: set[str] | None = None) -> pa.Schema:
    return release_schema(DOCUMENTS, pq.read_schema(rows.paths[0]), _INTERNAL - (extra or set()))


def _facts(prepared: PreparedTexts, progress: Progress, counted: Mapping[str, Any]) -> dict[str, Any]:
    recipe = prepared.recipe
    facts: dict[str, Any] = {
        "name": recipe.title(), "version": "0.0.0-draft", "dsbuild": dsbuild.__version__,
        "recipe": public_recipe(recipe.model_dump(mode="json", exclude_none=True)),
        "source": {**asdict(prepared.facts), "lang": prepared.src},
        "engines": {name: {"fingerprint": dict(prepared.fingerprints[name]), **asdict(terms)} for name, terms in prepared.terms.items()},
        "languages": {lang: {"name": languages.get(lang).name} for lang in (prepared.src, *recipe.langs)},
        "stages": stage_facts(prepared.nodes, progress),
        "notes": [],
        "accounting": counted,
    }  # fmt: skip
    facts["build_key"] = digest(str(facts))
    return facts


def _ifeval_files(prepared: PreparedTexts, progress: Progress) -> dict[str, str]:
    """The kept rows of each language in IFEval's own layout, where the source came in it: what a harness reads."""
    if prepared.recipe.table != "instructions":
        return {}
    texts: dict[str, str] = {}
    for lang in prepared.recipe.langs:
        lines = [
            json.dumps(_ifeval(row), ensure_ascii=False)
            for rows in _kept(prepared, progress, lang)
            for row in rows.to_pylist()
        ]
        texts[f"ifeval-{lang}.jsonl"] = "".join(f"{line}\n" for line in lines)
    return texts


def _ifeval(row: Mapping[str, Any]) -> dict[str, Any]:
    key = row["doc_id"]
    whole = key.isdecimal() and str(int(key)) == key
    given = instructions_of(row)
    return {
        "key": int(key) if whole else key, "prompt": row["text"],
        IDS: [name for name, _ in given], ARGUMENTS: [arguments for _, arguments in given],
    }  # fmt: skip
