"""Documents that are the query itself: the same text, or the same id, as in ArguAna and Quora, where queries are documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import parquet
from dsbuild.builders.retrieval.evidence import ranges
from dsbuild.builders.retrieval.retriever import one
from dsbuild.filters.duplicates import joined
from dsbuild.filters.sign_rows import digests
from dsbuild.filters.utf8 import buffers
from dsbuild.stage import Counts, Result, Shard, Workspace

# Sides of a document that may be a query's text: with its title, and without.
_SIDES = (("title", "text"), ("text",))

OWN = pa.schema(
    [
        pa.field("query_id", pa.large_string(), nullable=False),
        pa.field("doc_id", pa.large_string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class FindOwn:
    """The pairs of a query and a document that is the query itself.

    Texts are compared by the 128-bit hash of their folded form (`dsbuild.filters.folding`), the document's with its title and without; a text
    without a letter, digit or symbol is nobody's. Ids are compared as strings, whatever the texts: MTEB and BEIR leave identical ids out
    of every ranking (`ignore_identical_ids`). Memory: about 100 bytes a query, and a shard of the corpus.
    """

    name: ClassVar[str] = "find_own"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """queries, corpus (whole tables) -> out (`OWN`), by query_id, then doc_id; facts: pairs, and those of one id."""
        del work
        ids, texts = [pa.array([], pa.large_string())], [pa.array([], pa.binary(16))]
        for path in inputs["queries"].paths:
            table = parquet.read(path, ["query_id", "text"])
            ids.append(one(table["query_id"]))
            texts.append(_digests(table, ("text",)))
        query_ids, text = pa.concat_arrays(ids), pa.concat_arrays(texts)
        known = pc.unique(text).drop_null()
        code = pc.fill_null(pc.index_in(text, known), -1).to_numpy(zero_copy_only=False).astype(np.int64)
        order = np.argsort(code, kind="stable")
        starts = np.searchsorted(code[order], np.arange(len(known) + 1))
        parts: list[pa.Table] = []
        same_id = documents = 0
        for path in inputs["corpus"].paths:
            table = parquet.read(path, ["doc_id", "title", "text"])
            doc_ids = one(table["doc_id"])
            documents += len(doc_ids)
            found = doc_ids.filter(pc.is_in(doc_ids, query_ids))
            same_id += len(found)
            parts.append(pa.table([found, found], schema=OWN))
            for fields in _SIDES:
                hits = pc.index_in(_digests(table, fields), known) if set(fields) <= set(table.column_names) else None
                if hits is None or hits.null_count == len(hits):
                    continue
                rows = np.flatnonzero(pc.is_valid(hits).to_numpy(zero_copy_only=False))
                at = hits.take(pa.array(rows)).to_numpy().astype(np.int64)
                sizes = starts[at + 1] - starts[at]
                query = order[ranges(starts[at], sizes)]
                pairs = [query_ids.take(pa.array(query)), doc_ids.take(pa.array(np.repeat(rows, sizes)))]
                parts.append(pa.table(pairs, schema=OWN))
        out = pa.concat_tables([OWN.empty_table(), *parts]).group_by(OWN.names).aggregate([])
        out = out.sort_by([(name, "ascending") for name in OWN.names]).cast(OWN)
        facts = {"pairs": out.num_rows, "same_id": same_id}
        return Result({"out": [Shard(out)]}, counts=Counts(documents, documents), facts=facts)


def _digests(table: pa.Table, fields: tuple[str, ...]) -> pa.Array:
    """The digest of each text, null where nothing of it is left when it is folded."""
    data, offsets = buffers(joined(table, fields))
    found = digests(data, offsets, "folded")
    (nothing,) = digests(*buffers(pa.array([""], pa.large_string())), "folded").to_pylist()
    return pc.if_else(pc.equal(found, pa.scalar(nothing, pa.binary(16))), pa.scalar(None, pa.binary(16)), found)
