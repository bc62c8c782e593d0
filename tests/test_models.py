"""The model store: the table, finding, fetching, converting; and parity with transformers."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from dsbuild.engine import Request
from dsbuild.errors import EngineError, MissingExtra, RecipeError, UnknownName
from dsbuild.translate import fetching, models
from dsbuild.translate.ctranslate2 import CTranslate2Engine
from dsbuild.translate.model_folder import FAMILIES
from tests.tiny_models import SENTENCES, pieces, train_spm, write_model, write_nllb

needs_transformers = pytest.mark.skipif(
    not (importlib.util.find_spec("torch") and importlib.util.find_spec("transformers")),
    reason="the extra [convert] (torch, transformers) is not installed",
)


# --- the table


def test_the_table_is_complete() -> None:
    assert len({row.id for row in models.known()}) == len(models.known())
    for row in models.known():
        assert row.family in FAMILIES
        assert row.license
        assert row.form in ("checkpoint", "folder")
        assert row.size_gb > 0
    assert models.lookup(models.DEFAULT) is not None
    assert models.lookup("Helsinki-NLP/opus-mt-en-hi") is not None
    assert models.lookup("me/mine") is None


@pytest.mark.parametrize(
    ("model", "src", "tgt", "serves"),
    [
        ("facebook/nllb-200-distilled-600M", "en", "mr", True),
        ("facebook/m2m100_418M", "en", "mr", True),
        ("facebook/m2m100_418M", "en", "te", False),
        ("ai4bharat/indictrans2-en-indic-1B", "en", "ta", True),
        ("ai4bharat/indictrans2-en-indic-1B", "ta", "en", False),
        ("ai4bharat/indictrans2-indic-indic-1B", "hi", "ta", True),
        ("ai4bharat/indictrans2-en-indic-1B", "en", "es", False),
        ("Helsinki-NLP/opus-mt-en-hi", "en", "hi", True),
        ("Helsinki-NLP/opus-mt-en-mr", "en", "mr", False),
        ("google/madlad400-3b-mt", "en", "hi", True),
    ],
)
def test_which_model_serves_which_pair(model: str, src: str, tgt: str, serves: bool) -> None:
    row = models.lookup(model)
    assert row is not None
    assert row.serves(src, tgt) is serves


def test_recommendations_name_the_made_for_and_the_freer() -> None:
    found = models.recommend("en", ["hi", "mr", "es"])
    assert [entry.id for entry in found] == [
        "ai4bharat/indictrans2-en-indic-1B",
        "Helsinki-NLP/opus-mt-en-hi",
        "Helsinki-NLP/opus-mt-en-es",
        "facebook/m2m100_418M",
        "facebook/m2m100_1.2B",
        "google/madlad400-3b-mt",
    ]
    assert found[0].tgts == ("hi", "mr")
    assert found[0].license == "MIT"
    assert [entry.id for entry in models.recommend("en", ["hi"], "facebook/m2m100_418M")] == [
        "ai4bharat/indictrans2-en-indic-1B"
    ]
    assert models.recommend("en", ["hi"], "ai4bharat/indictrans2-en-indic-1B") == []


# --- the store


def test_find_and_list(tmp_path: Path) -> None:
    spm = train_spm()
    folder = write_nllb(tmp_path / "facebook--nllb-200-distilled-600M", spm)
    write_model(tmp_path / "broken--model", ["<s>", "</s>", "<unk>"])
    (tmp_path / "broken--model" / "model.bin").write_bytes(b"?")
    assert models.find(models.DEFAULT, tmp_path) == folder
    assert models.find(str(folder)) == folder
    (row,) = models.stored(tmp_path)
    assert (row.id, row.family, row.license) == (models.DEFAULT, "nllb", "CC-BY-NC-4.0")
    assert row.size_bytes == sum(file.stat().st_size for file in folder.iterdir())
    assert models.stored(tmp_path / "none") == []
    facts = models.show(models.DEFAULT, tmp_path).facts
    assert facts["folder"] == str(folder)
    assert len(facts["sha256"]) == 64


def test_the_store_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert models.store_folder() == tmp_path / "dsbuild" / "models"
    assert models.store_folder("here") == Path("here")


def test_what_is_not_there_is_named_with_what_gets_it(tmp_path: Path) -> None:
    for model, match in (
        ("facebook/m2m100_418M", "run `dsbuild models convert facebook/m2m100_418M`"),
        ("ai4bharat/indictrans2-en-indic-1B", "ready CTranslate2 folder"),
        ("../etc/passwd/x", "no such model folder"),
        ("some folder", "no such model folder"),
    ):
        with pytest.raises(EngineError, match=match) as caught:
            models.find(model, tmp_path)
        assert "\n" not in str(caught.value)
    described = models.show("facebook/m2m100_418M", tmp_path)
    assert described.facts["license"] == "MIT"
    assert "models convert" in described.todo
    with pytest.raises(UnknownName, match="Did you mean 'facebook/m2m100_418M'"):
        models.show("facebook/m2m100_418", tmp_path)


def test_pull_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EngineError, match=r"cannot fetch facebook/m2m100_418M .* pass --model DIR") as caught:
        fetching.pull("facebook/m2m100_418M", models_dir=tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RecipeError, match="is not a Hub id"):
        fetching.pull("../../x", models_dir=tmp_path)


def test_convert_refuses_indictrans2_by_name(tmp_path: Path) -> None:
    for model in ("ai4bharat/indictrans2-en-indic-dist-200M", "ai4bharat/IndicTrans2-indic-en-1B"):
        with pytest.raises(EngineError, match=r"its own code.*model\.SRC and vocab/model\.TGT"):
            fetching.convert(model, models_dir=tmp_path)


def test_convert_names_the_missing_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fetching, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"pip install 'dsbuild\[convert\]'"):
        fetching.convert("facebook/m2m100_418M", models_dir=tmp_path)


# --- conversion


def sharpen(model: Any, factor: float, seed: int) -> None:
    """Larger random weights, so that the outputs of an untrained model differ from text to text."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.dim() > 1:
                weights.copy_(torch.randn(weights.shape, generator=generator) * factor / weights.shape[-1] ** 0.5)
            elif "bias" in name:
                weights.copy_(torch.randn(weights.shape, generator=generator) * 0.1)


@pytest.fixture(scope="module")
def m2m100(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the M2M100 shape with its own tokenizer, small enough to be made here."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer

    folder = tmp_path_factory.mktemp("checkpoints") / "m2m100_tiny"
    folder.mkdir()
    spm = train_spm()
    (folder / "sentencepiece.bpe.model").write_bytes(spm)
    vocabulary = {token: number for number, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *pieces(spm)])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model"))
    tokenizer.save_pretrained(folder)
    config = M2M100Config(
        vocab_size=len(vocabulary) + len(tokenizer.lang_token_to_id) + 8,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=128,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=2,
        scale_embedding=True,
    )
    model = M2M100ForConditionalGeneration(config).eval()
    sharpen(model, 4.0, seed=2)
    embeddings = model.model.shared.weight.data  # tied with the output: some texts must end, and codes not be said
    embeddings[2] *= 3
    embeddings[len(vocabulary) :] *= 0.2
    model.save_pretrained(folder)
    return folder


@needs_transformers
def test_greedy_output_equals_that_of_transformers(m2m100: Path, tmp_path: Path) -> None:
    import torch
    from transformers import M2M100ForConditionalGeneration, M2M100Tokenizer

    folder = fetching.convert(str(m2m100), quantization="float32", models_dir=tmp_path)
    assert folder == tmp_path / "local--m2m100_tiny"
    tokenizer = M2M100Tokenizer.from_pretrained(m2m100)
    tokenizer.src_lang = "en"
    reference = M2M100ForConditionalGeneration.from_pretrained(m2m100).eval()
    texts = [*SENTENCES, " ".join(SENTENCES[:3]), "a", "the red bridge"]
    expected = []
    with CTranslate2Engine(str(folder), compute_type="float32", workers=2, max_ratio=0.3, max_extra=20) as engine:
        for text in texts:
            ids = tokenizer(text, return_tensors="pt")
            n_tokens = ids["input_ids"].shape[1]
            with torch.no_grad():
                out = reference.generate(
                    **ids,
                    forced_bos_token_id=tokenizer.get_lang_id("hi"),
                    num_beams=1,
                    do_sample=False,
                    max_new_tokens=int(0.3 * n_tokens) + 21,
                    return_dict_in_generate=True,
                    output_logits=True,
                )
            tokens = out.sequences[0, 2:].tolist()  # after the start token and the language
            logs = [
                torch.log_softmax(step[0].float(), -1)[token].item()
                for step, token in zip(out.logits[1:], tokens, strict=True)
            ]
            complete = tokens[-1] == 2
            said = tokenizer.convert_ids_to_tokens(tokens[: len(tokens) - complete])
            text_out = engine._tokenizer.decode(said, engine._tokenizer.encode(text, "en", "hi")).text
            expected.append(
                (
                    text_out,
                    "stop" if complete else "length",
                    n_tokens,
                    len(tokens),
                    sum(logs) / len(logs) if complete else None,
                )
            )
        batches = [[Request(text, "en", "hi") for text in texts[:5]], [Request(text, "en", "hi") for text in texts[5:]]]
        answers = dict(engine.translate_batches(batches))
        got = [*answers[0], *answers[1]]
        assert engine.count_tokens(texts, "en") == [row[2] for row in expected]
        engine.check("en", ["hi", "ta"])
    for output, (text_out, finish, n_source, n_target, score) in zip(got, expected, strict=True):
        assert (output.text, output.n_src_tokens, output.n_tgt_tokens) == (text_out, n_source, n_target)
        assert output.finish == finish
        assert output.score == (pytest.approx(score, abs=1e-4) if score is not None else None)
    assert len({output.text for output in got}) > len(texts) // 2, (
        "the model says the same of everything: parity would prove nothing"
    )
    assert {output.finish for output in got} == {"stop", "length"}


@needs_transformers
def test_convert_writes_a_note_and_does_not_overwrite(m2m100: Path, tmp_path: Path) -> None:
    folder = fetching.convert(str(m2m100), out=tmp_path / "out")
    note = json.loads((folder / "dsbuild-model.json").read_text())
    assert note == {"quantization": "int8", "source": "m2m100_tiny"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with CTranslate2Engine(str(folder), workers=1) as engine:
        assert engine.fingerprint()["family"] == "m2m100"
        assert len(dict(engine.translate_batches([[Request("the sea", "en", "hi")]]))[0]) == 1
    with pytest.raises(EngineError, match="exists already"):
        fetching.convert(str(m2m100), out=tmp_path / "out")
    with pytest.raises(EngineError, match="a CTranslate2 folder already"):
        fetching.convert(str(folder), out=tmp_path / "again")
    with pytest.raises(RecipeError, match="quantization 'int3'"):
        fetching.convert(str(m2m100), out=tmp_path / "again", quantization="int3")
    assert not (tmp_path / "again").exists()


@needs_transformers
@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
def test_marian_from_a_checkpoint(tmp_path: Path) -> None:
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    def checkpoint(name: str, *, pad_last: bool) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        spm = train_spm()
        for side in ("source.spm", "target.spm"):
            (folder / side).write_bytes(spm)
        tokens = ["</s>", "<unk>", *pieces(spm)]
        tokens = [*tokens, "<pad>"] if pad_last else ["<pad>", *tokens]
        vocabulary = {token: number for number, token in enumerate(tokens)}
        (folder / "vocab.json").write_text(json.dumps(vocabulary))
        MarianTokenizer(
            str(folder / "source.spm"),
            str(folder / "target.spm"),
            str(folder / "vocab.json"),
            source_lang="en",
            target_lang="hi",
        ).save_pretrained(folder)
        pad = vocabulary["<pad>"]
        config = MarianConfig(
            vocab_size=len(tokens),
            d_model=32,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=64,
            pad_token_id=pad,
            eos_token_id=vocabulary["</s>"],
            decoder_start_token_id=pad,
            bos_token_id=None,
            forced_eos_token_id=vocabulary["</s>"],
            scale_embedding=True,
        )
        model = MarianMTModel(config).eval()
        sharpen(model, 1.5, seed=2)
        model.save_pretrained(folder)
        return folder

    folder = fetching.convert(str(checkpoint("opus-mt-en-hi", pad_last=True)), models_dir=tmp_path / "store")
    with CTranslate2Engine(str(folder), workers=1) as engine:
        assert engine.fingerprint()["family"] == "marian"
        assert engine.capabilities.max_tokens == 64
        engine.check("en", ["hi"])
        ((_, (output,)),) = engine.translate_batches([[Request(SENTENCES[0], "en", "hi")]])
        assert output.n_src_tokens == engine.count_tokens([SENTENCES[0]], "en")[0]
    with pytest.raises(EngineError, match="<pad> must be the last id"):
        fetching.convert(str(checkpoint("pad-first", pad_last=False)), models_dir=tmp_path / "store")


@needs_transformers
@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"model_type": "mbart"}, "mbart model; `models convert` takes"),
        ({"model_type": "IndicTrans"}, "the transformers form of IndicTrans2"),
        ({"model_type": "t5"}, "cannot convert this checkpoint|protobuf"),
        (None, "no config.json"),
    ],
)
def test_checkpoints_that_cannot_be_converted(tmp_path: Path, config: dict[str, str] | None, match: str) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises((EngineError, MissingExtra), match=match) as caught:
        fetching.convert(str(folder), out=tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.part").exists()
