"""Ask a language model which of two candidates answers a query better, in both orders, and say how much the order decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby, pairwise
from typing import Any, ClassVar, Literal

import pyarrow as pa

from dsbuild.budget import Budget
from dsbuild.builders.generation.ask_model import (
    SHARD_ROWS,
    Bounds,
    Tally,
    Unreachable,
    answered,
    asked_within,
)
from dsbuild.builders.judging.judge_pairs import ASKED_OF, Pair, Question, pairs_of
from dsbuild.language_model import RETRIED_LATER, Call, Said
from dsbuild.stage import Result, Shard, Workspace

How = Literal["adjacent", "round-robin"]
_TURNED = {"first": "second", "second": "first", "neither": "neither"}

COMPARED = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("first_id", pa.string(), nullable=False),  # the better one to the first stages
        pa.field("second_id", pa.string(), nullable=False),
        pa.field(
            "given", pa.string(), nullable=False
        ),  # what was said in this order: first, second, neither; "" for no answer
        pa.field("turned", pa.string(), nullable=False),  # what was said with the two changed about, as it was said
        pa.field("outcome", pa.string(), nullable=False),  # first, second or tie, "" without both answers
        *ASKED_OF,
    ]
)


def outcome_of(given: str, turned: str) -> str:
    """What two answers say together: a preference if both name the same document, else a tie.

    Source: pairwise ranking prompting, Qin et al. 2023.

    >>> outcome_of("first", "second"), outcome_of("first", "first"), outcome_of("first", "neither"), outcome_of("first", "")
    ('first', 'tie', 'tie', '')
    """
    if not given or not turned:
        return ""
    return given if given == _TURNED[turned] and given != "neither" else "tie"


@dataclass(frozen=True)
class Comparison:
    """Two documents of a query; turned: whether the second one is shown first."""

    first: Pair
    second: Pair
    turned: bool = False

    @property
    def ids(self) -> tuple[str, str, str]:
        """Of the query and of both documents, the same for both orders."""
        return (*self.first.ids, self.second.ids[1])


def comparisons(pairs: Sequence[Pair], how: How) -> Iterator[Comparison]:
    """The comparisons of one query's documents, which come by place: each with the next, or each with every other."""
    for first, second in pairwise(pairs) if how == "adjacent" else combinations(pairs, 2):
        yield Comparison(first, second)


@dataclass(frozen=True)
class ComparePairs:
    """Two questions for each comparison of two documents of a query, one in each order.

    A comparison is kept if both have an answer, and failed otherwise, with what is wrong as its verdict; unreachable: see `AskModel`.
    """

    question: Question
    how: How
    bounds: Bounds
    unreachable: Unreachable

    name: ClassVar[str] = "compare_pairs"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = True

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """pairs (`PAIRS_TO_JUDGE`), queries, corpus (whole tables); spent (optional) -> out (`COMPARED`); spent.

        Facts: said: answers by what they name; order: comparisons by what the two answers make together: `agree` on a document or that
        neither is better, `first` or `second` in both orders (the place decided), `undecided` (one of them neither).
        """
        return asked_within(self.bounds, inputs, lambda budget, result: self._ask(inputs, work, budget, result))

    def _questions(self, inputs: Mapping[str, Any]) -> Iterator[Comparison]:
        for some in pairs_of(inputs, self.question.lang):
            for _, pairs in groupby(some, key=lambda pair: pair.ids[0]):
                for one in comparisons(list(pairs), self.how):
                    yield one
                    yield Comparison(one.first, one.second, turned=True)

    def _ask(self, inputs: Mapping[str, Any], work: Workspace, budget: Budget, result: Result) -> Iterator[Shard]:
        question = self.question
        tally = Tally("judge pairwise", "qrels", question.lang)
        said_of: Counter[str] = Counter()
        order: Counter[str] = Counter()
        outcomes: Counter[str] = Counter()
        held: list[dict[str, Any]] = []
        given: Said | None = None
        for comparison, said in answered(question.model, self._questions(inputs), self.call, work, budget):
            if given is None:
                given = said
                continue
            row = self._row(comparison, given, said)
            tally.add("\t".join(comparison.ids), row["problem"], _lost(given, said).detail)
            said_of.update(one for one in (row["given"], row["turned"]) if one)
            if row["outcome"]:
                order[_order_of(row["given"], row["turned"])] += 1
                outcomes[row["outcome"]] += 1
            held.append(row)
            given = None
            if len(held) >= SHARD_ROWS:
                yield Shard(pa.Table.from_pylist(held, schema=COMPARED))
                held = []
        if held or tally.items % SHARD_ROWS == 0:
            yield Shard(pa.Table.from_pylist(held, schema=COMPARED))
        result.facts = {
            name: dict(sorted(found.items()))
            for name, found in (("said", said_of), ("order", order), ("outcomes", outcomes))
        }
        tally.tell(result, question.model.label, self.unreachable)

    def call(self, one: Comparison) -> Call:
        """The question about a comparison in its order."""
        shown = (one.second, one.first) if one.turned else (one.first, one.second)
        data = {"query": one.first.query, "first": shown[0].document, "second": shown[1].document}
        return self.question.call(data, *one.ids)

    def _row(self, one: Comparison, given: Said, turned: Said) -> dict[str, Any]:
        answers = ["" if said.problem else said.value["better"] for said in (given, turned)]
        asked_of = self.question.asked_of(
            *one.ids, n_said=given.n_said + turned.n_said, problem=_lost(given, turned).problem
        )
        named = dict(zip(("query_id", "first_id", "second_id"), one.ids, strict=True))
        return {**named, "given": answers[0], "turned": answers[1], "outcome": outcome_of(*answers), **asked_of}


def _lost(given: Said, turned: Said) -> Said:
    """Of two answers the one that says why there is no outcome: first what would be asked again, then what the model said."""
    for said in (given, turned):
        if said.problem in RETRIED_LATER:
            return said
    return given if given.problem else turned


def _order_of(given: str, turned: str) -> str:
    if given == _TURNED[turned]:
        return "agree"
    return given if given == turned else "undecided"
