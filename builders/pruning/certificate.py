"""The certificate of a pruned set: whether retrievers rank on it as on the whole collection, computed from runs and judgements.

Four rankings of each retriever are compared: `whole`, over the whole collection; `kept`, the same ranking without what was pruned, as of a
retriever that does not learn from the collection; `left_out`, the same without what would have been pruned had that retriever (and those
made of the same parts) not been there; `refitted`, of the retriever indexed on the kept documents alone, whose statistics and vectors
change with the collection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import release
from dsbuild.builders.evaluation import rank_statistics as statistics
from dsbuild.builders.pruning.kept_documents import MAIN, METRICS, SHOWN, Floats
from dsbuild.builders.retrieval.retriever import id_rows, one

WHOLE, KEPT, LEFT_OUT, REFITTED = RANKINGS = ("whole", "kept", "left_out", "refitted")
RUNS = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("retriever", pa.string(), nullable=False),
        pa.field("ranking", pa.string(), nullable=False),  # whole, kept, left_out, refitted
        pa.field("rank", pa.int32(), nullable=False),
    ]
)
FOLDER = "certificate"
# Borders of the groups by the number of relevant documents.
_GROUPS = (1, 2, 4, 8, 16, 32, 64)
_CLOSE = 1e-6
# Fewer systems or queries than these make a certificate that says little.
_FEW_SYSTEMS, _FEW_QUERIES = 8, 50

Scores = dict[str, dict[str, Floats]]  # by ranking and metric: (queries, retrievers)


def certify(
    names: Sequence[str], runs: pa.Table, qrels: pa.Table, documents: Mapping[str, int], kept: pa.Array, seed: int
) -> dict[str, Any]:
    """The certificate of one language, as JSON values.

    names: of the retrievers; runs: `RUNS`, ranks up to `SHOWN`; qrels: those of the pruned set; documents: how many are in the whole collection,
    kept, and judged; kept: ids of the kept documents; seed: of the bootstrap. Queries without a relevant document do not count.
    """
    judged = _Judged.of(qrels)
    scores, whole_to = _scores(names, runs, judged, kept)
    before, after = scores[WHOLE], scores[KEPT]
    found: dict[str, Any] = {
        "queries": len(judged.queries), "metric": MAIN, "seed": seed, "documents": _documents(documents),
        "largest_rank_change": _change(names, before[MAIN], after[MAIN]) if len(names) > 1 else None,
    }  # fmt: skip
    for key, ranking in (("", KEPT), ("left_out_", LEFT_OUT), ("refitted_", REFITTED)):
        found |= {f"{key}{name}": value for name, value in _agreement(before, scores[ranking], seed).items()}
    found["metrics"] = {
        metric: {
            "tau": _tau(before[metric], after[metric], seed), "whole": _rounded(before[metric].mean(axis=0).mean()),
            "kept": _rounded(after[metric].mean(axis=0).mean()),
        }
        for metric in METRICS
    }  # fmt: skip
    found["retrievers"] = _retrievers(names, scores, seed)
    found["depth"] = _depth((judged.ideal() > 0).sum(axis=1), whole_to)
    found["said"] = said(len(names), len(judged.queries))
    return found


def said(n_systems: int, n_queries: int) -> str:
    """How much a certificate over so many retrievers and queries can say.

    >>> said(2, 100).split(";")[0]
    '1 pair of retrievers, so tau moves in steps of 2.00'
    """
    pairs = n_systems * (n_systems - 1) // 2
    if not pairs:
        return "One retriever has no ranking: tau needs two, and eight or more say something."
    step = f"{pairs} pair{'s' if pairs > 1 else ''} of retrievers, so tau moves in steps of {2 / pairs:.2f}"
    few = [
        *([f"{n_systems} retrievers are few (eight or more say something)"] if n_systems < _FEW_SYSTEMS else []),
        *([f"{n_queries} queries are few: the interval is wide"] if n_queries < _FEW_QUERIES else []),
    ]
    return "; ".join([step, *few])


@dataclass(frozen=True)
class _Judged:
    """Judgements by number: ids of queries with a relevant document and of judged documents, both ascending; their pairs as ascending keys."""

    queries: pa.Array
    documents: pa.Array
    keys: npt.NDArray[np.int64]
    grades: Floats

    @classmethod
    def of(cls, qrels: pa.Table) -> _Judged:
        queries = _distinct(qrels.filter(pc.greater(qrels["relevance"], 0))["query_id"])
        qrels = qrels.filter(pc.is_in(qrels["query_id"].cast(pa.large_string()), value_set=queries))
        documents = _distinct(qrels["doc_id"])
        keys = id_rows(qrels["query_id"], queries) * max(1, len(documents)) + id_rows(qrels["doc_id"], documents)
        order = np.argsort(keys, kind="stable")
        grades = np.maximum(qrels["relevance"].to_numpy().astype(np.float64), 0.0)
        return cls(queries, documents, keys[order], grades[order])

    def of_pairs(self, query: npt.NDArray[np.int64], document: npt.NDArray[np.int64]) -> Floats:
        """The grades of pairs, 0 where nobody judged them; documents that nobody judged are -1."""
        if not len(self.keys):
            return np.zeros(len(query))
        keys = query * max(1, len(self.documents)) + document
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where((self.keys[at] == keys) & (document >= 0), self.grades[at], 0.0)

    def ideal(self) -> Floats:
        """The grades of each query's judged documents: (queries, any)."""
        query = self.keys // max(1, len(self.documents))
        starts = np.searchsorted(query, np.arange(len(self.queries) + 1))
        found = np.zeros((len(self.queries), max(1, int(np.diff(starts).max(initial=0)))))
        found[query, np.arange(len(query)) - starts[query]] = self.grades
        return found


def _distinct(column: pa.ChunkedArray) -> pa.Array:
    ids = one(pc.unique(column))
    return ids.take(pc.sort_indices(ids))


def _scores(
    names: Sequence[str], runs: pa.Table, judged: _Judged, kept: pa.Array
) -> tuple[Scores, npt.NDArray[np.int64]]:
    """Scores by ranking and metric, NaN for a retriever that a ranking does not have; and for each query the rank to which all rankings are whole."""
    query, system = (
        id_rows(runs["query_id"], judged.queries),
        id_rows(runs["retriever"], pa.array(names, pa.large_string())),
    )
    ranking = id_rows(runs["ranking"], pa.array(RANKINGS, pa.large_string()))
    rank = runs["rank"].to_numpy().astype(np.int64)
    ours = (query >= 0) & (system >= 0) & (ranking >= 0) & (rank <= SHOWN)
    gone = (
        ours
        & (ranking == 0)
        & ~np.asarray(pc.is_in(one(runs["doc_id"]), value_set=one(kept)).to_numpy(zero_copy_only=False))
    )
    whole_to = np.full(len(judged.queries), SHOWN, np.int64)
    np.minimum.at(whole_to, query[gone], rank[gone] - 1)
    grades = np.zeros((len(RANKINGS), len(names), len(judged.queries), SHOWN))
    found = judged.of_pairs(query, id_rows(runs["doc_id"], judged.documents))
    grades[ranking[ours], system[ours], query[ours], rank[ours] - 1] = found[ours]
    there = np.zeros((len(RANKINGS), len(names)), np.bool_)
    there[ranking[ours], system[ours]] = True
    ideal = judged.ideal()
    scores = {
        name: {
            metric: np.stack(
                [measure(some, ideal, k) if known else np.full(len(ideal), np.nan) for some, known in zip(of, exist, strict=True)], axis=1
            )
            for metric, (measure, k) in METRICS.items()
        }
        for name, of, exist in zip(RANKINGS, grades, there, strict=True)
    }  # fmt: skip
    return scores, whole_to


def _documents(counts: Mapping[str, int]) -> dict[str, Any]:
    whole, kept, judged = counts["whole"], counts["kept"], counts["judged"]
    rest, stayed = whole - judged, kept - judged
    return {
        "whole": whole, "kept": kept, "factor": _rounded(whole / kept) if kept else None, "judged": judged, "unjudged": rest,
        "unjudged_kept": stayed, "unjudged_factor": _rounded(rest / stayed) if stayed else None,
    }  # fmt: skip


def _agreement(before: Mapping[str, Floats], after: Mapping[str, Floats], seed: int) -> dict[str, Any]:
    known = ~np.isnan(after[MAIN]).any(axis=0)
    first, second = before[MAIN][:, known], after[MAIN][:, known]
    if known.sum() < 2 or not len(first):
        return {"tau": statistics.NOTHING.as_data(), "tau_ap": statistics.NOTHING.as_data(), "pairs": None}
    pairs = statistics.significant_pairs(first, second)
    return {
        "tau": _tau(first, second, seed), "tau_ap": statistics.interval(statistics.tau_ap, (first, second), seed).as_data(),
        "pairs": {
            "all": pairs.systems, "significant": pairs.significant, "kept": pairs.kept, "lost": pairs.lost, "turned": pairs.turned,
            "new": pairs.new, "share": None if pairs.share is None else _rounded(pairs.share),
        },
    }  # fmt: skip


def _tau(before: Floats, after: Floats, seed: int) -> dict[str, float | None]:
    if before.shape[1] < 2:
        return statistics.NOTHING.as_data()
    return statistics.interval(statistics.tau_b, (before, after), seed).as_data()


def _change(names: Sequence[str], before: Floats, after: Floats) -> dict[str, Any]:
    system, first, second = statistics.rank_change(before.mean(axis=0), after.mean(axis=0))
    return {"retriever": names[system], "before": first, "after": second, "change": abs(first - second)}


def _retrievers(names: Sequence[str], scores: Scores, seed: int) -> dict[str, Any]:
    before, after, left, again = (scores[ranking][MAIN] for ranking in (WHOLE, KEPT, LEFT_OUT, REFITTED))
    inflation = statistics.differences(before, after, seed)
    bias, refit = statistics.differences(after, left, seed), statistics.differences(before, again, seed)
    first, second = (statistics.ranks(one.mean(axis=0)) for one in (before, after))
    return {
        name: {
            "whole": _rounded(before[:, at].mean()), "kept": _rounded(after[:, at].mean()), "inflation": inflation[at].as_data(),
            "rank_whole": float(first[at]), "rank_kept": float(second[at]), "left_out": _rounded(left[:, at].mean()),
            "pool_bias": bias[at].as_data(), "refitted": _rounded(again[:, at].mean()), "refitted_inflation": refit[at].as_data(),
            "metrics": {
                metric: {"whole": _rounded(scores[WHOLE][metric][:, at].mean()), "kept": _rounded(scores[KEPT][metric][:, at].mean())}
                for metric in METRICS
            },
        }
        for at, name in enumerate(names)
    }  # fmt: skip


def _depth(positives: npt.NDArray[np.int64], whole_to: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    """By the number of relevant documents: queries, and the rank to which every ranking of them is whole (at most `SHOWN`)."""
    found = []
    for low, high in zip(_GROUPS, [*_GROUPS[1:], np.inf], strict=True):
        inside = (positives >= low) & (positives < high)
        if inside.any():
            name = f"{low}" if high == low + 1 else f"{low}-{int(high) - 1}" if np.isfinite(high) else f"{low} and more"
            depths = whole_to[inside]
            found.append(
                {
                    "positives": name,
                    "queries": int(inside.sum()),
                    "mean_depth": _rounded(depths.mean()),
                    "median_depth": float(np.median(depths)),
                }
            )
    return found


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


def check_certificates(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Compute the certificates of a release again from its files; what differs."""
    for lang, stated in manifest.get("findings", {}).get("certificate", {}).items():
        runs = _read(folder, f"{FOLDER}/{lang}-runs-", RUNS.names)
        if runs is None:
            yield f"{lang}: a certificate without {FOLDER}/{lang}-runs"
            continue
        src = stated["corpus"]
        corpus, qrels = (
            _read(folder, f"{src}-corpus/", ["doc_id"]),
            _read(folder, f"{stated['qrels']}-qrels/", ["query_id", "doc_id", "relevance"]),
        )
        if corpus is None or qrels is None:
            yield f"{lang}: a certificate without its corpus or judgements"
            continue
        gone = _read(folder, f"dropped/{src}-corpus-", ["doc_id"])
        judged = pc.is_in(corpus["doc_id"], value_set=pc.unique(qrels["doc_id"]))
        counts = {
            "whole": corpus.num_rows + (gone.num_rows if gone else 0), "kept": corpus.num_rows, "judged": pc.sum(judged).as_py() or 0,
        }  # fmt: skip
        names = list(stated["retrievers"])
        kept = corpus["doc_id"].combine_chunks()
        again = certify(names, runs, qrels, counts, kept, stated["seed"])
        for name in (name for name in again if not _same(again[name], stated.get(name))):
            yield f"{lang}: the certificate says another {name} than its runs and judgements do"


def _read(folder: Path, prefix: str, columns: list[str]) -> pa.Table | None:
    found = list(release.read_part(folder, prefix, columns))
    return pa.concat_tables(found) if found else None


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(_same(one, other) for one, other in zip(left, right, strict=True))
    if isinstance(left, float) and isinstance(right, int | float):
        return abs(left - right) <= _CLOSE
    return bool(left == right)
