"""A judged set: the graph that chooses pairs, asks a language model about them, and puts its word beside that of the set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dsbuild import executors, languages, release, run
from dsbuild.builders import licensing
from dsbuild.builders.generation.ask_model import Bounds, ModelChoice
from dsbuild.builders.judging.choose_pairs import ChoosePairs, NoJudgements
from dsbuild.builders.judging.judge_agreement import MeasureJudge
from dsbuild.builders.judging.judge_pairs import JudgePairs, Question
from dsbuild.builders.judging.judge_preferences import ComparePairs
from dsbuild.builders.judging.judge_recipe import JudgeRecipe
from dsbuild.builders.judging.judged_qrels import AddBest, AddGrades
from dsbuild.builders.judging.judged_ranks import OtherCandidates, RankByLikelihood, RankByPreference
from dsbuild.builders.place import held_folder
from dsbuild.builders.retrieval.retrieve import retrieve_nodes
from dsbuild.builders.sources.opened import Opened, OpenTable, facts_of, open_tables
from dsbuild.builders.sources.retrieval_tables import table_of, whole
from dsbuild.errors import EngineError, SourceError, UnknownName
from dsbuild.graph import Input, Node
from dsbuild.llm import LANGUAGE_MODELS
from dsbuild.run import Reporter
from dsbuild.store import Store
from dsbuild.tables import RETRIEVAL_TABLES


@dataclass(frozen=True)
class Judging:
    """A recipe as a graph.

    final: by key of a table where its rows are; candidates: by language where those of the release are; negatives: those that the source came
    with.
    """

    recipe: JudgeRecipe
    opened: Opened
    nodes: tuple[Node, ...]
    langs: tuple[str, ...]
    choice: ModelChoice
    final: Mapping[str, Input]
    candidates: Mapping[str, tuple[Input, ...]]
    negatives: Mapping[str, Input]


def prepare(recipe: JudgeRecipe, store: Path) -> Judging:
    """Open the source, the retrievers and the model, and lay out the graph; what is wrong with them is told before work starts."""
    recipe.check()
    prompt = recipe.prompt()
    asked = recipe.asked()
    LANGUAGE_MODELS.target(asked.name)
    choice = ModelChoice(asked.name, asked.label, asked.options())
    model = choice.opened()
    source = open_tables(recipe.source, digests=store / "digests")
    opened = replace(source, tables=tuple(one for one in source.tables if one.table in RETRIEVAL_TABLES))
    licensing.check_opened(opened, recipe.release.license, derived=False)
    fingerprint = {"model": dict(model.fingerprint()), "prompt": prompt.digest}
    nodes = [*opened.nodes]
    final = {one.key: one.rows for one in opened.tables}
    candidates: dict[str, tuple[Input, ...]] = {}
    tables = list(opened.tables)
    spent: Input | None = None
    langs = _langs(recipe, opened)
    for lang in langs:
        queries, corpus = (whole(table_of(opened, lang, table).rows) for table in ("queries", "corpus"))
        judged = next((one for one in opened.tables if (one.lang, one.table) == (lang, "qrels")), None)
        qrels = judged.rows if judged else _qrels(opened, lang, nodes)
        texts = {"queries": queries, "corpus": corpus}
        first, before = _first_stages(recipe, source, lang, {**texts, "qrels": whole(qrels)}, nodes)
        section = recipe.pairs
        choose = ChoosePairs(
            lang, section.of, recipe.depth(), section.limit, recipe.seed, section.unjudged, section.positives,
            recipe.compare if recipe.mode == "pairwise" else "", tuple(sorted(section.retrievers)),
        )  # fmt: skip
        from_stages = {f"candidates.{number}": whole(one) for number, one in enumerate(first)}
        nodes.append(Node(f"pairs.{lang}", choose, {**texts, "qrels": whole(qrels), **from_stages}))
        inputs = {**texts, "pairs": Input(f"pairs.{lang}", how="all")}
        if spent is not None and (recipe.budget.tokens is not None or recipe.budget.cost is not None):
            inputs["spent"] = spent
        nodes.append(Node(f"ask.{lang}", _asking(recipe, lang, choice), inputs, fingerprint))
        spent = Input(f"ask.{lang}", "spent", "all")
        made, added = _made(recipe, lang, {**texts, "qrels": whole(qrels)})
        nodes += made
        anew = {f"retrieve.{lang}.{name}": name for name in _retrieved(nodes, lang)}
        ranked = [Input(f"rank.{lang}")] if any(one.name == f"rank.{lang}" for one in made) else []
        if before is not None:
            without = (*anew.values(), *([recipe.judge()] if ranked else []))
            nodes.append(Node(f"others.{lang}", OtherCandidates(tuple(sorted(without))), {"rows": before}))
        retrieved = [Input(node, "candidates") for node in anew]
        candidates[lang] = (*([Input(f"others.{lang}")] if before else []), *retrieved, *ranked)
        if added:
            key = judged.key if judged else f"judged.{lang}-qrels"
            if judged is None:
                tables.append(OpenTable(key, lang, "qrels", added))
            final[key] = added
    negatives = {one.lang: one.rows for one in source.tables if one.table == "negatives"}
    for one in source.tables:
        if one.table == "candidates" and one.lang not in candidates:
            candidates[one.lang] = (one.rows,)
    opened = replace(opened, nodes=tuple(nodes), tables=tuple(tables))
    return Judging(recipe, opened, tuple(nodes), langs, choice, final, candidates, negatives)


def _langs(recipe: JudgeRecipe, opened: Opened) -> tuple[str, ...]:
    """The languages that are judged: those with queries, the source's first."""
    found = sorted(
        {one.lang for one in opened.tables if one.table == "queries"},
        key=lambda lang: (lang != opened.facts.lang, lang),
    )
    if not found:
        raise SourceError(
            f"{opened.facts.name}: no queries; name a retrieval set, such as beir:DIR or a release of one"
        )
    chosen = tuple(languages.get(lang).code for lang in recipe.langs)
    for lang in chosen:
        if lang not in found:
            raise UnknownName("language with queries in the set (--langs)", lang, found)
    return tuple(dict.fromkeys(chosen)) or tuple(found)


def _qrels(opened: Opened, lang: str, nodes: list[Node]) -> Input:
    """The judgements of a language that has none of its own: the source's, which name the same ids, or no row."""
    for one in opened.tables:
        if (one.lang, one.table) == (opened.facts.lang, "qrels"):
            return one.rows
    nodes.append(Node(f"unjudged.{lang}", NoJudgements()))
    return Input(f"unjudged.{lang}")


def _first_stages(
    recipe: JudgeRecipe, source: Opened, lang: str, texts: Mapping[str, Input], nodes: list[Node]
) -> tuple[list[Input], Input | None]:
    """Where the candidates to choose from are, and those that the source came with."""
    before = next((one.rows for one in source.tables if (one.lang, one.table) == (lang, "candidates")), None)
    if recipe.retriever:
        depth = max(recipe.retriever.depth, recipe.depth())
        made = retrieve_nodes(recipe.retriever.use, recipe.retriever.options(), lang, **texts, depth=depth)
        nodes += made
        return [Input(node.name, "candidates") for node in made], before
    if before is None and recipe.pairs.of != "qrels":
        raise SourceError(
            f"{source.facts.name}: no candidates in {lang}; name first stages (--retriever bm25), "
            + ("or mine them first" if recipe.mode == "pairwise" else "or judge the judged pairs (--pairs qrels)")
        )
    return [before] if before is not None else [], before


def _retrieved(nodes: list[Node], lang: str) -> list[str]:
    """The retrievers that search in a language."""
    prefix = f"retrieve.{lang}."
    return [node.name.removeprefix(prefix) for node in nodes if node.name.startswith(prefix)]


def _asking(recipe: JudgeRecipe, lang: str, choice: ModelChoice) -> JudgePairs | ComparePairs:
    question = Question(recipe.mode, lang, recipe.seed, choice, recipe.sampling.said(), recipe.prompt_file)
    bounds = Bounds(**recipe.budget.model_dump())
    if recipe.mode == "pairwise":
        return ComparePairs(question, recipe.compare, bounds, recipe.unreachable)
    return JudgePairs(question, bounds, recipe.unreachable)


def _made(recipe: JudgeRecipe, lang: str, texts: Mapping[str, Input]) -> tuple[list[Node], Input | None]:
    """What becomes of the answers, and where judgements with new ones are."""
    asked = Input(f"ask.{lang}", how="all")
    joined = {"qrels": texts["qrels"], "queries": texts["queries"], "judged": asked}
    added = Input(f"qrels.{lang}")
    if recipe.mode == "graded":
        measure = MeasureJudge(recipe.seed, recipe.qrels.known_relevant, recipe.qrels.relevant)
        return [
            Node(f"measure.{lang}", measure, {"judged": asked}),
            Node(f"qrels.{lang}", AddGrades(recipe.qrels.scale, recipe.qrels.relevant), joined),
        ], added
    if recipe.mode == "pairwise":
        inputs = {"pairs": Input(f"pairs.{lang}", how="all"), "compared": asked}
        return [Node(f"rank.{lang}", RankByPreference(recipe.judge()), inputs)], None
    rank = Node(f"rank.{lang}", RankByLikelihood(recipe.judge()), {"judged": asked})
    if not recipe.pseudo_labels:
        return [rank], None
    best = AddBest(recipe.judge())
    return [rank, Node(f"qrels.{lang}", best, {**joined, "ranked": Input(f"rank.{lang}", how="all")})], added


def run_judge(
    recipe: JudgeRecipe, out: Path | None, store: Path, executor: str, workers: int | None, reporter: Reporter | None
) -> dict[str, Any]:
    """Run a recipe and write its draft release; returns what the command prints."""
    from dsbuild.builders.judging import judging_draft

    chosen = executors.make(executor, workers)
    with held_folder(out, recipe.title()) as folder:
        judging = prepare(recipe, store)
        release.check_replaceable(folder, facts_of(judging.opened))
        kept = Store(store)
        if recipe.mode == "likelihood":
            _check_likelihood(judging, kept)
        progress = run.run(judging.nodes, kept, recipe.title(), chosen, reporter)
        return judging_draft.write_judged(folder, judging, progress)


def _check_likelihood(judging: Judging, store: Store) -> None:
    """`EngineError` before work where the model cannot score a given text; nobody is asked if everything is answered already."""
    plan = run.plan(judging.nodes, store, judging.recipe.title())
    asking = [line for line in plan if line.node.startswith("ask.")]
    if all(line.n_units and line.n_units == line.n_done for line in asking):
        return
    model = judging.choice.opened()
    model.check()
    if not model.abilities.likelihood:
        raise EngineError(
            f"{judging.choice.label}: gives no log-probabilities of a given text, and the mode likelihood needs them; "
            "ask another server (vllm serve has them), or --engine vllm or ctranslate2"
        )
