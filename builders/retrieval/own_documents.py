"""Documents that are the query itself: the same text, or the same id where ids of queries and documents name the same thing, as in ArguAna."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import parquet
from dsbuild.builders.retrieval.evidence import ranges
from dsbuild.builders.retrieval.lexical_tokens import term_hashes
from dsbuild.builders.retrieval.retriever import one
from dsbuild.builders.sources.opened import Opened
from dsbuild.builders.sources.retrieval_tables import table_of, whole
from dsbuild.filters.duplicates import joined
from dsbuild.filters.sign_rows import digests
from dsbuild.filters.utf8 import buffers
from dsbuild.graph import Node
from dsbuild.stage import Counts, Result, Shard, Shards, Workspace

# Sides of a document that may be a query's text: with its title, and without.
_SIDES = (("title", "text"), ("text",))
# Sides that say whether equal ids mean anything: a query may also be a document's title. Texts of different things share far fewer terms.
_LIKE_SIDES, _ALIKE = (*_SIDES, ("title",)), 0.25

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
    without a letter, digit or symbol is nobody's. Equal ids count where the set means them so: for at least half of the queries whose id a
    document has, that document's title or text is like the query (Jaccard index of their terms of 0.25 or more), in this language or in the source.
    Numbers that queries and documents have in common by chance, as in Cranfield or FiQA, say nothing. Memory: the texts of the queries, and
    a shard of the corpus.
    """

    name: ClassVar[str] = "find_own"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """queries, corpus (whole tables; the source's too as src_queries, src_corpus) -> out (`OWN`), by query_id, then doc_id.

        The facts: pairs, how many documents have the id of a query, and whether equal ids count.
        """
        del work
        ids_count = any(
            by_id(inputs[f"{side}queries"], inputs[f"{side}corpus"])
            for side in ("", "src_")
            if f"{side}queries" in inputs
        )
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
            if ids_count:
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
        facts = {"pairs": out.num_rows, "same_id": same_id, "by_id": ids_count}
        return Result({"out": [Shard(out)]}, counts=Counts(documents, documents), facts=facts)


def own_ids(shards: Shards) -> pa.Array:
    """The queries whose own id names the document that they are: what MTEB leaves out by `ignore_identical_ids`."""
    table = pa.concat_tables([parquet.read(path, OWN.names) for path in shards.paths])
    return one(table.filter(pc.equal(table["query_id"], table["doc_id"]))["query_id"])


def by_id(queries: Shards, corpus: Shards) -> bool:
    """Whether ids of queries and documents name the same things: whether texts of one id are alike in at least half of the cases."""
    asked = pa.concat_tables([parquet.read(path, ["query_id", "text"]) for path in queries.paths])
    ids, texts = one(asked["query_id"]), one(asked["text"])
    alike: list[npt.NDArray[np.bool_]] = []
    for path in corpus.paths:
        table = parquet.read(path, ["doc_id", "title", "text"])
        at = pc.index_in(one(table["doc_id"]), ids)
        table, at = table.filter(pc.is_valid(at)), at.drop_null()
        if not len(at):
            continue
        own = texts.take(at)
        sides = [joined(table, side) for side in _LIKE_SIDES if set(side) <= set(table.column_names)]
        alike.append(np.max([_jaccards(own, side) for side in sides], axis=0) >= _ALIKE)
    found = np.concatenate([np.empty(0, np.bool_), *alike])
    return bool(len(found)) and bool(found.mean() >= 0.5)


def _jaccards(left: pa.Array, right: pa.Array) -> npt.NDArray[np.float64]:
    """The Jaccard index of the terms of each text and the other of the same row; 0 where neither has a term."""
    scanned = [term_hashes(texts.cast(pa.large_string())) for texts in (left, right)]
    numbers = np.unique(np.concatenate([hashes for hashes, _ in scanned]), return_inverse=True)[1]
    size = int(numbers.max(initial=0)) + 1
    rows = [np.repeat(np.arange(len(left)), np.diff(bounds)) for _, bounds in scanned]
    parts = np.split(numbers, [len(scanned[0][0])])
    keys = [np.unique(row * size + part) for row, part in zip(rows, parts, strict=True)]
    both, each = np.intersect1d(keys[0], keys[1], assume_unique=True), np.union1d(keys[0], keys[1])
    shared, every = (np.bincount(one // size, minlength=len(left)) for one in (both, each))
    return shared / np.maximum(1, every)


def _digests(table: pa.Table, fields: tuple[str, ...]) -> pa.Array:
    """The digest of each text, null where nothing of it is left when it is folded."""
    data, offsets = buffers(joined(table, fields))
    found = digests(data, offsets, "folded")
    (nothing,) = digests(*buffers(pa.array([""], pa.large_string())), "folded").to_pylist()
    return pc.if_else(pc.equal(found, pa.scalar(nothing, pa.binary(16))), pa.scalar(None, pa.binary(16)), found)


def own_node(opened: Opened, lang: str) -> Node:
    """`own.<lang>`: the documents that are a query of the language; the source's texts may say what ids mean."""
    src, names = opened.facts.lang, ("queries", "corpus")
    inputs = {name: whole(table_of(opened, lang, name).rows) for name in names}
    # A release may lack its source.
    if lang != src and {(src, name) for name in names} <= {(one.lang, one.table) for one in opened.tables}:
        inputs |= {f"src_{name}": whole(table_of(opened, src, name).rows) for name in names}
    return Node(f"own.{lang}", FindOwn(), inputs)
