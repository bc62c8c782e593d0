"""The stage that chooses: candidates of a block of queries in, hard negatives out, and for each query that was not filled why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import parquet
from dsbuild.builders.mining.identity import REASONS, Identity
from dsbuild.builders.mining.rules import Chosen, Fits, Rule, open_rule
from dsbuild.builders.retrieval.candidates import Anchors, Candidates, Floats, Ints
from dsbuild.builders.retrieval.evidence import Evidence
from dsbuild.builders.retrieval.retriever import one
from dsbuild.stage import Counts, Result, Shard, Workspace, verdict
from dsbuild.tables import NEGATIVES

How = Literal["min", "max", "mean"]
# A rank that stands for all beyond the depth of retrieval.
BEYOND = 0

CHOSEN = pa.schema(
    [
        *NEGATIVES,
        pa.field("retriever", pa.string()),  # whose score it is; null where the query was decided in another language
        pa.field("split", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Block:
    """A block of queries with everything that a rule or a measurement looks at.

    mining: the retrievers whose candidates are chosen from; reasons: (rows) why a row can be no negative, an index into `REASONS`;
    others: candidates of retrievers that do not mine, for hardness.
    """

    candidates: Candidates
    anchors: Anchors
    reasons: npt.NDArray[np.int8]
    others: Candidates | None
    splits: pa.Array

    @property
    def allowed(self) -> npt.NDArray[np.bool_]:
        """Rows that identity permits."""
        return np.asarray(self.reasons == 0, np.bool_)

    @property
    def positives(self) -> Ints:
        """How many documents of each query are judged relevant."""
        return np.bincount(self.anchors.query_of[self.anchors.positive], minlength=self.candidates.n_queries)

    def other_ranks(self, rows: Ints) -> dict[str, Ints]:
        """The rank of rows by each retriever that does not mine, `BEYOND` where it did not return them."""
        if self.others is None:
            return {}
        ids = self.candidates.doc_ids.take(pa.array(self.candidates.docs[rows]))
        at = self.others.lookup(self.candidates.query_of[rows], ids)
        return {
            name: np.where(at >= 0, ranks[at], BEYOND) if len(ranks) else np.full(len(at), BEYOND)
            for name, ranks in zip(self.others.retrievers, self.others.ranks, strict=True)
        }


@dataclass(frozen=True)
class Blocks:
    """How the inputs of one language become blocks.

    retrievers: those that mine; watching: those that only say how hard the negatives are for them; siblings: whether other parts of a
    relevant article are refused; evidence: retrievers whose scores a rule learns from (`dsbuild.builders.retrieval.evidence`).
    """

    retrievers: tuple[str, ...]
    watching: tuple[str, ...] = ()
    siblings: bool = True
    evidence: tuple[str, ...] = ()

    def inputs(self) -> list[str]:
        """The names of the inputs that come block by block."""
        names = (*self.retrievers, *self.watching)
        found = [*(f"candidates.{name}" for name in names), *(f"anchors.{name}" for name in self.retrievers)]
        return [*found, *(f"evidence.{name}" for name in self.evidence)]

    def each(self, inputs: Mapping[str, Any], identity: Identity) -> Iterator[Block]:
        """Block after block of a whole language: every input a whole table."""
        for index in range(len(inputs[self.inputs()[0]])):
            here = {name: inputs[name][index] for name in self.inputs()}
            yield self.read({**inputs, **here}, identity)

    def read(self, inputs: Mapping[str, Any], identity: Identity) -> Block:
        """One block; inputs: tables `candidates.<retriever>`, `anchors.<retriever>` and the whole table `queries`."""
        tables = {name: inputs[f"candidates.{name}"] for name in self.retrievers}
        judged = {name: inputs[f"anchors.{name}"] for name in self.retrievers}
        queries, splits = _queries(inputs["queries"], [*tables.values(), *judged.values()])
        candidates, anchors = Candidates.of(tables, queries), Anchors.of(judged, queries)
        if self.evidence:
            said = {name: inputs[f"evidence.{name}"] for name in self.evidence}
            candidates = replace(candidates, evidence=Evidence.of(said, candidates, anchors))
        reasons = identity.reasons(candidates, anchors, siblings=self.siblings)
        others = None
        if self.watching:
            watched = {name: inputs[f"candidates.{name}"] for name in self.watching}
            others = Candidates.of({name: _of(table, queries) for name, table in watched.items()}, queries)
        return Block(candidates, anchors, reasons, others, splits)


def identity_of(inputs: Mapping[str, Any]) -> Identity:
    """From the whole tables docs, near, own and, where there is one, everywhere."""
    everywhere = one(_whole(inputs["everywhere"])["doc_id"]) if "everywhere" in inputs else None
    return Identity(_whole(inputs["docs"]), _whole(inputs["near"]), _whole(inputs["own"]), everywhere)


def rule_of(name: str, options: Mapping[str, Any], inputs: Mapping[str, Any]) -> Rule:
    """The rule, with what it learned where there is an input fit."""
    rule = open_rule(name, options)
    if "fit" in inputs:
        assert isinstance(rule, Fits)
        return rule.fitted(dict(inputs["fit"].facts[0]))
    return rule


@dataclass(frozen=True)
class ChooseNegatives:
    """Choose at most `negatives` candidates for each query of a block that has a positive.

    rule, options: see `dsbuild.builders.mining.rules`; anchor: which score of a query's positives stands for them; low: with a judge, the share of it
    from which only what the judge called negative is taken. Memory: a block and the numbers of the corpus. A query that gets fewer has a
    verdict `flagged` with the reasons by which its candidates were passed over.
    """

    lang: str
    blocks: Blocks
    rule: str
    options: Mapping[str, Any] = field(default_factory=dict)
    negatives: int = 4
    seed: int = 0
    anchor: How = "min"
    low: float | None = None

    name: ClassVar[str] = "choose"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """`Blocks.inputs` and judged of a block; whole: queries, docs, near, own (everywhere, fit) -> out (`CHOSEN`), by query, then rank."""
        rule = rule_of(self.rule, self.options, inputs)
        identity = identity_of(inputs)
        block = self.blocks.read(inputs, identity)
        candidates, anchors = block.candidates, block.anchors.anchor(how=self.anchor)
        if "judged" in inputs:
            block = replace(block, reasons=self._judged(block, anchors, inputs["judged"], identity))
        asked = block.positives > 0
        allowed = block.allowed & asked[candidates.query_of]
        chosen = rule.choose(candidates, anchors, allowed, self.negatives, self.seed)
        facts = self._facts(block, chosen, asked)
        verdicts = self._verdicts(block, chosen, asked)
        total = candidates.n_queries
        table = rows_of(candidates, chosen, anchors, rule.name, block.splits)
        return Result({"out": [Shard(table)]}, verdicts, Counts(total, total), facts)

    def _judged(self, block: Block, anchors: Floats, judged: pa.Table, identity: Identity) -> npt.NDArray[np.int8]:
        """The reasons with those of the judge: uncertain rows that nobody called negative, and twins of what it called relevant."""
        from dsbuild.builders.mining.judge_band import uncertain

        assert self.low is not None
        candidates = block.candidates
        # What was asked only to compare is no candidate.
        judged = judged.filter(pc.is_null(judged["known"]))
        query = pc.index_in(one(judged["query_id"]), candidates.query_ids).to_numpy().astype(np.int64)
        refused = uncertain(candidates, anchors, self.low)
        ruled, relevant = (pc.equal(judged["outcome"], outcome).to_numpy() for outcome in ("negative", "positive"))
        docs = one(judged["doc_id"])
        refused[candidates.lookup(query[ruled], docs.filter(pa.array(ruled)))] = False
        refused |= identity.twins(
            candidates, query[relevant], docs.filter(pa.array(relevant)), siblings=self.blocks.siblings
        )
        return np.where(refused & block.allowed, np.int8(REASONS.index("judge")), block.reasons)

    def _facts(self, block: Block, chosen: Chosen, asked: npt.NDArray[np.bool_]) -> dict[str, Any]:
        """Numbers of the block that add up over blocks."""
        candidates, rows = block.candidates, chosen.rows
        ranks: dict[str, dict[str, int]] = {"union": _histogram(candidates.place[rows])}
        for name, rank in zip(candidates.retrievers, candidates.ranks, strict=True):
            ranks[name] = _histogram(rank[rows])
        ranks |= {name: _histogram(found) for name, found in block.other_ranks(rows).items()}
        refused = np.bincount(block.reasons[asked[candidates.query_of]], minlength=len(REASONS))
        return {
            "queries": int(asked.sum()), "without_positive": int((~asked).sum()), "negatives": len(rows),
            "filled": int((chosen.counts[asked] >= self.negatives).sum()), "empty": int((chosen.counts[asked] == 0).sum()),
            "candidates": int(asked[candidates.query_of].sum()), "ranks": ranks,
            "refused": {name: int(number) for name, number in zip(REASONS, refused, strict=True) if name and number},
        }  # fmt: skip

    def _verdicts(self, block: Block, chosen: Chosen, asked: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
        candidates, found = block.candidates, []
        for query in np.flatnonzero(asked & (chosen.counts < self.negatives)).tolist():
            start, end = candidates.starts[query], candidates.starts[query + 1]
            got = int(chosen.counts[query])
            counts = np.bincount(block.reasons[start:end], minlength=len(REASONS))
            said = {"candidates": int(end - start)}
            said |= {name: int(number) for name, number in zip(REASONS, counts, strict=True) if name and number}
            said["rule"] = int(counts[0]) - got
            detail = ", ".join(f"{name} {number}" for name, number in said.items())
            found.append(
                verdict(
                    "queries", self.lang, candidates.query_ids[query].as_py(), self.name, "flagged", "unfilled",
                    value=float(got), op="<", threshold=float(self.negatives), threshold_source="user", detail=detail,
                )
            )  # fmt: skip
        return found


def rows_of(candidates: Candidates, chosen: Chosen, anchors: Floats, rule: str, splits: pa.Array) -> pa.Table:
    """The chosen rows (`CHOSEN`); score and anchor_score are those of the first retriever, in their order, that returned the document."""
    rows = chosen.rows
    query = candidates.query_of[rows]
    returned = candidates.ranks[:, rows] > 0
    first = returned.argmax(axis=0) if len(rows) else np.empty(0, np.int64)
    anchor = anchors[first, query]
    names = pa.array(candidates.retrievers, pa.string())
    return pa.table(
        [
            candidates.query_ids.take(pa.array(query)).cast(pa.string()),
            candidates.doc_ids.take(pa.array(candidates.docs[rows])).cast(pa.string()),
            pa.array([rule] * len(rows), pa.string()),
            pa.array(candidates.place[rows]),
            pa.array(candidates.scores[first, rows]),
            pa.array(anchor, mask=np.isnan(anchor)),
            names.take(pa.array(first)),
            splits.take(pa.array(query)),
        ],
        schema=CHOSEN,
    )


def median_rank(histogram: Mapping[str, int]) -> float | None:
    """The median of ranks that are counted by rank; beyond the depth of retrieval is above every rank, and a median there is None.

    >>> median_rank({"1": 1, "3": 1, "0": 1}), median_rank({"0": 2, "4": 1}), median_rank({"1": 1, "2": 1})
    (3.0, None, 1.5)
    """
    pairs = sorted((int(rank) if int(rank) != BEYOND else np.inf, number) for rank, number in histogram.items())
    total = sum(number for _, number in pairs)
    if not total:
        return None
    ends = np.cumsum([number for _, number in pairs])
    low, high = (pairs[int(np.searchsorted(ends, place, "right"))][0] for place in ((total - 1) // 2, total // 2))
    middle = (low + high) / 2
    return None if np.isinf(middle) else float(middle)


def _histogram(ranks: npt.NDArray[Any]) -> dict[str, int]:
    values, counts = np.unique(ranks, return_counts=True)
    return {str(value): int(count) for value, count in zip(values.tolist(), counts.tolist(), strict=True)}


def _whole(shards: Any) -> pa.Table:
    return pa.concat_tables(list(shards))


def _queries(shards: Any, tables: list[pa.Table]) -> tuple[pa.Array, pa.Array]:
    """The queries that any of the tables names, in the order of the queries' own table, and the split of each."""
    named = pc.unique(pa.chunked_array([one(table["query_id"]) for table in tables]))
    ids, splits = [], []
    for path in shards.paths:
        rows = parquet.read(path, ["query_id", "split"])
        rows = rows.filter(pc.is_in(rows["query_id"].cast(pa.large_string()), named))
        ids.append(one(rows["query_id"]))
        own = one(rows["split"]).cast(pa.string()) if "split" in rows.column_names else None
        splits.append(pa.repeat(pa.scalar("negatives"), rows.num_rows) if own is None else own)
    return pa.concat_arrays(ids), pa.concat_arrays(splits)


def _of(table: pa.Table, queries: pa.Array) -> pa.Table:
    return table.filter(pc.is_in(table["query_id"].cast(pa.large_string()), queries))
