"""Positives hidden by draws: for each draw of a query one positive stays known, the others are looked for among what is mined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import parquet
from dsbuild.builders.mining.choose_negatives import Block, How
from dsbuild.builders.mining.identity import Identity
from dsbuild.builders.retrieval.candidates import Anchors, Candidates, Floats, Ints, Mask
from dsbuild.builders.retrieval.evidence import hashed, labels_of, ranges
from dsbuild.builders.retrieval.retriever import id_rows

# Queries that are drawn from at most, by hash.
MOST = 2_000
FOLDS = 5
# Candidates of drawn queries that are held at once.
_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Asked:
    """Queries that are drawn from; found: how many there were to choose from; folds: the fold of each, of about equal size, by a hash of its id."""

    ids: pa.Array
    found: int
    folds: Ints

    @property
    def n_folds(self) -> int:
        """The number of folds, none of them empty."""
        return min(FOLDS, len(self.ids))

    def places(self, query_ids: pa.Array) -> Ints:
        """The place of each query here, -1 where it is not."""
        return id_rows(query_ids, self.ids)


def asked_of(inputs: Mapping[str, Any], retriever: str, seed: int, least: int = 2, most: int = MOST) -> Asked:
    """The queries with at least so many positives; of more than `most` those with the smallest hash."""
    found = []
    for path in inputs[f"anchors.{retriever}"].paths:
        table = parquet.read(path, ["query_id", "doc_id", "relevance"])
        table = table.filter(pc.greater(table["relevance"], 0))
        counts = table.group_by("query_id").aggregate([("doc_id", "count_distinct")])
        found += counts.filter(pc.greater_equal(counts["doc_id_count_distinct"], least))["query_id"].to_pylist()
    marks = sorted((hashed(seed, "asked", name), name) for name in found)[:most]
    ids = pa.array([name for _, name in marks], pa.large_string())
    return Asked(ids, len(found), np.arange(len(marks)) % max(1, min(FOLDS, len(marks))))


@dataclass(frozen=True)
class Hidden:
    """Drawn queries as a block of their own.

    candidates: a query for each draw; anchors: (retrievers, draws) the known positive's score; allowed: (rows) what identity permits whoever knows
    that positive and every judgement below 1; hidden: (rows) the positives that are not known; query: (draws) the place in `Asked`; rows:
    (rows) of the block that they come from.
    """

    candidates: Candidates
    anchors: Floats
    allowed: Mask
    hidden: Mask
    query: Ints
    rows: Ints


def hidden_in(
    block: Block, identity: Identity, asked: Asked, draws: int, seed: int, *, siblings: bool, how: How = "min", fold: int | None = None
) -> Iterator[Hidden]:  # fmt: skip
    """The draws of a block's queries, a bounded number of candidates at a time; fold: only queries of that fold."""
    query, label = _drawn(block, asked, draws, seed, fold)
    sizes = np.diff(block.candidates.starts)[query]
    if not len(query):
        return
    part = np.cumsum(sizes) // _AT_ONCE
    for number in np.unique(part).tolist():
        mine = part == number
        yield _hide(
            block,
            identity,
            asked,
            query[mine],
            label[mine],
            np.tile(np.arange(draws), len(query) // draws)[mine],
            siblings,
            how,
        )


def _drawn(block: Block, asked: Asked, draws: int, seed: int, fold: int | None) -> tuple[Ints, Ints]:
    """A query and one of its positives (an index of `labels_of`) for each draw."""
    names = block.candidates.query_ids
    place = asked.places(names)
    wanted = place >= 0
    if fold is not None:
        wanted[wanted] = asked.folds[place[wanted]] == fold
    labels = labels_of(block.anchors, names)
    starts = np.searchsorted(block.anchors.query_of[labels], np.arange(len(names) + 1))
    queries, found = [], []
    for query in np.flatnonzero(wanted & (np.diff(starts) > 0)).tolist():
        name, n_labels = names[query].as_py(), int(starts[query + 1] - starts[query])
        queries += [query] * draws
        found += [int(starts[query]) + hashed(seed, "draw", name, str(draw)) % n_labels for draw in range(draws)]
    return np.array(queries, np.int64), np.array(found, np.int64)


def _hide(
    block: Block, identity: Identity, asked: Asked, query: Ints, label: Ints, draw: Ints, siblings: bool, how: How
) -> Hidden:
    base, judged = block.candidates, block.anchors
    sizes, pair_sizes = np.diff(base.starts)[query], np.diff(judged.starts)[query]
    rows, pairs = ranges(base.starts[query], sizes), ranges(judged.starts[query], pair_sizes)
    own_names = base.query_ids.take(pa.array(query))
    # Draws have names of their own, so that a rule which draws does so anew for each.
    names = pc.binary_join_element_wise(
        own_names, pa.array(draw).cast(pa.large_string()), pa.scalar("\x1f", pa.large_string())
    )
    candidates = replace(
        base, query_ids=names, starts=_borders(sizes), docs=base.docs[rows], ranks=base.ranks[:, rows], scores=base.scores[:, rows],
        place=base.place[rows], evidence=None if base.evidence is None else base.evidence.take(rows, label),
    )  # fmt: skip
    anchors = Anchors(
        _borders(pair_sizes), judged.doc_ids.take(pa.array(pairs)), judged.relevance[pairs], judged.retrievers,
        judged.scores[:, pairs], judged.ranks[:, pairs],
    )  # fmt: skip
    label_pairs = labels_of(judged, base.query_ids)[label]
    labels = pairs == np.repeat(label_pairs, pair_sizes)
    known = labels | ~anchors.positive
    reasons = identity.reasons(candidates, anchors, known, siblings=siblings, names=own_names)
    hidden = np.zeros(len(rows), np.bool_)
    secret = np.flatnonzero(~known)
    at = candidates.lookup(anchors.query_of[secret], anchors.doc_ids.take(pa.array(secret)))
    hidden[at[at >= 0]] = True
    place = asked.places(base.query_ids)[query]
    return Hidden(candidates, anchors.anchor(labels, how), reasons == 0, hidden, place, rows)


def _borders(sizes: Ints) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
