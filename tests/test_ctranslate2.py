"""The CTranslate2 engine on small random models of every family."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsbuild.engine import Output, Request, TranslationEngine
from dsbuild.errors import EngineError, RecipeError
from dsbuild.host import HostedEngine
from dsbuild.translate import ENGINES
from dsbuild.translate.ctranslate2 import CTranslate2Engine
from dsbuild.translate.model_folder import ModelFolder
from tests.tiny_models import SENTENCES, pieces, train_spm, write_model, write_nllb

ARABIC = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "models" / "ctranslate2_aren-transliteration"


@pytest.fixture(scope="module")
def spm() -> bytes:
    return train_spm()


@pytest.fixture(scope="module")
def nllb(tmp_path_factory: pytest.TempPathFactory, spm: bytes) -> Path:
    return write_nllb(tmp_path_factory.mktemp("models") / "nllb", spm, seed=3, positions=64)


@pytest.fixture(scope="module")
def engine(nllb: Path) -> Iterator[CTranslate2Engine]:
    with CTranslate2Engine(str(nllb), compute_type="float32", workers=2) as made:
        yield made


def translate(engine: TranslationEngine, *texts: str, tgt: str = "hi", beam: int | None = None) -> list[Output]:
    ((_, outputs),) = engine.translate_batches([[Request(text, "en", tgt, beam) for text in texts]])
    return outputs


def bare(folder: Path) -> Any:
    import ctranslate2

    return ctranslate2.Translator(str(folder), device="cpu", compute_type="float32", intra_threads=1)


def test_it_keeps_the_protocol_and_is_registered(engine: CTranslate2Engine) -> None:
    assert isinstance(engine, TranslationEngine)
    assert ENGINES.get("ctranslate2") is CTranslate2Engine
    assert CTranslate2Engine.capabilities.isolated
    assert engine.capabilities.scores
    assert engine.capabilities.beams == (2, 4)
    assert engine.capabilities.max_tokens == 64


def test_source_and_prefix_are_those_of_the_family(engine: CTranslate2Engine) -> None:
    encoded = engine._tokenizer.encode(SENTENCES[0], "en", "hi")
    assert [encoded.tokens[0], encoded.tokens[-1], encoded.prefix] == ["eng_Latn", "</s>", ["hin_Deva"]]
    assert engine.count_tokens([SENTENCES[0], ""], "en") == [len(encoded.tokens), 2]
    assert encoded.n_tokens == len(encoded.tokens)


def test_a_score_is_the_mean_over_the_tokens_that_were_not_forced(engine: CTranslate2Engine, nllb: Path) -> None:
    translator = bare(nllb)
    for beam in (1, 3):
        for text, output in zip(SENTENCES[:3], translate(engine, *SENTENCES[:3], beam=beam), strict=True):
            assert output.finish == "stop"
            encoded = engine._tokenizer.encode(text, "en", "hi")
            hypothesis = translator.translate_batch(
                [encoded.tokens],
                [encoded.prefix],
                beam_size=beam,
                max_decoding_length=60,
                max_input_length=0,
            )[0].hypotheses[0]
            logs = translator.score_batch([encoded.tokens], [hypothesis], offset=1)[0].log_probs
            assert output.score == pytest.approx(sum(logs) / len(logs), abs=1e-4)
            assert output.n_tgt_tokens == len(logs)
            assert output.n_src_tokens == len(encoded.tokens)


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0])
def test_a_score_does_not_depend_on_how_the_length_penalty_scales_it(nllb: Path, penalty: float) -> None:
    with CTranslate2Engine(str(nllb), compute_type="float32", workers=1, length_penalty=penalty) as made:
        (output,) = translate(made, SENTENCES[1])
    with CTranslate2Engine(str(nllb), compute_type="float32", workers=1) as usual:
        assert output.score == pytest.approx(translate(usual, SENTENCES[1])[0].score, abs=1e-5)


def test_an_output_depends_on_its_text_alone(engine: CTranslate2Engine) -> None:
    together = translate(engine, *SENTENCES[:4], SENTENCES[0] + " and " + SENTENCES[1])
    for text, output in zip(SENTENCES[:4], together, strict=False):
        (alone,) = translate(engine, text)
        assert (alone.text, alone.finish) == (output.text, output.finish)
        assert alone.score == pytest.approx(output.score, abs=1e-5)


def test_many_batches_each_with_its_beams_and_targets(engine: CTranslate2Engine) -> None:
    requests = [Request(text, "en", tgt, beam) for text in SENTENCES for tgt in ("hi", "ta") for beam in (None, 2)]
    work = [requests[start : start + 3] for start in range(0, len(requests), 3)]
    answers = dict(engine.translate_batches([*work, [], work[0]]))
    assert sorted(answers) == list(range(len(work) + 2))
    assert answers[len(work)] == []
    assert answers[len(work) + 1] == answers[0]
    assert [len(answers[index]) for index in range(len(work))] == [len(batch) for batch in work]
    assert len({output.text for index in range(len(work)) for output in answers[index]}) > 3


def test_an_output_without_an_end_is_said_to_be_cut(tmp_path: Path, spm: bytes) -> None:
    endless = write_nllb(tmp_path / "endless", spm, seed=1, eos_bias=-60.0)
    with CTranslate2Engine(str(endless), compute_type="float32", max_ratio=1.0, max_extra=3, workers=1) as made:
        (short, long) = translate(made, "the sea", SENTENCES[0])
        assert (short.finish, long.finish) == ("length", "length")
        assert short.n_tgt_tokens == made.count_tokens(["the sea"], "en")[0] + 3
        assert short.n_tgt_tokens < long.n_tgt_tokens
        assert "no end after" in short.error


def test_the_decoder_stays_within_its_positions(tmp_path: Path, spm: bytes) -> None:
    endless = write_nllb(tmp_path / "endless", spm, eos_bias=-60.0, positions=20)
    with CTranslate2Engine(str(endless), compute_type="float32", workers=1) as made:
        assert made.capabilities.max_tokens == 20
        assert translate(made, "the sea")[0].finish == "length"


def test_a_source_over_the_limit_is_refused_and_never_cut(nllb: Path) -> None:
    with CTranslate2Engine(str(nllb), compute_type="float32", max_tokens=8, workers=1) as made:
        n_tokens = made.count_tokens([SENTENCES[0]], "en")[0]
        (long, short) = translate(made, SENTENCES[0], "the sea")
        assert (long.finish, long.text) == ("length", "")
        assert long.error == f"length: {n_tokens} source tokens, the model takes 8"
        assert short.finish == "stop"


def test_blank_texts_need_no_model(engine: CTranslate2Engine) -> None:
    assert translate(engine, "", " \n", "the sea")[:2] == [Output(""), Output(" \n")]


def test_text_cannot_write_a_language_code(engine: CTranslate2Engine) -> None:
    encoded = engine._tokenizer.encode("eng_Latn hin_Deva </s> <unk>", "en", "ta")
    assert [token for token in encoded.tokens if token in ("eng_Latn", "hin_Deva", "</s>", "<unk>")] == [
        "eng_Latn",
        "</s>",
    ]


def test_unknown_characters_are_counted_and_copied_back(engine: CTranslate2Engine) -> None:
    tokenizer: Any = engine._tokenizer
    encoded = tokenizer.encode("the 🙂 sea", "en", "hi")
    assert encoded.unknown == ("🙂",)
    assert tokenizer.decode(["▁a", "<unk>", "▁a"], encoded).text == "a🙂 a"
    assert tokenizer.decode(["<unk>", "<unk>"], encoded).error == "unknown_tokens: 2 in the output, 1 in the source"


def test_directions_are_asserted_against_the_vocabulary(engine: CTranslate2Engine) -> None:
    engine.check("en", ["hi", "ta"])
    with pytest.raises(EngineError, match=r"this nllb model does not know mr \(no mar_Deva in its vocabulary\)"):
        engine.check("en", ["hi", "mr"])


def test_fingerprint_says_what_decides_the_output(nllb: Path, tmp_path: Path, spm: bytes) -> None:
    def fingerprint(folder: Path, **options: Any) -> dict[str, Any]:
        with CTranslate2Engine(str(folder), **options) as made:
            return made.fingerprint()

    same = write_nllb(tmp_path / "elsewhere", spm, seed=3, positions=64)
    other = write_nllb(tmp_path / "other", spm, seed=4, positions=64)
    first = fingerprint(nllb)
    assert fingerprint(same, workers=1) == first
    assert str(nllb.parent) not in json.dumps(first)
    assert fingerprint(other) != first
    assert fingerprint(nllb, beam=2) != first
    assert fingerprint(nllb, placeholder="<ID{n}>") != first
    assert fingerprint(nllb, pair="en-hi") != first
    assert fingerprint(nllb, compute_type="float32") != first


def test_a_model_that_is_written_anew_has_a_new_digest(tmp_path: Path, spm: bytes) -> None:
    folder = write_nllb(tmp_path / "m", spm, seed=1)
    before = ModelFolder(folder).digest()
    write_nllb(folder, spm, seed=2, eos_bias=3.0)
    assert ModelFolder(folder).digest() != before


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("beam", 0),
        ("beam", True),
        ("workers", -1),
        ("max_ratio", 0),
        ("device", "gpu"),
        ("device", "cpu:1"),
        ("compute_type", "int3"),
        ("beam", "2"),
    ],
)
def test_options_out_of_range_are_refused(nllb: Path, option: str, value: Any) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(RecipeError, match=f"engine.{option}"):
        CTranslate2Engine(str(nllb), **options)


def test_a_device_that_is_not_there(nllb: Path) -> None:
    import ctranslate2

    if ctranslate2.get_cuda_device_count():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(EngineError, match="CTranslate2 sees 0 CUDA devices here"):
        CTranslate2Engine(str(nllb), device="cuda:0")


def test_close_twice_and_use_again(nllb: Path) -> None:
    made = CTranslate2Engine(str(nllb), compute_type="float32", workers=1)
    first = translate(made, SENTENCES[0])
    made.close()
    made.close()
    assert translate(made, SENTENCES[0]) == first
    made.close()


def test_an_engine_that_nobody_closed_does_not_abort_at_exit(nllb: Path) -> None:
    code = f"""
import sys
sys.path[:0] = {sys.path!r}
from dsbuild.engine import Request
from dsbuild.translate.ctranslate2 import CTranslate2Engine
engine = CTranslate2Engine({str(nllb)!r}, compute_type="float32", workers=2)
print(len(dict(engine.translate_batches([[Request("the sea", "en", "hi")]] * 3))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


def test_hosted_in_a_child_it_answers_the_same(nllb: Path, engine: CTranslate2Engine) -> None:
    options = {"model": str(nllb), "compute_type": "float32", "workers": 2}
    with HostedEngine(ENGINES.target("ctranslate2"), options, timeout_s=60) as hosted:
        assert hosted.capabilities == engine.capabilities
        assert hosted.fingerprint() == engine.fingerprint()
        assert translate(hosted, *SENTENCES) == translate(engine, *SENTENCES)
        assert hosted.count_tokens(SENTENCES, "en") == engine.count_tokens(SENTENCES, "en")
        with pytest.raises(EngineError, match="no mar_Deva in its vocabulary"):
            hosted.check("en", ["mr"])


@pytest.mark.parametrize("placeholder", ["ID", "{n}{n}", "<{n}{x}>", "{{n}}"])
def test_a_placeholder_that_cannot_be_numbered_is_refused(nllb: Path, placeholder: str) -> None:
    with pytest.raises(RecipeError, match=r"engine.placeholder: .* must hold \{n\} once"):
        CTranslate2Engine(str(nllb), placeholder=placeholder)


# --- folders of the wrong kind


def refused(folder: Path | str, match: str, **options: Any) -> None:
    with pytest.raises(EngineError, match=match) as caught:
        CTranslate2Engine(str(folder), **options)
    assert "\n" not in str(caught.value)


def test_folders_of_the_wrong_kind(tmp_path: Path, spm: bytes, nllb: Path) -> None:
    refused(tmp_path / "nothing", "no such model folder")
    refused(tmp_path, r"no CTranslate2 model here \(no model.bin\)")
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text('{"model_type": "m2m_100"}')
    (checkpoint / "model.safetensors").write_bytes(b"")
    refused(checkpoint, r"a transformers checkpoint \(m2m_100\), .* run `dsbuild models convert")
    (checkpoint / "config.json").write_text('{"model_type": "IndicTrans"}')
    refused(checkpoint, "the transformers form of IndicTrans2")
    (checkpoint / "config.json").write_text("{")
    refused(checkpoint, "config.json: not valid JSON")
    lm = write_model(tmp_path / "lm", ["<s>", "</s>", "<unk>"], spec="TransformerDecoderSpec")
    refused(lm, "a language model")
    refused(
        nllb, "said to be of the marian family, but its files and vocabulary are of the nllb family", family="marian"
    )
    refused(nllb, "no model family 'bert'", family="bert")
    codes_only = write_model(tmp_path / "nospm", ["<s>", "</s>", "<unk>", "eng_Latn", "hin_Deva"])
    refused(codes_only, "nllb model without sentencepiece.bpe.model")
    (codes_only / "sentencepiece.bpe.model").write_bytes(b"not a model")
    refused(codes_only, "not a SentencePiece model")
    plain = write_model(tmp_path / "plain", ["<s>", "</s>", "<unk>", "a"])
    refused(plain, "say how its tokens are made")
    (plain / "shared_vocabulary.json").unlink()
    refused(plain, "without a source vocabulary")


def test_an_nllb_folder_without_language_codes(tmp_path: Path, spm: bytes) -> None:
    folder = write_model(tmp_path / "spm-only", ["<s>", "<pad>", "</s>", "<unk>", *pieces(spm)])
    (folder / "dsbuild-model.json").write_text('{"family": "nllb"}')
    refused(folder, "whose vocabulary has no language codes")


def test_a_damaged_model_file(tmp_path: Path, nllb: Path, spm: bytes) -> None:
    folder = write_nllb(tmp_path / "cut", spm)
    whole = (folder / "model.bin").read_bytes()
    (folder / "model.bin").write_bytes(whole[:-600])
    refused(folder, "cut short")
    (folder / "model.bin").write_bytes(b"PK\3\4 a zip file of PyTorch")
    refused(folder, "not a CTranslate2 model file")
    (folder / "model.bin").write_bytes(b"")
    refused(folder, "not a CTranslate2 model file")


def test_a_model_that_is_not_in_the_store(tmp_path: Path) -> None:
    refused(
        "",
        "nllb-200-distilled-600M is neither a folder nor in the model store .* --engine memory, apertium",
        models_dir=str(tmp_path),
    )


def test_terms_come_from_the_note_or_the_table(tmp_path: Path, spm: bytes) -> None:
    folder = write_nllb(tmp_path / "facebook--nllb-200-distilled-600M", spm)
    with CTranslate2Engine(models_dir=str(tmp_path)) as made:
        assert made.terms().license == "CC-BY-NC-4.0"
    (folder / "dsbuild-model.json").write_text('{"license": "MIT", "source": "me/mine", "family": "nllb"}')
    with CTranslate2Engine(models_dir=str(tmp_path)) as made:
        assert (made.terms().license, made.terms().source) == ("MIT", "me/mine")
        assert math.isfinite(float(made.fingerprint()["beam"] or 0))
