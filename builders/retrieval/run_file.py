"""TREC run files as a retriever: what some other system found."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.builders.retrieval.retriever import Collection, Hits, Rows, Scores, id_rows
from dsbuild.builders.sources.lines import bare_name, blocks
from dsbuild.digests import file_sha256
from dsbuild.errors import SourceError, UnknownName

_COLUMNS = "query Q0 document rank score tag"
UNKNOWN = ("drop", "error")


@dataclass(eq=False)
class RunFile:
    """A file of lines `query Q0 document rank score tag`, compressed or not.

    Hits are ordered by score, then by document id, as evaluation tools do; ranks only say whether the scores grow or fall. unknown: what is done
    about lines that name a document which is not in the corpus: error, or drop.
    """

    path: str = ""
    unknown: str = "error"

    deterministic: ClassVar[bool] = True
    GIVEN: ClassVar[dict[str, str]] = {"path": "run file"}
    EXAMPLE: ClassVar[str] = "runs/bm25.trec"

    def __post_init__(self) -> None:
        if self.unknown not in UNKNOWN:
            raise UnknownName("value of retriever.run.unknown", self.unknown, UNKNOWN)
        self._file = Path(self.path).expanduser()
        if not self._file.is_file():
            raise SourceError(f"{self.path}: no such run file")
        self.name = "run:" + re.sub(r"[^\w.-]+", "_", bare_name(self._file))
        self._digest = ""
        self._queries: pa.Array = pa.array([], pa.large_string())
        self._starts = np.zeros(1, np.int64)
        self._rows: Rows = np.empty(0, np.int64)
        self._scores: Scores = np.empty(0, np.float32)

    def fingerprint(self) -> dict[str, Any]:
        """See `Retriever`."""
        self._digest = self._digest or file_sha256(self._file, None)
        return {"retriever": "run", "sha256": self._digest, "unknown": self.unknown}

    def index(self, corpus: Collection, scratch: Path) -> None:
        """Read the file.

        `SourceError` that names the line: for one that is no run line, a score that is no number, a document twice for a query or
        (unless dropped) not in the corpus, and scores that grow from rank to rank.
        """
        run = _read(self._file)
        found = pc.index_in(pa.array(run.documents, pa.large_string()), value_set=corpus.ids)
        known = np.asarray(pc.fill_null(found, -1).to_numpy(), np.int64)
        rows = known[run.document] if len(known) else np.empty(0, np.int64)
        if self.unknown == "error" and (rows < 0).any():
            at = int(np.argmax(rows < 0))
            raise SourceError(
                f"{self.path}:{run.line[at]}: document {run.documents[run.document[at]]!r} is not in the corpus "
                f"({(known < 0).sum():,} of {len(known):,} documents of the run are not); "
                "name the corpus that was searched, or drop such lines: --set retriever.run.unknown=drop"
            )
        self._check_order(run)
        place = np.empty(len(corpus), np.int64)
        place[corpus.order()] = np.arange(len(corpus))
        keep = np.flatnonzero(rows >= 0)
        scores = run.score.astype(np.float32)
        keep = keep[np.lexsort((place[rows[keep]], -scores[keep], run.query[keep]))]
        self._queries = pa.array(run.queries, pa.large_string())
        self._starts = np.searchsorted(run.query[keep], np.arange(len(run.queries) + 1)).astype(np.int64)
        self._rows, self._scores = rows[keep], scores[keep]

    def _check_order(self, run: _Run) -> None:
        order = np.lexsort((run.document, run.query))
        same = (np.diff(run.query[order]) == 0) & (np.diff(run.document[order]) == 0)
        if same.any():
            at = int(np.max(order[[int(np.argmax(same)), int(np.argmax(same)) + 1]]))
            raise SourceError(
                f"{self.path}:{run.line[at]}: document {run.documents[run.document[at]]!r} "
                f"stands there twice for query {run.queries[run.query[at]]!r}"
            )
        order = np.lexsort((run.rank, run.query))
        inner = (np.diff(run.query[order]) == 0) & (np.diff(run.rank[order]) > 0)
        grows = inner & (np.diff(run.score[order]) > 0)
        if grows.any():
            at = int(order[int(np.argmax(grows)) + 1])
            raise SourceError(
                f"{self.path}:{run.line[at]}: query {run.queries[run.query[at]]!r} has a larger score at rank {run.rank[at]} than before it: "
                "in a run larger is better; if these are distances, write them negated"
            )

    def search(self, queries: Collection, k: int) -> Hits:
        """See `Retriever`."""
        rows, scores = np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32)
        for index, own in enumerate(id_rows(queries.ids, self._queries).tolist()):
            if own >= 0:
                start, end = self._starts[own], min(self._starts[own + 1], self._starts[own] + k)
                rows[index, : end - start], scores[index, : end - start] = (
                    self._rows[start:end],
                    self._scores[start:end],
                )
        return rows, scores

    def score(self, queries: Collection, query_rows: Rows, doc_rows: Rows) -> Scores:
        """See `Retriever`: NaN for documents that the run does not have."""
        scores = np.full(len(query_rows), np.nan, np.float32)
        own = id_rows(queries.ids, self._queries)
        for index, (query, document) in enumerate(zip(own[query_rows].tolist(), doc_rows.tolist(), strict=True)):
            if query >= 0:
                start, end = self._starts[query], self._starts[query + 1]
                places = np.flatnonzero(self._rows[start:end] == document)
                if len(places):
                    scores[index] = self._scores[start + places[0]]
        return scores

    def close(self) -> None:
        """See `Retriever`."""
        self._rows, self._scores = np.empty(0, np.int64), np.empty(0, np.float32)


@dataclass(frozen=True, slots=True)
class _Run:
    """The lines of a run: names by number, and for each line the numbers, rank, score and line number."""

    queries: list[str]
    documents: list[str]
    query: npt.NDArray[np.int64]
    document: npt.NDArray[np.int64]
    rank: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]
    line: npt.NDArray[np.int64]


def _read(path: Path) -> _Run:
    queries: dict[str, int] = {}
    documents: dict[str, int] = {}
    query, document, rank, line = array("q"), array("q"), array("q"), array("q")
    score = array("d")
    for number, text in _lines(path):
        fields = text.split()
        if not fields:
            continue
        try:
            query_id, _, doc_id, place, value, _ = fields
            score.append(float(value))
            rank.append(int(place))
        except (ValueError, OverflowError):
            raise SourceError(f"{path}:{number}: {text[:80]!r} is not a run line: {_COLUMNS}") from None
        if not np.isfinite(score[-1]):
            raise SourceError(f"{path}:{number}: the score {value} of document {doc_id!r} is not a finite number")
        query.append(queries.setdefault(query_id, len(queries)))
        document.append(documents.setdefault(doc_id, len(documents)))
        line.append(number)
    if not query:
        raise SourceError(f"{path}: no run line; wanted are lines of {_COLUMNS}")
    return _Run(
        list(queries), list(documents), np.array(query, np.int64), np.array(document, np.int64), np.array(rank, np.int64),
        np.array(score, np.float64), np.array(line, np.int64),
    )  # fmt: skip


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    for block in blocks(path):
        for offset, text in enumerate(block.data.decode("utf-8").split("\n")):
            yield block.first_line + offset, text
