"""Measures of rankings, query by query: nDCG, reciprocal rank, recall and average precision, as trec_eval has them.

found: (queries, ranks) the grade of the document at each rank, 0 where nobody judged it or nothing is there; ideal: (queries, any) the grades of the
judged documents of each query, 0 where there are no more. A grade above 0 is relevant; negative grades count as 0. A query without a relevant
document has no value (NaN).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def ndcg(found: Floats, ideal: Floats, k: int) -> Floats:
    """nDCG at k: the gain is the grade itself (trec_eval's, not 2^grade - 1), the discount log2(rank + 1).

    Source: K. Järvelin, J. Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002.
    """
    best = -np.sort(-np.maximum(ideal, 0.0), axis=1)
    return _share(_discounted(np.maximum(found, 0.0), k), _discounted(best, k))


def mrr(found: Floats, ideal: Floats, k: int) -> Floats:
    """1 over the rank of the first relevant document, 0 where it is not among the first k."""
    relevant = found[:, :k] > 0
    first = relevant.argmax(axis=1) if relevant.shape[1] else np.zeros(len(found), np.int64)
    values = np.where(relevant.any(axis=1), 1.0 / (first + 1.0), 0.0)
    return np.where((ideal > 0).any(axis=1), values, np.nan)


def recall(found: Floats, ideal: Floats, k: int) -> Floats:
    """The share of a query's relevant documents that are among the first k."""
    return _share((found[:, :k] > 0).sum(axis=1).astype(np.float64), (ideal > 0).sum(axis=1).astype(np.float64))


def average_precision(found: Floats, ideal: Floats, k: int) -> Floats:
    """Precision at the ranks of the relevant documents among the first k, added up, over the number of all relevant documents."""
    relevant = found[:, :k] > 0
    precision = np.cumsum(relevant, axis=1) / np.arange(1, relevant.shape[1] + 1)
    return _share((precision * relevant).sum(axis=1), (ideal > 0).sum(axis=1).astype(np.float64))


def _discounted(grades: Floats, k: int) -> Floats:
    first = grades[:, :k]
    found: Floats = (first / np.log2(np.arange(2, first.shape[1] + 2))).sum(axis=1)
    return found


def _share(part: Floats, whole: Floats) -> Floats:
    found: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return found
