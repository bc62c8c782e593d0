"""Scores of candidates anew: by a cross-encoder, or from a file that somebody else's scorer wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import parquet
from dsbuild.builders.retrieval.candidates import Anchors, Candidates, Floats, Ints
from dsbuild.builders.retrieval.model_files import model_files
from dsbuild.builders.retrieval.retrieve import ANCHORS
from dsbuild.builders.retrieval.retriever import Collection, one
from dsbuild.digests import file_sha256
from dsbuild.errors import EngineError, MissingExtra, RecipeError, SourceError
from dsbuild.recipe import Section
from dsbuild.stage import Counts, Result, Shard, Workspace
from dsbuild.tables import CANDIDATES

# What reranked candidates are called beside those of retrievers.
RERANK = "rerank"
# Pairs that are scored at a time: what a killed run repeats.
_CHUNK = 4_096


class RerankSection(Section):
    """A cross-encoder (a folder, or a name on the hub) or a file of scores (query_id, doc_id, score), one of them.

    depth: how many candidates of the union are scored; batch, max_length, device: how the model runs (0 and "": its own).
    """

    model: str = ""
    revision: str = ""
    file: str = ""
    depth: int = 50
    batch: int = 32
    max_length: int = 0
    device: str = ""


class PairScorer(Protocol):
    """Scores pairs; larger is more relevant, on any scale."""

    def score(self, queries: Collection, documents: Collection, work: Workspace) -> Floats:
        """One score for each pair of the same row; NaN where there is none."""


def fingerprint(section: RerankSection) -> dict[str, Any]:
    """Everything that decides the scores; reads the model's files, not the model."""
    if bool(section.model) == bool(section.file):
        raise RecipeError("rerank: name a model or a file of scores: --set rerank.model=DIR, or rerank.file=FILE")
    if section.depth < 1 or section.batch < 1 or section.max_length < 0:
        raise RecipeError("rerank: depth and batch are at least 1, max_length at least 0")
    if section.file:
        path = Path(section.file).expanduser()
        if not path.is_file():
            raise SourceError(f"{section.file}: no such file of scores")
        return {"rerank": "file", "sha256": file_sha256(path, None)}
    return {
        "rerank": "cross-encoder",
        "weights": model_files(section.model, section.revision, "rerank.model")[1],
        "max_length": section.max_length,
    }


@dataclass(frozen=True)
class Rerank:
    """Score the first `depth` candidates of each query's union, and its judged pairs, anew; what decides the scores is the node's model.

    A pair without a score is no candidate any more.
    """

    lang: str
    retrievers: tuple[str, ...]
    depth: int
    section: Mapping[str, Any] = field(compare=False)

    name: ClassVar[str] = "rerank"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = True

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """candidates.<retriever>, anchors.<retriever> of a block; corpus, queries (whole) -> candidates (`CANDIDATES`) and anchors (`ANCHORS`)."""
        tables = {name: inputs[f"candidates.{name}"] for name in self.retrievers}
        judged = {name: inputs[f"anchors.{name}"] for name in self.retrievers}
        asked = pc.unique(pa.chunked_array([one(table["query_id"]) for table in (*tables.values(), *judged.values())]))
        queries = texts_of(inputs["queries"], "query_id", ("text",), asked, self.lang)
        block, anchors = Candidates.of(tables, queries.ids), Anchors.of(judged, queries.ids)
        rows = np.flatnonzero(block.place <= self.depth)
        doc_ids = pa.concat_arrays([block.doc_ids.take(pa.array(block.docs[rows])), anchors.doc_ids])
        query = np.concatenate([block.query_of[rows], anchors.query_of])
        corpus = texts_of(inputs["corpus"], "doc_id", ("title", "text"), pc.unique(doc_ids), self.lang)
        at = pc.index_in(doc_ids, corpus.ids)
        if at.null_count:
            missing = doc_ids.filter(pc.is_null(at))[0].as_py()
            raise SourceError(f"candidates: document {missing!r} is not in the corpus; retrieve from the same corpus")
        scorer = open_scorer(RerankSection(**self.section))
        scores = scorer.score(queries.take(query), corpus.take(at.to_numpy()), work)
        scored = ~np.isnan(scores[: len(rows)])
        candidates = _ranked(block, rows[scored], scores[: len(rows)][scored])
        total = len(queries)
        return Result(
            {
                "candidates": [Shard(candidates)],
                "anchors": [Shard(_anchors(queries.ids, anchors, scores[len(rows) :], candidates))],
            },
            counts=Counts(total, total),
            facts={"retriever": RERANK, "pairs": len(scores), "without_score": int(np.isnan(scores).sum())},
        )


def _ranked(block: Candidates, rows: Ints, scores: Floats) -> pa.Table:
    query = block.query_of[rows]
    order = np.lexsort((block.docs[rows], -scores, query))
    rows, query, scores = rows[order], query[order], scores[order]
    first = np.searchsorted(query, np.arange(block.n_queries))
    columns = [
        block.query_ids.take(pa.array(query)).cast(pa.string()),
        block.doc_ids.take(pa.array(block.docs[rows])).cast(pa.string()),
        pa.array([RERANK] * len(rows), pa.string()),
        pa.array((np.arange(len(rows)) - first[query] + 1).astype(np.int32)),
        pa.array(scores),
    ]
    return pa.table(columns, schema=CANDIDATES)


def _anchors(queries: pa.Array, anchors: Anchors, scores: Floats, candidates: pa.Table) -> pa.Table:
    block = Candidates.of({RERANK: candidates}, queries)
    at = block.lookup(anchors.query_of, anchors.doc_ids)
    ranks = block.ranks[0][at] if len(block) else np.zeros(len(at), np.int32)
    columns = [
        queries.take(pa.array(anchors.query_of)).cast(pa.string()),
        anchors.doc_ids.cast(pa.string()),
        pa.array([RERANK] * len(scores), pa.string()),
        pa.array(anchors.relevance),
        pa.array(scores, mask=np.isnan(scores)),
        pa.array(ranks, mask=at < 0),
    ]
    return pa.table(columns, schema=ANCHORS)


def texts_of(shards: Any, id_column: str, fields: tuple[str, ...], wanted: pa.Array, lang: str) -> Collection:
    """The wanted rows of a table, in its order."""
    parts = []
    for path in shards.paths:
        table = parquet.read(path, [id_column, *fields])
        parts.append(table.filter(pc.is_in(one(table[id_column]), wanted)))
    return Collection.of(pa.concat_tables(parts), id_column, lang)


def open_scorer(section: RerankSection) -> PairScorer:
    """What scores pairs: a file of scores, or a cross-encoder."""
    return FileScorer(Path(section.file).expanduser()) if section.file else CrossEncoderScorer(section)


@dataclass(frozen=True)
class FileScorer:
    """Scores that stand in a file: Parquet, or lines of tab-separated columns or JSON objects, with query_id, doc_id and score."""

    path: Path

    def score(self, queries: Collection, documents: Collection, work: Workspace) -> Floats:
        """See `PairScorer`."""
        table = self._read()
        scores = table["score"].to_numpy()
        if (bad := np.flatnonzero(np.isnan(scores))).size:
            raise SourceError(f"{self.path}: row {int(bad[0]) + 1}: the score is not a number; mend the file")
        tab = pa.scalar("\t", pa.large_string())
        held = pc.binary_join_element_wise(one(table["query_id"]), one(table["doc_id"]), tab)
        if len(pc.unique(held)) < len(held):
            raise SourceError(f"{self.path}: a pair stands in several rows; keep one score of each")
        wanted = pc.binary_join_element_wise(queries.ids, documents.ids, tab)
        at = pc.index_in(wanted, held)
        found = np.full(len(wanted), np.nan)
        there = pc.is_valid(at).to_numpy(zero_copy_only=False)
        found[there] = scores[at.filter(pc.is_valid(at)).to_numpy()]
        return found

    def _read(self) -> pa.Table:
        import pyarrow.csv
        import pyarrow.json
        import pyarrow.parquet as pq

        kinds = {"query_id": pa.large_string(), "doc_id": pa.large_string(), "score": pa.float64()}
        try:
            if self.path.suffix == ".parquet":
                table = pq.read_table(self.path)
            elif self.path.suffix in (".jsonl", ".json", ".ndjson"):
                schema = pa.schema(list(kinds.items()))
                table = pyarrow.json.read_json(
                    self.path, parse_options=pyarrow.json.ParseOptions(explicit_schema=schema)
                )
            else:
                parse = pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False)
                convert = pyarrow.csv.ConvertOptions(column_types=kinds, strings_can_be_null=False)
                table = pyarrow.csv.read_csv(self.path, parse_options=parse, convert_options=convert)
            missing = [name for name in kinds if name not in table.column_names]
            if missing:
                raise SourceError(
                    f"{self.path}: no column {missing[0]}; a file of scores has query_id, doc_id and score"
                )
            return table.select(list(kinds)).cast(pa.schema(list(kinds.items())))
        except pa.ArrowException as error:
            first = str(error).splitlines()[0]
            raise SourceError(
                f"{self.path}: cannot be read as scores ({first}); write query_id, doc_id, score"
            ) from error


@dataclass(frozen=True)
class CrossEncoderScorer:
    """A sentence-transformers cross-encoder, over all pairs of a block at once; what was scored before a kill is read again."""

    section: RerankSection

    def score(self, queries: Collection, documents: Collection, work: Workspace) -> Floats:
        """See `PairScorer`."""
        model = self._load()
        parts = []
        for number, (start, end) in enumerate(_chunks(len(queries))):
            kept = work.scratch() / f"scores-{number}.npy"
            if kept.exists():
                parts.append(np.load(kept))
                continue
            pairs = list(zip(queries.texts[start:end].to_pylist(), documents.texts[start:end].to_pylist(), strict=True))
            found = np.asarray(model.predict(pairs, batch_size=self.section.batch, show_progress_bar=False), np.float64)
            if found.shape != (len(pairs),) or np.isnan(found).any():
                raise EngineError(
                    f"rerank.model {self.section.model}: not one number for each pair; name a model with one output"
                )
            partial = kept.with_suffix(".partial.npy")
            np.save(partial, found)
            partial.rename(kept)
            parts.append(found)
        return np.concatenate([np.empty(0), *parts])

    def _load(self) -> Any:
        try:
            from sentence_transformers import CrossEncoder
        except ImportError:
            raise MissingExtra("rerank.model", "sentence-transformers", "dense") from None
        folder, _ = model_files(self.section.model, self.section.revision, "rerank.model")
        try:
            return CrossEncoder(
                str(folder),
                device=self.section.device or None,
                max_length=self.section.max_length or None,
                local_files_only=True,
            )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise EngineError(
                f"rerank.model {self.section.model}: cannot be loaded as a cross-encoder ({first[:200]})"
            ) from error


def _chunks(n_rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, n_rows, _CHUNK):
        yield start, min(n_rows, start + _CHUNK)
