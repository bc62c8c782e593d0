"""The canonical tables: what every room reads and writes. Names map to a consumer's names only at the edge.

Ids are strings and unique in their table; texts are stored as they came; spans are half-open ranges of code
points of the text beside them. No column is null unless its comment says so.
"""

from __future__ import annotations

from typing import Literal, get_args

import pyarrow as pa

RetrievalTable = Literal["corpus", "queries", "qrels"]
RETRIEVAL_TABLES: tuple[RetrievalTable, ...] = get_args(RetrievalTable)


def _field(name: str, kind: pa.DataType | None = None, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind or pa.string(), nullable=nullable)


CORPUS = pa.schema(
    [
        _field("doc_id"),  # the source's own id, the same in every language
        _field("title"),  # "" where the source has none
        _field("text"),
        _field("lang"),  # BCP-47
        _field("source"),  # name of the set that the row came from
        _field("group_id"),  # article or parent document; its own doc_id where nothing larger is known
    ]
)

QUERIES = pa.schema(
    [
        _field("query_id"),
        _field("text"),
        _field("lang"),
        _field("source"),
        _field("origin"),  # human, translated, generated
        _field("split"),  # the first split whose qrels judge the query
    ]
)

# Judged pairs only: an explicit 0 (and a negative grade) is kept as it came.
QRELS = pa.schema(
    [
        _field("query_id"),
        _field("doc_id"),
        _field("relevance", pa.int32()),
        _field("judge"),  # who judged: "source" (came with the set), or the name of a model or person
        _field("split"),
    ]
)

CANDIDATES = pa.schema(
    [
        _field("query_id"),
        _field("doc_id"),
        _field("retriever"),
        _field("rank", pa.int32()),  # 1 is the best
        _field("score", pa.float64()),  # larger is better, scale of the retriever
    ]
)

# Never exported as qrels: nobody judged these pairs.
NEGATIVES = pa.schema(
    [
        _field("query_id"),
        _field("doc_id"),
        _field("rule"),  # how the negative was chosen
        _field("rank", pa.int32(), nullable=True),  # null where the rule does not rank
        _field("score", pa.float64(), nullable=True),
        _field("anchor_score", pa.float64(), nullable=True),  # the positive's score by the same model
    ]
)

PAIRS = pa.schema(
    [
        _field("pair_id"),
        _field("text_a"),
        _field("text_b"),
        _field("lang_a"),
        _field("lang_b"),
        _field("label", nullable=True),  # NLI, paraphrase; null where the pair has a score
        _field("score", pa.float64(), nullable=True),  # STS, bitext; null where the pair has a label
    ]
)

SPAN = pa.struct([_field("span_id"), _field("start", pa.int32()), _field("end", pa.int32()), _field("label")])
RELATION = pa.struct([_field("head"), _field("tail"), _field("label")])  # head and tail are span_ids of the row

LABELLED = pa.schema(
    [
        _field("id"),
        _field("text"),
        _field("lang"),
        _field("spans", pa.list_(pa.field("element", SPAN, nullable=False))),
        _field("relations", pa.list_(pa.field("element", RELATION, nullable=False))),
    ]
)

# Source metadata follows as further named columns.
DOCUMENTS = pa.schema([_field("doc_id"), _field("text"), _field("lang")])

RETRIEVAL: dict[RetrievalTable, pa.Schema] = {"corpus": CORPUS, "queries": QUERIES, "qrels": QRELS}
SCHEMAS: dict[str, pa.Schema] = {
    **{str(name): schema for name, schema in RETRIEVAL.items()},
    "documents": DOCUMENTS,
    "pairs": PAIRS,
    "labelled": LABELLED,
    "candidates": CANDIDATES,
    "negatives": NEGATIVES,
}

# The column that names a row; judgements have none.
ID_COLUMNS = {"corpus": "doc_id", "queries": "query_id", "documents": "doc_id", "pairs": "pair_id", "labelled": "id"}
