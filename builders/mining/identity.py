"""What a document is besides its id: copies, near copies, parts of one article and translations; none of them is a negative of its twin."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import parquet
from dsbuild.builders.retrieval.candidates import Anchors, Candidates, Ints, Mask, coded
from dsbuild.builders.retrieval.retriever import id_rows, one
from dsbuild.errors import SourceError
from dsbuild.filters.components import components
from dsbuild.filters.linked_rows import Linked, Nodes
from dsbuild.filters.near_duplicates import Near
from dsbuild.filters.text_links import link_texts
from dsbuild.stage import Counts, Result, Shard, Shards, Workspace

_KIND = "corpus"
FIELDS = ("title", "text")

# Why a candidate can be no negative, the first that holds; 0: it can.
REASONS = (
    "", "positive", "judged", "itself", "same_text", "near_duplicate", "translation", "sibling", "not_everywhere", "judge",
)  # fmt: skip

# A number for each document: equal numbers, equal text, article or original.
DOCS = pa.schema(
    [
        pa.field("doc_id", pa.large_string(), nullable=False),
        pa.field("text", pa.int64(), nullable=False),
        pa.field("article", pa.int64(), nullable=False),
        pa.field("original", pa.int64(), nullable=False),
    ]
)
# Texts of relevant documents, and the texts that are nearly the same.
NEAR = pa.schema(
    [
        pa.field("text", pa.int64(), nullable=False),
        pa.field("other", pa.int64(), nullable=False),
        pa.field("jaccard", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class FindTwins:
    """Number the documents of a corpus by what they have in common.

    Copies are texts that are equal after folding; near copies have at least the wanted Jaccard index, verified exactly, with a relevant
    document; parts of an article have one group_id, or where they say none one beginning of the id up to the last `separator` (MIRACL: `#`);
    translations have one original (`translation_of`, else the document itself). every: near copies of all documents, where a judge may still
    call one relevant. Memory: about 100 bytes a document.
    """

    near: Near
    separator: str = ""
    every: bool = False

    name: ClassVar[str] = "find_twins"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows, keys (`SignTexts`) and qrels (of one language or `qrels.<lang>` of several) -> docs (`DOCS`, by doc_id) and near (`NEAR`)."""
        rows: Shards = inputs["rows"]
        linked = [Linked(_KIND, _KIND, "doc_id", FIELDS)]
        given = {f"rows.{_KIND}": rows, f"keys.{_KIND}": inputs["keys"]}
        nodes = Nodes(linked, given)
        found = link_texts(linked, self.near, nodes, given, work.scratch())
        text = components(nodes.total, found.equal[0], found.equal[1])
        doc_ids = pc.utf8_slice_codeunits(nodes.ids, len(_KIND) + 1)
        own = _in_order(rows, nodes, "doc_id")
        article = _in_order(rows, nodes, "group_id", own)
        if self.separator:
            parent = pc.replace_substring_regex(own, rf"(?s)^(.*){re.escape(self.separator)}.*?$", r"\1")
            article = pc.if_else(pc.equal(article, own), parent, article)
        original = _in_order(rows, nodes, "translation_of", own)
        docs = pa.table([doc_ids, text, coded(article)[1], coded(original)[1]], schema=DOCS)
        relevant = np.full(nodes.total, self.every)
        for name in sorted(inputs):
            if name.split(".")[0] == "qrels":
                for shard in inputs[name]:
                    ids = one(shard.filter(pc.greater(shard["relevance"], 0))["doc_id"])
                    relevant |= np.asarray(pc.is_in(doc_ids, ids).to_numpy(zero_copy_only=False), np.bool_)
        near = _near_of(text[relevant], text[found.left], text[found.right], found.value, self.near.jaccard)
        facts = {
            "documents": nodes.total,
            "texts": len(np.unique(text)),
            "near": near.num_rows,
            "jaccard": self.near.jaccard,
        }
        total = nodes.total
        return Result({"docs": [Shard(docs)], "near": [Shard(near)]}, counts=Counts(total, total), facts=facts)


def _in_order(rows: Shards, nodes: Nodes, column: str, default: pa.Array | None = None) -> pa.Array:
    """A column of the corpus in the order of the nodes; where a document says nothing, the default."""
    parts, places = [], []
    for shard, path in enumerate(rows.paths):
        table = parquet.read(path, [column])
        if column in table.column_names:
            parts.append(one(table[column]))
            places.append(nodes.of[_KIND][shard])
    if not parts:
        assert default is not None
        return default
    place = np.concatenate(places)
    values = pa.concat_arrays(parts)
    at = np.full(nodes.total, -1, np.int64)
    at[place] = np.arange(len(place))
    values = values.take(pa.array(at, mask=at < 0))
    if default is None:
        return values
    empty = pc.fill_null(pc.equal(values, ""), True)
    return pc.if_else(empty, default, values)


def _near_of(relevant: Ints, left: Ints, right: Ints, value: npt.NDArray[np.float64], least: float) -> pa.Table:
    close = value >= least
    text, other = np.concatenate([left[close], right[close]]), np.concatenate([right[close], left[close]])
    values = np.concatenate([value[close], value[close]])
    mine = np.isin(text, relevant) & (text != other)
    text, other, values = text[mine], other[mine], values[mine]
    order = np.lexsort((other, text))
    return pa.table([text[order], other[order], values[order]], schema=NEAR)


@dataclass(frozen=True)
class Identity:
    """The documents of one corpus as `FindTwins` numbered them.

    own: pairs of a query and a document that is the query itself (`own_documents.OWN`); everywhere: ids that every language has, None where that
    is not asked.
    """

    docs: pa.Table
    near: pa.Table
    own: pa.Table
    everywhere: pa.Array | None = None

    @cached_property
    def _keys(self) -> dict[str, Ints]:
        return {name: self.docs[name].to_numpy() for name in ("text", "original", "article")}

    @cached_property
    def _ids(self) -> pa.Array:
        return one(self.docs["doc_id"])

    def reasons(
        self,
        block: Candidates,
        anchors: Anchors,
        known: Mask | None = None,
        *,
        siblings: bool = True,
        names: pa.Array | None = None,
    ) -> npt.NDArray[np.int8]:
        """For each candidate why it can be no negative, an index into `REASONS`.

        known: (pairs of `anchors`) which judgements may be known, all by default; siblings: whether other parts of a relevant article are refused.
        names: the query_id of each query of the block, where the block calls them otherwise.
        Raises `SourceError` for a candidate that is no document of the corpus.
        """
        out = np.zeros(len(block), np.int8)
        doc = id_rows(block.doc_ids, self._ids)[block.docs]
        if (bad := np.flatnonzero(doc < 0)).size:
            name = block.doc_ids[int(block.docs[bad[0]])].as_py()
            raise SourceError(f"candidates: document {name!r} is not in the corpus; retrieve from the same corpus")
        pairs = np.ones(len(anchors.relevance), np.bool_) if known is None else known
        rows = block.lookup(anchors.query_of[pairs], anchors.doc_ids.filter(pa.array(pairs)))
        relevant = anchors.positive[pairs]
        wanted = pairs & anchors.positive
        query = anchors.query_of[wanted]
        positive = id_rows(anchors.doc_ids.filter(pa.array(wanted)), self._ids)
        query, positive = query[positive >= 0], positive[positive >= 0]
        if self.everywhere is not None:
            there = pc.is_in(block.doc_ids, self.everywhere).to_numpy(zero_copy_only=False)
            out[~there[block.docs]] = REASONS.index("not_everywhere")
        # From the weakest to the strongest: what is written last stands.
        for name, reason in (("article", "sibling"), ("original", "translation"), ("text", "same_text")):
            if name == "article" and not siblings:
                continue
            keys = self._keys[name]
            if name == "text":
                out[_among(block, keys[doc], *self._neighbours(query, keys[positive]))] = REASONS.index(
                    "near_duplicate"
                )
            out[_among(block, keys[doc], query, keys[positive])] = REASONS.index(reason)
        out[self._itself(block, block.query_ids if names is None else names, doc)] = REASONS.index("itself")
        out[rows[(rows >= 0) & ~relevant]] = REASONS.index("judged")
        out[rows[(rows >= 0) & relevant]] = REASONS.index("positive")
        return out

    def twins(self, block: Candidates, query: Ints, doc_ids: pa.Array, *, siblings: bool = True) -> Mask:
        """Whether each candidate has the text or nearly it, the original or (siblings) the article of one of the documents named for its query.

        query: (documents) indices into the block's queries. Near copies of all documents are known where `FindTwins.every` was said.
        """
        doc, named = id_rows(block.doc_ids, self._ids)[block.docs], id_rows(doc_ids, self._ids)
        out = np.zeros(len(block), np.bool_)
        for name in ("text", "original", *(("article",) if siblings else ())):
            out |= _among(block, self._keys[name][doc], query, self._keys[name][named])
        text = self._keys["text"]
        return out | _among(block, text[doc], *self._neighbours(query, text[named]))

    @cached_property
    def _own(self) -> tuple[pa.Array, Ints]:
        """The queries that are documents too, and each of their pairs as one number."""
        queries = pc.unique(one(self.own["query_id"]))
        at, doc = id_rows(self.own["query_id"], queries), id_rows(self.own["doc_id"], self._ids)
        return queries, (at * (len(self._ids) + 1) + doc)[doc >= 0]

    def _itself(self, block: Candidates, names: pa.Array, doc: Ints) -> Mask:
        """Whether the document (rows of the corpus) of each candidate is its query."""
        queries, pairs = self._own
        at = id_rows(names, queries)[block.query_of]
        return (at >= 0) & np.isin(at * (len(self._ids) + 1) + doc, pairs)

    def _neighbours(self, query: Ints, text: Ints) -> tuple[Ints, Ints]:
        """Each query with the texts that are nearly those of its positives."""
        ones, others = self.near["text"].to_numpy(), self.near["other"].to_numpy()
        start, end = np.searchsorted(ones, text, "left"), np.searchsorted(ones, text, "right")
        count = end - start
        index = np.repeat(start - np.cumsum(count) + count, count) + np.arange(int(count.sum()))
        return np.repeat(query, count), others[index]


def _among(block: Candidates, keys: Ints, query: Ints, wanted: Ints) -> Mask:
    """Whether the key of each row is among the wanted ones of its query."""
    if not len(query):
        return np.zeros(len(block), np.bool_)
    width = int(max(keys.max(initial=0), wanted.max(initial=0))) + 1
    return np.isin(block.query_of * width + keys, query * width + wanted)
