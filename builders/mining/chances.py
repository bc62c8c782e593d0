"""How likely a candidate is relevant though nobody judged it: what is known of it as columns of numbers, and a model of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsbuild.builders.mining.logistic import Logistic
from dsbuild.builders.retrieval.candidates import Candidates, Floats, Ints
from dsbuild.builders.retrieval.evidence import ranges

_FAR = 6.0


@dataclass(frozen=True)
class Described:
    """Candidates of queries, each beside one known positive, as columns of numbers.

    rows: rows of the block; starts: where the rows of each pair of query and positive begin; columns: (names, rows), NaN where not known.
    """

    rows: Ints
    starts: Ints
    names: tuple[str, ...]
    columns: Floats


def describe(block: Candidates, known: Floats, labels: Ints | None = None) -> Described:
    """The columns of the candidates beside each known positive; labels: some of the positives of the evidence.

    known: (retrievers that mine, queries) the score of the positive, used for those that give no evidence. All columns compare a candidate with the
    other candidates of its query, or with the positive, by scores in units of their spread, so that they mean the same on
    every scale, also a negative or a compressed one.
    """
    evidence = block.evidence
    assert evidence is not None
    labels = np.arange(len(evidence.pairs)) if labels is None else labels
    query = evidence.query_of[labels]
    sizes = np.diff(block.starts)[query]
    labels, query, sizes = labels[sizes > 0], query[sizes > 0], sizes[sizes > 0]
    rows = ranges(block.starts[query], sizes)
    groups = _Groups(sizes)
    columns = {"rank": np.log(block.place[rows].astype(np.float64))}
    for index, name in enumerate(block.retrievers):
        if name not in evidence.retrievers:
            _asked(columns, name, groups, block.scores[index][rows], known[index, query])
    alike = ranges(evidence.offsets[labels], sizes)
    for index, name in enumerate(evidence.retrievers):
        _asked(columns, name, groups, evidence.scores[index][rows].astype(np.float64), evidence.anchors[index, labels])
        like = evidence.likes[index][alike].astype(np.float64)
        own = evidence.own[index, labels]
        columns[f"like.{name}"] = groups.standard(like)
        with np.errstate(divide="ignore", invalid="ignore"):
            columns[f"like_share.{name}"] = np.clip(like / groups.spread(np.where(own > 0, own, np.nan)), -2.0, 2.0)
        columns[f"like_rank.{name}"] = np.log1p(groups.rank(like))
    return Described(rows, groups.starts, tuple(columns), np.stack(list(columns.values())))


def _asked(columns: dict[str, Floats], name: str, groups: _Groups, scores: Floats, anchor: Floats) -> None:
    """What a retriever says for the query: beside the other candidates, the best one, and the positive."""
    columns[f"score.{name}"] = groups.standard(scores)
    columns[f"below_best.{name}"] = (groups.spread(groups.best(scores)) - scores) / groups.spread(
        groups.deviation(scores)
    )
    beside = (scores - groups.spread(anchor)) / groups.spread(groups.deviation(scores))
    columns[f"beside_positive.{name}"] = np.clip(beside, -_FAR, _FAR)
    columns[f"above_positive.{name}"] = groups.spread(np.log1p(groups.count(scores > groups.spread(anchor))))


class _Groups:
    """Rows in groups that follow each other, none of them empty; values that are not known (NaN) are passed over."""

    def __init__(self, sizes: Ints) -> None:
        self.sizes = sizes
        self.starts = np.cumsum(sizes) - sizes
        self.of = np.repeat(np.arange(len(sizes)), sizes)

    def spread(self, values: Floats) -> Floats:
        return np.asarray(np.repeat(values, self.sizes), np.float64)

    def count(self, rows: npt.NDArray[np.bool_]) -> Floats:
        return np.asarray(np.bincount(self.of, rows, len(self.sizes)), np.float64)

    def _mean(self, values: Floats) -> Floats:
        known = ~np.isnan(values)
        counts = self.count(known)
        sums = np.bincount(self.of, np.where(known, values, 0.0), len(self.sizes))
        return np.asarray(np.where(counts > 0, sums / np.maximum(1, counts), np.nan))

    def deviation(self, values: Floats) -> Floats:
        """The standard deviation; 1 where all are equal."""
        found = np.sqrt(self._mean((values - self.spread(self._mean(values))) ** 2))
        return np.asarray(np.where(found > 1e-9, found, 1.0))

    def standard(self, values: Floats) -> Floats:
        """Distances from the group's mean in its deviations."""
        return np.asarray((values - self.spread(self._mean(values))) / self.spread(self.deviation(values)))

    def best(self, values: Floats) -> Floats:
        if not len(values):
            return np.empty(0)
        return np.asarray(np.maximum.reduceat(np.nan_to_num(values, nan=-np.inf), self.starts))

    def rank(self, values: Floats) -> Floats:
        """How many of the group are larger, or as large and before; NaN where not known."""
        order = np.lexsort((np.arange(len(values)), -np.nan_to_num(values, nan=-np.inf), self.of))
        out = np.empty(len(values))
        out[order] = np.arange(len(values)) - self.starts[self.of[order]]
        return np.asarray(np.where(np.isnan(values), np.nan, out))


def chances_of(block: Candidates, known: Floats, model: Logistic) -> Floats:
    """For each row of the block how likely it is relevant: the mean over the query's known positives; NaN where none is known.

    Each positive is looked at alone, as when the model was learned.
    """
    found = describe(block, known)
    counts = np.bincount(found.rows, minlength=len(block))
    sums = np.bincount(found.rows, model.chances(found.columns), len(block))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(counts > 0, sums / counts, np.nan))
