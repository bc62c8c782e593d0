"""Scores anew: from a file, and by a cross-encoder of a few random weights made here."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsbuild.errors import DsbuildError, EngineError, RecipeError, SourceError
from tests.small_set import cli, rows
from tests.test_mined import made, mine, negatives, write


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rerank")
    write(folder / "set", *made())
    return folder


def scores(seed: int = 1) -> dict[tuple[str, str], float]:
    docs, queries, _ = made()
    draw = random.Random(seed)
    return {(query, doc): draw.uniform(-9, 3) for query in queries for doc in docs}


def written(path: Path, said: dict[tuple[str, str], float]) -> Path:
    listed = [{"query_id": query, "doc_id": doc, "score": score} for (query, doc), score in said.items()]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(listed), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in listed), "utf-8")
    else:
        lines = ["query_id\tdoc_id\tscore", *("\t".join(map(str, row.values())) for row in listed)]
        path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.mark.parametrize("name", ["scores.tsv", "scores.jsonl", "scores.parquet"])
def test_the_rule_sees_the_new_scores_of_the_first_candidates(base: Path, tmp_path: Path, name: str) -> None:
    said = scores()
    file = written(tmp_path / name, said)
    found = mine(
        tmp_path,
        base / "set",
        f"rerank.file={file}",
        "rerank.depth=30",
        "rule.percent=0.9",
        rule="percpos",
        negatives=3,
    )
    candidates = defaultdict(dict)
    for row in rows(tmp_path / "out", "en-candidates/*"):
        candidates[row["retriever"]][row["query_id"], row["doc_id"]] = row
    judged = made()[2]
    least: dict[str, float] = {}
    for query, doc, grade in judged:
        if grade > 0:
            least[query] = min(least.get(query, 1e9), said[query, doc])
    out = negatives(tmp_path / "out")
    for query in made()[1]:
        new = [(doc, row) for (asked, doc), row in candidates["rerank"].items() if asked == query]
        assert len(new) == 30
        assert all(row["score"] == pytest.approx(said[query, doc]) for doc, row in new)
        ordered = sorted(new, key=lambda one: -one[1]["score"])
        assert [row["rank"] for _, row in ordered] == list(range(1, 31))
        bound = least[query] - 0.1 * abs(least[query])
        known = {doc for asked, doc, _ in judged if asked == query}
        hardest = [doc for doc, row in ordered if doc not in known and row["score"] < bound][:3]
        assert [row["doc_id"] for row in out.get(query, [])] == hardest
    assert set(found["languages"]["en"]["median_ranks"]) == {"rerank", "bm25", "lsa"}
    assert cli("verify", tmp_path / "out")[0] == 0
    assert str(tmp_path) not in (tmp_path / "out" / "recipe.yaml").read_text("utf-8")


def test_a_pair_without_a_score_is_no_candidate(base: Path, tmp_path: Path) -> None:
    said = {pair: score for pair, score in scores().items() if int(pair[1]) % 2}
    mine(tmp_path, base / "set", f"rerank.file={written(tmp_path / 's.tsv', said)}")
    assert {int(row["doc_id"]) % 2 for some in negatives(tmp_path / "out").values() for row in some} == {1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("query_id\tdoc_id\tscore\n00\t1\tnan\n", "not a number"),
        ("query_id\tdoc_id\tscore\n00\t1\t1\n00\t1\t2\n", "several rows"),
        ("query\tdoc_id\tscore\n00\t1\t1\n", "no column query_id"),
        ("query_id\tdoc_id\tscore\n00\t1\tmuch\n", "cannot be read as scores"),
    ],
)
def test_a_file_that_is_none_is_one_line(base: Path, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "s.tsv").write_text(text, "utf-8")
    with pytest.raises(SourceError, match=said):
        mine(tmp_path, base / "set", f"rerank.file={tmp_path / 's.tsv'}")


def test_what_cannot_rerank(base: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="a model or a file"):
        mine(tmp_path, base / "set", "rerank.depth=5")
    with pytest.raises(DsbuildError, match="no such file"):
        mine(tmp_path, base / "set", f"rerank.file={tmp_path / 'none'}")
    (tmp_path / "bare").mkdir()
    with pytest.raises(EngineError, match="no weights"):
        mine(tmp_path, base / "set", f"rerank.model={tmp_path / 'bare'}")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("model")
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *sorted({w for doc in made()[0].values() for w in doc["text"].split()}),
    ]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
        model_max_length=64,
    )  # fmt: skip
    torch.manual_seed(3)
    config = BertConfig(vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                        max_position_embeddings=64, num_labels=1)  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore")
def test_a_cross_encoder_scores_pairs_as_it_does_alone(base: Path, tmp_path: Path, model: Path) -> None:
    from sentence_transformers import CrossEncoder

    mine(tmp_path, base / "set", f"rerank.model={model}", "rerank.depth=10", "rerank.device=cpu", retriever="bm25")
    docs, queries, _ = made()
    found = [row for row in rows(tmp_path / "out", "en-candidates/*") if row["retriever"] == "rerank"]
    assert len(found) == 10 * len(queries)
    alone: Any = CrossEncoder(str(model), device="cpu", local_files_only=True)
    wanted = alone.predict([(queries[row["query_id"]], docs[row["doc_id"]]["text"]) for row in found])
    assert [row["score"] for row in found] == pytest.approx(wanted.tolist(), abs=1e-4)
