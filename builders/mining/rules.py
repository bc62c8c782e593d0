"""Rules that choose hard negatives among candidates: what all of them share, and how one is made from a name and options."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

from dsbuild.builders import RULES
from dsbuild.builders.retrieval.candidates import Candidates, Floats, Ints, Mask
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.stage import Stage

if TYPE_CHECKING:
    from dsbuild.builders.mining.choose_negatives import Blocks

Sampling = Literal["top", "random"]
_SAMPLINGS = ("top", "random")


@dataclass(frozen=True)
class Chosen:
    """The chosen rows of each query, the best first: rows[starts[i]:starts[i + 1]] are those of query i."""

    starts: Ints
    rows: Ints

    @property
    def counts(self) -> Ints:
        """How many rows each query got."""
        return np.diff(self.starts)


class Rule(Protocol):
    """A frozen dataclass whose fields are its options."""

    name: ClassVar[str]

    def choose(self, block: Candidates, anchors: Floats, allowed: Mask, n: int, seed: int) -> Chosen:
        """At most n rows for each query.

        anchors: (retrievers, queries), NaN where unknown; allowed: (rows) what identity permits. Must be a pure function of its arguments
        and, for each query, of that query's rows alone.
        """


@runtime_checkable
class Fits(Protocol):
    """A rule that learns something from a whole language before it chooses.

    The stage of `fitting` reads the inputs of `ChooseNegatives`, all of them as whole tables (`blocks.each` goes through them block by block),
    and writes one shard `out` whose facts are what it learned; `fitted` puts these facts into the rule.
    """

    def fitting(self, lang: str, blocks: Blocks, negatives: int, seed: int, anchor: str) -> Stage:
        """The stage that learns for one language."""

    def fitted(self, facts: Mapping[str, Any]) -> Rule:
        """The rule that chooses with what was learned."""


@dataclass(frozen=True)
class Picking:
    """What every rule can be told besides its own condition, in the order in which it happens.

    window: raw ranks of the union, `10-110` passes over the first 10 and ends with rank 110 ("": all); skip: of the rows that pass the rule,
    leave out the hardest so many; pool: choose among the next so many (0: all); sampling: the hardest (top), or a draw by
    hash (random).
    """

    window: str = ""
    skip: int = 0
    pool: int = 0
    sampling: Sampling = "top"

    def __post_init__(self) -> None:
        check_settings(self)
        span(self.window)
        check_count("skip", self.skip)
        check_count("pool", self.pool)
        if self.sampling not in _SAMPLINGS:
            raise UnknownName("rule.sampling", str(self.sampling), _SAMPLINGS)

    def ranks(self) -> tuple[int, int]:
        """Raw ranks above the first and up to the second are looked at."""
        return span(self.window)

    def passing(self, block: Candidates, anchors: Floats) -> Mask:
        """Which rows meet the rule's own condition: here all."""
        return np.ones(len(block), np.bool_)

    def costs(self, block: Candidates, anchors: Floats, seed: int) -> Floats:
        """The order of the draw where `sampling` is random, the smallest first."""
        return block.draws(seed)

    def choose(self, block: Candidates, anchors: Floats, allowed: Mask, n: int, seed: int) -> Chosen:
        """At most n of the rows that are allowed, inside the window and pass."""
        first, last = self.ranks()
        rows = np.flatnonzero(allowed & (block.place > first) & (block.place <= last) & self.passing(block, anchors))
        # Rows of a query stand in the order of ids, and a stable sort leaves those of one rank so.
        rows = rows[np.argsort(block.query_of[rows] << 32 | block.place[rows], kind="stable")]
        if self.skip or self.pool:
            among = rank_in_query(block.query_of[rows])
            last_one = self.skip + self.pool if self.pool else np.iinfo(np.int64).max
            rows = rows[(among >= self.skip) & (among < last_one)]
        if self.sampling == "random":
            rows = rows[np.lexsort((self.costs(block, anchors, seed)[rows], block.query_of[rows]))]
            rows = rows[rank_in_query(block.query_of[rows]) < n]
            rows = rows[np.lexsort((block.docs[rows], block.place[rows], block.query_of[rows]))]
        else:
            rows = rows[rank_in_query(block.query_of[rows]) < n]
        starts = np.searchsorted(block.query_of[rows], np.arange(block.n_queries + 1))
        return Chosen(starts, rows)


def below(block: Candidates, bounds: Floats) -> Mask:
    """Rows whose score is under the bound of every retriever that returned them.

    bounds: (retrievers, queries). A bound that is not known (NaN) is never met: nothing can be said of such a row.
    """
    returned = block.ranks > 0
    under = block.scores < bounds[:, block.query_of]
    return np.asarray((under | ~returned).all(axis=0), np.bool_)


def span(window: str) -> tuple[int, int]:
    """The ranks of a window: those above the first number, up to the second.

    >>> span("10-110"), span("")
    ((10, 110), (0, 2147483647))
    """
    if not window:
        return 0, np.iinfo(np.int32).max
    match = re.fullmatch(r"\s*(\d+)\s*-\s*(\d+)\s*", str(window))
    first, last = (int(match[1]), int(match[2])) if match else (1, 0)
    if first >= last:
        raise RecipeError(f"rule.window={window!r}: two ranks, the smaller first, such as 10-110")
    return first, last


def open_rule(name: str, options: Mapping[str, Any]) -> Rule:
    """The rule of that name with its options; unknown names and options name the nearest one."""
    kind = RULES.get(name)
    known = {one.name for one in dataclasses.fields(kind) if one.init}
    for option in options:
        if option not in known:
            raise UnknownName(f"option of the rule {name}", option, known)
    try:
        rule: Rule = kind(**options)
    except TypeError as error:
        missing = [
            one.name
            for one in dataclasses.fields(kind)
            if one.init
            and one.name not in options
            and one.default is dataclasses.MISSING
            and one.default_factory is dataclasses.MISSING
        ]
        if not missing:
            raise
        raise RecipeError(f"the rule {name} needs {missing[0]}: --set rule.{missing[0]}=…") from error
    return rule


def check_count(name: str, value: Any, least: int = 0) -> None:
    """Refuse what is not a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise RecipeError(f"rule.{name}={value!r}: a whole number, {least} or more")


def check_settings(rule: Any) -> None:
    """Refuse a value of the wrong kind: what YAML read as a number, a truth value or a text that the option is not."""
    for one in dataclasses.fields(rule):
        value = getattr(rule, one.name)
        kind = str(one.type)
        if kind.startswith("float") and (isinstance(value, bool) or not isinstance(value, int | float)):
            if value is None and "None" in kind:
                continue
            raise RecipeError(f"rule.{one.name}={value!r}: a number")
        if isinstance(value, float) and not math.isfinite(value):
            raise RecipeError(f"rule.{one.name}={value!r}: a finite number")


def rank_in_query(query: Ints) -> Ints:
    """How many rows of its query stand before each row; rows are grouped by query.

    >>> rank_in_query(np.array([3, 3, 5, 5, 5])).tolist()
    [0, 1, 0, 1, 2]
    """
    if not len(query):
        return np.empty(0, np.int64)
    new = np.ones(len(query), np.bool_)
    new[1:] = query[1:] != query[:-1]
    first = np.flatnonzero(new)
    return np.arange(len(query)) - np.repeat(first, np.diff(np.append(first, len(query))))
