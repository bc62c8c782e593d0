"""Compose a recipe from a file and options, plan it, run it, write the draft release."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsbuild import executors, release, run
from dsbuild.builders.made_by import TRANSLATIONS
from dsbuild.builders.place import held_folder
from dsbuild.builders.recipes import find
from dsbuild.errors import RecipeError
from dsbuild.graph import Node
from dsbuild.recipe import apply_settings, read_yaml, validate
from dsbuild.registry import Registry, load
from dsbuild.run import Reporter
from dsbuild.store import Store

if TYPE_CHECKING:
    from dsbuild.builders.filtering.contaminated import ContaminationRecipe
    from dsbuild.builders.filtering.filtered import FilterRecipe
    from dsbuild.builders.filtering.splitting import SplitRecipe
    from dsbuild.builders.generation.generate_recipe import GenerateRecipe
    from dsbuild.builders.generation.generated import Generating
    from dsbuild.builders.judging.judge_recipe import JudgeRecipe
    from dsbuild.builders.mining.mined import MineRecipe
    from dsbuild.builders.projection.projected import ProjectRecipe
    from dsbuild.builders.pruning.pruned import PruneRecipe
    from dsbuild.builders.translation.translated import Prepared, TranslateRecipe
    from dsbuild.builders.translation.translated_texts import TextsRecipe

    Recipe = (
        TranslateRecipe
        | TextsRecipe
        | FilterRecipe
        | SplitRecipe
        | ContaminationRecipe
        | MineRecipe
        | PruneRecipe
        | ProjectRecipe
        | GenerateRecipe
        | JudgeRecipe
    )

DEFAULT_ENGINE = "ctranslate2"

# What `build:` may say. Only the build that is asked for is imported: all of them take longer to import than a small set to translate.
RECIPES = Registry(
    "kind of build",
    {
        "translate": "dsbuild.builders.translation.translated:TranslateRecipe",
        "translate-texts": "dsbuild.builders.translation.translated_texts:TextsRecipe",
        "filter": "dsbuild.builders.filtering.filtered:FilterRecipe",
        "split": "dsbuild.builders.filtering.splitting:SplitRecipe",
        "contamination": "dsbuild.builders.filtering.contaminated:ContaminationRecipe",
        "mine": "dsbuild.builders.mining.mined:MineRecipe",
        "prune": "dsbuild.builders.pruning.pruned:PruneRecipe",
        "project": "dsbuild.builders.projection.projected:ProjectRecipe",
        "generate": "dsbuild.builders.generation.generate_recipe:GenerateRecipe",
        "judge": "dsbuild.builders.judging.judge_recipe:JudgeRecipe",
    },
)
# Builds that write their draft themselves.
_RUNNERS: Mapping[str, str] = {
    "split": "dsbuild.builders.filtering.splitting:run_split",
    "contamination": "dsbuild.builders.filtering.contaminated:run_check",
    "mine": "dsbuild.builders.mining.mined:run_mine",
    "prune": "dsbuild.builders.pruning.pruned:run_prune",
    "project": "dsbuild.builders.projection.projected:run_project",
    "generate": "dsbuild.builders.generation.generated:run_generate",
    "judge": "dsbuild.builders.judging.judging:run_judge",
    "translate-texts": "dsbuild.builders.translation.translated_texts_draft:run_texts",
}


@dataclass(frozen=True)
class Built:
    """What a run hands to the command line."""

    manifest: Mapping[str, Any]
    notes: Sequence[str]
    summary: Mapping[str, Any]
    samples: Sequence[Mapping[str, str]]


def share(text: str) -> float:
    """A share written as a percentage or a fraction.

    >>> share("20%"), share("0.2")
    (0.2, 0.2)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", text)
    value = float(match.group(1)) / (100 if match.group(2) else 1) if match else -1.0
    if not 0 < value <= 1:
        raise RecipeError(f"{text!r} is not a share: write 20% or 0.2")
    return value


def compose(path: Path | None, options: Mapping[str, Any], settings: Sequence[str], kind: str | None = None) -> Recipe:
    """A recipe from a file, then options by dotted key (None: not given), then `--set` settings.

    kind: what the command builds; a recipe file says it with `build:` (translate if it does not).
    """
    path = find(path) if path else None
    values, lines = read_yaml(path) if path else ({}, {})
    given = {key: value for key, value in options.items() if value is not None}
    written, wanted = values.get("engine"), given.get("engine.name")
    if isinstance(written, Mapping) and wanted and written.get("name") != wanted:
        # What the recipe says of another engine (its model) means nothing to this one.
        values = {**values, "engine": {}}
    for key, value in given.items():
        *sections, last = key.split(".")
        target = values
        for section in sections:
            inner = target.get(section)
            target[section] = dict(inner) if isinstance(inner, Mapping) else {}
            target = target[section]
        target[last] = value
    values = apply_settings(values, settings)
    named = values.get("build", kind or "translate")
    RECIPES.target(str(named))
    if kind and named != kind:
        raise RecipeError(f"{path}: a recipe that builds with {named!r}; run it with: dsbuild run {path}")
    if named in TRANSLATIONS:
        engine = values.setdefault("engine", {})
        if isinstance(engine, dict):
            engine.setdefault("name", DEFAULT_ENGINE)
    made: Recipe = validate(RECIPES.get(named), values, where=str(path) if path else "options", lines=lines)
    return made


def _nodes(recipe: Recipe, store: Path) -> tuple[list[Node], Prepared | Generating | None]:
    """The graph of a recipe, and what was prepared for it where models make its texts."""
    if recipe.build == "split":
        from dsbuild.builders.filtering import splitting

        return splitting.nodes_of(recipe, store), None
    if recipe.build == "contamination":
        from dsbuild.builders.filtering import contaminated

        return contaminated.nodes_of(recipe, store), None
    if recipe.build == "mine":
        from dsbuild.builders.mining import mined

        return list(mined.prepare(recipe, store).nodes), None
    if recipe.build == "prune":
        from dsbuild.builders.pruning import pruned

        return list(pruned.prepare(recipe, store).nodes), None
    if recipe.build == "generate":
        from dsbuild.builders.generation import generated

        generating = generated.prepare(recipe, store)
        return list(generating.nodes), generating
    if recipe.build == "judge":
        from dsbuild.builders.judging import judging

        return list(judging.prepare(recipe, store).nodes), None
    if recipe.build == "project":
        from dsbuild.builders.projection import projected

        return list(projected.prepare(recipe, store / "digests").nodes), None
    if recipe.build == "translate-texts":
        from dsbuild.builders.translation import translated_texts

        return list(translated_texts.prepare_texts(recipe, store / "digests").nodes), None
    if recipe.build == "filter":
        from dsbuild.builders.filtering import filtered

        return filtered.prepare_filter(recipe, store / "digests").nodes, None
    from dsbuild.builders.translation import translated

    prepared = translated.prepare(recipe, store / "digests")
    return prepared.nodes, prepared


def plan_build(recipe: Recipe, store: Path) -> dict[str, Any]:
    """The plan of a recipe: per node its units, how many are done, and why the others run; and better engines, if any."""
    from dsbuild.translate.advice import advise

    nodes, prepared = _nodes(recipe, store)
    lines = run.plan(nodes, Store(store), recipe.title())
    plan: dict[str, Any] = {
        "recipe": recipe.title(),
        "nodes": [asdict(line) for line in lines],
        "terms": {},
        "advice": [],
    }
    if prepared is not None:
        plan["terms"] = {name: asdict(terms) for name, terms in prepared.terms.items()}
    if recipe.build == "translate":
        from dsbuild.builders.translation.translated import Prepared

        assert isinstance(prepared, Prepared)
        chosen = recipe.engine
        plan["advice"] = advise(chosen.name, dict(chosen.choice().options), prepared.src, prepared.recipe.langs)
    return plan


def run_build(
    recipe: Recipe, out: Path | None, store: Path, executor: str, workers: int | None, reporter: Reporter
) -> Built:
    """Run a recipe and write its draft release; a second run on the same output is refused while the first is at work."""
    if recipe.build in _RUNNERS:
        found = load(_RUNNERS[recipe.build])(recipe, out, store, executor, workers, reporter)
        return Built(release.read_manifest(Path(found["release"])), found["notes"], found, [])
    chosen = executors.make(executor, workers)
    with held_folder(out, recipe.title()) as folder:
        kept = Store(store)
        if recipe.build == "filter":
            from dsbuild.builders.filtering import filtered, filtered_draft

            filtering = filtered.prepare_filter(recipe, store / "digests")
            release.check_replaceable(folder, asdict(filtering.source_facts))
            progress = run.run(filtering.nodes, kept, recipe.title(), chosen, reporter)
            manifest = filtered_draft.write_filtered(folder, filtering, progress)
            summary = filtered_draft.summary(filtering, manifest, folder)
            return Built(manifest, manifest["notes"], summary, filtered_draft.samples(folder, filtering))
        assert recipe.build == "translate"
        from dsbuild.builders.translation import draft, examples, translated
        from dsbuild.builders.translation.guard import stop_if_bad, stop_if_lost

        prepared = translated.prepare(recipe, store / "digests")
        release.check_replaceable(folder, asdict(prepared.source_facts))
        stop_if_bad(prepared, kept, chosen, reporter)
        progress = run.run(prepared.nodes, kept, recipe.title(), chosen, reporter)
        stop_if_lost(recipe.max_drop, draft.accounting(prepared, progress))
        manifest = draft.write_draft(folder, prepared, progress)
        summary = draft.summary(recipe.langs, recipe.tables(), progress, manifest, folder)
        terms = [one.line(name) for name, one in prepared.terms.items()]
    notes = [*manifest["notes"], *terms]
    return Built(manifest, notes, summary, examples.pick(folder, prepared))
