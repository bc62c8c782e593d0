"""Ask a language model about single pairs of a query and a document: a grade, or how likely the query is given the document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import prompts
from dsbuild.budget import Budget
from dsbuild.builders.generation.ask_model import Bounds, ModelChoice, Tally, Unreachable, answered, asked_within
from dsbuild.builders.generation.generation import drawn
from dsbuild.builders.generation.queries import language_slots, prompt_like
from dsbuild.builders.judging.choose_pairs import PAIRS_TO_JUDGE
from dsbuild.builders.retrieval.rerank import texts_of
from dsbuild.builders.retrieval.retriever import one
from dsbuild.errors import RecipeError, SourceError
from dsbuild.language_model import Call, Sampling
from dsbuild.prompts import Prompt
from dsbuild.stage import Result, Shard, Workspace

Mode = Literal["graded", "pairwise", "likelihood"]
# What the prompt of a mode says in its answers.
_FIELDS: Mapping[str, str] = {"graded": "grade", "pairwise": "better"}
_MAX_TOKENS = 256

# Who said it and how it was asked, beside every row.
ASKED_OF = pa.schema(
    [
        pa.field("judge", pa.string(), nullable=False),  # the model's name
        pa.field("prompt", pa.string(), nullable=False),  # digest
        pa.field("model", pa.string(), nullable=False),  # digest of the model's fingerprint
        pa.field("seed", pa.int64(), nullable=False),  # of the call
        pa.field("sampling", pa.string(), nullable=False),  # JSON object, {} where nothing is drawn
        pa.field("n_said", pa.int32(), nullable=False),  # tokens of the answers (of the query that was scored)
        pa.field("problem", pa.string(), nullable=False),  # why there is no answer, "" if there is one
    ]
)
JUDGED_PAIRS = pa.schema(
    [
        *PAIRS_TO_JUDGE,
        pa.field("grade", pa.int32()),  # 0 to 3; null in the mode likelihood, and without an answer
        pa.field("score", pa.float64()),  # mean log-probability of the query's tokens; null in the mode graded
        *ASKED_OF,
    ]
)


def prompt_of(mode: str, file: str = "") -> Prompt:
    """The prompt of a mode, or a user's own; `RecipeError` for one whose answers cannot be read like those of the mode's."""
    shipped = prompts.load("dsbuild.builders.judging", f"judge_{mode}")
    if not file:
        return shipped
    made = prompt_like(file, shipped)
    if wanted := _FIELDS.get(mode):
        known = (shipped.schema or {})["properties"][wanted]["enum"]
        own = (made.schema or {})["properties"][wanted].get("enum")
        if not own or not all(value in known for value in own):
            raise RecipeError(
                f"{file}: {wanted!r} is one of {', '.join(map(str, known))} in the mode {mode}; say so with an enum in the prompt's schema"
            )
    return made


@dataclass(frozen=True)
class Question:
    """How a judge is asked about things of one language.

    sampling: what the recipe says of it; answers are greedy otherwise. seed: of the build; that of a call is made from its rows.
    """

    mode: Mode
    lang: str
    seed: int
    model: ModelChoice
    sampling: Mapping[str, Any] = field(default_factory=dict)
    prompt_file: str = field(default="", compare=False)  # its digest is the node's

    @cached_property
    def prompt(self) -> Prompt:
        """The instructions."""
        return prompt_of(self.mode, self.prompt_file)

    def call(self, data: Mapping[str, str], *key: str, continuation: str | None = None) -> Call:
        """The question about `data`, which is untrusted; key: the ids that it is about."""
        messages = self.prompt.messages(language_slots(self.lang), data)
        if continuation is not None:
            return Call(messages, continuation=continuation)
        return Call(messages, self._drawn, self._seed(*key), self.prompt.schema)

    def asked_of(self, *key: str, n_said: int, problem: str) -> dict[str, Any]:
        """The columns of `ASKED_OF`; key: as of the call."""
        likelihood = self.mode == "likelihood"
        return {
            "judge": self.model.label, "prompt": self.prompt.digest, "model": self._signature,
            "seed": 0 if likelihood else self._seed(*key),
            "sampling": "{}" if likelihood else json.dumps(asdict(self._drawn), sort_keys=True), "n_said": n_said, "problem": problem,
        }  # fmt: skip

    def _seed(self, *key: str) -> int:
        return drawn(self.seed, "judge", self.mode, *key) % (1 << 31)

    @cached_property
    def _drawn(self) -> Sampling:
        return replace(Sampling(max_tokens=_MAX_TOKENS), **self.sampling)

    @cached_property
    def _signature(self) -> str:
        return self.model.signature()


@dataclass(frozen=True)
class Pair:
    """A pair with its texts; row: as it was chosen."""

    row: Mapping[str, Any]
    query: str
    document: str

    @property
    def ids(self) -> tuple[str, str]:
        """Of query and document."""
        return self.row["query_id"], self.row["doc_id"]


def pairs_of(inputs: Mapping[str, Any], lang: str) -> Iterator[list[Pair]]:
    """The chosen pairs with their texts, shard by shard; inputs: pairs, queries, corpus (whole tables)."""
    for rows in inputs["pairs"]:
        query_ids, doc_ids = one(rows["query_id"]), one(rows["doc_id"])
        queries = texts_of(inputs["queries"], "query_id", ("text",), pc.unique(query_ids), lang)
        corpus = texts_of(inputs["corpus"], "doc_id", ("title", "text"), pc.unique(doc_ids), lang)
        at = pc.index_in(doc_ids, corpus.ids)
        if at.null_count:
            missing = doc_ids.filter(pc.is_null(at))[0].as_py()
            raise SourceError(f"candidates: document {missing!r} is not in the corpus; retrieve from the same corpus")
        asked = queries.texts.take(pc.index_in(query_ids, queries.ids)).to_pylist()
        texts = corpus.texts.take(at).to_pylist()
        yield [Pair(*parts) for parts in zip(rows.to_pylist(), asked, texts, strict=True)]


@dataclass(frozen=True)
class JudgePairs:
    """One question for each pair: how relevant (graded), or how likely the query is as a question about the document (likelihood).

    Likelihood: the mean log-probability of the query's tokens given the document and a request for a question in the query's language (UMR).
    A pair without an answer is failed, with what is wrong as its verdict; unreachable: see `AskModel`.
    """

    question: Question
    bounds: Bounds
    unreachable: Unreachable

    name: ClassVar[str] = "judge_pairs"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = True

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """pairs (`PAIRS_TO_JUDGE`), queries, corpus (whole tables); spent (optional) -> out (`JUDGED_PAIRS`), in the order of the pairs; spent."""
        return asked_within(self.bounds, inputs, lambda budget, result: self._ask(inputs, work, budget, result))

    def _ask(self, inputs: Mapping[str, Any], work: Workspace, budget: Budget, result: Result) -> Iterator[Shard]:
        question = self.question
        tally = Tally(f"judge {question.mode}", "qrels", question.lang)
        pairs = (pair for some in pairs_of(inputs, question.lang) for pair in some)
        sizes = iter([rows.num_rows for rows in inputs["pairs"]])
        held: list[dict[str, Any]] = []
        wanted = next(sizes)
        for pair, said in answered(question.model, pairs, self.call, work, budget):
            tally.add("\t".join(pair.ids), said.problem, said.detail)
            answer = None if said.problem else said
            grade = answer.value["grade"] if answer and question.mode == "graded" else None
            score = answer.logprob if answer and question.mode == "likelihood" else None
            asked_of = question.asked_of(*pair.ids, n_said=said.n_said, problem=said.problem)
            held.append({**pair.row, "grade": grade, "score": score, **asked_of})
            if len(held) == wanted:
                yield Shard(pa.Table.from_pylist(held, schema=JUDGED_PAIRS))
                held, wanted = [], next(sizes, 0)
        if not tally.items:
            yield Shard(pa.Table.from_pylist([], schema=JUDGED_PAIRS))
        tally.tell(result, question.model.label, self.unreachable)

    def call(self, pair: Pair) -> Call:
        """The question about a pair."""
        if self.question.mode == "likelihood":
            return self.question.call({"passage": pair.document}, *pair.ids, continuation=pair.query)
        return self.question.call({"query": pair.query, "passage": pair.document}, *pair.ids)
