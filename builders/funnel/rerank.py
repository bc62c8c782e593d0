"""How a reranker scores the passage of a generated query, and how far above the best other candidate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.builders.funnel.ranks import RIVALS
from dsbuild.builders.retrieval.rerank import RerankSection, open_scorer, texts_of
from dsbuild.builders.retrieval.retriever import Collection, one
from dsbuild.filters.copied_span import fields_of
from dsbuild.filters.decide_funnel import here
from dsbuild.filters.score_rows import put
from dsbuild.stage import Result, Shard, Workspace


@dataclass(frozen=True)
class RerankSources:
    """Score each query that is still there with its passage and with the candidates that `RankSources` noted.

    What decides the scores is the node's model. reranker_score: of the passage; reranker_margin: that less the best other's, null where there
    is no other (Ruri, Tsukagoshi and Sasano 2024, filters generated queries by a reranker; it does not say at which score).
    """

    lang: str
    section: Mapping[str, Any] = field(compare=False)

    name: ClassVar[str] = "rerank_sources"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = True

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows, passages (both whole; rows are read shard by shard) -> out: the rows with the two columns."""
        return Result({"out": self._shards(inputs, work)})

    def _shards(self, inputs: Mapping[str, Any], work: Workspace) -> Iterator[Shard]:
        passages = inputs["passages"]
        scorer = open_scorer(RerankSection(**self.section))
        for number, rows in enumerate(inputs["rows"]):
            folder = work.scratch() / str(number)
            folder.mkdir(exist_ok=True)
            chosen = rows.filter(pa.array(here(rows)))
            own, rivals = one(chosen["parent_id"]), chosen[RIVALS].combine_chunks()
            n_rivals = pc.list_value_length(rivals).to_numpy(zero_copy_only=False).astype(np.int64)
            query = np.concatenate([np.arange(len(own)), np.repeat(np.arange(len(own)), n_rivals)])
            doc_ids = pa.concat_arrays([own, one(rivals.flatten())])
            corpus = texts_of(passages, "doc_id", fields_of(passages), pc.unique(doc_ids), self.lang)
            queries = Collection(one(chosen["id"]), one(chosen["text"]), self.lang)
            documents = corpus.take(pc.index_in(doc_ids, corpus.ids).to_numpy())
            scores = scorer.score(queries.take(query), documents, Workspace(work.key, folder, work.store))
            best = np.full(len(own), -np.inf)
            np.maximum.at(best, query[len(own) :], scores[len(own) :])
            margin = scores[: len(own)] - best
            at = np.full(rows.num_rows, -1, np.int64)
            at[here(rows)] = np.arange(len(own))
            place = pa.array(at, mask=at < 0)
            rows = put(rows, "reranker_score", pa.array(scores[: len(own)], from_pandas=True).take(place))
            known = pa.array(margin, mask=~np.isfinite(margin))
            yield Shard(put(rows, "reranker_margin", known.take(place)))
