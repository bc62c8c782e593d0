"""How far a judge's grades agree with those that a set came with: confusion table, Cohen's kappa, intervals over queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.builders.evaluation.rank_statistics import interval
from dsbuild.builders.judging.choose_pairs import TOP
from dsbuild.builders.judging.judged_qrels import RELEVANT
from dsbuild.builders.retrieval.candidates import Floats, Ints
from dsbuild.stage import Counts, Result, Workspace

GRADES = 4


def kappa(cells: Floats, *, linear: bool = False) -> Floats:
    """Cohen's kappa of tables (…, k, k), along the first axes; NaN where chance explains everything.

    linear: a disagreement weighs as many grades as it spans (weighted kappa, J. Cohen 1968), else all weigh the same (J. Cohen 1960).

    >>> float(kappa(np.array([[20.0, 5.0], [10.0, 15.0]])).round(12))
    0.4
    """
    k = cells.shape[-1]
    at = np.arange(k)
    weights = np.abs(at[:, None] - at[None, :]).astype(np.float64)
    weights = weights if linear else (weights > 0).astype(np.float64)
    total = cells.sum(axis=(-2, -1))
    chance = cells.sum(axis=-1)[..., :, None] * cells.sum(axis=-2)[..., None, :]
    observed, expected = (weights * cells).sum(axis=(-2, -1)) * total, (weights * chance).sum(axis=(-2, -1))
    share = np.divide(observed, expected, out=np.full(np.shape(expected), np.nan), where=expected > 0)
    return np.asarray(1.0 - share, np.float64)


def raw(cells: Floats) -> Floats:
    """The share of pairs on the diagonal of tables (…, k, k)."""
    total = cells.sum(axis=(-2, -1))
    same = np.trace(cells, axis1=-2, axis2=-1)
    return np.asarray(np.divide(same, total, out=np.full(np.shape(total), np.nan), where=total > 0), np.float64)


def agreement(
    queries: Sequence[str],
    known: Ints,
    grades: Ints,
    *,
    known_relevant: int = 1,
    relevant: int = RELEVANT,
    seed: int = 0,
) -> dict[str, Any]:
    """How two judges agree on pairs.

    known: grades of the set; grades: 0 to 3, of the judge; known_relevant, relevant: from which grade on each calls a passage an answer.
    table: by grade of the set how often each grade was given. raw and kappa are of answer or not; kappa_grades and kappa_linear of the four grades,
    None unless the set's grades are of that scale too (2 or 3 is among them, nothing above). Each with a 95 % bootstrap interval over queries.
    one_sided: whether the set's judge calls all of these pairs an answer, or none: kappa says nothing then.
    """
    values = sorted(set(known.tolist()))
    table = {str(value): np.bincount(grades[known == value], minlength=GRADES).tolist() for value in values}
    _, query = np.unique(np.asarray(queries), return_inverse=True)
    n_queries = int(query.max()) + 1 if len(query) else 0
    binary = _cells(query, n_queries, known >= known_relevant, grades >= relevant, 2)
    told: dict[str, Any] = {
        "pairs": len(known), "queries": n_queries, "table": table, "known_relevant": known_relevant, "relevant": relevant,
        "one_sided": bool(len(known)) and len(np.unique(known >= known_relevant)) == 1,
        "raw": _interval(raw, binary, seed), "kappa": _interval(kappa, binary, seed), "kappa_grades": None, "kappa_linear": None,
    }  # fmt: skip
    if values and 2 <= values[-1] < GRADES:
        cells = _cells(query, n_queries, np.maximum(known, 0), grades, GRADES)
        told["kappa_grades"] = _interval(kappa, cells, seed)
        told["kappa_linear"] = _interval(lambda found: kappa(found, linear=True), cells, seed)
    return told


def _cells(query: Ints, n_queries: int, known: Any, grades: Any, k: int) -> Floats:
    """A table for each query, as (queries, k * k)."""
    cell = known.astype(np.int64) * k + grades.astype(np.int64)
    found = np.bincount(query * k * k + cell, minlength=n_queries * k * k)
    return np.asarray(found.reshape(n_queries, k * k), np.float64)


def _interval(statistic: Callable[[Floats], Floats], cells: Floats, seed: int) -> dict[str, float | None]:
    if not len(cells):
        return {"value": None, "low": None, "high": None}
    k = round(cells.shape[1] ** 0.5)
    return interval(lambda means: statistic(means.reshape(*means.shape[:-1], k, k)), [cells], seed).as_data()


@dataclass(frozen=True)
class MeasureJudge:
    """What a judge's grades say: by band of ranks, and beside those of everybody whose grades the set came with.

    known_relevant, relevant: see `agreement`.
    """

    seed: int
    known_relevant: int = 1
    relevant: int = RELEVANT

    name: ClassVar[str] = "measure_judge"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """judged (`JUDGED_PAIRS`, whole) -> nothing.

        Facts: grades; bands: grades by band of ranks; agreement: by judge of the set; new_top: of the first ten candidates those that only
        the model judged.
        """
        del work
        columns = ["query_id", "place", "band", "known", "known_by", "grade"]
        rows = pa.concat_tables([shard.select(columns) for shard in inputs["judged"]])
        rows = rows.filter(pc.is_valid(rows["grade"]))
        grades = rows["grade"].to_numpy().astype(np.int64)
        bands = {
            band: np.bincount(grades[pc.equal(rows["band"], band).to_numpy()], minlength=GRADES).tolist()
            for band in sorted(pc.unique(rows["band"]).to_pylist())
        }
        judges = sorted(set(pc.unique(rows["known_by"]).to_pylist()) - {""})
        place = rows["place"].to_numpy()
        new_top = ((place > 0) & (place <= TOP) & pc.is_null(rows["known"]).to_numpy()).sum()
        facts = {
            "grades": np.bincount(grades, minlength=GRADES).tolist(), "bands": bands, "new_top": int(new_top),
            "agreement": {name: self._agreement(rows.filter(pc.equal(rows["known_by"], name))) for name in judges},
        }  # fmt: skip
        return Result({}, counts=Counts(len(grades), len(grades)), facts=facts)

    def _agreement(self, rows: pa.Table) -> dict[str, Any]:
        known, grades = (rows[name].to_numpy().astype(np.int64) for name in ("known", "grade"))
        return agreement(
            rows["query_id"].to_pylist(),
            known,
            grades,
            known_relevant=self.known_relevant,
            relevant=self.relevant,
            seed=self.seed,
        )
