"""The nodes that generated queries pass, cheap to dear, in each language.

Two calls, one for a build (`funnel_plan`) and one for each language:

    plan = plan_funnel(recipe.funnel, seed=recipe.seed, digests=store / "digests")     # checks every name, option and file
    part = funnel_nodes(plan, "hi", Input("ask.hi"), passages=corpus, passages_lang="en")

`plan.shared` and `part.nodes` go into the graph. `part.rows` are the rows that came in, shard by shard, with the columns of the steps and
`fate` ("kept" or "dropped"), `lost_at` (the step, "" where none) and `flag` (the first rule that only flags it). `part.states` says which
steps ran, and why others did not. A row that is a duplicate names the query that stays in `duplicate_of`: its judgement goes there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsbuild.builders.funnel.judge import JudgeSample, open_judge, prompt, read_gold
from dsbuild.builders.funnel.plan import DEPTH, JUDGED, RIVALS_SEEN, SHARE, FunnelPlan
from dsbuild.builders.funnel.ranks import RIVALS, RankSources
from dsbuild.builders.funnel.rerank import RerankSources
from dsbuild.builders.retrieval.rerank import fingerprint
from dsbuild.builders.retrieval.retriever import names_in, open_retrievers
from dsbuild.filters.contamination import FindContamination
from dsbuild.filters.copied_span import CopiedSpan
from dsbuild.filters.cutoff import Cutoff
from dsbuild.filters.decide_funnel import DecideFunnel, Finish
from dsbuild.filters.exact_duplicates import FindExact
from dsbuild.filters.funnel_rules import step
from dsbuild.filters.generated_texts import OfText, texts_of
from dsbuild.filters.identify import UNKNOWN, IdentifyRows
from dsbuild.filters.leaked_words import LeakedWords
from dsbuild.filters.lengths import Lengths
from dsbuild.filters.near_duplicates import FindNear
from dsbuild.filters.ngram_index import DEFAULT_N
from dsbuild.filters.query_form import QueryForm
from dsbuild.filters.score_rows import ScoreRows
from dsbuild.filters.settle import Settle
from dsbuild.filters.shuffled import SHUFFLED, Shuffled
from dsbuild.filters.sign_rows import SignRows
from dsbuild.filters.stands_alone import StandsAlone
from dsbuild.graph import Input, Node

# Steps that are decided on in one go, from scores that every row has.
_TEXT = ("form", "language", "copied", "leaked", "alone", "answer", "contamination")
# Retrievers that find passages of another language than the query's.
_CROSSING = ("dense", "run")


@dataclass(frozen=True)
class StepState:
    """Whether a step ran for a language; why: why it did not; by: what did the work (a retriever, a model), "" where nothing is to be named."""

    name: str
    ran: bool
    why: str = ""
    by: str = ""


@dataclass(frozen=True)
class Funnelled:
    """The funnel of one language: its nodes, where the rows are that came out of it, its steps, and what a judge said of a sample."""

    lang: str
    nodes: tuple[Node, ...]
    rows: Input
    states: tuple[StepState, ...]
    judged: Input | None = None


def funnel_nodes(
    plan: FunnelPlan, lang: str, asked: Input, *, passages: Input | None = None, passages_lang: str = "", table: str = "queries",
    compared: tuple[str, ...] = ("text",),
) -> Funnelled:  # fmt: skip
    """The nodes that rows of one language pass.

    asked: rows of `generation.GENERATED` with the task's columns, `plan.texts` among them, shard by shard; passages: the corpus (doc_id, title,
    text) that every parent_id is in, None where rows have no passage; passages_lang: its language; table: what verdicts call the rows; compared:
    the columns that make two rows duplicates (of pairs their second text too).
    """
    laying = _Laying(plan, lang, asked, passages, passages_lang, table, compared)
    laying.texts()
    laying.ranks()
    laying.reranker()
    # After all that looks at a passage: a query that stands for others is not lost for a reason that was not theirs.
    if "duplicates" in plan.names:
        laying.duplicates()
    laying.cutoffs()
    finish = Finish((SHUFFLED, RIVALS))
    laying.add("", finish)
    judged = laying.judge()
    states = tuple(laying.states[name] for name in plan.names)
    return Funnelled(lang, tuple(laying.nodes), laying.rows, states, judged)


class _Laying:
    """The nodes of a language as they are laid out; rows: where the rows are by now."""

    def __init__(
        self, plan: FunnelPlan, lang: str, asked: Input, passages: Input | None, passages_lang: str, table: str,
        compared: tuple[str, ...],
    ) -> None:  # fmt: skip
        self.plan, self.lang, self.rows, self.table, self.compared = plan, lang, asked, table, compared
        self.passages = Input(passages.node, passages.output, "all") if passages else None
        self.passages_lang = passages_lang
        self.nodes: list[Node] = []
        self.states: dict[str, StepState] = {}
        self._rivals = False
        for name in plan.names:
            lacks = step(name).needs == "passages" and passages is None
            why = "nobody looks for a pair in a passage" if table == "pairs" else "these rows have no passage"
            self.states[name] = StepState(name, not lacks, why if lacks else "")

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
        stage = DecideFunnel(names, said, self.table, texts=self.plan.texts)
        self.add(f"decide.{name}", stage, {"cutoff": cutoff} if cutoff else None)

    def texts(self) -> None:
        """Score what the texts alone say, all of them in one pass, then decide once."""
        plan = self.plan
        scorers: dict[str, Any] = {}
        for text in texts_of(plan.texts):
            end = text.ending
            if self.runs("language"):
                model = str(plan.option("language", "model", ""))
                scorers[f"language{end}"] = IdentifyRows(text.column, "", "lang", model, True, end)
            if self.runs("form"):
                scorers[f"length{end}"] = OfText.of(Lengths(), text)
            if self.runs("form") or (self.runs("copied") and not end):
                scorers[f"form{end}"] = OfText.of(QueryForm(), text)
            if self.runs("leaked"):
                scorers[f"leaked{end}"] = OfText.of(LeakedWords(), text)
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
            self.add("contamination", FindContamination(self.table, "id", plan.texts, n), {"items": plan.items})
        if names := tuple(name for name in _TEXT if self.runs(name)):
            self.decide("texts", names)

    def duplicates(self) -> None:
        """Exact ones by folded text, then near ones; of a group that one stays which a draw from the seed puts first."""
        near = self.plan.near
        at, lang = self.rows, self.lang
        sign = SignRows("id", self.compared, "folded", near, "best", SHUFFLED)
        self.nodes.append(Node(f"funnel.sign.{lang}", sign, {"rows": at}))
        keys = Input(f"funnel.sign.{lang}", "keys", "all")
        self.nodes.append(Node(f"funnel.exact.{lang}", FindExact(), {"keys": keys}))
        everything = {
            "keys": keys,
            "rows": Input(at.node, at.output, "all"),
            "exact": Input(f"funnel.exact.{lang}", how="all"),
        }
        self.nodes.append(Node(f"funnel.near.{lang}", FindNear({"": self.compared}, near), everything))
        found = {
            "exact": Input(f"funnel.exact.{lang}"),
            "near": Input(f"funnel.near.{lang}"),
            "near_all": Input(f"funnel.near.{lang}", how="all"),
        }
        self.add("duplicates", Settle(self.table, "id", "lang", near.jaccard, self.plan.near_source), found)

    def ranks(self) -> None:
        """BM25 for the flag, the retriever of the round trip; one search where they are the same."""
        plan = self.plan
        spec, options = plan.retriever, plan.option("round_trip", "options", {})
        names = set(names_in(spec))
        if self.lang != self.passages_lang:
            if self.passages_lang == UNKNOWN:
                why = "nobody said what language the passages are in (--lang CODE)"
            else:
                why = f"queries in {self.lang}, passages in {self.passages_lang}"
            if self.runs("bm25"):
                self.not_run("bm25", f"{why}: words of another language would not be found")
            # Fusion finds across languages if any of its parts does.
            if self.runs("round_trip") and not names & set(_CROSSING):
                self.not_run(
                    "round_trip", f"{why}: {spec} cannot search across languages; name dense:MODEL or run:FILE"
                )
        rivals = plan.option("reranker", "rivals", RIVALS_SEEN) if self.runs("reranker") else 0
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
        depth = self.plan.option("round_trip", "depth", DEPTH)
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
        section = self.plan.reranker
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
            by, share = plan.share_column, float(plan.option("top_share", "share", SHARE))
            if by == "reranker_score" and not self.runs("reranker"):
                self.not_run("top_share", "its score is the reranker's, which did not run")
                return
            self._cut("top_share", Cutoff("top_share", by, share=share, source=f"doc2query--: best {share:.0%}"))

    def _cut(self, name: str, stage: Cutoff) -> None:
        at = self.rows
        node = Node(f"funnel.cutoff.{name}.{self.lang}", stage, {"rows": Input(at.node, at.output, "all")})
        self.nodes.append(node)
        self.decide(name, (name,), Input(node.name, how="all"))

    def judge(self) -> Input | None:
        """A sample of what came out, by a language model; the rows stay where they are."""
        if not self.runs("judge"):
            return None
        assert self.passages
        plan = self.plan
        generator = plan.option("judge", "generator", {})
        model = open_judge(generator)
        gold = plan.option("judge", "gold", "")
        stage = JudgeSample(
            self.lang, plan.option("judge", "n", JUDGED), plan.seed, generator, read_gold(Path(gold).expanduser()) if gold else {}
        )  # fmt: skip
        inputs = {"rows": Input(self.rows.node, self.rows.output, "all"), "passages": self.passages}
        node = Node(
            f"funnel.judge.{self.lang}", stage, inputs, {"judge": model.fingerprint(), "prompt": prompt().digest}
        )
        self.nodes.append(node)
        self.states["judge"] = StepState("judge", True, by=str(generator.get("model", generator["name"])))
        return Input(node.name)
