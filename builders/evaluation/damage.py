"""Alarms on queries that a translation damaged: the query or its positive no longer says, or no longer finds, what the source does.

The signs of `dsbuild.builders.evaluation.pair_signs` are weighed by a logistic model that is fitted on the set itself: its translations
as they are, and copies of them that are spoiled on purpose (`dsbuild.builders.evaluation.spoiled`). How many rows are damaged is then
estimated (Saerens et al., Adjusting the outputs of a classifier to new a priori probabilities, 2002), and the threshold set so that the
expected share of false alarms stays under a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsbuild.builders.evaluation.pair_signs import Found, Signs
from dsbuild.builders.evaluation.spoiled import SPOILS, spoil

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FALSE_ALARMS = 0.03
# What is aimed at, so that chance does not carry a run beyond the bound.
_AIM = 0.6
_ROUNDS = 4
_SPOILED = 0.2
# Standard deviations above the middle that count; what is better than usual makes up for nothing.
_LOW, _BEND, _HIGH = 0.0, 3.0, 6.0
# Every sign counts alike before spoiled texts are looked at; how strongly the weights are held there.
_WEIGHT, _PENALTY = 0.5, 0.01
# The worst of the translations as they are, left out of the fit: some of them are the damage that is looked for.
_TRIMMED = 0.1


@dataclass(frozen=True, slots=True)
class Alarms:
    """By query: score (log-odds of damage), whether it alarms, the worst pair, and log-odds of both sides of that pair.

    threshold: alarms are scores above it; share: estimated share of damaged queries; false_alarms: expected share among sound ones.
    weighed: by pair, what each sign of the query's text, of the document's text and of the pair adds to its log-odds.
    """

    score: Floats
    alarm: Bools
    pair: Ints
    query_side: Floats
    doc_side: Floats
    threshold: float
    share: float
    false_alarms: float
    found: Found
    weighed_query: Floats
    weighed_doc: Floats


@dataclass(frozen=True, slots=True)
class Gathered:
    """Signs of pairs, the text's and the pair's side by side, scaled, then what they have beyond a bend.

    Of translations as they are (sound), and of spoiled ones (bad) with the kind of each.

    sound, bad, kinds: for the side of queries and for that of documents.
    """

    found: Found
    sound: tuple[Floats, Floats]
    bad: tuple[Floats, Floats]
    kinds: tuple[Ints, Ints]


def gather(signs: Signs, *, seed: int = 0, kinds: Sequence[str] = tuple(SPOILS)) -> Gathered:
    """The signs of a set as it is and spoiled."""
    parallel = signs.parallel
    found = signs.measure(parallel)
    scale = {
        "queries": _Scale.of(found.queries), "docs": _Scale.of(found.docs[signs.judged]), "pairs": _Scale.of(found.pairs)
    }  # fmt: skip
    query, doc = parallel.pairs.T
    every = np.ones(len(query), np.bool_)
    sound = (_row(found, scale, "queries", query, every), _row(found, scale, "docs", doc, every))
    bad: tuple[list[Floats], list[Floats]] = ([], [])
    which: tuple[list[Ints], list[Ints]] = ([], [])
    sides = (
        (parallel.src_queries, parallel.tgt_queries, np.arange(len(parallel.src_queries))),
        (parallel.src_docs, parallel.tgt_docs, signs.judged),
    )
    for turn in range(_ROUNDS):
        rng = np.random.Generator(np.random.PCG64([seed, turn]))
        texts, kind_of = [], []
        for src, tgt, rows in sides:
            drawn = np.sort(rng.permutation(rows)[: max(1, round(_SPOILED * len(rows)))])
            kind = np.full(len(src), -1)
            kind[drawn] = (np.arange(len(drawn)) + turn) % len(kinds)
            texts.append(spoil(src.texts.to_pylist(), tgt.texts.to_pylist(), tgt.lang, kind, kinds, rng))
            kind_of.append(kind)
        now = signs.measure(parallel.with_texts(*texts))
        hit = (kind_of[0][query], kind_of[1][doc])
        for side, (name, rows) in enumerate((("queries", query), ("docs", doc))):
            alone = (hit[side] >= 0) & (hit[1 - side] < 0)
            bad[side].append(_row(now, scale, name, rows, alone))
            which[side].append(hit[side][alone])
    return Gathered(
        found, sound, (np.concatenate(bad[0]), np.concatenate(bad[1])), (np.concatenate(which[0]), np.concatenate(which[1]))
    )  # fmt: skip


def weigh(gathered: Gathered, query: Ints, n_queries: int, *, false_alarms: float = FALSE_ALARMS) -> Alarms:
    """Fit, and alarm; query: the query of each pair. A query without a pair never alarms."""
    models = [_robust(sound, bad) for sound, bad in zip(gathered.sound, gathered.bad, strict=True)]
    sides = [sound @ weights + start for sound, (weights, start) in zip(gathered.sound, models, strict=True)]
    worst = np.maximum(*sides)
    order = np.lexsort((-worst, query))
    first = order[np.unique(query[order], return_index=True)[1]]
    score, pair = np.full(n_queries, -np.inf), np.full(n_queries, -1)
    score[query[first]], pair[query[first]] = worst[first], first
    threshold, share, expected = _threshold(worst[first], false_alarms)
    weighed = [
        (sound * weights).reshape(len(sound), 2, -1).sum(axis=1)
        for sound, (weights, _) in zip(gathered.sound, models, strict=True)
    ]
    return Alarms(
        score,
        score > threshold,
        pair,
        sides[0][pair],
        sides[1][pair],
        threshold,
        share,
        expected,
        gathered.found,
        *weighed,
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    """Median and spread of each sign on the set as it is."""

    middle: Floats
    spread: Floats

    @classmethod
    def of(cls, values: Floats) -> _Scale:
        low, middle, high, top = np.quantile(values, [0.25, 0.5, 0.75, 0.9], axis=0)
        spread = np.maximum((high - low) / 1.35, (top - middle) / 1.28)
        return cls(middle, np.where(spread > 1e-6, spread, 0.1))

    def __call__(self, values: Floats) -> Floats:
        return np.clip((values - self.middle) / self.spread, _LOW, _HIGH)


def _row(found: Found, scale: dict[str, _Scale], side: str, rows: Ints, which: Bools) -> Floats:
    """Signs of pairs: those of one side's text, and of the pair."""
    signs = np.column_stack([scale[side](getattr(found, side)[rows[which]]), scale["pairs"](found.pairs[which])])
    # What is far out has a weight of its own: a damage of a kind that nothing was fitted on may show in one sign alone.
    return np.column_stack([np.minimum(signs, _BEND), np.maximum(signs - _BEND, 0.0)])


def _robust(sound: Floats, bad: Floats) -> tuple[Floats, float]:
    """A fit without the rows of `sound` that look worst, by the mean of the signs and then by the fit itself."""
    weights, start = np.ones(sound.shape[1]), 0.0
    for _ in range(4):
        scores = sound @ weights
        weights, start = _fit(sound[scores <= np.quantile(scores, 1 - _TRIMMED)], bad)
    return weights, start


def _fit(sound: Floats, bad: Floats) -> tuple[Floats, float]:
    """Weights, none of them negative, and the constant of a logistic model with both classes of the same weight."""
    from scipy.optimize import minimize

    values = np.concatenate([sound, bad])
    labels = np.concatenate([np.zeros(len(sound)), np.ones(len(bad))])
    share = np.where(labels > 0, 0.5 / max(1, len(bad)), 0.5 / max(1, len(sound)))

    def loss(point: Floats) -> tuple[float, Floats]:
        logit = values @ point[:-1] + point[-1]
        total = (
            float(share @ (np.logaddexp(0, logit) - labels * logit))
            + _PENALTY * float((point[:-1] - _WEIGHT) @ (point[:-1] - _WEIGHT)) / 2
        )
        slope = share * (1 / (1 + np.exp(-logit)) - labels)
        return total, np.append(values.T @ slope + _PENALTY * (point[:-1] - _WEIGHT), slope.sum())

    bounds = [(0.0, None)] * values.shape[1] + [(None, None)]
    found = minimize(loss, np.zeros(values.shape[1] + 1), jac=True, method="L-BFGS-B", bounds=bounds)
    return found.x[:-1], float(found.x[-1])


def _threshold(scores: Floats, bound: float) -> tuple[float, float, float]:
    """The least threshold whose expected share of false alarms is under the bound; the share of damaged rows; the expected share."""
    share = 0.05
    for _ in range(200):
        odds = np.clip(scores, -30, 30) + np.log(share / (1 - share))
        new = float(np.clip(np.mean(1 / (1 + np.exp(-odds))), 1e-4, 0.5))
        if abs(new - share) < 1e-7:
            break
        share = new
    odds = np.clip(scores, -30, 30) + np.log(share / (1 - share))
    damaged = 1 / (1 + np.exp(-odds))
    order = np.argsort(-scores, kind="stable")
    false = np.cumsum(1 - damaged[order]) / max(1e-9, float((1 - damaged).sum()))
    # Alarms are more likely right than not, and together they keep to the bound.
    n = int(((damaged[order] > 0.5) & (false <= bound * _AIM)).sum())
    return (float(scores[order[n]]) if n < len(order) else -np.inf), share, float(false[n - 1]) if n else 0.0
