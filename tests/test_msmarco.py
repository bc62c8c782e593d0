"""MS MARCO: the publisher's TSV files, BEIR's layout, and nothing else when neither is there."""

import gzip
import importlib.util

import pyarrow as pa
import pytest

from dsbuild.builders.sources.msmarco import LICENSE
from dsbuild.builders.sources.source import open_source
from dsbuild.errors import SourceError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "collection.tsv").write_text('0\tThe "quoted passage\n1\tAnother one"\n2\tThird\n', "utf-8")
    (tmp_path / "queries.train.tsv").write_text("10\tfirst query\n11\tsecond query\n", "utf-8")
    (tmp_path / "queries.dev.small.tsv").write_text("20\tdev query\n", "utf-8")
    (tmp_path / "queries.dev.tsv").write_text("20\tdev query\n21\tother\n", "utf-8")
    (tmp_path / "queries.eval.tsv").write_text("30\teval query\n", "utf-8")
    (tmp_path / "qrels.train.tsv").write_text("10\t0\t0\t1\n11\t0\t2\t1\n", "utf-8")
    (tmp_path / "qrels.dev.small.tsv").write_text("20\t0\t1\t1\n", "utf-8")
    return tmp_path


def read(source, table):
    return pa.Table.from_batches(list(source.read(table)))


def test_tsv_layout(folder):
    source = open_source(f"msmarco:{folder}")
    corpus, queries, qrels = (read(source, table) for table in ("corpus", "queries", "qrels"))
    assert corpus["text"].to_pylist() == ['The "quoted passage', 'Another one"', "Third"]
    assert corpus["title"].to_pylist() == ["", "", ""]
    assert source.splits("qrels") == ["train", "dev.small"]
    assert list(zip(queries["query_id"].to_pylist(), queries["split"].to_pylist(), strict=True)) == [
        ("10", "train"), ("11", "train"), ("20", "dev.small"),
    ]  # fmt: skip
    assert list(zip(qrels["query_id"].to_pylist(), qrels["doc_id"].to_pylist(), strict=True)) == [
        ("10", "0"),
        ("11", "2"),
        ("20", "1"),
    ]
    facts = source.facts()
    assert (facts.name, facts.lang, facts.evaluation) == ("msmarco", "en", True)
    assert "research" in facts.license
    assert "queries.eval.tsv" in source.notes()[0]


def test_small_part_is_not_read_beside_the_whole(folder):
    (folder / "qrels.dev.tsv").write_text("20 0 1 1\n21 0 2 1\n", "utf-8")
    source = open_source(f"msmarco:{folder}")
    assert source.splits("qrels") == ["train", "dev"]
    assert read(source, "queries")["query_id"].to_pylist() == ["10", "11", "20", "21"]
    assert any("dev.small is a part of dev" in note for note in source.notes())


def test_chosen_split(folder):
    source = open_source(f"msmarco:{folder}", options={"splits": "train"})
    assert read(source, "queries")["query_id"].to_pylist() == ["10", "11"]
    assert not source.facts().evaluation


def test_compressed_collection(folder):
    data = (folder / "collection.tsv").read_bytes()
    (folder / "collection.tsv").unlink()
    (folder / "collection.tsv.gz").write_bytes(gzip.compress(data))
    assert read(open_source(f"msmarco:{folder}"), "corpus").num_rows == 3


def test_beir_layout(tmp_path):
    (tmp_path / "corpus.jsonl").write_text('{"_id": "1", "title": "", "text": "x"}\n', "utf-8")
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "y"}\n', "utf-8")
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels/dev.tsv").write_text("q\t1\t1\n", "utf-8")
    source = open_source(f"msmarco:{tmp_path}")
    assert source.facts().name == "msmarco"
    assert read(source, "corpus")["source"].to_pylist() == ["msmarco"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "collection.tsv").unlink(), "unpack collectionandqueries"),
        (lambda folder: (folder / "queries.train.tsv").unlink(), r"qrels\.train\.tsv has no queries\.train\.tsv"),
        (lambda folder: [path.unlink() for path in folder.glob("qrels.*")], "no qrels found"),
        (lambda folder: (folder / "collection.tsv").write_text("0\ta\tb\n"), "3 columns where 2 are expected"),
    ],
)
def test_incomplete_folder_says_what_to_do(folder, change, message):
    change(folder)
    with pytest.raises(SourceError, match=message):
        open_source(f"msmarco:{folder}")


def test_other_language_is_refused(folder):
    with pytest.raises(SourceError, match="MS MARCO is English"):
        open_source(f"msmarco:{folder}", lang="hi")


def test_no_folder_no_network_no_cache_is_one_line(tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SourceError, match=r"--src msmarco:DIR.*--src msmarco-sample") as caught:
        open_source("msmarco")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(importlib.util.find_spec("ir_datasets") is None, reason="ir_datasets is not installed")
def test_ir_datasets_stands_in_with_a_subset_that_has_queries(tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    source = open_source("msmarco")
    assert source.splits("queries") == ["dev"]
    assert (source.facts().license, source.facts().evaluation) == (LICENSE, True)
