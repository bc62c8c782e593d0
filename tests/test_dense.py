from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dsbuild.builders.retrieval.dense import Dense
from dsbuild.builders.retrieval.retriever import Collection, open_retrievers
from dsbuild.errors import EngineError, MissingExtra, RecipeError, SourceError, UnknownName

WORDS = "[UNK] query passage cat dog mat sun moon star sea ship sail".split()


def collection(*rows: str) -> Collection:
    ids = [f"{number:03d}" for number in range(len(rows))]
    return Collection(pa.array(ids, pa.large_string()), pa.array(rows, pa.large_string()), "en")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of a table of word vectors, as sentence-transformers saves it."""
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.models import StaticEmbedding
        from tokenizers import Tokenizer, models, pre_tokenizers

        tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        weights = np.random.default_rng(0).standard_normal((len(WORDS), 8)).astype(np.float32)
        made = SentenceTransformer(
            modules=[StaticEmbedding(tokenizer, embedding_weights=weights)],
            prompts={"query": "query ", "document": "passage ", "other": "sun "}, device="cpu",
        )  # fmt: skip
        folder = tmp_path_factory.mktemp("models") / "tiny"
        made.save(str(folder), create_model_card=False)
    return folder


def vector(model: Path, text: str) -> np.ndarray:
    """The vector of a text by the table alone."""
    from safetensors.numpy import load_file

    (weights,) = load_file(model / "model.safetensors").values()
    found = np.mean([weights[WORDS.index(word)] for word in text.split()], axis=0)
    return found / np.linalg.norm(found)


def test_cosine_with_the_prompts_of_the_model(model: Path, tmp_path: Path) -> None:
    texts, queries = ["cat mat", "ship sea sail", "moon star"], ["sea", "cat dog"]
    (made,) = open_retrievers(f"dense:{model}", {"dense": {"device": "cpu"}})
    assert made.name == "dense:tiny"
    assert not made.deterministic
    made.index(collection(*texts), tmp_path)
    rows, scores = made.search(collection(*queries), 3)
    wanted = np.array(
        [[vector(model, f"query {query}") @ vector(model, f"passage {text}") for text in texts] for query in queries]
    )
    assert rows.tolist() == np.argsort(-wanted, axis=1).tolist()
    np.testing.assert_allclose(scores, -np.sort(-wanted, axis=1), atol=1e-5)
    made.close()


def test_prompts_by_name_and_by_text(model: Path, tmp_path: Path) -> None:
    made = Dense(path=str(model), query_prompt_name="other", passage_prompt="moon ", device="cpu")
    assert (made.prompt("query"), made.prompt("passage")) == ("sun ", "moon ")
    made.index(collection("cat"), tmp_path)
    _, scores = made.search(collection("dog"), 1)
    assert scores[0, 0] == pytest.approx(float(vector(model, "sun dog") @ vector(model, "moon cat")), abs=1e-5)
    with pytest.raises(UnknownName, match="Did you mean 'query'"):
        Dense(path=str(model), query_prompt_name="qury").fingerprint()
    with pytest.raises(RecipeError, match="not both"):
        Dense(path=str(model), query_prompt_name="query", query_prompt="x").fingerprint()


def test_the_fingerprint_follows_the_weights_and_no_path(model: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "renamed"
    shutil.copytree(model, copy)
    (copy / "README.md").write_text("words about it")
    said = Dense(path=str(model)).fingerprint()
    assert Dense(path=str(copy)).fingerprint() == said
    assert str(model) not in json.dumps(said)
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "model.safetensors").write_bytes(bytes(data))
    assert Dense(path=str(copy)).fingerprint() != said


def test_vectors_are_kept_for_the_next_run(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def once() -> tuple[Any, int]:
        made = Dense(path=str(model), device="cpu")
        made.keep_in(tmp_path / "kept")
        calls = 0
        encode = made._load().encode

        def counted(*args: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            return encode(*args, **options)

        monkeypatch.setattr(made._load(), "encode", counted)
        made.index(collection("cat mat", "sea"), tmp_path)
        found = made.search(collection("dog"), 2)
        made.close()
        return found, calls

    first, second = once(), once()
    assert (first[1], second[1]) == (2, 0)
    assert np.array_equal(first[0][1], second[0][1])


def test_vectors_that_are_nan_are_named(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Dense(path=str(model), device="cpu")
    bad = lambda texts, **_: np.array([[np.nan if "sea" in text else 1.0] * 8 for text in texts], np.float32)  # noqa: E731
    monkeypatch.setattr(made._load(), "encode", bad)
    with pytest.raises(SourceError, match=r"document '001'.*NaN"):
        made.index(collection("cat", "sea"), tmp_path)


def test_what_is_no_model_is_one_line(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match="no weights"):
        Dense(path=str(tmp_path)).fingerprint()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EngineError, match="name the folder of a model"):
        Dense(path="no/such/model/anywhere").fingerprint()
    with pytest.raises(UnknownName, match="similarity"):
        Dense(path=str(model), similarity="euclid")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'dsbuild\[dense\]'"):
        Dense(path=str(model)).index(collection("cat"), tmp_path)
