"""Generated sets: the graph that picks passages, asks, and puts rows through the funnel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from dsbuild import executors, languages, release, run
from dsbuild.builders import TASKS, licensing
from dsbuild.builders.funnel.nodes import Funnelled, funnel_nodes
from dsbuild.builders.funnel.plan import FunnelPlan, plan_funnel
from dsbuild.builders.generation.ask_model import AskModel, Bounds, ModelChoice
from dsbuild.builders.generation.generate_recipe import PAIRS, GenerateRecipe, GeneratorSection
from dsbuild.builders.generation.generated_tables import (
    JudgeGenerated,
    JudgeTriplets,
    PairRows,
    QueryRows,
    TextsAsCorpus,
    TripletTables,
)
from dsbuild.builders.generation.generation import Task, open_task
from dsbuild.builders.generation.pick_examples import PickExamples
from dsbuild.builders.generation.pick_passages import CountTopics, PickPassages
from dsbuild.builders.generation.salient import SALIENT, salient_node
from dsbuild.builders.place import held_folder
from dsbuild.builders.sources.opened import Opened, OpenTable, facts_of, open_tables
from dsbuild.builders.sources.retrieval_tables import table_of, whole
from dsbuild.builders.sources.source import SourceFacts
from dsbuild.engine import Terms
from dsbuild.errors import RecipeError, SourceError, UnknownName
from dsbuild.filters.generated_texts import texts_of
from dsbuild.filters.identify import UNKNOWN
from dsbuild.graph import Input, Node
from dsbuild.llm import LANGUAGE_MODELS
from dsbuild.run import Reporter
from dsbuild.store import Store

ANSWER = "answer"  # the step of the funnel that only rows with an answer pass


@dataclass(frozen=True)
class Generating:
    """A recipe as a graph.

    asks: by language the nodes that ask, in order; final: by key of a table of the release where its rows are; real: by language queries that the
    source came with.
    """

    recipe: GenerateRecipe
    opened: Opened
    nodes: tuple[Node, ...]
    final: Mapping[str, Input]
    asks: Mapping[str, tuple[str, ...]]
    plan: FunnelPlan
    funnels: Mapping[str, Funnelled]
    terms: Mapping[str, Terms] = field(default_factory=dict)
    real: Mapping[str, Input] = field(default_factory=dict)


def prepare(recipe: GenerateRecipe, store: Path) -> Generating:
    """Open source, models, style and funnel, and lay out the graph; what is wrong with them is told before work starts."""
    sections = recipe.asked()
    style = f"{recipe.task}/{recipe.style_name()}"
    task = None if recipe.salient else _task(recipe, style)
    plan = _funnel(recipe, task, store)
    source = _source(recipe, task, store)
    opened = _texts(recipe, source)
    real = {one.lang: one.rows for one in source.tables if one.table == "queries"}
    if not recipe.langs and recipe.source is None:
        raise RecipeError(f"generate {recipe.task}: in which languages? Say --langs hi,en")
    langs = recipe.langs or (opened.facts.lang,)
    choices = [] if recipe.salient else _choices(sections)
    models = [choice.opened() for choice in choices]
    terms = {choice.label: model.terms() for choice, model in zip(choices, models, strict=True)}
    licensing.check(opened.facts, terms, recipe.release.license, derived=False)
    nodes = [*opened.nodes, *plan.shared]
    asks: dict[str, tuple[str, ...]] = {}
    funnels: dict[str, Funnelled] = {}
    tables: list[OpenTable] = []
    spent: Input | None = None
    for lang in langs:
        passages, passages_lang = _passages(opened, lang, recipe)
        picked = Node(f"pick.{lang}", _pick(recipe, passages_lang), {"rows": passages} if passages else {})
        nodes.append(picked)
        if recipe.salient:
            if passages_lang == UNKNOWN != lang:
                raise RecipeError(
                    f"generator salient: it takes words of the passages, whose language is not known; say it: --lang {lang}"
                )
            if lang != passages_lang:
                raise RecipeError(
                    f"generator salient: it takes words of the passage ({passages_lang}), so it has no queries in {lang}; name a model: --engine"
                )
            made = [
                salient_node(
                    recipe.style_name(),
                    recipe.style_options(),
                    lang,
                    recipe.seed,
                    Input(f"pick.{lang}", how="all"),
                    passages,
                )
            ]
        else:
            assert task is not None
            shown = _examples(recipe, task, lang, source, nodes)
            made, spent = _asking(recipe, task, style, lang, choices, models, spent, shown)
        nodes += made
        asks[lang] = tuple(node.name for node in made)
        gathered = _gathered(lang, [node.name for node in made if node.name.startswith(f"ask.{lang}")], nodes)
        found = funnel_nodes(
            plan, lang, gathered, passages=passages if recipe.task not in PAIRS else None, passages_lang=passages_lang,
            table="pairs" if recipe.task in PAIRS else "queries", compared=("text", "text_b") if recipe.task in PAIRS else ("text",),
        )  # fmt: skip
        nodes += found.nodes
        funnels[lang] = found
        tables += _tables(recipe, opened, lang, found.rows, nodes)
    kept = [one for one in opened.tables if recipe.release.source_tables] if recipe.task in ("queries", "qa") else []
    final = {one.key: one.rows for one in [*kept, *tables]}
    engines = {
        choice.label: {**asdict(terms[choice.label]), "origin": "generated", "fingerprint": dict(model.fingerprint())}
        for choice, model in zip(choices, models, strict=True)
    }
    opened = replace(opened, nodes=tuple(nodes), tables=(*kept, *tables), engines={**opened.engines, **engines})
    return Generating(recipe, opened, tuple(nodes), final, asks, plan, funnels, terms, real)


def _funnel(recipe: GenerateRecipe, task: Task | None, store: Path) -> FunnelPlan:
    """The recipe's funnel without what no row of the style could pass, and with what its rows usually pass."""
    said = {**(recipe.funnel.model_extra or {}), **dict.fromkeys(recipe.funnel.stages or (), True)}
    style = getattr(task, "funnel", {})
    if said.get(ANSWER, False) is not False and ANSWER not in style:
        raise RecipeError(f"funnel.{ANSWER}: rows of {recipe.task} have no answer that could stand in a passage")
    skipped = recipe.skipped()
    section = recipe.funnel.model_copy(update={skipped: False}) if skipped else recipe.funnel
    texts = tuple(one.column for one in texts_of(task.columns.names if task else ()))
    return plan_funnel(section, seed=recipe.seed, digests=store / "digests", style=style, texts=texts)


def _task(recipe: GenerateRecipe, style: str) -> Task:
    """The task, its steps too: unknown styles name the nearest of this task."""
    own = [name.partition("/")[2] for name in TASKS.names() if name.startswith(f"{recipe.task}/")]
    if recipe.style_name() not in own:
        raise UnknownName(f"style of {recipe.task}", recipe.style_name(), own)
    made = open_task(style, recipe.style_options())
    _ = made.prompt  # a user's prompt file is read now
    return made


def _choices(sections: Sequence[GeneratorSection]) -> list[ModelChoice]:
    """The models with their parts of [0, 1)."""
    total = sum(one.share for one in sections)
    found, at = [], 0.0
    for section in sections:
        LANGUAGE_MODELS.target(section.name) if section.name != SALIENT else None
        high = 1.0 if section is sections[-1] else at + section.share / total
        found.append(ModelChoice(section.name, section.label, section.options(), at, high))
        at = high
    labels = [one.label for one in found]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise RecipeError(f"generators: {twice[0]} stands there twice; give one a greater share")
    return found


def _source(recipe: GenerateRecipe, task: Task | None, store: Path) -> Opened:
    """The source; without tables for a style that needs none."""
    needs = True if task is None else getattr(task, "needs_source", True)
    if recipe.source is None:
        if needs:
            raise RecipeError(
                f"generate {recipe.task}: about which passages? Say --src beir:DIR, a release, or jsonl:FILE"
            )
        if recipe.count is None:
            raise RecipeError(f"generate {recipe.task}: how many? Say --count N")
        facts = SourceFacts(recipe.style_name(), (recipe.langs or ("und",))[0], None, None, None, None, (), False)
        return Opened((), (), facts)
    if not getattr(task, "reads_source", True):
        raise RecipeError(f"style {recipe.style_name()} reads no passages: leave --src out, and say --count N")
    if recipe.count is not None:
        raise RecipeError("--count is for styles that need no source; with --src say --limit N and --per-passage M")
    return open_tables(recipe.source, table="documents", digests=store / "digests", texts_only=True)


def _texts(recipe: GenerateRecipe, opened: Opened) -> Opened:
    """The source with its passages alone."""
    if recipe.source is None:
        return opened
    texts = [one for one in opened.tables if one.table in ("corpus", "documents")]
    if not texts:
        raise SourceError(f"{opened.facts.name}: no passages; name a retrieval set or a table of documents")
    said = languages.get(recipe.source.lang).code if recipe.source.lang else ""
    if any(not one.lang for one in texts) and not said:
        raise RecipeError(f"{opened.facts.name}: the language of its texts is not known; say it: --lang en")
    texts = [one if one.lang else replace(one, lang=said) for one in texts]
    facts = (
        opened.facts if opened.facts.lang in {one.lang for one in texts} else replace(opened.facts, lang=texts[0].lang)
    )
    nodes = list(opened.nodes)
    if recipe.task not in PAIRS and not any(one.table == "corpus" for one in texts):
        # What is made from texts is a retrieval set, and has a corpus.
        nodes += [Node(f"corpus.{one.lang}", TextsAsCorpus(facts.name, one.lang), {"rows": one.rows}) for one in texts]
        texts = [OpenTable(f"{one.lang}-corpus", one.lang, "corpus", Input(f"corpus.{one.lang}")) for one in texts]
    return replace(opened, nodes=tuple(nodes), tables=tuple(texts), facts=facts)


def _passages(opened: Opened, lang: str, recipe: GenerateRecipe) -> tuple[Input | None, str]:
    """The passages that a language's rows are made from: in that language where there are some, else the source's."""
    if recipe.source is None:
        return None, lang
    kinds = [one.table for one in opened.tables]
    table = table_of(opened, lang, "corpus" if "corpus" in kinds else "documents")
    return whole(table.rows), table.lang


def _pick(recipe: GenerateRecipe, lang: str) -> Any:
    if recipe.source is None:
        return CountTopics(recipe.count or 0, lang)
    return PickPassages(lang, recipe.seed, recipe.pick.limit, recipe.pick.min_chars, recipe.pick.max_chars)


def _examples(recipe: GenerateRecipe, task: Task, lang: str, source: Opened, nodes: list[Node]) -> Input | None:
    """Where the judged pairs are that a style shows, in the language asked for if the source has queries in it; None for a style that shows none."""
    if not getattr(task, "shows_set", False):
        return None
    try:
        queries = table_of(source, lang, "queries")
        found = {
            "queries": queries,
            **{name: table_of(source, queries.lang, name) for name in ("qrels", "corpus")},
        }
    except SourceError as error:
        raise RecipeError(
            f"style {task.style} shows judged pairs of the set: {error}; or give examples: --set style.examples_file=FILE"
        ) from error
    n, max_chars, held_out = (getattr(task, name) for name in ("n_examples", "max_chars", "held_out"))
    stage = PickExamples(queries.lang, n, max_chars, recipe.seed, held_out)
    nodes.append(Node(f"examples.{lang}", stage, {name: whole(one.rows) for name, one in found.items()}))
    return Input(f"examples.{lang}", how="all")


def _asking(
    recipe: GenerateRecipe, task: Task, style: str, lang: str, choices: Sequence[ModelChoice], models: Sequence[Any],
    spent: Input | None, examples: Input | None,
) -> tuple[list[Node], Input | None]:  # fmt: skip
    """One node for each step and model. Where there is a budget they know what was spent before them."""
    bounds = Bounds(**recipe.budget.model_dump())
    limited = recipe.budget.tokens is not None or recipe.budget.cost is not None
    nodes: list[Node] = []
    rows = [Input(f"pick.{lang}", how="all")]
    steps = [*getattr(task, "steps", ()), style]
    for place, name in enumerate(steps):
        last = name == style
        options = recipe.style_options() if last else getattr(task, "step_options", {}).get(name, {})
        step = task if last else open_task(name, options)
        made = []
        for number, (choice, model) in enumerate(zip(choices, models, strict=True)):
            source = rows[number] if len(rows) > 1 else rows[0]
            if len(rows) > 1:  # what a model said in an earlier step goes on with the same model
                choice = replace(choice, low=0.0, high=1.0)
            inputs = {"rows": source, **({"examples": examples} if examples and last else {})}
            if limited and spent is not None:
                inputs["spent"] = spent
            stage = AskModel(
                name,
                options,
                lang,
                recipe.seed,
                choice,
                sampling=recipe.sampling.said(),
                bounds=bounds,
                unreachable=recipe.unreachable,
            )
            prefix = f"ask.{lang}" if last else f"step{place + 1}.{lang}"
            node = f"{prefix}.{number}" if len(choices) > 1 else prefix
            decides = {
                "model": dict(model.fingerprint()),
                "prompt": step.prompt.digest,
                "shown": getattr(step, "shown", ""),
            }
            made.append(Node(node, stage, inputs, decides))
            spent = Input(node, "spent", "all")
        nodes += made
        rows = [Input(node.name, how="all") for node in made]
    return nodes, spent


def _gathered(lang: str, asks: Sequence[str], nodes: list[Node]) -> Input:
    """The rows of all models as one table."""
    if len(asks) == 1:
        return Input(asks[0])
    from dsbuild.builders.generation.gather import Gather

    nodes.append(Node(f"gather.{lang}", Gather(), {name: Input(name, how="all") for name in asks}))
    return Input(f"gather.{lang}")


def _tables(recipe: GenerateRecipe, opened: Opened, lang: str, rows: Input, nodes: list[Node]) -> list[OpenTable]:
    """The nodes that make canonical tables of the funnel's rows, and those tables."""
    if recipe.task in PAIRS:
        nodes.append(Node(f"pairs.{lang}", PairRows(), {"rows": rows}))
        return [OpenTable(f"generated.{lang}-pairs", lang, "pairs", Input(f"pairs.{lang}"))]
    name = opened.facts.name
    nodes.append(Node(f"queries.{lang}", QueryRows(name), {"rows": rows}))
    found = [OpenTable(f"generated.{lang}-queries", lang, "queries", Input(f"queries.{lang}"))]
    if recipe.task == "triplets":
        nodes.append(Node(f"triplets.{lang}", TripletTables(name), {"rows": rows}))
        nodes.append(Node(f"judge.{lang}", JudgeTriplets(), {"queries": Input(f"queries.{lang}")}))
        found.append(OpenTable(f"generated.{lang}-corpus", lang, "corpus", Input(f"triplets.{lang}", "corpus")))
    else:
        nodes.append(Node(f"judge.{lang}", JudgeGenerated(), {"queries": Input(f"queries.{lang}", how="all")}))
    found.append(OpenTable(f"generated.{lang}-qrels", lang, "qrels", Input(f"judge.{lang}")))
    return found


def run_generate(
    recipe: GenerateRecipe, out: Path | None, store: Path, executor: str, workers: int | None, reporter: Reporter | None
) -> dict[str, Any]:
    """Run a recipe and write its draft release; returns what the command prints."""
    from dsbuild.builders.generation import generated_draft

    chosen = executors.make(executor, workers)
    with held_folder(out, recipe.title()) as folder:
        generating = prepare(recipe, store)
        release.check_replaceable(folder, facts_of(generating.opened))
        progress = run.run(generating.nodes, Store(store), recipe.title(), chosen, reporter)
        return generated_draft.write_generated(folder, generating, progress)
