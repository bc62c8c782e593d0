"""The styles of generated queries that ask once: zero-shot, InPars, Promptagator, SWIM-IR, xQG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from dsbuild import prompts
from dsbuild.builders.generation.generation import Item
from dsbuild.builders.generation.queries import (
    SAMPLED,
    PassageQueries,
    examples_for,
    one_query,
    passage_data,
    read_pairs,
)
from dsbuild.errors import RecipeError
from dsbuild.language_model import Sampling
from dsbuild.prompts import Example, Prompt
from dsbuild.stage import digest


@dataclass(frozen=True)
class ZeroShot(PassageQueries):
    """One query a call, instructions alone."""

    style: ClassVar[str] = "zero-shot"
    file: ClassVar[str] = "queries_zero_shot"


@dataclass(frozen=True)
class InPars(PassageQueries):
    """Three worked examples, then a query in plain text, greedy, at most 64 tokens (InPars, Bonifacio et al. 2022).

    guided: each example has a poor question before its good one ("guided by bad questions"); then the answer is JSON. Plain answers come with the
    mean log-probability of the query's tokens, by which InPars keeps the best (`funnel.likelihood`).
    """

    guided: bool = False
    max_tokens: int = 64

    style: ClassVar[str] = "inpars"
    n_shots: ClassVar[int] = 3

    @property
    def shipped(self) -> Prompt:
        """Of the two prompts the one that `guided` chooses."""
        return prompts.load("dsbuild.builders.generation", "queries_inpars_guided" if self.guided else "queries_inpars")

    @property
    def sampling(self) -> Sampling:
        """A plain answer ends with its line."""
        own = super().sampling
        return own if self.guided else Sampling(own.temperature, own.top_p, own.max_tokens, ("\n",))

    @property
    def logprobs(self) -> bool:
        """Of plain answers: they are the query and nothing else."""
        return not self.guided

    def examples(self, item: Item) -> Sequence[Example]:
        """The first three shipped ones, passage and query in the language asked for."""
        found = []
        for _, own in examples_for(item.lang, self.n_shots):
            answer: Any = {"bad_query": own.bad_query, "query": own.query} if self.guided else own.query
            found.append(Example(own.lang, {"passage": own.passage}, answer))
        return found

    def read(self, item: Item, value: Any) -> Sequence[Mapping[str, Any]] | str:
        """The query, with the poor one beside it where there is one."""
        if isinstance(value, str):
            return one_query(value.strip().strip('"'))
        return one_query(value["query"], {"bad_query": value.get("bad_query", "")})


@dataclass(frozen=True)
class Promptagator(PassageQueries):
    """Up to eight examples of the task at hand, eight queries a passage at T = 0.7 (Promptagator, Dai et al. 2023).

    Examples are judged pairs of the set itself (`PickExamples`, which fills `pairs`: language, title, passage, query), or of examples_file: a JSON
    object a line with passage, query and perhaps title and lang. max_chars: of a passage that is shown; held_out: the split that is never
    shown. The method then keeps a query whose passage is found first (`funnel.round_trip.k=1`).
    """

    per_passage: int = 8
    max_tokens: int = 64
    n_examples: int = 8
    max_chars: int = 2_000
    held_out: str = "test"
    examples_file: str = ""
    pairs: tuple[tuple[str, str, str, str], ...] = ()

    style: ClassVar[str] = "promptagator"
    file: ClassVar[str] = "queries_few_shot"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in (("n_examples", self.n_examples), ("max_chars", self.max_chars)):
            if value < 1:
                raise RecipeError(f"style.{name}={value}: at least 1")

    @property
    def shows_set(self) -> bool:
        """Unless there is a file."""
        return not self.examples_file

    @property
    def shown(self) -> str:
        """The digest of the file; pairs of the set are an input of the stage."""
        return digest(*(part for pair in self._pairs for part in pair)) if self.examples_file else ""

    @property
    def _pairs(self) -> tuple[tuple[str, str, str, str], ...]:
        return read_pairs(self.examples_file)[: self.n_examples] if self.examples_file else self.pairs

    def examples(self, item: Item) -> Sequence[Example]:
        """Pairs in the language asked for, or all where there is none."""
        pairs = self._pairs
        own = [one for one in pairs if one[0] == item.lang] or pairs
        return [
            Example(lang, passage_data({"title": title, "text": passage}), {"query": query})
            for lang, title, passage, query in own
        ]


@dataclass(frozen=True)
class SwimIR(PassageQueries):
    """Extract what the passage says in its own words, then ask from both (summarise-then-ask, SWIM-IR, Thakur et al. 2024).

    Five examples where passage and query differ in language, three where they do not.
    """

    style: ClassVar[str] = "swim-ir"
    file: ClassVar[str] = "queries_swim_ir"
    n_cross: ClassVar[int] = 5
    n_same: ClassVar[int] = 3

    def examples(self, item: Item) -> Sequence[Example]:
        """Shipped ones: an English passage where the passage is not in the language asked for."""
        same = item.details["passage_lang"] == item.lang
        found = []
        for english, own in examples_for(item.lang, self.n_same if same else self.n_cross):
            shown = own if same else english
            found.append(Example(own.lang, {"passage": shown.passage}, {"summary": shown.summary, "query": own.query}))
        return found

    def read(self, item: Item, value: Any) -> Sequence[Mapping[str, Any]] | str:
        """The query, with its summary."""
        del item
        return one_query(value["query"], {"summary": value["summary"].strip()})


@dataclass(frozen=True)
class XQG(PassageQueries):
    """Five sampled queries for each passage and language from title and passage, at most 64 tokens (xQG for dense retrieval, Zhuang et al. 2023)."""

    per_passage: int = 5
    max_tokens: int = 64

    style: ClassVar[str] = "xqg"
    file: ClassVar[str] = "queries_xqg"

    @property
    def sampling(self) -> Sampling:
        """Always sampled."""
        return Sampling(
            SAMPLED if self.temperature is None else self.temperature, top_p=0.95, max_tokens=self.max_tokens
        )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per_passage > 1 and self.temperature == 0:
            raise RecipeError(
                f"style.temperature=0 with per_passage={self.per_passage}: every answer would be the same; use 0.7"
            )
