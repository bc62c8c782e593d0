"""Exports as the real loaders of other libraries read them. Loaders that need environments of their own: bench/loaders.py."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import mined_release
from tests.mined_release import JUDGED, LANGS, MINED, text
from tests.test_export import export, whole

# What they warn of is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")
QUERIES = {query: grades for query, grades in JUDGED.items() if query in MINED}


def need(*modules: str) -> None:
    """Skip where a library is not installed; nothing is imported."""
    for name in modules:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name.replace('_', '-') if name == 'sentence_transformers' else name} is not installed")


@pytest.fixture(scope="module")
def mined(tmp_path_factory) -> Path:
    return mined_release.write(tmp_path_factory.mktemp("mined") / "mined")


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Iterator[Path]:
    """`datasets` keeps its files here, and nobody looks for a hub."""
    import datasets
    from huggingface_hub import constants

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def encoder() -> Any:
    """A sentence-transformers model of random word vectors."""
    need("sentence_transformers")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[UNK]", "river", "bridge", "नदी", "पुल", "पूल", *(str(i) for i in range(10))]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    weights = np.random.default_rng(0).standard_normal((len(words), 8)).astype(np.float32)
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu")


def loss_of(model: Any, rows: Any, loss: Any, folder: Path, cross: bool = False) -> float:
    """The loss of the first batch, as the library's own trainer collates it."""
    import sentence_transformers as st

    kind = "CrossEncoder" if cross else "SentenceTransformer"
    arguments = getattr(st, f"{kind}TrainingArguments")(
        str(folder), per_device_train_batch_size=4, report_to="none", use_cpu=True, save_strategy="no"
    )
    trainer = getattr(st, f"{kind}Trainer")(model, arguments, rows, loss=loss)
    batch = next(iter(trainer.get_train_dataloader()))
    return float(trainer.compute_loss(model, batch))


def opened(folder: Path, config: str, split: str = "test") -> Any:
    from datasets import load_dataset

    return load_dataset(str(folder), config, split=split)


def test_sentence_transformers_trains_on_every_view(mined, tmp_path, cache, encoder) -> None:
    from sentence_transformers.sentence_transformer import losses

    views: list[tuple[str, Any, tuple[str, ...]]] = [
        ("st-triplet", losses.TripletLoss, ()),
        ("st-triplet", losses.MultipleNegativesRankingLoss, ()),
        ("st-ntuple", losses.MultipleNegativesRankingLoss, ("--n", "3")),
        ("st-distil", losses.DistillKLDivLoss, ("--n", "2", "--retriever", "bm25")),
        ("st-distil", losses.MarginMSELoss, ("--n", "2", "--retriever", "bm25")),
        ("st-distil", losses.MarginMSELoss, ("--n", "2", "--retriever", "bm25", "--style", "margin")),
        ("st-distil", losses.MarginMSELoss, ("--n", "1", "--retriever", "bm25", "--style", "margin")),
    ]  # fmt: skip
    for number, (view, loss, options) in enumerate(views):
        out = tmp_path / str(number)
        export(mined, out, "--to", view, "--langs", "hi,mr", *options)
        for lang in ("hi", "mr"):
            rows = opened(out, lang)
            assert np.isfinite(loss_of(encoder, rows, loss(encoder), out)), view
    assert rows[0]["positive"] == whole("mr", 0)


def test_cross_encoders_train_on_labelled_rows(mined, tmp_path, cache) -> None:
    need("sentence_transformers")
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder import losses
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "river", "bridge"]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        num_labels=1,
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path / "model")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **special).save_pretrained(
        tmp_path / "model"
    )
    model: Any = CrossEncoder(str(tmp_path / "model"), device="cpu", num_labels=1)
    for style, scores, loss in (
        ("pair", False, losses.BinaryCrossEntropyLoss), ("pair", True, losses.MSELoss), ("list", False, losses.LambdaLoss),
        ("list", True, losses.ListNetLoss),
    ):  # fmt: skip
        out = tmp_path / f"{style}-{scores}"
        teacher = ("--scores", "--retriever", "bm25") if scores else ()
        export(mined, out, "--to", "st-labeled", "--style", style, "--langs", "en", *teacher)
        assert np.isfinite(loss_of(model, opened(out, "en"), loss(model), out, cross=True)), (style, scores)


def test_multilingual_distillation_has_the_teachers_vectors(mined, tmp_path, cache, encoder) -> None:
    from sentence_transformers.sentence_transformer import losses

    encoder.save(str(tmp_path / "teacher"), create_model_card=False)
    found = export(
        mined,
        tmp_path / "out",
        "--to",
        "st-parallel",
        "--style",
        "rows",
        "--langs",
        "hi",
        "--model",
        str(tmp_path / "teacher"),
    )
    rows = opened(tmp_path / "out", "en-hi", "train")
    assert rows.column_names == ["english", "non_english", "label"]
    assert (rows[1]["english"], rows[1]["non_english"]) == ("bridge 1", "पुल 1") or text("en", 0).strip() in rows[
        "english"
    ]
    np.testing.assert_allclose(rows["label"], encoder.encode(list(rows["english"])), atol=1e-6)
    assert np.isfinite(loss_of(encoder, rows, losses.MSELoss(encoder), tmp_path))
    assert str(tmp_path) not in json.dumps(found["notes"]), "a release names no path of a machine"


def test_pylate_tables_open_by_configuration(mined, tmp_path, cache) -> None:
    export(mined, tmp_path / "kd", "--to", "pylate", "--style", "kd", "--langs", "hi", "--retriever", "bm25")
    train = opened(tmp_path / "kd", "train")
    queries, documents = (opened(tmp_path / "kd", name, "train") for name in ("queries", "documents"))
    assert (train.column_names, queries.column_names, documents.column_names) == (
        ["query_id", "document_ids", "scores"], ["query_id", "text"], ["document_id", "text"],
    )  # fmt: skip
    assert [len(row["document_ids"]) for row in train] == [len(row["scores"]) for row in train]
    assert {one for row in train for one in row["document_ids"]} <= set(documents["document_id"])


def test_beir_loads(mined, tmp_path) -> None:
    need("beir")
    from beir.datasets.data_loader import GenericDataLoader

    export(mined, tmp_path / "out", "--to", "beir", "--langs", "hi")
    corpus, queries, qrels = GenericDataLoader(str(tmp_path / "out")).load("test")
    assert qrels == JUDGED
    assert set(queries) == set(JUDGED)
    assert {doc: row["text"] for doc, row in corpus.items()} == {f"d{i}": text("hi", i) for i in range(10)}


@pytest.mark.parametrize("ids", ["keep", "number"])
def test_ir_datasets_reads_trec_and_mmarco(ids, mined, tmp_path) -> None:
    need("ir_datasets")
    from ir_datasets import formats
    from ir_datasets.util import LocalDownload

    trec, marco = tmp_path / "trec", tmp_path / "marco"
    export(mined, trec, "--to", "trec", "--langs", "hi", "--ids", ids)
    export(mined, marco, "--to", "mmarco", "--langs", "hi", "--ids", ids)

    def back(folder: Path, kind: str) -> dict[str, str]:
        if ids == "keep":
            return {name: name for name in [*JUDGED, "q7", *(f"d{i}" for i in range(10))]}
        found = (folder / "ids" / f"{kind}.jsonl").read_text().splitlines()
        return {str(row["number"]): row["id"] for row in map(json.loads, found)}

    def local(path: Path) -> Any:
        return LocalDownload(path)

    docs = formats.JsonlDocs(
        local(trec / "docs.jsonl"), doc_cls=formats.GenericDoc, mapping={"doc_id": "doc_id", "text": "text"}
    )
    assert [doc.text for doc in docs.docs_iter()] == [text("hi", i) for i in range(10)]
    for folder, topics, qrels in (
        (trec, "topics/test.tsv", "qrels/test.txt"), (marco, "queries/test/hindi_queries.test.tsv", "qrels.test.tsv"),
    ):  # fmt: skip
        asked = back(folder, "queries")
        assert [asked[one.query_id] for one in formats.TsvQueries(local(folder / topics)).queries_iter()] == list(
            JUDGED
        )
        judged: dict[str, dict[str, int]] = {}
        for one in formats.TrecQrels(local(folder / qrels), {}).qrels_iter():
            judged.setdefault(asked[one.query_id], {})[back(folder, "documents")[one.doc_id]] = one.relevance
        assert judged == JUDGED
    flat = [one.text for one in formats.TsvDocs(local(marco / "collections" / "hindi_collection.tsv")).docs_iter()]
    assert [" ".join(one.split()) for one in flat] == [" ".join(whole("hi", i).split()) for i in range(10)]
    triples = [
        (one.query_id, one.doc_id_a, one.doc_id_b)
        for one in formats.TsvDocPairs(local(marco / "triples.test.ids.tsv")).docpairs_iter()
    ]
    named = [
        (back(marco, "queries")[a], back(marco, "documents")[b], back(marco, "documents")[c]) for a, b, c in triples
    ]
    assert named == [
        (query, doc, other)
        for query, grades in QUERIES.items()
        for doc, grade in grades.items()
        if grade
        for other in MINED[query]
    ]


def test_ir_measures_scores_a_run_against_the_qrels(mined, tmp_path) -> None:
    need("ir_measures")
    import ir_measures

    export(mined, tmp_path / "out", "--to", "trec", "--langs", "en")
    qrels = list(ir_measures.read_trec_qrels(str(tmp_path / "out" / "qrels" / "test.txt")))
    run = list(ir_measures.read_trec_run(str(tmp_path / "out" / "runs" / "bm25.txt")))
    found = ir_measures.calc_aggregate([ir_measures.RR @ 10, ir_measures.Success @ 1], qrels, run)
    # q1, q10 and q4 are answered first, q2 was not returned, q5 has no run, q6 has no positive.
    assert found[ir_measures.Success @ 1] == pytest.approx(3 / 6)


@pytest.mark.parametrize(
    "options",
    [("--langs", "hi"), ("--query-langs", "en", "--langs", "hi,mr"), ("--langs", "hi", "--retriever", "bm25")],
)
def test_mteb_runs_the_generated_task(options, mined, tmp_path, cache, encoder) -> None:
    need("mteb")
    import mteb

    export(mined, tmp_path / "out", "--to", "mteb", *options)
    spec = importlib.util.spec_from_file_location("mteb_task", tmp_path / "out" / "mteb_task.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    task = module.MadeRetrieval()
    task.load_data()
    subsets = ["en-hi", "en-mr"] if "en" in options else ["default"]
    assert sorted(task.dataset) == subsets
    for subset in subsets:
        data = task.dataset[subset]["test"]
        assert data["relevant_docs"] == JUDGED
        assert sorted(data["queries"]["id"]) == sorted(JUDGED)
        lang = "mr" if subset == "en-mr" else "hi"
        assert dict(zip(data["corpus"]["id"], data["corpus"]["text"], strict=True)) == {
            f"d{i}": text(lang, i) for i in range(10)
        }
        assert (data["top_ranked"] is not None) == ("--retriever" in options)
    if "--retriever" in options:
        return
    results = mteb.evaluate(encoder, task, cache=None, show_progress_bar=False)
    scores = results.task_results[0].scores["test"]
    assert [0 <= one["main_score"] <= 1 for one in scores] == [True] * len(subsets)


def test_every_language_has_a_code_of_mteb() -> None:
    need("mteb")
    from mteb.languages import ISO_TO_LANGUAGE, ISO_TO_SCRIPT

    from dsbuild import languages
    from dsbuild.builders.exports.mteb import code

    for lang in languages.codes():
        language, script = code(lang).split("-")
        assert language in ISO_TO_LANGUAGE
        assert script in ISO_TO_SCRIPT


def test_flagembedding_and_tevatron_rows_open_as_json(mined, tmp_path, cache) -> None:
    for view, config in (("flagembedding", "train"), ("tevatron", "train")):
        for langs in ("hi", "en,hi,mr"):
            out = tmp_path / view / langs
            export(mined, out, "--to", view, "--langs", langs)
            for lang in langs.split(","):
                rows = opened(out, config if langs == "hi" else f"{lang}-{config}")
                assert len(rows) == len(MINED)
    assert len(LANGS) == 3
