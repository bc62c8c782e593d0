"""What dropped rows take along."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.builders.cascade import Cascade
from dsbuild.stage import Workspace
from dsbuild.tables import QRELS

Fates = Mapping[str, Mapping[str, set[str]]]  # lang -> table -> ids that are gone
DOCS, ASKED = ["d1", "d2", "d3", "d4"], ["q1", "q2", "q3"]
JUDGED = [("q1", "d1", 1), ("q1", "d2", 0), ("q2", "d2", 2), ("q2", "d3", 1), ("q3", "d4", 0)]


def carry(
    gone: Fates,
    *,
    parallel: bool = False,
    training: bool = False,
    tables: tuple[str, ...] = ("corpus", "queries"),
    judged=JUDGED,
):
    """Run the stage on shards of two rows; returns extra drops, qrels and verdicts."""
    inputs: dict[str, list[pa.Table]] = {}
    for lang, by_table in gone.items():
        for table in tables:
            ids, column = (DOCS, "doc_id") if table == "corpus" else (ASKED, "query_id")
            fates = ["dropped" if row_id in by_table.get(table, ()) else "kept" for row_id in ids]
            whole = pa.table({column: ids, "fate": fates})
            inputs[f"{lang}.{table}"] = [whole.slice(start, 2) for start in range(0, len(ids), 2)]
    qrels = pa.Table.from_pylist(
        [{"query_id": q, "doc_id": d, "relevance": r, "judge": "source", "split": "train"} for q, d, r in judged], QRELS
    )
    inputs["qrels"] = [qrels.slice(start, 2) for start in range(0, max(1, len(judged)), 2)]
    result = Cascade(tuple(gone), tables, parallel, training).run(inputs, Workspace("k", Path(), Path()))
    assert result.counts is not None
    assert result.counts.balanced()
    assert result.counts.n_in == len(judged) * len(gone)
    extra = {
        f"{lang}.{table}": {
            row["id"]: row["rule"] for shard in result.outputs[f"{lang}.{table}"] for row in shard.table.to_pylist()
        }
        for lang in gone
        for table in tables
    }
    kept = {
        lang: [
            (row["query_id"], row["doc_id"])
            for shard in result.outputs[f"{lang}.qrels"]
            for row in shard.table.to_pylist()
        ]
        for lang in gone
    }
    return extra, kept, result.verdicts


def pairs(*without: str) -> list[tuple[str, str]]:
    return [(q, d) for q, d, _ in JUDGED if q not in without and d not in without]


def test_judgements_go_with_their_rows() -> None:
    extra, kept, verdicts = carry({"hi": {"corpus": {"d2"}, "queries": {"q3"}}, "ta": {}})
    assert extra == {"hi.corpus": {}, "hi.queries": {}, "ta.corpus": {}, "ta.queries": {}}
    assert kept == {"hi": pairs("d2", "q3"), "ta": pairs()}
    assert [(one["lang"], one["id"], one["outcome"], one["rule"], one["detail"], one["value"]) for one in verdicts] == [
        ("hi", "q1\td2", "orphaned", "doc_dropped", "doc", 0.0),
        ("hi", "q2\td2", "orphaned", "doc_dropped", "doc", 2.0),
        ("hi", "q3\td4", "orphaned", "query_dropped", "query", 0.0),
    ]


def test_queries_that_lose_their_last_positive_go_in_training_sets() -> None:
    extra, kept, verdicts = carry({"hi": {"corpus": {"d1", "d3"}}}, training=True)
    assert extra["hi.queries"] == {"q1": "no_positive"}, "q2 has d2 left; q3 never had a positive"
    assert kept["hi"] == pairs("q1", "d3")
    assert [(one["table"], one["id"]) for one in verdicts if one["outcome"] == "dropped"] == [("queries", "q1")]
    assert carry({"hi": {"corpus": {"d1", "d3"}}})[0]["hi.queries"] == {}


def test_a_query_that_is_gone_already_is_not_dropped_twice() -> None:
    extra, _, _ = carry({"hi": {"corpus": {"d1"}, "queries": {"q1"}}}, training=True)
    assert extra["hi.queries"] == {}


def test_parallel_keeps_rows_that_every_language_keeps() -> None:
    extra, kept, _ = carry(
        {"hi": {"corpus": {"d1"}}, "mr": {"queries": {"q2"}}, "ta": {"corpus": {"d3"}}}, parallel=True
    )
    assert extra["hi.corpus"] == {"d3": "parallel"}
    assert extra["mr.corpus"] == {"d1": "parallel", "d3": "parallel"}
    assert extra["hi.queries"] == extra["ta.queries"] == {"q2": "parallel"}
    assert kept["hi"] == kept["mr"] == kept["ta"] == pairs("d1", "d3", "q2")


def test_parallel_and_training_together() -> None:
    extra, kept, _ = carry({"hi": {"corpus": {"d1"}}, "ta": {}}, parallel=True, training=True)
    assert extra["hi.queries"] == extra["ta.queries"] == {"q1": "no_positive"}
    assert extra["ta.corpus"] == {"d1": "parallel"}
    assert kept["hi"] == kept["ta"]


@pytest.mark.parametrize("table", ["corpus", "queries"])
def test_one_table_only(table: str) -> None:
    gone = {"corpus": {"d1"}, "queries": {"q2"}}
    extra, kept, _ = carry({"hi": gone}, tables=(table,), training=True)
    assert kept["hi"] == pairs(*gone[table])
    assert extra == {f"hi.{table}": {}}


IDS = st.sets(st.sampled_from(DOCS))
QUERY_IDS = st.sets(st.sampled_from(ASKED))


@given(st.tuples(IDS, QUERY_IDS), st.tuples(IDS, QUERY_IDS), st.booleans(), st.booleans(),
       st.dictionaries(st.tuples(st.sampled_from(ASKED), st.sampled_from(DOCS)), st.integers(-1, 2), max_size=9))  # fmt: skip
def test_nothing_dangles(hi, ta, parallel: bool, training: bool, judged) -> None:
    rows = [(q, d, grade) for (q, d), grade in judged.items()]
    gone = {lang: {"corpus": docs, "queries": queries} for lang, (docs, queries) in (("hi", hi), ("ta", ta))}
    extra, kept, verdicts = carry(gone, parallel=parallel, training=training, judged=rows)
    alive = {}
    for lang in gone:
        docs = set(DOCS) - gone[lang]["corpus"] - extra[f"{lang}.corpus"].keys()
        queries = set(ASKED) - gone[lang]["queries"] - extra[f"{lang}.queries"].keys()
        alive[lang] = docs, queries
        assert kept[lang] == [(q, d) for q, d, _ in rows if q in queries and d in docs]
        assert not gone[lang]["queries"] & extra[f"{lang}.queries"].keys()
        assert not gone[lang]["corpus"] & extra[f"{lang}.corpus"].keys()
        if training:
            judged_before = {q for q, _, grade in rows if grade > 0}
            assert all(
                any(q == query and grade > 0 and d in docs for q, d, grade in rows) for query in queries & judged_before
            )
        orphaned = [one["id"] for one in verdicts if one["lang"] == lang and one["outcome"] == "orphaned"]
        assert len(orphaned) + len(kept[lang]) == len(rows)
    if parallel:
        assert alive["hi"] == alive["ta"]
