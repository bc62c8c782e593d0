"""Hard negatives of a retrieval set: the recipe, and the graph that retrieves, finds twins and chooses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from dsbuild import executors, release, run
from dsbuild.builders import licensing
from dsbuild.builders.filtering.duplicates import near_of
from dsbuild.builders.mining.calibrated_rule import Calibrated
from dsbuild.builders.mining.choose_negatives import Blocks, ChooseNegatives, How
from dsbuild.builders.mining.false_negatives import DRAWS, MeasureNegatives
from dsbuild.builders.mining.judge_band import AddJudgements, JudgeBand, JudgeSection
from dsbuild.builders.mining.map_negatives import CommonIds, MapNegatives
from dsbuild.builders.mining.measured import evidence_for, evidence_nodes
from dsbuild.builders.mining.rules import Fits, Rule, open_rule
from dsbuild.builders.place import held_folder
from dsbuild.builders.retrieval.own_documents import own_node
from dsbuild.builders.retrieval.rerank import RERANK, Rerank, RerankSection, fingerprint
from dsbuild.builders.retrieval.retrieve import retrieve_nodes
from dsbuild.builders.retrieval.retriever import names_in, open_retrievers, split_spec
from dsbuild.builders.retrieval.retriever_section import RetrieverSection
from dsbuild.builders.sections import ReleaseSection, SourceSection
from dsbuild.builders.sources.opened import Opened, as_spec, facts_of, name_of, open_tables
from dsbuild.builders.sources.retrieval_tables import languages_of, retrieval_tables, table_of, whole
from dsbuild.errors import UnknownName
from dsbuild.graph import Input, Node
from dsbuild.recipe import OpenSection, Section
from dsbuild.run import Reporter
from dsbuild.store import Store

# Of these the first that does not mine says how hard the negatives are for a retriever that did not choose them.
_WATCHING = ("bm25", "lsa")
# And where a rule learns from retrievers, one that it does not learn from.
_WATCHING_LEARNED = (*_WATCHING, "ngrams")


class RuleSection(OpenSection):
    """A rule by name; every other key is an option of that rule."""

    name: str


class MineSection(Section):
    """How a set is mined.

    decide: the language that decides for all, through ids; "": each for itself; anchor: which score of a query's positives candidates are compared
    with; siblings: whether other parts of a relevant article are refused; article: what stands in ids between article and part, such as # in
    MIRACL ("": group_id alone says what an article is); hardness: retrievers that do not mine and only say how hard the
    negatives are for them ("auto": one of bm25 and lsa, for a rule that learns also ngrams; "none"); strata: retrievers that say, beside those
    that mine, how likely a negative is relevant where a sample for a judge is drawn and no rule learned it; candidates: whether the release
    holds the table of candidates; draws: of the positive that stays known where false negatives are measured (0: they are not).
    """

    decide: str = ""
    anchor: How = "min"
    siblings: bool = True
    article: str = ""
    hardness: str = "auto"
    strata: str = "bm25,lsa,ngrams,words"
    candidates: bool = True
    draws: int = Field(default=DRAWS, ge=0)


class MineRecipe(Section):
    """Mine hard negatives; neardup: what counts as a near copy of a positive (jaccard, unit, n); target_fn: calibrate the rule to this share."""

    build: Literal["mine"] = "mine"
    name: str | None = None
    source: SourceSection
    retriever: RetrieverSection
    rule: RuleSection
    negatives: int = Field(default=4, ge=1)
    target_fn: float | None = Field(default=None, gt=0, lt=1)
    seed: int = Field(default=0, ge=0)
    mine: MineSection = MineSection()
    rerank: RerankSection | None = None
    judge: JudgeSection | None = None
    neardup: dict[str, Any] = Field(default_factory=dict)
    release: ReleaseSection = ReleaseSection()

    def title(self) -> str:
        """The build's name: given, or made from the source's."""
        return self.name or f"{name_of(as_spec(self.source.src))}-negatives"

    def rule_options(self) -> tuple[str, dict[str, Any]]:
        """The rule and its options. A target calibrates: of another rule's options those that every rule has stay."""
        options = dict(self.rule.model_extra or {})
        if self.target_fn is None:
            return self.rule.name, options
        if self.rule.name != "calibrated":
            open_rule(self.rule.name, options)
            shared = {one.name for one in dataclasses.fields(Calibrated) if one.init} - {"target_fn", "rank"}
            options = {name: value for name, value in options.items() if name in shared}
        return "calibrated", {**options, "target_fn": self.target_fn}

    def opened_rule(self) -> Rule:
        """The rule."""
        return open_rule(*self.rule_options())


@dataclass(frozen=True)
class Mining:
    """A recipe as a graph. langs: those that are mined, each with the retrievers that mine and those that watch; mapped: those decided elsewhere."""

    recipe: MineRecipe
    opened: Opened
    nodes: tuple[Node, ...]
    langs: tuple[str, ...]
    blocks: Blocks
    mapped: tuple[str, ...] = ()

    def negatives(self, lang: str) -> Input:
        """Where the negatives of a language are."""
        return Input(f"map.{lang}" if lang in self.mapped else f"choose.{lang}")


def as_source(src: str | None) -> str | None:
    """KIND:PATH of what may be a mere path."""
    return as_spec(src) if src else None


def prepare(recipe: MineRecipe, store: Path) -> Mining:
    """Open the source, the retrievers and the rule, and lay out the graph; what is wrong with them is told before work starts."""
    recipe.opened_rule()
    if recipe.judge:
        recipe.judge.opened()
    near = near_of(recipe.neardup)
    opened = retrieval_tables(open_tables(recipe.source, digests=store / "digests"))
    licensing.check_opened(opened, recipe.release.license, derived=False)
    decide = recipe.mine.decide
    # A decision also goes to languages that have documents alone: their questions stay the source's (cross-lingual sets).
    langs = languages_of(opened, of=("queries", "corpus") if decide else ("queries",))
    if decide and decide not in langs:
        raise UnknownName("language of the set (mine.decide)", decide, langs)
    mining = (decide,) if decide else langs
    names = _names(recipe.retriever.use, recipe.retriever.options())
    watching = _watching(recipe, names)
    if recipe.rerank:
        fingerprint(recipe.rerank)
        # What the reranker scored is chosen from; the retrievers say how hard it is for them.
        blocks = Blocks((RERANK,), (*names, *watching), recipe.mine.siblings)
    else:
        blocks = Blocks(names, watching, recipe.mine.siblings)
    blocks = replace(blocks, evidence=tuple(evidence_for(recipe)))
    nodes = [*opened.nodes]
    everywhere = None
    mapped = tuple(lang for lang in langs if lang not in mining)
    if mapped:
        corpora = {f"corpus.{lang}": whole(table_of(opened, lang, "corpus").rows) for lang in langs}
        nodes.append(Node("everywhere", CommonIds(), corpora))
        everywhere = Input("everywhere", how="all")
    for lang in mining:
        nodes += _mine(recipe, opened, lang, blocks, near, everywhere)
    for lang in mapped:
        inputs = {
            "negatives": Input(f"choose.{decide}", how="all"),
            "queries": whole(table_of(opened, lang, "queries").rows),
            "qrels": whole(table_of(opened, lang, "qrels").rows),
            "own": Input(f"own.{lang}", how="all"),
        }
        nodes.append(own_node(opened, lang))
        nodes.append(Node(f"map.{lang}", MapNegatives(lang, recipe.negatives), inputs))
        # Judgements that a language shares with the source are that language's.
        if recipe.judge and recipe.judge.promote and table_of(opened, lang, "qrels").lang == lang:
            nodes.append(_promote(opened, lang, decide))
    return Mining(recipe, opened, tuple(nodes), langs, blocks, mapped)


def _names(spec: str, options: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    found = []
    for part in split_spec(spec):
        (made,) = open_retrievers(part, {name: options[name] for name in names_in(part) if name in options})
        found.append(made.name)
        made.close()
    return tuple(found)


def _watching(recipe: MineRecipe, mining: tuple[str, ...]) -> tuple[str, ...]:
    said = recipe.mine.hardness
    if said == "none":
        return ()
    if said == "auto":
        learned = evidence_for(recipe)
        names = _WATCHING_LEARNED if learned else _WATCHING
        return next(((name,) for name in names if name not in (*mining, *learned)), ())
    return tuple(name for name in _names(said, {}) if name not in mining)


def _mine(
    recipe: MineRecipe, opened: Opened, lang: str, blocks: Blocks, near: Any, everywhere: Input | None
) -> list[Node]:
    """Retrieve, find twins and choose in one language."""
    corpus, queries, qrels = (table_of(opened, lang, table).rows for table in ("corpus", "queries", "qrels"))
    depth = recipe.retriever.depth
    nodes = retrieve_nodes(recipe.retriever.use, recipe.retriever.options(), lang, corpus, queries, qrels, depth=depth)
    names = tuple(node.stage.retriever for node in nodes)  # type: ignore[attr-defined]
    watching = [name for name in blocks.watching if name not in names]
    if watching:
        said = ",".join(watching) if recipe.mine.hardness == "auto" else recipe.mine.hardness
        further = retrieve_nodes(said, {}, lang, corpus, queries, qrels, depth=depth)
        nodes += [node for node in further if node.stage.retriever not in names]  # type: ignore[attr-defined]
    if recipe.rerank:
        scored = {
            f"{part}.{name}": Input(f"retrieve.{lang}.{name}", part)
            for name in names
            for part in ("candidates", "anchors")
        }
        stage = Rerank(lang, names, recipe.rerank.depth, recipe.rerank.model_dump())
        texts = {"queries": whole(queries), "corpus": whole(corpus)}
        nodes.append(Node(f"rerank.{lang}", stage, {**scored, **texts}, fingerprint(recipe.rerank)))
    nodes += [
        *twin_nodes(opened, lang, near, recipe.mine.article, every=recipe.judge is not None),
        own_node(opened, lang),
    ]
    inputs = {}
    for name in blocks.inputs():
        part, _, retriever = name.partition(".")
        inputs[name] = retrieved(lang, retriever, part)
    nodes += evidence_nodes(
        evidence_for(recipe), recipe.retriever.options(), lang, blocks, whole(corpus), whole(queries), inputs
    )
    inputs |= {
        "queries": whole(queries),
        "docs": Input(f"twins.{lang}", "docs", "all"),
        "near": Input(f"twins.{lang}", "near", "all"),
        "own": Input(f"own.{lang}", how="all"),
    }
    if everywhere:
        inputs["everywhere"] = everywhere
    rule = recipe.opened_rule()
    if isinstance(rule, Fits):
        fitting = rule.fitting(lang, blocks, recipe.negatives, recipe.seed, recipe.mine.anchor)
        nodes.append(Node(f"fit.{lang}", fitting, {name: whole(source) for name, source in inputs.items()}))
        inputs["fit"] = Input(f"fit.{lang}", how="all")
    rule_name, options = recipe.rule_options()
    seed, anchor, judge = recipe.seed, recipe.mine.anchor, recipe.judge
    if recipe.mine.draws:
        measure = MeasureNegatives(lang, blocks, rule_name, options, recipe.negatives, seed, anchor, recipe.mine.draws)
        nodes.append(Node(f"measure.{lang}", measure, {name: whole(source) for name, source in inputs.items()}))
    if judge is not None:
        more = recipe.negatives + judge.extra
        band = JudgeBand(
            lang, blocks, rule_name, options, more, seed, anchor, judge.low, judge.known, judge.model_dump()
        )
        nodes.append(Node(f"judge.{lang}", band, {**inputs, "corpus": whole(corpus)}, judge.fingerprint()))
        inputs["judged"] = Input(f"judge.{lang}")
        if judge.promote:
            nodes.append(_promote(opened, lang, lang))
    low = judge.low if judge else None
    choose = ChooseNegatives(lang, blocks, rule_name, options, recipe.negatives, seed, anchor, low)
    nodes.append(Node(f"choose.{lang}", choose, inputs))
    return nodes


def _promote(opened: Opened, lang: str, judged: str) -> Node:
    """What the judge called relevant in a language joins the judgements of this or another one."""
    inputs = {name: whole(table_of(opened, lang, name).rows) for name in ("qrels", "queries")}
    return Node(f"promote.{lang}", AddJudgements(), {**inputs, "judged": Input(f"judge.{judged}", how="all")})


def twin_nodes(opened: Opened, lang: str, near: Any, article: str = "", *, every: bool = False) -> list[Node]:
    """Sign the documents of a language and number what they have in common: `twins.<lang>` with the outputs docs and near."""
    from dsbuild.builders.mining.identity import FIELDS, FindTwins
    from dsbuild.filters.link_texts import SignTexts

    corpus, qrels = table_of(opened, lang, "corpus").rows, table_of(opened, lang, "qrels").rows
    twins = {"rows": whole(corpus), "keys": Input(f"sign.{lang}", "keys", "all"), "qrels": whole(qrels)}
    return [
        Node(f"sign.{lang}", SignTexts("doc_id", FIELDS, near), {"rows": Input(corpus.node, corpus.output)}),
        Node(f"twins.{lang}", FindTwins(near, article, every), twins),
    ]


def retrieved(lang: str, retriever: str, part: str) -> Input:
    """Where the candidates, the anchors or the evidence of a retriever, or of the reranker, are."""
    if part == "evidence":
        return Input(f"evidence.{lang}.{retriever}")
    return Input(f"rerank.{lang}" if retriever == RERANK else f"retrieve.{lang}.{retriever}", part)


def run_mine(
    recipe: MineRecipe, out: Path | None, store: Path, executor: str, workers: int | None, reporter: Reporter | None
) -> dict[str, Any]:
    """Run a recipe and write its draft release; returns what the command prints."""
    from dsbuild.builders.mining import mined_draft

    chosen = executors.make(executor, workers)
    with held_folder(out, recipe.title()) as folder:
        mining = prepare(recipe, store)
        release.check_replaceable(folder, facts_of(mining.opened))
        progress = run.run(mining.nodes, Store(store), recipe.title(), chosen, reporter)
        return mined_draft.write_mined(folder, mining, progress)
