"""A language model judges the candidates that scores cannot decide: negative, dropped, or promoted to positive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from dsbuild import parquet, prompts
from dsbuild.answers import AnswerStore
from dsbuild.budget import Budget
from dsbuild.builders.judging.judged_qrels import added_to, splits_of
from dsbuild.builders.mining.choose_negatives import Block, Blocks, How, identity_of, rule_of
from dsbuild.builders.mining.rule_scores import share_of
from dsbuild.builders.mining.rules import below
from dsbuild.builders.retrieval.candidates import Anchors, Candidates, Floats, Ints, Mask
from dsbuild.builders.retrieval.evidence import hashed
from dsbuild.builders.retrieval.rerank import texts_of
from dsbuild.errors import RecipeError
from dsbuild.language_model import Call, LanguageModel, Said, Sampling
from dsbuild.llm import all_answered, ask_all, open_model
from dsbuild.prompts import Prompt
from dsbuild.recipe import OpenSection
from dsbuild.stage import Counts, Result, Shard, Workspace

# What a grade makes of a candidate (Boosting Data Utilization, arXiv 2509.09459, keeps its lowest grade alone).
OUTCOMES = {"irrelevant": "negative", "partial": "drop", "relevant": "positive"}
_PROMPT = "judge_band"

JUDGED = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("positive_id", pa.string(), nullable=False),  # the relevant document that the judge saw
        pa.field("outcome", pa.string(), nullable=False),  # negative, drop, positive
        pa.field("judge", pa.string(), nullable=False),  # the model's name
        pa.field("judge_version", pa.string(), nullable=False),  # digest of prompt and settings
        pa.field("problem", pa.string(), nullable=False),  # why there is no grade: dropped then; "": there is one
        pa.field(
            "known", pa.int32()
        ),  # the set's own grade of a pair that was asked only to compare; null: the judge decides
    ]
)


class JudgeSection(OpenSection):
    """A language model that judges, and what it is asked about.

    llm: its kind, of `dsbuild.llm`; model: as that kind calls it; low: the share of the positive's score from which a candidate is uncertain;
    below it nobody is asked. extra: how many candidates more than negatives are wanted may be judged for a query. promote: whether what is
    called relevant joins the judgements; known: the share of the set's own judgements that is asked about too, to compare. All other keys are
    options of that kind of model (`base_url`, `concurrency`, …).
    """

    llm: str = "openai"
    model: str
    low: float = Field(default=0.8, gt=0, le=1)
    extra: int = Field(default=4, ge=0)
    promote: bool = True
    known: float = Field(default=0.0, ge=0, le=1)
    temperature: float = 0.0
    seed: int = 7

    def fingerprint(self) -> dict[str, Any]:
        """What decides the answers: model, settings and the digest of the prompt."""
        said = self.opened().fingerprint()
        return {"judge": said, "temperature": self.temperature, "seed": self.seed, "prompt": prompt().digest}

    def opened(self) -> LanguageModel:
        """The model; `RecipeError` for options that cannot work."""
        if not self.model:
            raise RecipeError("the judge needs a model: --set judge.model=NAME, as the server calls it")
        return open_model(self.llm, {"model": self.model, **(self.model_extra or {})}, "judge")

    def call(self, query: str, relevant: str, candidate: str) -> Call:
        """The question about one pair."""
        messages = prompt().messages({}, {"query": query, "relevant": relevant, "candidate": candidate})
        return Call(messages, Sampling(self.temperature, max_tokens=256), self.seed, prompt().schema)


def prompt() -> Prompt:
    """The judge's instructions."""
    return prompts.load("dsbuild.builders.mining", _PROMPT)


def uncertain(block: Candidates, anchors: Floats, low: float) -> Mask:
    """Rows that some retriever scores from the share `low` of the positive's score on, or cannot compare with it."""
    return ~below(block, share_of(anchors, low))


def grade_of(said: Said) -> tuple[str, str]:
    """Outcome and problem of an answer: what is no grade drops the candidate.

    >>> grade_of(Said(value={"grade": "relevant"})), grade_of(Said("good", problem="not_json"))
    (('positive', ''), ('drop', 'not_json'))
    """
    if said.problem:
        return "drop", f"{said.problem}: {said.detail}".removesuffix(": ")
    return OUTCOMES[said.value["grade"]], ""


@dataclass(frozen=True)
class JudgeBand:
    """Ask about the uncertain ones among the candidates that the rule would choose, `negatives` and `extra` more for each query.

    Of the set's own judgements a share is asked about as well, by a hash of the pair, and never used but to compare.
    The judge sees query, a relevant document and the candidate. Answers are kept in the store; a killed run asks again only what was in flight.
    """

    lang: str
    blocks: Blocks
    rule: str
    options: Mapping[str, Any]
    negatives: int
    seed: int
    anchor: How
    low: float
    known: float
    section: Mapping[str, Any] = field(compare=False)

    name: ClassVar[str] = "judge_band"
    version: ClassVar[int] = 3
    resident: ClassVar[bool] = True

    @cached_property
    def _judge(self) -> JudgeSection:
        return JudgeSection.model_validate(self.section)

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """The inputs of `ChooseNegatives` and the whole table corpus -> out (`JUDGED`), by query, then the order of the candidates."""
        rule = rule_of(self.rule, self.options, inputs)
        block = self.blocks.read(inputs, identity_of(inputs))
        candidates, anchors = block.candidates, block.anchors.anchor(how=self.anchor)
        allowed = block.allowed & (block.positives > 0)[candidates.query_of]
        chosen = rule.choose(candidates, anchors, allowed, self.negatives, self.seed)
        rows = chosen.rows[uncertain(candidates, anchors, self.low)[chosen.rows]]
        positives = shown_positives(block.anchors)
        compared = self._compared(block, positives)
        query = np.concatenate([candidates.query_of[rows], block.anchors.query_of[compared]])
        own = block.anchors.doc_ids.take(pa.array(compared))
        doc_ids = pa.concat_arrays([candidates.doc_ids.take(pa.array(candidates.docs[rows])), own])
        query_ids = candidates.query_ids.take(pa.array(query))
        positive_ids = block.anchors.doc_ids.take(pa.array(positives[query]))
        grades = list(self._ask(query_ids, doc_ids, positive_ids, inputs, work)) if len(query) else []
        outcomes, problems = [one[0] for one in grades], [one[1] for one in grades]
        n, version = len(rows), prompt().digest
        columns = [
            query_ids.cast(pa.string()),
            doc_ids.cast(pa.string()),
            positive_ids.cast(pa.string()),
            pa.array(outcomes, pa.string()),
            pa.array([self._judge.model] * len(query), pa.string()),
            pa.array([version] * len(query), pa.string()),
            pa.array(problems, pa.string()),
            pa.array([None] * n + block.anchors.relevance[compared].tolist(), pa.int32()),
        ]
        facts = {
            "asked": n,
            "outcomes": dict(sorted(Counter(outcomes[:n]).items())),
            "problems": sum(map(bool, problems[:n])),
            "compared": len(compared),
        }
        total = candidates.n_queries
        return Result({"out": [Shard(pa.table(columns, schema=JUDGED))]}, counts=Counts(total, total), facts=facts)

    def _compared(self, block: Block, positives: Ints) -> Ints:
        """The judged pairs (of the anchors) that are asked about too: never the one that the judge sees as relevant."""
        query = block.anchors.query_of
        pairs = np.flatnonzero((positives[query] >= 0) & (positives[query] != np.arange(len(query))))
        names = block.candidates.query_ids.take(pa.array(query[pairs])).to_pylist()
        docs = block.anchors.doc_ids.take(pa.array(pairs)).to_pylist()
        marks = [hashed(self.seed, "known", *pair) for pair in zip(names, docs, strict=True)] if self.known else []
        return pairs[np.array([mark < self.known * 2.0**64 for mark in marks], np.bool_)] if marks else pairs[:0]

    def _ask(
        self, query_ids: pa.Array, doc_ids: pa.Array, positive_ids: pa.Array, inputs: Mapping[str, Any], work: Workspace
    ) -> Iterator[tuple[str, str]]:
        queries = texts_of(inputs["queries"], "query_id", ("text",), pc.unique(query_ids), self.lang)
        wanted = pc.unique(pa.concat_arrays([doc_ids, positive_ids]))
        corpus = texts_of(inputs["corpus"], "doc_id", ("title", "text"), wanted, self.lang)
        asked = queries.texts.take(pc.index_in(query_ids, queries.ids))
        relevant = corpus.texts.take(pc.index_in(positive_ids, corpus.ids))
        texts = corpus.texts.take(pc.index_in(doc_ids, corpus.ids))
        judge = self._judge
        model = judge.opened()
        calls = (judge.call(asked[row].as_py(), relevant[row].as_py(), texts[row].as_py()) for row in range(len(asked)))
        with AnswerStore(work.store, model.fingerprint()) as answers:
            for said in all_answered(f"judge.{self.lang}", ask_all(model, calls, answers, Budget())):
                yield grade_of(said)


def shown_positives(anchors: Anchors) -> Ints:
    """For each query the pair that the judge sees: of the highest grade, then the best score by the first retriever, then the smallest id.

    -1 where a query has no positive.
    """
    score = np.nan_to_num(anchors.scores[0], nan=-np.inf)
    order = np.lexsort((np.arange(len(score)), -score, -anchors.relevance.astype(np.int64), anchors.query_of))
    query = anchors.query_of[order]
    out = np.full(len(anchors.starts) - 1, -1, np.int64)
    first = np.ones(len(order), np.bool_)
    first[1:] = query[1:] != query[:-1]
    best = order[first]
    good = anchors.positive[best]
    out[anchors.query_of[best][good]] = best[good]
    return out


@dataclass(frozen=True)
class AddJudgements:
    """The judgements with what a judge promoted: grade 1, in the split of the query, and the model's name as judge.

    Where another language was judged, the ids say which pair of this one it is; only pairs whose query is here, and that nobody has judged here.
    """

    name: ClassVar[str] = "add_judgements"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """qrels, judged, queries (whole tables) -> out; the facts say how many were added."""
        del work
        shards = list(inputs["qrels"])
        found = pa.concat_tables(list(inputs["judged"]))
        found = found.filter(pc.and_(pc.equal(found["outcome"], "positive"), pc.is_null(found["known"])))
        asked: set[str] = set()
        for path in inputs["queries"].paths:
            asked |= set(parquet.read(path, ["query_id"])["query_id"].to_pylist())
        pairs = list(zip(found["query_id"].to_pylist(), found["doc_id"].to_pylist(), strict=True))
        wanted = set(pairs)
        judged = {
            pair
            for shard in shards
            for pair in zip(shard["query_id"].to_pylist(), shard["doc_id"].to_pylist(), strict=True)
            if pair in wanted
        }
        found = found.filter(pa.array([pair[0] in asked and pair not in judged for pair in pairs], pa.bool_()))
        found = found.select(["query_id", "doc_id", "judge"]).append_column(
            "relevance", pa.array([1] * found.num_rows, pa.int32())
        )
        added = added_to(shards, found, splits_of(inputs["queries"]) if found.num_rows else {})
        total = sum(shard.num_rows for shard in shards)
        outputs = [*map(Shard, shards), *([Shard(added)] if found.num_rows else [])]
        return Result({"out": outputs}, counts=Counts(total, total), facts={"added": found.num_rows})
