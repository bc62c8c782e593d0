"""BEIR folders, with the traps that real ones hold."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from dsbuild.builders.sources.source import open_source
from dsbuild.errors import SourceError, UnknownName
from dsbuild.tables import CORPUS, QRELS, QUERIES

SHARED = Path(__file__).parents[2] / "shared/data/retrieval/beir_slices"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "corpus.jsonl").write_text(
        '{"_id": "d/1", "text": "Tea is a drink."}\n{"_id": "d 2", "title": "Kaffee", "text": "Coffee."}\n{"_id": "d3", "title": null, "text": ""}\n',
        "utf-8",
    )
    (tmp_path / "queries.jsonl").write_text(
        '{"_id": "q1", "text": "tea", "metadata": {}}\n{"_id": "q2", "text": "coffee"}\n{"_id": "q3", "text": "x"}\n',
        "utf-8",
    )
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td/1\t2\nq1\td 2\t0\n", "utf-8")
    return tmp_path


def read(source, table, **more):
    return pa.Table.from_batches(list(source.read(table, **more)))


def test_tables_have_the_canonical_schemas(folder):
    source = open_source(f"beir:{folder}", lang="en")
    corpus, queries, qrels = (read(source, table) for table in ("corpus", "queries", "qrels"))
    assert (corpus.schema, queries.schema, qrels.schema) == (CORPUS, QUERIES, QRELS)
    assert corpus["doc_id"].to_pylist() == ["d/1", "d 2", "d3"]
    assert corpus["title"].to_pylist() == ["", "Kaffee", ""]
    assert corpus["group_id"].to_pylist() == ["d/1", "d 2", "d3"]
    assert queries["split"].to_pylist() == ["test"] * 3
    assert qrels.to_pylist() == [
        {"query_id": "q1", "doc_id": "d/1", "relevance": 2, "judge": "source", "split": "test"},
        {"query_id": "q1", "doc_id": "d 2", "relevance": 0, "judge": "source", "split": "test"},
    ]


def test_facts(folder):
    facts = open_source(f"beir:{folder}", lang="en").facts()
    assert (facts.name, facts.lang, facts.evaluation) == (folder.name, "en", True)
    assert [file.name for file in facts.files] == ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"]
    assert all(len(file.sha256) == 64 and file.size_bytes > 0 for file in facts.files)


def test_batches_are_exact(folder):
    source = open_source(f"beir:{folder}", lang="en")
    assert [batch.num_rows for batch in source.read("corpus", batch_rows=2)] == [2, 1]


def test_language_is_told_from_the_passages_or_asked_for(folder):
    corpus = folder / "corpus.jsonl"
    corpus.write_text(
        '{"_id": "d1", "text": "A glacier is a large body of ice that moves slowly down a valley."}\n', "utf-8"
    )
    source = open_source(f"beir:{folder}")
    assert source.facts().lang == "en"
    assert "identified as en (100% " in source.notes()[0]
    assert open_source(f"beir:{folder}", lang="en").notes() == []
    corpus.write_text('{"_id": "d1", "text": "12 345"}\n', "utf-8")
    with pytest.raises(SourceError, match="--src-lang en"):
        open_source(f"beir:{folder}")
    (folder / "README.md").write_text("---\nlanguage:\n- de\nlicense: mit\n---\n", "utf-8")
    facts = open_source(f"beir:{folder}").facts()
    assert (facts.lang, facts.license) == ("de", "mit")
    with pytest.raises(UnknownName, match="language"):
        open_source(f"beir:{folder}", lang="qqq")


@pytest.mark.parametrize(
    ("text", "relevance"),
    [
        ("q1\td/1\t1\nq2\td3\t0\n", [1, 0]),
        ("q1\t0\td/1\t1\nq2\tQ0\td3\t-1\n", [1, -1]),
        ("q1 0 d/1 1\nq2   Q0 d3 3\n", [1, 3]),
        ("q1\td/1\nq2\td3\n", [1, 1]),
        ("query-id\tcorpus-id\tscore\r\nq1\td/1\t+1\r\nq2\td3\t 0\r\n", [1, 0]),
        ("corpus-id\tscore\tquery-id\nd/1\t1\tq1\nd3\t2\tq2\n", [1, 2]),
    ],
)
def test_qrels_with_and_without_header(folder, text, relevance):
    (folder / "qrels/test.tsv").write_text(text, "utf-8")
    qrels = read(open_source(f"beir:{folder}", lang="en"), "qrels")
    assert list(zip(qrels["query_id"].to_pylist(), qrels["doc_id"].to_pylist(), strict=True)) == [
        ("q1", "d/1"),
        ("q2", "d3"),
    ]
    assert qrels["relevance"].to_pylist() == relevance


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q1\td1\t1\nq2\td2\thigh\n", r"test\.tsv:2: relevance 'high' \(query q2, document d2\) is not a whole number"),
        ("q1\td1\t1.5\n", r"test\.tsv:1: '1.5' is not a whole number"),
        ("query-id\tcorpus-id\tscore\nq1\td1\t99999999999\n", r"test\.tsv:2: relevance"),
        ("q1\td1\t1\nq2\td2\n", r"test\.tsv:2: 2 columns \(id 'q2'\)"),
        ("a b c d e f\n", "6 columns"),
        ("q1\t\t1\n", r"test\.tsv:1: doc_id '' is empty"),
    ],
)
def test_bad_qrels_name_the_line(folder, text, message):
    (folder / "qrels/test.tsv").write_text(text, "utf-8")
    with pytest.raises(SourceError, match=message):
        read(open_source(f"beir:{folder}", lang="en"), "qrels")


def test_splits_tell_where_a_query_belongs(folder):
    (folder / "qrels/train.tsv").write_text("q2\td3\t1\nq1\td3\t1\n", "utf-8")
    source = open_source(f"beir:{folder}", lang="en")
    assert source.splits("qrels") == ["test", "train"]
    assert source.splits("queries") == ["test", "train", "unjudged"]
    assert read(source, "queries")["split"].to_pylist() == ["test", "train", "unjudged"]
    assert source.notes() == []
    train = open_source(f"beir:{folder}", lang="en", splits=["train"])
    assert read(train, "queries")["query_id"].to_pylist() == ["q1", "q2"]
    assert read(train, "qrels")["split"].to_pylist() == ["train", "train"]
    assert not train.facts().evaluation
    assert "1 queries are in none of the chosen splits" in train.notes()[0]
    with pytest.raises(UnknownName, match="split of beir"):
        open_source(f"beir:{folder}", lang="en", options={"splits": "train,dev"})


def test_set_without_qrels_must_be_said(folder):
    (folder / "qrels/test.tsv").unlink()
    with pytest.raises(SourceError, match=r"no qrels found.*source\.options\.qrels=none"):
        open_source(f"beir:{folder}", lang="en")
    source = open_source(f"beir:{folder}", lang="en", options={"qrels": "none"})
    assert not source.judged
    assert source.splits("qrels") == []
    assert list(source.read("qrels")) == []
    assert read(source, "queries").num_rows == 3


def test_compressed_files_and_missing_ones(folder):
    for name in ("corpus.jsonl", "queries.jsonl"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
        (folder / name).unlink()
    assert read(open_source(f"beir:{folder}", lang="en"), "corpus").num_rows == 3
    (folder / "queries.jsonl.gz").unlink()
    with pytest.raises(SourceError, match=r"no queries found in .*; .* --src .*corpus.jsonl.gz"):
        open_source(f"beir:{folder}", lang="en")
    with pytest.raises(SourceError, match="no such folder"):
        open_source(f"beir:{folder}/none", lang="en")


@pytest.mark.parametrize("bad", ["a\\nb", "a\\tb", "", "\\u0007", "\\u2028"])
def test_ids_that_break_a_line_are_refused(folder, bad):
    (folder / "corpus.jsonl").write_text(f'{{"_id": "ok", "text": "x"}}\n{{"_id": "{bad}", "text": "y"}}\n', "utf-8")
    with pytest.raises(SourceError, match=r"corpus\.jsonl:2: doc_id"):
        read(open_source(f"beir:{folder}", lang="en"), "corpus")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared BEIR slices are not there")
def test_real_slice_whose_qrels_have_no_header():
    source = open_source(f"beir:{SHARED / 'msmarco'}", lang="en")
    corpus, queries, qrels = (read(source, table) for table in ("corpus", "queries", "qrels"))
    assert (corpus.num_rows, queries.num_rows) == (5000, 50)
    lines = gzip.decompress((SHARED / "msmarco/qrels/test.tsv.gz").read_bytes()).decode().splitlines()
    assert qrels.num_rows == len(lines)
    assert len(set(qrels["query_id"].to_pylist())) == 43


def test_a_file_without_rows_is_said_to_have_none(folder: Path) -> None:
    path = folder / "queries.jsonl"
    path.write_text("\n", "utf-8")
    with pytest.raises(SourceError, match=r"queries\.jsonl: no rows; one JSON object a line"):
        open_source(f"beir:{folder}", lang="en")
