"""--limit: judged documents first, order kept, nothing dangling."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.builders.sources.limit import LimitSet
from dsbuild.stage import Shards, Workspace
from dsbuild.tables import CORPUS, QRELS, QUERIES


def cut(folder, n, doc_ids, query_ids, judged, *, shard_rows=3):
    """Run the stage on shards of a few rows; returns document ids, query ids, qrels, facts and counts."""
    tables = {
        "corpus": pa.Table.from_pylist([dict.fromkeys(CORPUS.names, "x") | {"doc_id": i} for i in doc_ids], CORPUS),
        "queries": pa.Table.from_pylist(
            [dict.fromkeys(QUERIES.names, "x") | {"query_id": i} for i in query_ids], QUERIES
        ),
        "qrels": pa.Table.from_pylist(
            [{"query_id": q, "doc_id": d, "relevance": r, "judge": "source", "split": "test"} for q, d, r in judged],
            QRELS,
        ),
    }
    shards = {}
    for name, table in tables.items():
        paths = []
        for start in range(0, max(1, table.num_rows), shard_rows):
            paths.append(folder / f"{name}-{start}.parquet")
            pq.write_table(table.slice(start, shard_rows), paths[-1])
        shards[name] = Shards(paths)
    result = LimitSet(n).run(shards, Workspace("key", folder, folder))
    kept = {name: pa.concat_tables([shard.table for shard in result.outputs[name]]) for name in tables}
    for name, table in kept.items():
        assert table.schema == tables[name].schema
    rows = [(row["query_id"], row["doc_id"], row["relevance"]) for row in kept["qrels"].to_pylist()]
    assert result.counts.balanced()
    assert result.counts.kept == sum(table.num_rows for table in kept.values())
    assert result.facts["left_out"] == {name: tables[name].num_rows - kept[name].num_rows for name in tables}
    return kept["corpus"]["doc_id"].to_pylist(), kept["queries"]["query_id"].to_pylist(), rows


DOCS = list("abcdefghij")
JUDGED = [("q1", "h", 1), ("q1", "c", 0), ("q2", "e", 2), ("q2", "b", 0), ("q3", "d", 0)]


@pytest.mark.parametrize(
    ("n", "docs", "queries"),
    [
        (2, "eh", ["q1", "q2"]),
        (3, "ceh", ["q1", "q2"]),
        (4, "bceh", ["q1", "q2"]),
        (6, "abcdeh", ["q1", "q2"]),
        (99, "abcdefghij", ["q1", "q2"]),
        (1, "h", ["q1"]),
    ],
)
def test_judged_first_then_source_order(tmp_path, n, docs, queries):
    kept_docs, kept_queries, qrels = cut(tmp_path, n, DOCS, ["q1", "q2", "q3"], JUDGED)
    assert kept_docs == list(docs)
    assert kept_queries == queries
    assert qrels == [row for row in JUDGED if row[0] in queries and row[1] in docs]


def test_whole_queries_come_before_parts(tmp_path):
    judged = [("q1", "a", 1), ("q1", "b", 1), ("q1", "c", 1), ("q2", "d", 1), ("q3", "e", 1), ("q3", "d", 1)]
    docs, queries, qrels = cut(tmp_path, 2, DOCS, ["q1", "q2", "q3"], judged)
    assert (docs, queries) == (["d", "e"], ["q2", "q3"])
    assert qrels == judged[3:]


def test_place_left_is_not_filled_with_part_of_a_query(tmp_path):
    judged = [("q1", "b", 1), ("q2", "a", 1), ("q2", "c", 1), ("q2", "d", 1)]
    docs, queries, _ = cut(tmp_path, 3, DOCS, ["q1", "q2"], judged)
    assert (docs, queries) == (["b", "e", "f"], ["q1"])


def test_part_of_the_first_query_where_none_fits(tmp_path):
    docs, queries, qrels = cut(tmp_path, 1, DOCS, ["q1"], [("q1", "c", 1), ("q1", "b", 1)])
    assert (docs, queries, qrels) == (["b"], ["q1"], [("q1", "b", 1)])


def test_without_qrels_the_first_rows_stay(tmp_path):
    assert cut(tmp_path, 4, DOCS, [f"q{i}" for i in range(9)], []) == (DOCS[:4], ["q0", "q1", "q2", "q3"], [])


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 11), st.integers(-1, 2)), max_size=25, unique_by=lambda row: row[:2]
    ),
)
def test_nothing_dangles(tmp_path_factory, n, n_docs, raw):
    folder = tmp_path_factory.mktemp("limit")
    all_docs = [f"d{i:02d}" for i in range(n_docs)]
    all_queries = [f"q{i}" for i in range(5)]
    judged = [(f"q{q}", f"d{d % n_docs:02d}", r) for q, d, r in raw]
    judged = list({row[:2]: row for row in judged}.values())
    docs, queries, qrels = cut(folder, n, all_docs, all_queries, judged)
    positives = {row[1] for row in judged if row[2] > 0}
    assert len(docs) <= n
    assert docs == [doc for doc in all_docs if doc in set(docs)]
    assert qrels == [row for row in judged if row[0] in queries and row[1] in docs]
    if judged:
        assert queries == [query for query in all_queries if any(row[0] == query and row[2] > 0 for row in qrels)]
        assert len(docs) == min(n, n_docs) or len(positives) > n
        if len(positives) <= n:
            assert positives <= set(docs)
