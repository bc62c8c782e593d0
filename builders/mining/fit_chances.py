"""The stage that learns chances of relevance from hidden positives, and the price of a rank that keeps to a goal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.builders.mining.chances import describe
from dsbuild.builders.mining.choose_negatives import Blocks, identity_of
from dsbuild.builders.mining.hidden import Asked, asked_of, hidden_in
from dsbuild.builders.mining.logistic import Logistic
from dsbuild.builders.mining.rules import span
from dsbuild.builders.retrieval.candidates import Floats, Ints, Mask
from dsbuild.filters.utf8 import compiled
from dsbuild.stage import Counts, Result, Shard, Workspace

# Draws of a query, fewer where there are many candidates.
_DRAWS = (2, 10)
_ROWS = 1_500_000
# Candidates that a model learns from.
_LEARN_FROM = 200_000
_RIDGE = 3.0
# What a unit of ln(rank) may cost in chances: nothing, up to more than any chance.
_PRICES = np.concatenate([np.zeros(1), np.geomspace(1e-4, 10.0, 76)])


@dataclass(frozen=True)
class FitChances:
    """Learn for one language; see `dsbuild.builders.mining.calibrated_rule.Calibrated` for the goals.

    Every price is set on chances that come from models of other queries. For each fold of the queries there is also what is learned without it, so
    that a measurement never meets a query that was learned from.
    """

    lang: str
    blocks: Blocks
    negatives: int
    seed: int
    target_fn: float | None
    rank: float | None
    window: str = ""

    name: ClassVar[str] = "fit_chances"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """`Blocks.inputs`, queries, docs, near (whole tables) -> out, an empty table whose facts are what was learned."""
        asked = asked_of(inputs, self.blocks.retrievers[0], self.seed)
        facts: dict[str, Any] = {"queries": len(asked.ids), "found": asked.found, "model": None, "folds": []}
        learning = self._gather(inputs, asked) if len(asked.ids) >= 2 else None
        if learning is not None:
            facts |= {"columns": list(learning.names), **self._learn(learning, asked, None)}
            facts["folds"] = [self._learn(learning, asked, fold) for fold in range(asked.n_folds)]
        total = len(asked.ids)
        shown = {name: value for name, value in facts.items() if name not in ("model", "folds", "columns")}
        weights = pa.table({"column": pa.array(facts.get("columns", ()), pa.string())})
        return Result({"out": [Shard(weights, facts)]}, counts=Counts(total, total), facts=shown)

    def _gather(self, inputs: Mapping[str, Any], asked: Asked) -> Learning | None:
        identity = identity_of(inputs)
        first, last = span(self.window)
        least, most = _DRAWS
        held = len(asked.ids) * len(self.blocks.retrievers) * _depth(inputs, self.blocks.retrievers[0])
        draws = int(np.clip(_ROWS // max(1, held), least, most))
        parts: list[tuple[Any, ...]] = []
        names: tuple[str, ...] = ()
        for block in self.blocks.each(inputs, identity):
            # Other draws than those of a measurement.
            for drawn in hidden_in(block, identity, asked, draws, self.seed + 1, siblings=self.blocks.siblings):
                found = describe(drawn.candidates, drawn.anchors)
                candidates, rows = drawn.candidates, found.rows
                place = candidates.place[rows]
                group = candidates.query_of[rows]
                kept = drawn.allowed[rows] & (place > first) & (place <= last)
                size = np.bincount(group[kept], minlength=candidates.n_queries)
                parts.append(
                    (
                        found.columns[:, kept].astype(np.float32),
                        drawn.hidden[rows][kept],
                        place[kept].astype(np.int64),
                        size[size > 0],
                        drawn.query[size > 0],
                    )
                )
                names = found.names
        if not any(len(part[1]) for part in parts):
            return None
        columns, hidden, place, sizes, query = (np.concatenate(each, axis=-1) for each in zip(*parts, strict=True))
        return Learning(names, columns, hidden, place.astype(np.int64), sizes.astype(np.int64), query.astype(np.int64))

    def _learn(self, learning: Learning, asked: Asked, without: int | None) -> dict[str, Any]:
        """Model, price and what may be expected of them, from all queries or from those outside a fold."""
        others = [fold for fold in range(asked.n_folds) if fold != without]
        mine = np.isin(asked.folds[learning.query], others)
        chances = np.zeros(len(learning.hidden))
        for fold in others:
            rest = [one for one in others if one != fold] or others
            model = learning.model(np.isin(asked.folds[learning.query], rest), tuple(rest))
            rows = learning.rows(asked.folds[learning.query] == fold)
            chances[rows] = model.chances(learning.columns[:, rows].astype(np.float64))
        curve = learning.curve(mine, chances, self.negatives)
        n_queries = int(np.isin(asked.folds, others).sum())
        price, promised, reached = self._price(curve, n_queries)
        return {
            "queries": n_queries, "model": learning.model(mine, tuple(others)).facts(), "price": float(_PRICES[price]),
            "expected_fn": float(curve.fn[price]), "expected_rank": float(curve.rank[price]), "promised": promised, "reached": reached,
        }  # fmt: skip

    def _price(self, curve: Curve, n: int) -> tuple[int, bool, bool]:
        """Index of the price; whether the expected share is bounded; whether the goal is reached."""
        if self.rank is not None:
            good = np.flatnonzero(curve.rank <= self.rank)
            return (int(good[0]) if len(good) else len(_PRICES) - 1), False, bool(len(good))
        assert self.target_fn is not None
        worst = np.maximum.accumulate(curve.fn)
        # Risk control adds one query that has nothing but false negatives; a few queries could then promise nothing.
        promised = 1 / (n + 1) <= self.target_fn / 4
        bound = (n * worst + 1) / (n + 1) if promised else worst
        good = np.flatnonzero(bound <= self.target_fn)
        return (int(good[-1]) if len(good) else 0), promised and bool(len(good)), bool(len(good))


@dataclass(frozen=True)
class Curve:
    """For each price the share of false negatives, the mean over queries, and the median rank."""

    fn: Floats
    rank: Floats


class Learning:
    """Candidates of drawn queries that may be chosen.

    names, columns: see `Described`; hidden, place: (rows); sizes: (draws) rows of each drawn query; query: (draws) its place in `Asked`.
    """

    def __init__(
        self, names: tuple[str, ...], columns: npt.NDArray[np.float32], hidden: Mask, place: Ints, sizes: Ints, query: Ints
    ) -> None:  # fmt: skip
        order = np.argsort(query, kind="stable")
        starts = np.cumsum(sizes) - sizes
        rows = np.concatenate(
            [np.arange(starts[one], starts[one] + sizes[one]) for one in order] or [np.empty(0, np.int64)]
        )
        self.names, self.columns, self.hidden, self.place = names, columns[:, rows], hidden[rows], place[rows]
        self.sizes, self.query = sizes[order], query[order]
        self.starts = np.cumsum(self.sizes) - self.sizes
        self._models: dict[tuple[int, ...], Logistic] = {}

    def rows(self, draws: Mask) -> Mask:
        """The rows of some draws."""
        return np.repeat(draws, self.sizes)

    def model(self, draws: Mask, folds: tuple[int, ...]) -> Logistic:
        """What some draws teach; folds: what they are called."""
        if folds not in self._models:
            chosen = np.flatnonzero(draws)
            # Each query with as many draws as the number of rows permits, the first ones.
            turn = chosen - np.searchsorted(self.query, self.query[chosen])
            order = np.argsort(turn, kind="stable")
            enough = np.cumsum(self.sizes[chosen[order]]) <= max(_LEARN_FROM, int(self.sizes[chosen].max(initial=1)))
            some = np.zeros(len(draws), np.bool_)
            some[chosen[order[enough]]] = True
            rows = self.rows(some)
            self._models[folds] = Logistic.fit(self.columns[:, rows].astype(np.float64), self.hidden[rows], _RIDGE)
        return self._models[folds]

    def curve(self, draws: Mask, chances: Floats, n: int) -> Curve:
        """What each price gives in the draws."""
        starts, sizes = self.starts[draws], self.sizes[draws]
        _, query = np.unique(self.query[draws], return_inverse=True)
        logs = np.log(self.place.astype(np.float64))
        fn, rank = np.zeros(len(_PRICES)), np.zeros(len(_PRICES))
        for index, price in enumerate(_PRICES):
            hits, taken, ranks = _take(starts, sizes, chances, logs, self.place, self.hidden, price, n)
            per_query = np.bincount(query, hits) / np.maximum(1, np.bincount(query, taken))
            fn[index] = per_query.mean()
            rank[index] = float(np.median(ranks)) if len(ranks) else 0.0
        return Curve(fn, rank)


def _depth(inputs: Mapping[str, Any], retriever: str) -> int:
    """Candidates that a retriever returned for one query at most."""
    return max((pc.max(table["rank"]).as_py() or 0 for table in inputs[f"candidates.{retriever}"]), default=0)


@compiled
def _take(starts: Any, sizes: Any, chances: Any, logs: Any, places: Any, hidden: Any, price: float, n: int) -> Any:
    """For each drawn query the n rows with the least cost: how many are hidden positives, how many were taken, and the ranks of all."""
    hits, taken = np.zeros(len(starts), np.int64), np.zeros(len(starts), np.int64)
    ranks = np.empty(len(starts) * n, np.int64)
    costs, rows = np.empty(n, np.float64), np.empty(n, np.int64)
    total = 0
    for draw in range(len(starts)):
        held = 0
        for row in range(starts[draw], starts[draw] + sizes[draw]):
            cost = chances[row] + price * logs[row]
            at = held
            while at > 0 and (costs[at - 1] > cost or (costs[at - 1] == cost and places[rows[at - 1]] > places[row])):
                at -= 1
            if at >= n:
                continue
            held = min(n, held + 1)
            for later in range(held - 1, at, -1):
                costs[later] = costs[later - 1]
                rows[later] = rows[later - 1]
            costs[at] = cost
            rows[at] = row
        for index in range(held):
            hits[draw] += hidden[rows[index]]
            ranks[total] = places[rows[index]]
            total += 1
        taken[draw] = held
    return hits, taken, ranks[:total]
