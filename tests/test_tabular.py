"""TSV, JSON lines and Parquet with a column map."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsbuild.builders.sources.source import open_source
from dsbuild.errors import SourceError, UnknownName


def read(source, table):
    return pa.Table.from_batches(list(source.read(table)))


@pytest.fixture
def files(tmp_path):
    (tmp_path / "docs.tsv").write_text('pid\tbody_text\thead\n1\t"Tea\tT\n2\tCoffee\t\n', "utf-8")
    (tmp_path / "questions.jsonl").write_text(
        '{"qid": 1, "question": "tea?"}\n{"qid": 2, "question": "coffee?"}\n', "utf-8"
    )
    (tmp_path / "judged.tsv").write_text("qid\tpid\tlabel\n1\t1\t1\n2\t2\t0\n", "utf-8")
    return tmp_path


def test_column_map(files):
    source = open_source(
        f"tsv:{files / 'docs.tsv'}",
        lang="en",
        columns={"corpus.text": "body_text", "title": "head"},
        options={"queries": str(files / "questions.jsonl"), "qrels": str(files / "judged.tsv"), "split": "test"},
    )
    assert read(source, "corpus").select(["doc_id", "title", "text"]).to_pylist() == [
        {"doc_id": "1", "title": "T", "text": '"Tea'},
        {"doc_id": "2", "title": "", "text": "Coffee"},
    ]
    assert read(source, "queries").select(["query_id", "text", "split"]).to_pylist()[0] == {
        "query_id": "1",
        "text": "tea?",
        "split": "test",
    }
    assert read(source, "qrels")["relevance"].to_pylist() == [1, 0]
    assert source.facts().evaluation


def test_unqualified_key_may_be_meant_for_one_file(files):
    source = open_source(
        f"tsv:{files / 'docs.tsv'}", lang="en", columns={"text": "body_text"},
        options={"queries": str(files / "questions.jsonl"), "qrels": str(files / "judged.tsv")},
    )  # fmt: skip
    assert read(source, "queries")["text"].to_pylist() == ["tea?", "coffee?"]


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"corpus.text": "body_txt"}, UnknownName, "column 'body_txt'. Did you mean 'body_text'"),
        (
            {},
            SourceError,
            r"no column for text; it has pid, body_text, head: name it with --set source\.columns\.text=",
        ),
        ({"corpus.text": "body_text", "title": "headline"}, UnknownName, "Did you mean 'head'"),
    ],
)
def test_columns_that_are_not_there(files, columns, error, message):
    with pytest.raises(error, match=message):
        open_source(
            f"tsv:{files / 'docs.tsv'}",
            lang="en",
            columns=columns,
            options={"queries": str(files / "questions.jsonl"), "qrels": "none"},
        )


def test_queries_and_qrels_must_be_named(files):
    spec = f"tsv:{files / 'docs.tsv'}"
    with pytest.raises(SourceError, match=r"source\.options\.queries=FILE"):
        open_source(spec, lang="en", columns={"corpus.text": "body_text"})
    with pytest.raises(SourceError, match="no qrels found"):
        open_source(
            spec, lang="en", columns={"corpus.text": "body_text"}, options={"queries": str(files / "questions.jsonl")}
        )
    with pytest.raises(SourceError, match="cannot tell its format"):
        open_source(
            spec, lang="en", columns={"corpus.text": "body_text"}, options={"queries": "q.csv", "qrels": "none"}
        )


def test_tsv_without_header(tmp_path):
    (tmp_path / "d.tsv").write_text("1\tTea\n2\tTea\n", "utf-8")
    (tmp_path / "q.tsv").write_text("a\ttea\n", "utf-8")
    (tmp_path / "r.tsv").write_text("a\t1\t1\n", "utf-8")
    options = {"queries": str(tmp_path / "q.tsv"), "qrels": str(tmp_path / "r.tsv"), "header": "no"}
    source = open_source(
        f"tsv:{tmp_path / 'd.tsv'}", lang="en", columns={"doc_id": "1", "query_id": "1", "text": "2"}, options=options
    )
    assert read(source, "corpus")["doc_id"].to_pylist() == ["1", "2"]
    assert read(source, "qrels")["doc_id"].to_pylist() == ["1"]


def test_jsonl_kind(files):
    (files / "docs.jsonl").write_text(
        '{"docid": "x#1", "text": "t", "title": "T"}\n{"docid": "x#2", "text": "u"}\n', "utf-8"
    )
    source = open_source(
        f"jsonl:{files / 'docs.jsonl'}",
        lang="en",
        columns={"queries.text": "question"},
        options={"queries": str(files / "questions.jsonl"), "qrels": "none"},
    )
    assert read(source, "corpus")["title"].to_pylist() == ["T", ""]


def write(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


@pytest.fixture
def release(tmp_path):
    for lang, text in (("en", "tea"), ("hi", "चाय")):
        write(
            tmp_path / f"{lang}-corpus/corpus-00000-of-00002.parquet",
            doc_id=["a"],
            title=[None],
            text=[text],
            group_id=["g"],
        )
        write(
            tmp_path / f"{lang}-corpus/corpus-00001-of-00002.parquet",
            doc_id=["b"],
            title=["B"],
            text=[text],
            group_id=[""],
        )
        write(
            tmp_path / f"{lang}-queries/test-00000-of-00001.parquet",
            query_id=["q"],
            text=[text],
            origin=["generated"],
            split=["test"],
        )
        write(
            tmp_path / f"{lang}-qrels/test-00000-of-00001.parquet",
            query_id=["q"],
            doc_id=["b"],
            relevance=pa.array([2], pa.int32()),
            split=["test"],
        )
    return tmp_path


def test_release_folder_by_language(release):
    with pytest.raises(SourceError, match="it holds en, hi; say which"):
        open_source(f"parquet:{release}")
    with pytest.raises(SourceError, match="no ta-corpus"):
        open_source(f"parquet:{release}", lang="ta")
    source = open_source(f"parquet:{release}", lang="hi")
    corpus = read(source, "corpus")
    assert corpus["text"].to_pylist() == ["चाय", "चाय"]
    assert corpus["title"].to_pylist() == ["", "B"]
    assert corpus["group_id"].to_pylist() == ["g", "b"]
    assert read(source, "queries").select(["origin", "split"]).to_pylist() == [{"origin": "generated", "split": "test"}]
    assert read(source, "qrels").to_pylist() == [
        {"query_id": "q", "doc_id": "b", "relevance": 2, "judge": "source", "split": "test"}
    ]
    assert source.facts().evaluation


def test_mteb_parquet_folder(tmp_path):
    write(
        tmp_path / "corpus/corpus-00000-of-00001.parquet",
        _id=pa.array([1, 2]),
        text=pa.array(["a", "b"]).dictionary_encode(),
    )
    write(tmp_path / "queries/queries-00000-of-00001.parquet", id=pa.array(["x"], pa.large_string()), text=["q"])
    write(tmp_path / "default/test-00000-of-00001.parquet", **{"query-id": ["x"], "corpus-id": ["2"], "score": [1.0]})
    source = open_source(f"parquet:{tmp_path}", lang="en")
    assert read(source, "corpus")["doc_id"].to_pylist() == ["1", "2"]
    assert read(source, "queries")["split"].to_pylist() == ["test"]
    assert read(source, "qrels")["relevance"].to_pylist() == [1]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"doc_id": ["a", None], "text": ["x", "y"]}, r"corpus\.parquet: row 2: 'doc_id' is null"),
        ({"doc_id": ["a", "b"], "text": [1, 2]}, "'text' holds int64, not text"),
        ({"doc_id": ["a", "b\nc"], "text": ["x", "y"]}, r"row 2: doc_id .* has a line end"),
        ({"doc_id": ["a", "b"], "text": ["x", "y\0"]}, r"row 2: a NUL character in 'text'"),
    ],
)
def test_bad_parquet_names_the_row(tmp_path, columns, message):
    write(tmp_path / "corpus.parquet", **columns)
    write(tmp_path / "queries.parquet", query_id=["q"], text=["x"])
    with pytest.raises(SourceError, match=message):
        read(open_source(f"parquet:{tmp_path}", lang="en", options={"qrels": "none"}), "corpus")


def test_fractional_grade_and_damaged_file(tmp_path):
    write(tmp_path / "corpus.parquet", doc_id=["a"], text=["x"])
    write(tmp_path / "queries.parquet", query_id=["q"], text=["x"])
    write(tmp_path / "qrels.parquet", query_id=["q"], doc_id=["a"], relevance=[0.5])
    with pytest.raises(SourceError, match="not a whole number"):
        read(open_source(f"parquet:{tmp_path}", lang="en"), "qrels")
    (tmp_path / "corpus.parquet").write_bytes(b"PAR1")
    with pytest.raises(SourceError, match=r"corpus\.parquet: cannot be read as Parquet"):
        open_source(f"parquet:{tmp_path}", lang="en")


def test_a_file_alone_says_how_texts_are_translated(files):
    with pytest.raises(SourceError, match=r"which file holds the queries\?.*--table documents"):
        open_source(f"jsonl:{files / 'questions.jsonl'}", lang="en")
