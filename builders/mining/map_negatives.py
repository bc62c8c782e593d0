"""One decision for every language: negatives of one language carried to another through the ids that both share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import parquet
from dsbuild.builders.mining.choose_negatives import CHOSEN
from dsbuild.stage import Counts, Result, Shard, Workspace, verdict

_IDS = pa.schema([pa.field("doc_id", pa.large_string(), nullable=False)])


@dataclass(frozen=True)
class CommonIds:
    """The documents that every language has: only these can be negatives in all."""

    name: ClassVar[str] = "common_ids"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """corpus.<lang> (whole tables) -> out, sorted."""
        common: pa.Array | None = None
        for name in sorted(inputs):
            parts = [parquet.read(path, ["doc_id"])["doc_id"].cast(pa.large_string()) for path in inputs[name].paths]
            ids = pa.concat_arrays(
                [chunk for part in parts for chunk in part.chunks] or [pa.array([], pa.large_string())]
            )
            common = ids if common is None else common.filter(pc.is_in(common, ids))
        assert common is not None
        common = common.take(pc.sort_indices(common))
        return Result({"out": [Shard(pa.table([common], schema=_IDS))]}, counts=Counts(len(common), len(common)))


@dataclass(frozen=True)
class MapNegatives:
    """The negatives of a deciding language for the same queries in another one.

    Ranks are those of the deciding language; scores are no other language's, so there are none. A pair that is judged in this language, and a
    document that is the query itself in it, is left out.
    """

    lang: str
    negatives: int

    name: ClassVar[str] = "map_negatives"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """negatives (`CHOSEN`), queries, qrels, own (`OWN`; whole tables) -> out (`CHOSEN`)."""
        queries, positive = _ids(inputs["queries"]), []
        judged: set[tuple[str, str]] = set()
        for shard in inputs["qrels"]:
            judged |= set(zip(shard["query_id"].to_pylist(), shard["doc_id"].to_pylist(), strict=True))
            positive.append(shard.filter(pc.greater(shard["relevance"], 0))["query_id"].cast(pa.large_string()))
        asked = pc.unique(pa.chunked_array([chunk for part in positive for chunk in part.chunks], pa.large_string()))
        asked = queries.filter(pc.is_in(queries, asked))
        itself = {
            pair
            for table in inputs["own"]
            for pair in zip(table["query_id"].to_pylist(), table["doc_id"].to_pylist(), strict=True)
        }
        shards, got = [], np.zeros(len(asked), np.int64)
        refused: Counter[str] = Counter()
        ranks: Counter[str] = Counter()
        for table in inputs["negatives"]:
            table = table.filter(pc.is_in(table["query_id"].cast(pa.large_string()), asked))
            pairs = zip(table["query_id"].to_pylist(), table["doc_id"].to_pylist(), strict=True)
            why = ["judged" if pair in judged else "itself" if pair in itself else "" for pair in pairs]
            refused.update(one for one in why if one)
            table = table.filter(pa.array([not one for one in why], pa.bool_()))
            places = pc.index_in(table["query_id"].cast(pa.large_string()), asked).to_numpy()
            got += np.bincount(places, minlength=len(asked))
            ranks.update(str(rank) for rank in table["rank"].to_pylist())
            n_rows = table.num_rows
            for column, kind in (("score", pa.float64()), ("anchor_score", pa.float64()), ("retriever", pa.string())):
                table = table.set_column(table.column_names.index(column), column, pa.nulls(n_rows, kind))
            shards.append(Shard(table.cast(CHOSEN)))
        verdicts = [
            verdict(
                "queries", self.lang, asked[place].as_py(), self.name, "flagged", "unfilled", value=float(got[place]), op="<",
                threshold=float(self.negatives), threshold_source="user", detail="decided in another language",
            )
            for place in np.flatnonzero(got < self.negatives).tolist()
        ]  # fmt: skip
        facts = {
            "queries": len(asked), "without_positive": len(queries) - len(asked), "negatives": int(got.sum()),
            "filled": int((got >= self.negatives).sum()), "empty": int((got == 0).sum()), "candidates": 0,
            "ranks": {"union": dict(sorted(ranks.items()))}, "refused": dict(sorted(refused.items())),
        }  # fmt: skip
        return Result({"out": shards}, verdicts, Counts(len(queries), len(queries)), facts)


def _ids(queries: Any) -> pa.Array:
    parts = [parquet.read(path, ["query_id"])["query_id"].cast(pa.large_string()) for path in queries.paths]
    return pa.concat_arrays([chunk for part in parts for chunk in part.chunks])
