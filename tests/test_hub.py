"""Sets by name: the real Hub client on a cache in a temporary folder, offline; ir_datasets where it is installed."""

import importlib.util
import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsbuild.builders.sources.hub import UnreachableError
from dsbuild.builders.sources.source import open_source
from dsbuild.errors import MissingExtra, SourceError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def cached(cache, repository, commit=COMMIT):
    """The snapshot folder of a repository in the cache, as the Hub's client lays it out."""
    root = cache / f"datasets--{repository.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs/main").write_text(commit, "utf-8")
    folder = root / "snapshots" / commit
    folder.mkdir(parents=True)
    return folder


def lines(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def read(source, table):
    return pa.Table.from_batches(list(source.read(table)))


README = """---
language:
- en
license: cc-by-4.0
configs:
- config_name: default
  data_files:
  - split: train
    path: judged/train.jsonl
  - split: test
    path: judged/test.jsonl
- config_name: corpus
  data_files:
  - split: corpus
    path: data/docs-*.jsonl
- config_name: queries
  data_files: data/asked.jsonl
---
# A set
"""


@pytest.fixture
def mteb(cache):
    folder = cached(cache, "org/name")
    (folder / "README.md").write_text(README, "utf-8")
    lines(folder / "data/docs-0.jsonl", {"_id": "a", "text": "tea", "title": ""})
    lines(folder / "data/docs-1.jsonl", {"_id": "b", "text": "milk", "title": "M"})
    lines(folder / "data/asked.jsonl", {"_id": "q1", "text": "tea?"}, {"_id": "q2", "text": "milk?"})
    lines(folder / "judged/train.jsonl", {"query-id": "q1", "corpus-id": "a", "score": 1})
    lines(folder / "judged/test.jsonl", {"query-id": "q2", "corpus-id": "b", "score": 2.0})
    return folder


@pytest.mark.parametrize("revision", ["", "@main", f"@{COMMIT}"])
def test_configs_of_the_readme(mteb, revision):
    source = open_source(f"hf:org/name{revision}")
    facts = source.facts()
    assert (facts.name, facts.lang, facts.license, facts.revision) == ("org/name", "en", "cc-by-4.0", COMMIT)
    assert facts.url == "https://huggingface.co/datasets/org/name"
    assert [file.name for file in facts.files][:2] == ["data/docs-0.jsonl", "data/docs-1.jsonl"]
    assert read(source, "corpus")["doc_id"].to_pylist() == ["a", "b"]
    assert read(source, "queries")["split"].to_pylist() == ["train", "test"]
    assert read(source, "qrels")["relevance"].to_pylist() == [1, 2]


def test_configs_cannot_leave_the_snapshot(mteb, tmp_path):
    (mteb / "README.md").write_text(README.replace("data/asked.jsonl", "../../secret.jsonl"), "utf-8")
    lines(mteb.parents[1] / "secret.jsonl", {"_id": "q", "text": "x"})
    with pytest.raises(SourceError, match="no queries found"):
        open_source("hf:org/name")


def test_beir_files_and_language(cache):
    folder = cached(cache, "org/beir")
    lines(folder / "corpus.jsonl", {"_id": "a", "text": "tea"})
    lines(folder / "queries.jsonl", {"_id": "q", "text": "tea?"})
    (folder / "qrels").mkdir()
    (folder / "qrels/test.tsv").write_text("q\ta\t1\n", "utf-8")
    with pytest.raises(SourceError, match="--src-lang"):
        open_source("hf:org/beir")
    assert open_source("hf:org/beir", lang="en").splits("qrels") == ["test"]


def test_parquet_folders_of_one_language(cache):
    folder = cached(cache, "org/release")
    for name, split, columns in (
        ("hi-corpus", "corpus", {"doc_id": ["a"], "text": ["चाय"]}),
        ("hi-queries", "test", {"query_id": ["q"], "text": ["चाय?"]}),
        ("hi-qrels", "test", {"query_id": ["q"], "doc_id": ["a"], "relevance": [1]}),
    ):
        (folder / name).mkdir()
        pq.write_table(pa.table(columns), folder / name / f"{split}-00000-of-00001.parquet")
    source = open_source("hf:org/release", options={"subset": "hi"})
    assert source.facts().lang == "hi"
    assert read(source, "corpus")["text"].to_pylist() == ["चाय"]


def test_qrels_of_another_repository(cache):
    folder = cached(cache, "org/docs")
    lines(folder / "corpus.jsonl", {"_id": "a", "text": "tea"})
    lines(folder / "queries.jsonl", {"_id": "q", "text": "tea?"})
    judged = cached(cache, "org/docs-qrels", COMMIT[::-1])
    (judged / "validation.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta\t1\n", "utf-8")
    source = open_source("hf:org/docs", lang="en", options={"qrels": "org/docs-qrels"})
    assert source.splits("qrels") == ["validation"]
    assert source.notes() == [f"qrels come from org/docs-qrels@{COMMIT[::-1]}"]


@pytest.mark.parametrize("repository", ["mteb/msmarco", "BeIR/msmarco"])
def test_msmarco_from_the_cache(cache, repository):
    folder = cached(cache, repository)
    lines(folder / "corpus.jsonl", {"_id": "0", "text": "tea"})
    lines(folder / "queries.jsonl", {"_id": "q", "text": "tea?"})
    if repository == "mteb/msmarco":
        lines(folder / "qrels/dev.jsonl", {"query-id": "q", "corpus-id": "0", "score": 1})
    else:
        (cached(cache, "BeIR/msmarco-qrels") / "dev.tsv").write_text("q\t0\t1\n", "utf-8")
    source = open_source("msmarco")
    facts = source.facts()
    assert (source.kind, facts.name, facts.lang, facts.revision) == ("msmarco", "msmarco", "en", COMMIT)
    assert facts.url.endswith(repository)
    assert source.splits("qrels") == ["dev"]


def test_not_in_the_cache_is_one_line(cache):
    with pytest.raises(UnreachableError, match="hf download --repo-type dataset org/none") as caught:
        open_source("hf:org/none")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spec", ["hf:justaname", "hf:a/b/c", "hf:../x"])
def test_name_must_be_org_and_name(cache, spec):
    with pytest.raises(SourceError, match="ORG/NAME"):
        open_source(spec)


def test_set_of_another_kind_is_refused(cache):
    folder = cached(cache, "org/labels")
    lines(folder / "train.jsonl", {"text": "x", "label": 1})
    with pytest.raises(SourceError, match="not a retrieval set"):
        open_source("hf:org/labels", lang="en")


def test_cached_readme_alone_is_not_a_set(mteb):
    for path in mteb.rglob("*.jsonl"):
        path.unlink()
    with pytest.raises(UnreachableError, match="not in the Hub's cache"):
        open_source("hf:org/name")


def test_missing_ir_datasets_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ir_datasets", None)
    with pytest.raises(MissingExtra, match=r"pip install 'dsbuild\[irds\]'"):
        open_source("irds:cranfield")


@pytest.mark.skipif(importlib.util.find_spec("ir_datasets") is None, reason="ir_datasets is not installed")
def test_ir_datasets_reads_its_own_formats(tmp_path):
    import ir_datasets
    from ir_datasets.datasets.base import Dataset
    from ir_datasets.formats import TrecQrels, TsvDocs, TsvQueries
    from ir_datasets.util import LocalDownload

    (tmp_path / "d.tsv").write_text("a/1\ttea\nb\tmilk\n", "utf-8")
    (tmp_path / "q.tsv").write_text("q\ttea?\n", "utf-8")
    (tmp_path / "r.txt").write_text("q 0 a/1 2\nq 0 b 0\n", "utf-8")
    dataset = Dataset(
        TsvDocs(LocalDownload(tmp_path / "d.tsv"), namespace="written", lang="en"),
        TsvQueries(LocalDownload(tmp_path / "q.tsv"), namespace="written", lang="en"),
        TrecQrels(LocalDownload(tmp_path / "r.txt"), {0: "no", 2: "yes"}),
    )
    ir_datasets.registry.register("written-for-a-test/dev", dataset)
    source = open_source("irds:written-for-a-test/dev")
    assert read(source, "corpus")["doc_id"].to_pylist() == ["a/1", "b"]
    assert read(source, "queries").select(["text", "split", "lang"]).to_pylist() == [
        {"text": "tea?", "split": "dev", "lang": "en"}
    ]
    assert read(source, "qrels")["relevance"].to_pylist() == [2, 0]
    assert source.facts().evaluation
    with pytest.raises(SourceError, match="has no set"):
        open_source("irds:no-such-set")


@pytest.mark.skipif(importlib.util.find_spec("ir_datasets") is None, reason="ir_datasets is not installed")
@pytest.mark.parametrize("error", [ConnectionError("no route"), RuntimeError("All download sources failed", [])])
def test_ir_datasets_without_network_and_copy_is_one_line(monkeypatch, error):
    class Absent:
        def has_docs(self):
            return True

        has_queries = has_qrels = has_docs

        def docs_lang(self):
            return "en"

        def docs_iter(self):
            raise error

        queries_iter = qrels_iter = docs_iter

    monkeypatch.setattr("ir_datasets.load", lambda name: Absent())
    source = open_source("irds:written/dev")
    with pytest.raises(UnreachableError, match=r"irds:written/dev: .*cannot fetch one.*beir:DIR") as caught:
        read(source, "corpus")
    assert "\n" not in str(caught.value)
