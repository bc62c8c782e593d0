"""The funnel that generated queries pass: its section in a recipe, and the nodes of each language.

Two calls, once a build and once a language:

    plan = plan_funnel(recipe.funnel, seed=recipe.seed, digests=store / "digests")     # checks every name, option and file
    part = funnel_nodes(plan, "hi", Input("ask.hi"), passages=corpus, passages_lang="en")

`plan.shared` and `part.nodes` go into the graph. `part.rows` are the rows that came in, shard by shard, with the columns of the steps and
`fate` ("kept" or "dropped"), `lost_at` (the step, "" where none) and `flag` (the first rule that only flags it). `part.states` says which
steps ran, and why others did not. A row that is a duplicate names the query that stays in `duplicate_of`: its judgement goes there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, model_validator

from dsbuild.builders.duplicates import near_of
from dsbuild.builders.funnel_ranks import RIVALS, RankSources
from dsbuild.builders.funnel_rerank import RerankSources
from dsbuild.builders.rerank import RerankSection, fingerprint
from dsbuild.builders.retriever import names_in, open_retrievers, split_spec
from dsbuild.errors import RecipeError
from dsbuild.filters.contamination import FindContamination
from dsbuild.filters.copied_span import CopiedSpan
from dsbuild.filters.cutoff import Cutoff
from dsbuild.filters.decide_funnel import DecideFunnel, Finish
from dsbuild.filters.exact_duplicates import FindExact
from dsbuild.filters.funnel_rules import split, step, steps
from dsbuild.filters.identify import IdentifyRows
from dsbuild.filters.leaked_words import LeakedWords
from dsbuild.filters.lengths import Lengths
from dsbuild.filters.near_duplicates import FindNear, Near
from dsbuild.filters.ngram_index import DEFAULT_N
from dsbuild.filters.query_form import QueryForm
from dsbuild.filters.score_rows import ScoreRows
from dsbuild.filters.settle import Settle
from dsbuild.filters.shuffled import SHUFFLED, Shuffled
from dsbuild.filters.sign_rows import SignRows
from dsbuild.filters.stands_alone import StandsAlone
from dsbuild.graph import Input, Node
from dsbuild.recipe import Section

# What may be set of a step besides its thresholds.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "language": ("model",),
    "contamination": ("against", "n"),
    "duplicates": ("jaccard", "recall", "unit", "n"),
    "round_trip": ("retriever", "depth", "options"),
    "reranker": ("model", "revision", "file", "rivals", "batch", "max_length", "device"),
    "likelihood": ("top_k",),
    "top_share": ("share", "by"),
    "judge": ("n", "generator", "gold"),
}
# Steps that are decided on in one go, from scores that every row has.
_TEXT = ("form", "language", "copied", "leaked", "alone", "contamination")
# Retrievers that find passages of another language than the query's.
_CROSSING = ("dense", "run")
_DEPTH = 100
_RIVALS = 10
_SHARE = 0.3


class FunnelSection(Section):
    """The funnel. stages: those that run, instead of the usual ones; every other key is a step: false, true, or its settings."""

    model_config = ConfigDict(extra="allow", frozen=True)

    stages: tuple[str, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        for key, value in values.items() if isinstance(values, Mapping) else ():
            if key == "stages":
                continue
            step(key)
            if not isinstance(value, bool | Mapping):
                raise RecipeError(f"funnel.{key}={value!r}: true, false, or settings such as funnel.round_trip.k=3")
        return values


@dataclass(frozen=True)
class FunnelPlan:
    """A funnel whose settings are sound.

    names: the steps that run, in order; options, said: by step, its options, and its thresholds as the recipe has them; shared: nodes for all
    languages; items: the evaluation sets that rows are compared with.
    """

    names: tuple[str, ...]
    options: Mapping[str, Mapping[str, Any]]
    said: Mapping[str, Mapping[str, Any]]
    seed: int
    shared: tuple[Node, ...] = ()
    items: Input | None = None
    near: Near = field(default_factory=Near)

    def option(self, name: str, key: str, default: Any) -> Any:
        """An option of a step."""
        return self.options.get(name, {}).get(key, default)


@dataclass(frozen=True)
class StepState:
    """Whether a step ran for a language; why: why it did not; by: what did the work (a retriever, a model), "" where nothing is to be named."""

    name: str
    ran: bool
    why: str = ""
    by: str = ""


@dataclass(frozen=True)
class Funnelled:
    """The funnel of one language: its nodes, where the rows are that came out of it, and its steps."""

    lang: str
    nodes: tuple[Node, ...]
    rows: Input
    states: tuple[StepState, ...]


def plan_funnel(section: FunnelSection, *, seed: int = 0, digests: Path | None = None) -> FunnelPlan:
    """Check a funnel before work starts: steps, thresholds, retrievers, models, evaluation sets.

    A step runs if it usually does, if `stages` names it or if the recipe sets something of it. `RecipeError` or `UnknownName` otherwise.
    """
    given = dict(section.model_extra or {})
    options: dict[str, dict[str, Any]] = {}
    said: dict[str, dict[str, Any]] = {}
    for name in given:
        settings = given[name] if isinstance(given[name], Mapping) else {}
        options[name], said[name] = split(name, settings, OPTIONS.get(name, ()))
    for name in section.stages or ():
        step(name)
    if section.stages is not None:
        if unused := [name for name in given if name not in section.stages and given[name] is not False]:
            raise RecipeError(f"funnel.{unused[0]}: set, but not among funnel.stages={list(section.stages)}")
        chosen = [name for name in steps() if name in section.stages and given.get(name) is not False]
    else:
        chosen = [name for name, one in steps().items() if given.get(name, one.usual) is not False]
    plan = FunnelPlan(tuple(chosen), options, said, seed)
    _check(plan)
    shared: tuple[Node, ...] = ()
    items = None
    if "contamination" in chosen:
        from dsbuild.builders.contaminated import ContaminationSection, item_nodes

        reading, items = item_nodes(
            _listed(plan.option("contamination", "against", ())),
            ContaminationSection().tables,
            plan.option("contamination", "n", DEFAULT_N),
            digests,
        )
        shared = tuple(reading)
    near = near_of(options.get("duplicates", {})) if "duplicates" in chosen else Near()
    return FunnelPlan(tuple(chosen), options, said, seed, shared, items, near)


def _check(plan: FunnelPlan) -> None:
    if "contamination" in plan.names and not _listed(plan.option("contamination", "against", ())):
        raise RecipeError("funnel.contamination: name evaluation sets: --set funnel.contamination.against=[beir:DIR]")
    if "round_trip" in plan.names:
        depth = plan.option("round_trip", "depth", _DEPTH)
        if not isinstance(depth, int) or isinstance(depth, bool) or depth < 1:
            raise RecipeError(f"funnel.round_trip.depth={depth!r}: a whole number, at least 1")
        k = plan.said.get("round_trip", {}).get("k")
        if k is not None and not 1 <= k <= depth:
            raise RecipeError(f"funnel.round_trip.k={k:g}: between 1 and funnel.round_trip.depth={depth}")
        if len(split_spec(_retriever(plan))) > 1:
            raise RecipeError(f"funnel.round_trip.retriever={_retriever(plan)}: one retriever; several are rrf:A+B")
        open_retrievers(_retriever(plan), plan.option("round_trip", "options", {}))[0].close()
    if "reranker" in plan.names:
        if not {"bm25", "round_trip"} & set(plan.names):
            raise RecipeError("funnel.reranker: candidates come from the step round_trip or bm25; let one of them run")
        fingerprint(_reranker(plan))
    if "likelihood" in plan.names:
        top = plan.option("likelihood", "top_k", None)
        if not isinstance(top, int) or isinstance(top, bool) or top < 1:
            raise RecipeError("funnel.likelihood: how many stay? --set funnel.likelihood.top_k=10000")
    if "top_share" in plan.names:
        share = plan.option("top_share", "share", _SHARE)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise RecipeError(f"funnel.top_share.share={share!r}: a number above 0, at most 1")
        if _share_by(plan) == "reranker_score" and "reranker" not in plan.names:
            raise RecipeError(
                "funnel.top_share: by which score? Let the reranker run, or --set funnel.top_share.by=logprob"
            )
    if plan.option("language", "model", "") and "language" not in plan.names:
        raise RecipeError("funnel.language.model: the step language does not run")


def funnel_nodes(
    plan: FunnelPlan, lang: str, asked: Input, *, passages: Input | None = None, passages_lang: str = "", table: str = "queries"
) -> Funnelled:  # fmt: skip
    """The nodes that rows of one language pass.

    asked: rows of `generation.GENERATED` with the task's columns, shard by shard; passages: the corpus (doc_id, title, text) that
    every parent_id is in, None where rows have no passage; passages_lang: its language; table: what verdicts call the rows.
    """
    laying = _Laying(plan, lang, asked, passages, passages_lang, table)
    laying.texts()
    if "duplicates" in plan.names:
        laying.duplicates()
    laying.ranks()
    laying.reranker()
    laying.cutoffs()
    finish = Finish((SHUFFLED, RIVALS))
    laying.add("", finish)
    return Funnelled(lang, tuple(laying.nodes), laying.rows, tuple(laying.states[name] for name in plan.names))


class _Laying:
    """The nodes of a language as they are laid out; rows: where the rows are by now."""

    def __init__(
        self, plan: FunnelPlan, lang: str, asked: Input, passages: Input | None, passages_lang: str, table: str
    ) -> None:
        self.plan, self.lang, self.rows, self.table = plan, lang, asked, table
        self.passages = Input(passages.node, passages.output, "all") if passages else None
        self.passages_lang = passages_lang
        self.nodes: list[Node] = []
        self.states: dict[str, StepState] = {}
        self._rivals = False
        for name in plan.names:
            lacks = step(name).needs == "passages" and passages is None
            self.states[name] = StepState(name, not lacks, "these rows have no passage" if lacks else "")

    def runs(self, name: str) -> bool:
        return name in self.states and self.states[name].ran

    def not_run(self, name: str, why: str) -> None:
        self.states[name] = StepState(name, False, why)

    def add(
        self,
        name: str,
        stage: Any,
        inputs: Mapping[str, Input] | None = None,
        *,
        whole: bool = False,
        model: Any = None,
    ) -> None:
        """A stage on the rows; afterwards the rows are its output."""
        rows = Input(self.rows.node, self.rows.output, "all") if whole else self.rows
        full = f"funnel.{name}.{self.lang}" if name else f"funnel.{self.lang}"
        self.nodes.append(Node(full, stage, {"rows": rows, **(inputs or {})}, model or {}))
        self.rows = Input(full)

    def decide(self, name: str, names: tuple[str, ...], cutoff: Input | None = None) -> None:
        said = {one: self.plan.said[one] for one in names if self.plan.said.get(one)}
        stage = DecideFunnel(names, said, self.table)
        self.add(f"decide.{name}", stage, {"cutoff": cutoff} if cutoff else None)

    def texts(self) -> None:
        """Score what the text alone says, then decide once."""
        plan = self.plan
        if self.runs("language"):
            model = str(plan.option("language", "model", ""))
            self.add("language", IdentifyRows("text", "", "lang", model, True))
        scorers: dict[str, Any] = {}
        if self.runs("form"):
            scorers["length"] = Lengths()
        if self.runs("form") or self.runs("copied"):
            scorers["form"] = QueryForm()
        if self.runs("leaked"):
            scorers["leaked"] = LeakedWords()
        if self.runs("alone"):
            scorers["alone"] = StandsAlone()
        if self.runs("duplicates"):
            scorers["shuffled"] = Shuffled(plan.seed)
        if scorers:
            self.add("score", ScoreRows.of(scorers))
        if self.runs("copied"):
            assert self.passages
            self.add("copied", CopiedSpan(self.passages_lang), {"passages": self.passages})
        if self.runs("contamination"):
            assert plan.items
            n = plan.option("contamination", "n", DEFAULT_N)
            self.add("contamination", FindContamination(self.table, "id", ("text",), n), {"items": plan.items})
        if names := tuple(name for name in _TEXT if self.runs(name)):
            self.decide("texts", names)

    def duplicates(self) -> None:
        """Exact ones by folded text, then near ones; of a group that one stays which a draw from the seed puts first."""
        near = self.plan.near
        at, lang = self.rows, self.lang
        sign = SignRows("id", ("text",), "folded", near, "best", SHUFFLED)
        self.nodes.append(Node(f"funnel.sign.{lang}", sign, {"rows": at}))
        keys = Input(f"funnel.sign.{lang}", "keys", "all")
        self.nodes.append(Node(f"funnel.exact.{lang}", FindExact(), {"keys": keys}))
        everything = {
            "keys": keys,
            "rows": Input(at.node, at.output, "all"),
            "exact": Input(f"funnel.exact.{lang}", how="all"),
        }
        self.nodes.append(Node(f"funnel.near.{lang}", FindNear({"": ("text",)}, near), everything))
        source = "user" if "jaccard" in self.plan.options.get("duplicates", {}) else "default"
        found = {
            "exact": Input(f"funnel.exact.{lang}"),
            "near": Input(f"funnel.near.{lang}"),
            "near_all": Input(f"funnel.near.{lang}", how="all"),
        }
        self.add("duplicates", Settle(self.table, "id", "lang", near.jaccard, source), found)

    def ranks(self) -> None:
        """BM25 for the flag, the retriever of the round trip; one search where they are the same."""
        plan = self.plan
        spec, options = _retriever(plan), plan.option("round_trip", "options", {})
        names = set(names_in(spec))
        if self.lang != self.passages_lang:
            why = f"queries in {self.lang}, passages in {self.passages_lang}"
            if self.runs("bm25"):
                self.not_run("bm25", f"{why}: they share no words to be found by")
            # Fusion finds across languages if any of its parts does.
            if self.runs("round_trip") and not names & set(_CROSSING):
                self.not_run(
                    "round_trip", f"{why}: {spec} cannot search across languages; name dense:MODEL or run:FILE"
                )
        rivals = plan.option("reranker", "rivals", _RIVALS) if self.runs("reranker") else 0
        found = [name for name in ("bm25", "round_trip") if self.runs(name)]
        if found == ["bm25", "round_trip"] and spec == "bm25" and not options:
            self._search(found, spec, options, rivals)
            return
        for name in found:
            noted = 0 if name == "bm25" and self.runs("round_trip") else rivals
            if name == "round_trip":
                self._search([name], spec, options, noted)
            else:
                self._search([name], "bm25", {}, noted)

    def _search(self, names: list[str], spec: str, options: Mapping[str, Any], rivals: int) -> None:
        """One search for one or both of the steps."""
        assert self.passages
        (made,) = open_retrievers(spec, options)
        depth = self.plan.option("round_trip", "depth", _DEPTH)
        columns = tuple(f"{name}_rank" for name in names)
        easy = "bm25_easy_share" if "bm25" in names else ""
        stage = RankSources(columns, self.lang, max(depth, rivals + 1), easy, rivals, spec, options)
        self.add(names[-1], stage, {"passages": self.passages}, whole=True, model=made.fingerprint())
        for name in names:
            self.states[name] = StepState(name, True, by=made.name)
        self._rivals = self._rivals or rivals > 0
        made.close()
        self.decide(names[-1], tuple(names))

    def reranker(self) -> None:
        """Score what is left; only where candidates of the first stage are there."""
        if not self.runs("reranker"):
            return
        if not self._rivals:
            self.not_run("reranker", "no first stage ran whose candidates it could score")
            return
        assert self.passages
        section = _reranker(self.plan)
        stage = RerankSources(self.lang, section.model_dump())
        self.add("reranker", stage, {"passages": self.passages}, whole=True, model=fingerprint(section))
        self.states["reranker"] = StepState("reranker", True, by=Path(section.model or section.file).name)
        self.decide("reranker", ("reranker",))

    def cutoffs(self) -> None:
        """The best of all rows that are left, by one score."""
        plan = self.plan
        if self.runs("likelihood"):
            top = plan.option("likelihood", "top_k", 0)
            self._cut("likelihood", Cutoff("likelihood", "logprob", top=top, source=f"InPars: best {top:,}"))
        if self.runs("top_share"):
            by, share = _share_by(plan), float(plan.option("top_share", "share", _SHARE))
            if by == "reranker_score" and not self.runs("reranker"):
                self.not_run("top_share", "its score is the reranker's, which did not run")
                return
            self._cut("top_share", Cutoff("top_share", by, share=share, source=f"doc2query--: best {share:.0%}"))

    def _cut(self, name: str, stage: Cutoff) -> None:
        at = self.rows
        node = Node(f"funnel.cutoff.{name}.{self.lang}", stage, {"rows": Input(at.node, at.output, "all")})
        self.nodes.append(node)
        self.decide(name, (name,), Input(node.name, how="all"))


def _listed(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _retriever(plan: FunnelPlan) -> str:
    return str(plan.option("round_trip", "retriever", "bm25"))


def _share_by(plan: FunnelPlan) -> str:
    return str(plan.option("top_share", "by", "reranker_score"))


def _reranker(plan: FunnelPlan) -> RerankSection:
    said = {key: value for key, value in plan.options.get("reranker", {}).items() if key != "rivals"}
    return RerankSection(**said)
