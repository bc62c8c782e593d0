"""Prune easy negatives of a retrieval set: the recipe, and the graph that retrieves, chooses, applies and certifies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from dsbuild import executors, release, run
from dsbuild.builders import licensing
from dsbuild.builders.place import held_folder
from dsbuild.builders.pruning.prune_documents import ApplyPruned, Certify, ChoosePruned, Refit, UniteKept
from dsbuild.builders.retrieval.fusion import Fused
from dsbuild.builders.retrieval.own_documents import own_node
from dsbuild.builders.retrieval.retrieve import retrieve_nodes
from dsbuild.builders.retrieval.retriever import Retriever, open_retrievers
from dsbuild.builders.retrieval.retriever_section import RetrieverSection
from dsbuild.builders.sections import ReleaseSection, SourceSection
from dsbuild.builders.sources.opened import Opened, OpenTable, as_spec, facts_of, name_of, open_tables
from dsbuild.builders.sources.retrieval_tables import languages_of, retrieval_tables, table_of, whole
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.graph import Input, Node
from dsbuild.recipe import Section
from dsbuild.run import Reporter
from dsbuild.store import Store

# What the sets that the rules are named for took: ranks (of English questions, of others), documents and queries.
_MIRACL_EN, _MIRACL, _MMTEB, _MMTEB_QUERIES = 100, 50, 250, 1_000


class PruneRetrievers(RetrieverSection):
    """First stages; depth: candidates of each for a query, on which scores with and without what is pruned are computed."""

    depth: int = Field(default=1_000, ge=1)


class PruneSection(Section):
    """What stays besides judged documents.

    rule: miracl-vision (documents in the first `depth` of a question), mmteb (the retrievers take turns until a query has `depth`
    documents, judged ones among them), target (what keeps the retrievers comparable, to a target); target_tau, target_size: the rule goes
    on until tau is reached or so many documents stay; bound: whether the estimate of tau (point) or the lower end of its interval (low)
    must reach it; queries: keep so many, drawn by the seed (0: all; mmteb: 1,000); decide: the language whose decision is that of all,
    through ids; refit: also measure the retrievers indexed on what stays.
    """

    rule: Literal["miracl-vision", "mmteb", "target"] = "target"
    depth: int | None = Field(default=None, ge=1)
    target_tau: float | None = Field(default=None, gt=0, le=1)
    target_size: int | None = Field(default=None, ge=1)
    bound: Literal["point", "low"] = "point"
    queries: int | None = Field(default=None, ge=0)
    decide: str = ""
    refit: bool = True

    def sampled(self) -> int:
        """How many queries stay at most, 0 for all."""
        if self.queries is not None:
            return self.queries
        return _MMTEB_QUERIES if self.rule == "mmteb" else 0

    def depth_of(self, lang: str) -> int:
        """The number that the rule keeps to in a language, 0 where a target decides."""
        if self.target_tau or self.target_size:
            return 0
        if self.depth:
            return self.depth
        if self.rule == "mmteb":
            return _MMTEB
        return _MIRACL_EN if lang.split("-")[0] == "en" else _MIRACL

    def check(self) -> None:
        """Raise `RecipeError` for what cannot be meant."""
        said = [name for name in ("depth", "target_tau", "target_size") if getattr(self, name) is not None]
        if len(said) > 1:
            raise RecipeError(f"{' and '.join(said)}: each says where pruning ends; give one")
        if self.rule == "target" and said in ([], ["depth"]):
            raise RecipeError("the rule target goes to a target: --target-tau 0.95 or --target-size N")


class PruneRecipe(Section):
    """Prune easy negatives; seed: of the draw of queries and of the bootstrap."""

    build: Literal["prune"] = "prune"
    name: str | None = None
    source: SourceSection
    retriever: PruneRetrievers
    prune: PruneSection = PruneSection()
    seed: int = Field(default=0, ge=0)
    release: ReleaseSection = ReleaseSection()

    def title(self) -> str:
        """The build's name: given, or made from the source's."""
        return self.name or f"{name_of(as_spec(self.source.src))}-pruned"


@dataclass(frozen=True)
class Pruning:
    """A recipe as a graph. final: where the rows of each table, by its key, have their fate; corpora: the table that each language searches."""

    recipe: PruneRecipe
    opened: Opened
    nodes: tuple[Node, ...]
    langs: tuple[str, ...]
    retrievers: tuple[str, ...]
    final: Mapping[str, Input]
    corpora: Mapping[str, OpenTable]


def prepare(recipe: PruneRecipe, store: Path) -> Pruning:
    """Open source and retrievers and lay out the graph; what is wrong with them is told before work starts."""
    recipe.prune.check()
    opened = retrieval_tables(open_tables(recipe.source, digests=store / "digests"))
    licensing.check_opened(opened, recipe.release.license, derived=False)
    langs = languages_of(opened)
    if recipe.prune.decide and recipe.prune.decide not in langs:
        raise UnknownName("language of the set (prune.decide)", recipe.prune.decide, langs)
    made = open_retrievers(recipe.retriever.use, recipe.retriever.options())
    names = tuple(one.name for one in made)
    if recipe.prune.target_tau and len(names) < 2:
        raise RecipeError(f"--target-tau: {names[0]} alone has no ranking; name two retrievers or more")
    parts = {one.name: _leaves(one) for one in made}
    models = [one.fingerprint() for one in made]
    for one in made:
        one.close()
    corpora = {lang: table_of(opened, lang, "corpus") for lang in langs}
    nodes, final = [*opened.nodes], {table.key: table.rows for table in opened.tables}
    for lang in langs:
        nodes += _choose(recipe, opened, lang, names, parts)
    for key in dict.fromkeys(table.key for table in corpora.values()):
        nodes += _unite(recipe, opened, key, tuple(lang for lang in langs if corpora[lang].key == key))
        final[key] = Input(f"apply.{key}")
    for lang in langs:
        nodes += _certify(recipe, opened, lang, names, corpora[lang].key, langs, models)
    if recipe.prune.sampled():
        for table in (one for one in opened.tables if one.table in ("queries", "qrels")):
            stays = {"rows": table.rows, "staying": Input(f"choose.{table.lang}", "staying", "all")}
            nodes.append(Node(f"apply.{table.key}", ApplyPruned(table.table, table.lang, recipe.prune.rule), stays))
            final[table.key] = Input(f"apply.{table.key}")
    return Pruning(recipe, opened, tuple(nodes), langs, names, final, corpora)


def _leaves(made: Retriever) -> tuple[str, ...]:
    """The names of what a retriever is made of."""
    if isinstance(made, Fused):
        return tuple(sorted({leaf for part in made.parts for leaf in _leaves(part)}))
    return (made.name,)


def _deciding(recipe: PruneRecipe, langs: tuple[str, ...]) -> tuple[str, ...]:
    return (recipe.prune.decide,) if recipe.prune.decide else langs


def _tables(opened: Opened, lang: str) -> Iterator[tuple[str, Input]]:
    for table in ("corpus", "queries", "qrels"):
        yield table, whole(table_of(opened, lang, table).rows)


def _candidates(lang: str, names: tuple[str, ...]) -> dict[str, Input]:
    return {f"candidates.{name}": Input(f"retrieve.{lang}.{name}", "candidates", "all") for name in names}


def _choose(
    recipe: PruneRecipe, opened: Opened, lang: str, names: tuple[str, ...], parts: Mapping[str, tuple[str, ...]]
) -> list[Node]:
    """Retrieve and choose in one language."""
    tables, said = dict(_tables(opened, lang)), recipe.prune
    depth = max(recipe.retriever.depth, said.depth_of(lang))
    nodes = retrieve_nodes(
        recipe.retriever.use, recipe.retriever.options(), lang, tables["corpus"], tables["queries"], tables["qrels"], depth=depth
    )  # fmt: skip
    stage = ChoosePruned(
        lang, names, parts, said.rule, said.depth_of(lang), said.target_size or 0, said.target_tau or 0.0, said.bound, said.sampled(), recipe.seed,
    )  # fmt: skip
    inputs = {**tables, **_candidates(lang, names), "own": Input(f"own.{lang}", how="all")}
    return [*nodes, own_node(opened, lang), Node(f"choose.{lang}", stage, inputs)]


def _unite(recipe: PruneRecipe, opened: Opened, key: str, langs: tuple[str, ...]) -> list[Node]:
    """Decide on the documents of one corpus, which some languages search."""
    table = next(one for one in opened.tables if one.key == key)
    deciding = _deciding(recipe, langs)
    inputs = {"corpus": whole(table.rows)}
    inputs |= {f"kept.{lang}": Input(f"choose.{lang}", "kept", "all") for lang in deciding}
    for lang in langs:
        inputs[f"qrels.{lang}"] = whole(table_of(opened, lang, "qrels").rows)
        inputs[f"staying.{lang}"] = Input(f"choose.{lang}", "staying", "all")
    applied = {"rows": table.rows, "staying": Input(f"keep.{key}", how="all")}
    return [
        Node(f"keep.{key}", UniteKept(langs, deciding), inputs),
        Node(f"apply.{key}", ApplyPruned("corpus", table.lang, recipe.prune.rule), applied),
    ]


def _certify(
    recipe: PruneRecipe, opened: Opened, lang: str, names: tuple[str, ...], key: str, langs: tuple[str, ...], models: list[dict[str, Any]]
) -> list[Node]:  # fmt: skip
    """Measure one language on what stayed."""
    tables = dict(_tables(opened, lang))
    searching = tuple(one for one in langs if table_of(opened, one, "corpus").key == key)
    deciding = _deciding(recipe, searching)
    chosen = {name: Input(f"choose.{lang}", name, "all") for name in ("staying", "asked")}
    chosen["kept"] = Input(f"keep.{key}", how="all")
    own = Input(f"own.{lang}", how="all")
    inputs = {**tables, **chosen, **_candidates(lang, names), "own": own}
    inputs |= {f"left.{one}": Input(f"choose.{one}", "left", "all") for one in deciding}
    nodes = []
    if recipe.prune.refit:
        again = {
            **tables,
            "own": own,
            "asked": chosen["asked"],
            "kept": chosen["kept"],
        }
        stage = Refit(lang, recipe.retriever.use, recipe.retriever.options())
        nodes.append(Node(f"refit.{lang}", stage, again, {"retrievers": models}))
        inputs["refitted"] = Input(f"refit.{lang}", how="all")
    del inputs["queries"]
    return [*nodes, Node(f"certify.{lang}", Certify(lang, names, deciding, recipe.seed), inputs)]


def run_prune(
    recipe: PruneRecipe, out: Path | None, store: Path, executor: str, workers: int | None, reporter: Reporter | None
) -> dict[str, Any]:
    """Run a recipe and write its draft release; returns what the command prints."""
    from dsbuild.builders.pruning import pruned_draft

    chosen = executors.make(executor, workers)
    with held_folder(out, recipe.title()) as folder:
        pruning = prepare(recipe, store)
        release.check_replaceable(folder, facts_of(pruning.opened))
        progress = run.run(pruning.nodes, Store(store), recipe.title(), chosen, reporter)
        return pruned_draft.write_pruned(folder, pruning, progress)
