"""How each model family is told the languages, and how its tokens are made and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dsbuild.engine import Output, Request
from dsbuild.errors import EngineError, RecipeError
from dsbuild.translate.ctranslate2 import CTranslate2Engine
from dsbuild.translate.model_folder import read_header
from tests.tiny_models import pieces, train_spm, write_model

ARABIC = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "models" / "ctranslate2_aren-transliteration"


@pytest.fixture(scope="module")
def spm() -> bytes:
    return train_spm()


def translate(engine: CTranslate2Engine, *texts: str) -> list[Output]:
    ((_, outputs),) = engine.translate_batches([[Request(text, "en", "hi") for text in texts]])
    return outputs


def test_m2m100_codes(tmp_path: Path, spm: bytes) -> None:
    folder = write_model(tmp_path / "m2m", ["<s>", "<pad>", "</s>", "<unk>", *pieces(spm), "__en__", "__hi__"])
    (folder / "spm.model").write_bytes(spm)
    with CTranslate2Engine(str(folder), compute_type="float32", workers=1) as made:
        assert made.fingerprint()["family"] == "m2m100"
        encoded = made._tokenizer.encode("the sea", "en", "hi")
        assert [encoded.tokens[0], encoded.tokens[-1], encoded.prefix] == ["__en__", "</s>", ["__hi__"]]
        made.check("en", ["hi"])
        with pytest.raises(EngineError, match="no __ta__ in its vocabulary"):
            made.check("en", ["ta"])
        assert translate(made, "the sea")[0].n_src_tokens == made.count_tokens(["the sea"], "en")[0]


@pytest.mark.parametrize("known_to_spm", [True, False])
def test_madlad_tags(tmp_path: Path, known_to_spm: bool) -> None:
    tags = ["<2hi>", "<2en>", "<2iw>"]
    model = train_spm(user_defined_symbols=tags) if known_to_spm else train_spm()
    folder = write_model(tmp_path / "madlad", ["<unk>", "</s>", *dict.fromkeys([*pieces(model), *tags])])
    (folder / "spiece.model").write_bytes(model)
    with CTranslate2Engine(str(folder), compute_type="float32", workers=1) as made:
        assert made.fingerprint()["family"] == "madlad"
        encoded = made._tokenizer.encode("the sea <2en>", "en", "hi")
        assert "<2hi>" in encoded.tokens[:2]
        assert "<2en>" not in encoded.tokens
        assert encoded.tokens[-1] == "</s>"
        assert encoded.prefix == []
        assert made.count_tokens(["the sea <2en>"], "en") == [encoded.n_tokens]
        made.check("en", ["he"])
        with pytest.raises(EngineError, match="no <2ta> in its vocabulary"):
            made.check("en", ["ta"])
        assert translate(made, "the sea")[0].finish in ("stop", "length")


def marian(folder: Path, spm: bytes, *tags: str, **options: Any) -> Path:
    write_model(folder, ["</s>", "<unk>", *pieces(spm), *tags], **options)
    (folder / "source.spm").write_bytes(spm)
    (folder / "target.spm").write_bytes(spm)
    return folder


def test_marian_of_one_pair_by_its_name(tmp_path: Path, spm: bytes) -> None:
    with CTranslate2Engine(str(marian(tmp_path / "opus-mt-en-hi", spm)), compute_type="float32", workers=1) as made:
        made.check("en", ["hi"])
        encoded = made._tokenizer.encode("the sea", "en", "hi")
        assert encoded.tokens[-1] == "</s>"
        assert encoded.prefix == []
        assert made.count_tokens(["the sea"], "en") == [len(encoded.tokens)]
        assert translate(made, "the sea")[0].n_src_tokens == len(encoded.tokens)
        with pytest.raises(EngineError, match="this model translates en-hi, not en-ta"):
            made.check("en", ["hi", "ta"])


def test_marian_of_one_pair_that_does_not_say_it(tmp_path: Path, spm: bytes) -> None:
    folder = marian(tmp_path / "model", spm)
    with CTranslate2Engine(str(folder)) as made, pytest.raises(EngineError, match=r"--set engine\.pair=en-hi"):
        made.check("en", ["hi"])
    with CTranslate2Engine(str(folder), pair="en-hi") as made:
        made.check("en", ["hi"])
    with CTranslate2Engine(str(folder), pair="english") as made, pytest.raises(RecipeError, match=r"engine\.pair"):
        made.check("en", ["hi"])


def test_marian_of_several_targets(tmp_path: Path, spm: bytes) -> None:
    with CTranslate2Engine(str(marian(tmp_path / "en-mul", spm, ">>hin<<", ">>tam<<", ">>cmn_Hans<<"))) as made:
        made.check("en", ["hi", "ta", "zh-Hans"])
        encoded = made._tokenizer.encode("the sea", "en", "hi")
        assert encoded.tokens[0] == ">>hin<<"
        assert made.count_tokens(["the sea"], "en") == [len(encoded.tokens)]
        with pytest.raises(EngineError, match="does not know mr"):
            made.check("en", ["mr"])
        with pytest.raises(EngineError, match="does not know zh-Hant"):
            made.check("en", ["zh-Hant"])


def test_the_end_token_is_added_once(tmp_path: Path, spm: bytes) -> None:
    with CTranslate2Engine(str(marian(tmp_path / "opus-mt-en-hi", spm, add_source_eos=True))) as made:
        encoded = made._tokenizer.encode("the sea", "en", "hi")
        assert encoded.tokens[-1] != "</s>"
        assert encoded.n_tokens == len(encoded.tokens) + 1
        assert made.count_tokens(["the sea"], "en") == [encoded.n_tokens]


@pytest.mark.skipif(not ARABIC.is_dir(), reason=f"no {ARABIC.name} beside the project")
def test_a_real_model_of_characters() -> None:
    with CTranslate2Engine(
        str(ARABIC), tokenizer="chars", pair="ar-en", compute_type="float32", beam=2, workers=2
    ) as made:
        made.check("ar", ["en"])
        assert made.terms().license == ""
        work = [[Request("آتزمون", "ar", "en"), Request("شيكاغو", "ar", "en")], [Request("كوكا", "ar", "en", 1)]]
        outputs = dict(made.translate_batches(work))
        assert [output.text for output in outputs[0]] == ["atzmon", "shikago"]
        assert outputs[0][0].score == pytest.approx(-0.1517, abs=1e-3)
        assert [output.n_tgt_tokens for output in outputs[0]] == [7, 8]
        assert all(output.finish == "stop" and output.n_unknown == 0 for output in [*outputs[0], *outputs[1]])
        assert made.count_tokens(["آتزمون"], "ar") == [6]
        assert made.capabilities.max_tokens is None
    with pytest.raises(EngineError, match=r"--set engine\.tokenizer=spm"):
        CTranslate2Engine(str(ARABIC), pair="ar-en")
    assert read_header(ARABIC / "model.bin").version == 2
