"""The share of false negatives, measured: positives are hidden, the set is mined, and what was hidden is looked for among the negatives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from dsbuild.builders.mining.choose_negatives import BEYOND, Blocks, How, identity_of, median_rank, rule_of
from dsbuild.builders.mining.hidden import Asked, Hidden, asked_of, hidden_in
from dsbuild.builders.mining.rules import Fits, Rule
from dsbuild.builders.retrieval.candidates import Floats, Ints
from dsbuild.stage import Counts, Result, Shard, Workspace

DRAWS = 20
# With fewer queries that have two positives, a share of false negatives is not identifiable.
ENOUGH = 200
LEVEL = 0.95
_RESAMPLES = 2_000
# With fewer queries that have a false negative, resampling does not see how many there could be.
_FEW = 5

MEASURED = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("draws", pa.int32(), nullable=False),
        pa.field("negatives", pa.int64(), nullable=False),
        pa.field("false_negatives", pa.int64(), nullable=False),
        pa.field("filled", pa.int32(), nullable=False),
    ]
)


@dataclass(frozen=True)
class MeasureNegatives:
    """Measure a rule on one language: for every query with at least two positives one stays known, by `draws` draws, and the others are hidden.

    rule, options, negatives, seed, anchor: as in `ChooseNegatives`. A hidden positive is refused only by what somebody knows who has never heard
    of it: copies, parts of the same article and translations of the known one. A rule that learns is asked with what it learned from the
    other folds of queries. At most 2,000 queries are drawn from, by hash.
    """

    lang: str
    blocks: Blocks
    rule: str
    options: Mapping[str, Any] = field(default_factory=dict)
    negatives: int = 4
    seed: int = 0
    anchor: How = "min"
    draws: int = DRAWS

    name: ClassVar[str] = "measure"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """The inputs of `ChooseNegatives` as whole tables -> out (`MEASURED`); the facts are the measurement."""
        asked = asked_of(inputs, self.blocks.retrievers[0], self.seed)
        identifying, draws = len(asked.ids), self.draws
        if not identifying:
            # Nothing can be hidden, but fill and ranks can be told.
            asked, draws = asked_of(inputs, self.blocks.retrievers[0], self.seed, least=1), 1
        tally = _Tally(asked, draws, self.negatives)
        identity = identity_of(inputs)
        rules = self._rules(inputs, asked)
        for block in self.blocks.each(inputs, identity) if rules else ():
            others = block.other_ranks(np.arange(len(block.candidates)))
            for fold, rule in rules:
                found = hidden_in(
                    block, identity, asked, draws, self.seed, siblings=self.blocks.siblings, how=self.anchor, fold=fold
                )
                for drawn in found:
                    tally.add(drawn, rule, self.seed, others)
        facts = tally.facts() | self._learned(inputs)
        facts |= {"n_queries": identifying, "found": asked.found if identifying else 0, "draws": draws}
        facts |= (
            shares(tally.mined, tally.hits, self.seed) if identifying else shares(np.zeros(0), np.zeros(0), self.seed)
        )
        facts["identifiable"] = identifying >= ENOUGH
        total = len(asked.ids)
        return Result({"out": [Shard(tally.table())]}, counts=Counts(total, total), facts=facts)

    def _rules(self, inputs: Mapping[str, Any], asked: Asked) -> list[tuple[int | None, Rule]]:
        """Which rule is asked about which fold of the queries; none where too little could be learned."""
        rule = rule_of(self.rule, self.options, inputs)
        if not isinstance(rule, Fits):
            return [(None, rule)]
        learned = inputs["fit"].facts[0]
        if learned["model"] is None:
            return []
        return [(fold, rule.fitted(dict(learned["folds"][fold]))) for fold in range(asked.n_folds)]

    def _learned(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        if "fit" not in inputs:
            return {}
        facts = inputs["fit"].facts[0]
        kept = ("price", "expected_fn", "expected_rank", "promised", "reached")
        return {"learned": {name: facts[name] for name in kept if name in facts} | {"from": facts["queries"]}}


class _Tally:
    """Counts over draws."""

    def __init__(self, asked: Asked, draws: int, negatives: int) -> None:
        self.asked, self.draws, self.negatives = asked, draws, negatives
        size = len(asked.ids)
        self.mined, self.hits, self.filled, self.drawn = (np.zeros(size, np.int64) for _ in range(4))
        self.ranks: dict[str, Ints] = {}

    def add(self, drawn: Hidden, rule: Rule, seed: int, others: Mapping[str, Ints]) -> None:
        """Mine the drawn queries and count."""
        candidates, size = drawn.candidates, len(self.asked.ids)
        chosen = rule.choose(candidates, drawn.anchors, drawn.allowed, self.negatives, seed)
        rows, query = chosen.rows, drawn.query[candidates.query_of[chosen.rows]]
        self.mined += np.bincount(query, minlength=size)
        self.hits += np.bincount(query[drawn.hidden[rows]], minlength=size)
        self.filled += np.bincount(drawn.query[chosen.counts >= self.negatives], minlength=size)
        self.drawn += np.bincount(drawn.query, minlength=size)
        self._count("union", candidates.place[rows].astype(np.int64))
        for name, ranks in zip(candidates.retrievers, candidates.ranks, strict=True):
            self._count(name, ranks[rows].astype(np.int64))
        for name, rank in others.items():
            self._count(name, rank[drawn.rows[rows]])

    def _count(self, name: str, ranks: Ints) -> None:
        found = np.bincount(ranks)
        old = self.ranks.get(name, np.zeros(0, np.int64))
        size = max(len(old), len(found))
        self.ranks[name] = np.pad(old, (0, size - len(old))) + np.pad(found, (0, size - len(found)))

    def facts(self) -> dict[str, Any]:
        """Fill and ranks."""
        ranks = {name: {str(rank): int(n) for rank, n in enumerate(found) if n} for name, found in self.ranks.items()}
        drawn, mined = int(self.drawn.sum()), int(self.mined.sum())
        union = self.ranks.get("union", np.zeros(0, np.int64))
        mean = float((union * np.arange(len(union))).sum() / mined) if mined else None
        return {
            "ranks": ranks, "negatives": mined, "false_negatives": int(self.hits.sum()), "fill": int(self.filled.sum()) / drawn if drawn else None,
            "median_rank": median_rank(ranks.get("union", {})), "mean_rank": mean,
            "median_ranks": {name: median_rank(found) for name, found in sorted(ranks.items()) if name != "union"},
            "beyond_depth": {
                name: found.get(str(BEYOND), 0) / mined for name, found in sorted(ranks.items()) if name != "union" and mined
            },
        }  # fmt: skip

    def table(self) -> pa.Table:
        """A row for each query (`MEASURED`)."""
        columns = [
            self.asked.ids.cast(pa.string()), pa.array(self.drawn, pa.int32()), pa.array(self.mined), pa.array(self.hits),
            pa.array(self.filled, pa.int32()),
        ]  # fmt: skip
        return pa.table(columns, schema=MEASURED)


def shares(mined: Ints | Floats, hits: Ints | Floats, seed: int) -> dict[str, Any]:
    """fn, fn_low and fn_high: the share of hits among what was mined, and its interval; mined, hits: for each query.

    The interval is the expanded percentile bootstrap over queries (T. Hesterberg, What Teachers Should Know About the Bootstrap, 2015),
    which is wider where queries are few. Where fewer than five queries have a hit it reaches at least as far as that of a query-wise yes
    or no which was never seen (Clopper and Pearson); without a query it is all of 0..1.
    """
    n = int((mined > 0).sum())
    if not n:
        return {"fn": None, "fn_low": 0.0, "fn_high": 1.0}
    mined, hits = mined[mined > 0].astype(np.float64), hits[mined > 0].astype(np.float64)
    share = float(hits.sum() / mined.sum())
    low = high = share
    if n > 1:
        from scipy.special import ndtr, stdtrit

        tail = float(ndtr(np.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - LEVEL) / 2)))
        found = np.concatenate(list(_resampled(mined, hits, seed)))
        low, high = (float(value) for value in np.quantile(found, [tail, 1 - tail]))
    never = 1 - ((1 - LEVEL) / 2) ** (1 / n)
    if (hits > 0).sum() < _FEW:
        high = max(high, never)
    if (hits < mined).sum() < _FEW:
        low = min(low, 1 - never)
    return {"fn": share, "fn_low": min(low, share), "fn_high": max(high, share)}


def _resampled(mined: Floats, hits: Floats, seed: int) -> Iterator[Floats]:
    draw = np.random.Generator(np.random.PCG64(seed))
    n = len(mined)
    for _ in range(0, _RESAMPLES, 100):
        counts = draw.multinomial(n, np.full(n, 1 / n), size=100).astype(np.float64)
        yield (counts * hits).sum(axis=1) / (counts * mined).sum(axis=1)
