"""Whole-table checks on shards: repeated ids, dangling and contradicting qrels, warnings."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsbuild.builders.sources.validate import LONG_CHARS, check_tables
from dsbuild.errors import SourceError
from dsbuild.tables import CORPUS, QRELS, QUERIES


def corpus(*rows):
    return pa.Table.from_pylist(
        [{"doc_id": i, "title": t, "text": x, "lang": "en", "source": "s", "group_id": i} for i, t, x in rows], CORPUS
    )


def queries(*ids):
    rows = [
        {"query_id": i, "text": f"text of {i}", "lang": "en", "source": "s", "origin": "human", "split": "test"}
        for i in ids
    ]
    return pa.Table.from_pylist(rows, QUERIES)


def qrels(*rows):
    return pa.Table.from_pylist(
        [{"query_id": q, "doc_id": d, "relevance": r, "judge": "source", "split": s} for q, d, r, s in rows], QRELS
    )


DOCS = corpus(("a/1", "", "Tea."), ("b", "B", ""), ("c", "", "Milk."))


ASKED = queries("q1", "q2")
SOUND = qrels(("q1", "a/1", 1, "test"), ("q2", "b", 0, "test"))


def check(folder, *, docs=(DOCS,), asked=(ASKED,), judged=(SOUND,), **more):
    paths = []
    for name, tables in (("corpus", docs), ("queries", asked), ("qrels", judged)):
        folder.mkdir(exist_ok=True)
        paths.append([folder / f"{name}'{i}.parquet" for i in range(len(tables))])
        for path, table in zip(paths[-1], tables, strict=True):
            pq.write_table(table, path)
    return check_tables(
        paths[0], paths[1], paths[2] if more.pop("with_qrels", True) else None, work_dir=folder / "spill", **more
    )


def test_sound_set(tmp_path):
    findings = check(tmp_path)
    assert findings.n_rows == {"corpus": 3, "queries": 2, "qrels": 2}
    assert findings.warnings == ()
    assert findings.orphaned.num_rows == 0


def test_repeated_ids_name_both_rows_across_shards(tmp_path):
    docs = (corpus(("a", "", "1"), ("b", "", "2")), corpus(("c", "", "3"), ("b", "", "4"), ("a", "", "5")))
    with pytest.raises(
        SourceError, match=r"corpus: doc_id 'b' is there twice, rows 2 and 4 \(ids that are repeated: 2\)"
    ):
        check(tmp_path, docs=docs)
    with pytest.raises(SourceError, match="queries: query_id 'q1' is there twice, rows 1 and 3"):
        check(tmp_path, asked=(queries("q1", "q2", "q1"),))


JUDGED = qrels(("q1", "a/1", 1, "test"), ("q9", "b", 2, "test"), ("q2", "zz", 1, "test"), ("q9", "zz", 0, "test"))


def test_dangling_qrels_stop_the_run(tmp_path):
    with pytest.raises(
        SourceError, match=r"qrels: 2 judgements name a query_id that is not in queries, first row 2 .*on_missing=drop"
    ):
        check(tmp_path, judged=(JUDGED,))
    with pytest.raises(
        SourceError,
        match=r"1 judgements name a doc_id that is not in corpus, first row 2 \(query 'q2', document 'zz'\)",
    ):
        check(tmp_path, judged=(JUDGED.take([0, 2]),))


def test_dangling_qrels_are_listed_when_they_may_go(tmp_path):
    findings = check(tmp_path, judged=(JUDGED,), on_missing="drop")
    assert [(row["query_id"], row["doc_id"], row["relevance"], row["missing"]) for row in findings.orphaned.to_pylist()] == [
        ("q9", "b", 2, "query"), ("q2", "zz", 1, "doc"), ("q9", "zz", 0, "both"),
    ]  # fmt: skip


def test_contradicting_grades_stop_and_repeated_ones_warn(tmp_path):
    with pytest.raises(SourceError, match=r"query 'q1' and document 'b' are judged 0 and 1, rows 2 and 3"):
        check(
            tmp_path,
            judged=(
                qrels(("q1", "a/1", 1, "test"), ("q1", "b", 1, "test"), ("q1", "b", 0, "test"), ("q2", "b", 1, "test")),
            ),
        )
    again = qrels(("q1", "a/1", 1, "test"), ("q1", "a/1", 1, "test"), ("q2", "b", 1, "test"), ("q2", "b", 0, "train"))
    (warned,) = check(tmp_path, judged=(again,)).warnings
    assert (warned.table, warned.rule, warned.count, warned.first_id) == ("qrels", "repeated", 1, "q1")


def test_empty_tables(tmp_path):
    with pytest.raises(SourceError, match="corpus: no rows"):
        check(tmp_path, docs=(DOCS.slice(0, 0),))
    with pytest.raises(SourceError, match=r"qrels: no rows.*source\.options\.qrels=none"):
        check(tmp_path, judged=(JUDGED.slice(0, 0),))
    assert check(tmp_path, with_qrels=False).n_rows["qrels"] == 0


def test_warnings_count_and_name_the_first(tmp_path):
    docs = corpus(
        ("fine", "", "Müller’s café costs 5 €, naïve: “yes” – Âge, ÃO."),
        ("empty1", " ", "\n\t"),
        ("moji1", "", "the cafÃ© is open"),
        ("moji2", "", "itâ€™s"),
        ("moji3", "", "it\u00e2\u0080\u0099s"),
        ("moji4", "", "gone \ufffd"),
        ("empty2", "", ""),
        ("long", "", "x" * (LONG_CHARS + 1)),
    )
    found = check(
        tmp_path, docs=(docs,), asked=(queries("q1", "q0"),), judged=(qrels(("q1", "fine", 1, "test")),)
    ).warnings
    assert [(warned.table, warned.rule, warned.count, warned.first_id) for warned in found] == [
        ("corpus", "empty", 2, "empty1"),
        ("corpus", "mojibake", 4, "moji1"),
        ("corpus", "long", 1, "long"),
        ("queries", "unjudged", 1, "q0"),
    ]
    assert found[0].text == "2 rows with neither title nor text, first 'empty1'"


def test_small_memory_spills(tmp_path):
    n_rows = 200_000
    ids = pa.array([f"document-{i:012d}" for i in range(n_rows)])
    table = pa.table([ids, ids, ids, ids, ids, ids], schema=CORPUS)
    findings = check(
        tmp_path,
        docs=(table,),
        judged=(qrels(("q1", ids[5].as_py(), 1, "test"), ("q2", ids[-1].as_py(), 1, "test")),),
        memory="64MB",
    )
    assert findings.n_rows["corpus"] == n_rows
