"""The NLI model behind the entailment scorer, on a tiny one that is made on the spot."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsbuild.errors import EngineError, UnknownName
from dsbuild.filters.entailment import Entailment
from dsbuild.filters.nli_model import NliModel, weights_digest

pytest.importorskip("transformers", reason="transformers is not installed")

WORDS = "ada winter was born in larchmont and studied law the river floods each spring . , {letters}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers with random weights, 32 positions and the labels of NLI."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    path = tmp_path_factory.mktemp("nli")
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *dict.fromkeys(WORDS.split()),
        *"abcdefghijklmnopqrstuvwxyz",
    ]
    (path / "vocab.txt").write_text("\n".join(pieces), "utf-8")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=34,
        num_labels=3, id2label={0: "contradiction", 1: "neutral", 2: "ENTAILMENT"}, label2id={"contradiction": 0, "neutral": 1, "ENTAILMENT": 2},
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(path)
    BertTokenizerFast(vocab_file=str(path / "vocab.txt"), model_max_length=34).save_pretrained(path)
    return path


def test_probabilities_do_not_depend_on_the_batch(folder: Path) -> None:
    model = NliModel(str(folder))
    premises = ["Ada Winter was born in Larchmont.", "The river floods each spring.", "Law."] * 10
    hypotheses = ["Ada Winter born in Larchmont."] * 30
    together = model.entailed(premises, hypotheses, ["en"] * 30)
    alone = [model.entailed([one], [other], ["en"])[0] for one, other in zip(premises, hypotheses, strict=True)]
    assert together == pytest.approx(alone, abs=1e-5)
    assert all(0 < value < 1 for value in together)


def test_a_long_text_is_read_in_parts_to_its_end(folder: Path) -> None:
    model = NliModel(str(folder))
    sentence = "Ada Winter was born in Larchmont. "
    parts = model._parts(sentence * 20 + "The river floods.", "Ada born.", "en")
    assert len(parts) > 3
    assert parts[-1].endswith("The river floods.")
    assert all(model._fits(part, "Ada born.") for part in parts)
    (value,) = model.entailed([sentence * 20 + "The river floods."], ["Ada born."], ["en"])
    assert value == pytest.approx(max(model.entailed(parts, ["Ada born."] * len(parts), ["en"] * len(parts))), abs=1e-5)
    unbroken = model._parts("law " * 200, "Ada born.", "en")
    assert "".join(unbroken).replace(" ", "") == "law" * 200


def test_the_scorer_knows_its_model_by_content(folder: Path) -> None:
    scorer = Entailment(model=str(folder))
    assert scorer.weights == weights_digest(str(folder))
    assert scorer == Entailment(model=f"{folder}/")
    assert (
        scorer.scores([("Ada", "born in", "Larchmont", "Ada was born."), ("Ada", None, "x", "y")], ["en", "en"])[1]
        is None
    )


def test_wrong_models_and_labels(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="neutral"):
        NliModel(str(folder), "supported")
    with pytest.raises(EngineError, match="no model in that folder"):
        weights_digest(str(tmp_path))
    (tmp_path / "config.json").write_text("{}", "utf-8")
    with pytest.raises(EngineError, match="cannot be loaded"):
        NliModel(str(tmp_path))
