"""IndicTrans2: script unification, spacing, placeholders, and the whole way through a small model."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.engine import Request
from dsbuild.errors import EngineError
from dsbuild.translate.ctranslate2 import CTranslate2Engine
from dsbuild.translate.indic_script import from_devanagari, normalise, to_devanagari
from dsbuild.translate.indictrans2 import CODES, finish, hold, prepare, release
from dsbuild.translate.word_spacing import join_english, join_indic, plain_punctuation, space_english, space_indic
from tests.tiny_models import pieces, train_spm, write_model

# --- scripts


@pytest.mark.parametrize(
    ("script", "text", "devanagari"),
    [
        ("Beng", "নদী আর সেতু।", "नदी आर सेतु।"),
        ("Guru", "ਨਦੀ ਅਤੇ ਪੁਲ", "नदी अते पुल"),
        ("Gujr", "નદી અને પુલ", "नदी अने पुल"),
        ("Orya", "ନଦୀ ଓ ପୋଲ", "नदी ओ पोल"),
        ("Taml", "நதி மற்றும் பாலம்", "नति मऱ्ऱुम् पालम्"),
        ("Telu", "నది మరియు వంతెన", "नदि मरियु वंतॆन"),
        ("Knda", "ನದಿ ಮತ್ತು ಸೇತುವೆ", "नदि मत्तु सेतुवॆ"),
        ("Mlym", "നദിയും പാലവും", "नदियुं पालवुं"),
        ("Deva", "नदी और पुल", "नदी और पुल"),
        ("Arab", "دریا اور پل", "دریا اور پل"),
        ("Olck", "ᱜᱟᱰᱟ", "ᱜᱟᱰᱟ"),
    ],
)
def test_every_script_goes_to_devanagari_and_back(script: str, text: str, devanagari: str) -> None:
    assert to_devanagari(text, script) == devanagari
    assert from_devanagari(devanagari, script) == text


def test_dandas_and_letters_outside_the_parallel_part_stay() -> None:
    assert to_devanagari("ৰাতি। ৱ॥", "Beng") == "ৰाति। ৱ॥"
    assert from_devanagari("एक। दो॥", "Telu") == "ఏక। దో॥"


def test_letters_that_tamil_lacks() -> None:
    assert from_devanagari("कखगघङ चछजझञ टठडढण तथदधन पफबभम शषसह", "Taml") == "ககககங சசஜசஞ டடடடண ததததந பபபபம ஷஷஸஹ"


@given(
    st.text(
        alphabet=[chr(0x0C00 + offset) for offset in range(0x70) if offset not in (0x64, 0x65)] + list("ab 1।"),
        max_size=30,
    )
)
def test_moving_there_and_back_loses_nothing(text: str) -> None:
    assert from_devanagari(to_devanagari(text, "Telu"), "Telu") == text


@pytest.mark.parametrize(
    ("script", "text", "normal"),
    [
        ("Deva", "क़लम \u0929 \u0931", "क\u093cलम \u0928\u093c \u0930\u093c"),
        ("Deva", "राम: | क्\u200dया", "रामः । क्या"),
        ("Deva", "समय : पाँच", "समय : पाँच"),
        ("Beng", "\u09c7\u09be \u09df", "\u09cb \u09af\u09bc"),
        ("Taml", "\u0b95\u0bc6\u0bbe", "\u0b95\u0bca"),
        ("Mlym", "അവന\u0d4d\u200d", "അവൻ"),
        ("Mlym", "ക\u0d46\u0d57", "ക\u0d4c"),
        ("Guru", "\u0a73\u0a41", "\u0a09"),
        ("Orya", "\u0b35", "\u0b2c"),
        ("Gujr", "એક\u0ae4", "એક।"),
        ("Arab", "ایک:\u200cدو", "ایک:دو"),
    ],
)
def test_normal_spelling(script: str, text: str, normal: str) -> None:
    assert normalise(text, script) == normal


# --- spacing


@pytest.mark.parametrize(
    ("text", "spaced"),
    [
        ("Hello, world!", "Hello , world !"),
        ("It doesn't cost $1,200.50 (net).", "It doesn 't cost $ 1,200.50 ( net ) ."),
        ("Dr. Rao met Mr. Das at 5 p.m. today.", "Dr. Rao met Mr. Das at 5 p.m. today ."),
        ("Wait... what?", "Wait ... what ?"),
        ('He said "yes" twice.', 'He said " yes " twice .'),
        ("a well-known road/path", "a well-known road / path"),
        ("the boys' books", "the boys ' books"),
    ],
)
def test_english_spacing(text: str, spaced: str) -> None:
    assert space_english(text) == spaced


@pytest.mark.parametrize(
    ("spaced", "text"),
    [
        ("Hello , world !", "Hello, world!"),
        ("It doesn 't cost $ 1,200.50 ( net ) .", "It doesn't cost $1,200.50 (net)."),
        ('He said " yes " twice .', 'He said "yes" twice.'),
        ("Wait ... what ?", "Wait... what?"),
    ],
)
def test_english_joining(spaced: str, text: str) -> None:
    assert join_english(spaced) == text


@pytest.mark.parametrize(
    ("text", "spaced"),
    [
        ("यह नदी है, और वह पुल।", "यह नदी है , और वह पुल ।"),
        ("तारीख 5/10/2020 को 10:30 बजे", "तारीख 5/10/2020 को 10:30 बजे"),
        ("(एक) दो!", "( एक ) दो !"),
    ],
)
def test_indic_spacing_and_joining(text: str, spaced: str) -> None:
    assert space_indic(text) == spaced
    assert join_indic(spaced) == text


def test_arabic_marks_are_separated() -> None:
    assert space_indic("کیا؟ ہاں۔", arabic=True) == "کیا ؟ ہاں ۔"


def test_punctuation_in_its_plain_form() -> None:
    assert plain_punctuation("“It’s”  5 % – so… «x»\n") == '"It\'s" 5% - so... "x"'


# --- placeholders


def test_what_is_held() -> None:
    text, held = hold(
        "Mail a.b@c.org or see https://x.org/p?q=1. On 5/10/2020 at 10:30, 3.14 and 50% of #tags; a.b@c.org"
    )
    assert text == "Mail <ID1> or see <ID2>. On <ID3> at <ID4>, 3.14 and 50% of <ID5>; <ID1>"
    assert held == (
        (1, "a.b@c.org"),
        (2, "https://x.org/p?q=1"),
        (3, "5/10/2020"),
        (4, "10:30"),
        (5, "#tags"),
        (1, "a.b@c.org"),
    )
    assert release(text, held).text.startswith("Mail a.b@c.org or see https://x.org/p?q=1. On 5/10/2020")


def test_a_short_match_does_not_rewrite_a_longer_one() -> None:
    source = "10:30 and 10:30:45 and http://x.org and http://x.org/10:30"
    text, held = hold(source)
    assert text == "<ID1> and <ID2> and <ID3> and <ID4>"
    assert release(text, held).text == source
    many = " ".join(f"#tag{number}" for number in range(12))
    text, held = hold(many)
    assert "<ID12>" in text
    assert release(text, held).text == many


def test_a_lost_or_repeated_placeholder_is_an_error() -> None:
    _, held = hold("at 10:30 see www.example.org")
    assert release("<ID1> <ID2>", held).error == ""
    assert release("<ID1>", held).error == "protected_lost: lost www.example.org"
    assert release("<ID1> <ID2> <ID1>", held).error == "protected_lost: repeated <ID1>"
    assert release("<ID1> <ID3>", held).error == "protected_lost: lost www.example.org; repeated <ID3>"


@pytest.mark.parametrize("written", ["<ID1>", "< ID1 >", "<ID 1>", "<आईडी1>", "< आई . डी . 1 >", "<id१>", "<آئی ڈی 1>"])
def test_placeholders_in_the_forms_that_models_return_them(written: str) -> None:
    assert release(f"x {written} y", ((1, "10:30"),)).text == "x 10:30 y"


def test_placeholders_of_the_caller_stay_and_are_counted() -> None:
    text, held = hold("see <ID1> at 10:30")
    assert text == "see <ID1> at <ID2>"
    assert release("<ID2> पर < ID1 >", held).text == "10:30 पर <ID1>"
    assert release("<ID2> पर", held).error == "protected_lost: lost <ID1>"


def test_odd_texts_end_soon() -> None:
    for text in ("1." * 4000, "a." * 4000, "http://" + "a." * 4000, "@" * 4000, "1 " * 4000, "a@" * 2000, "~1%" * 2000):
        hidden, held = hold(text)
        assert release(hidden, held).text == text


# --- the whole way


@pytest.mark.parametrize(
    ("code", "text", "prepared"),
    [
        ("eng_Latn", "The “old” bridge, built in 1/2/1901.", 'The " old " bridge , built in < ID1 > .'),
        ("hin_Deva", "पुल १९०१ में बना।", "पुल 1901 में बना ।"),
        ("tam_Taml", "பாலம், 1901.", "पालम् , 1901 ."),
        ("ben_Beng", "সেতু কোথায়?", "सेतु कोथाय\u093c ?"),
        ("mal_Mlym", "പാലം എവിടെ?", "पालं ऎविटॆ ?"),
        ("urd_Arab", "پل کہاں ہے؟", "پل کہاں ہے ؟"),
    ],
)
def test_prepared_sources(code: str, text: str, prepared: str) -> None:
    assert prepare(text, code).text == prepared


@pytest.mark.parametrize(
    ("code", "output", "finished"),
    [
        ("eng_Latn", "The bridge , built in < ID1 > .", "The bridge, built in 1/2/1901."),
        ("hin_Deva", "पुल , < ID1 > में बना ।", "पुल, 1/2/1901 में बना।"),
        ("tam_Taml", "पालम् < ID1 > इल् .", "பாலம் 1/2/1901 இல்."),
        ("tel_Telu", "वंतॆन ( < ID1 > ) ।", "వంతెన (1/2/1901)।"),
    ],
)
def test_finished_outputs(code: str, output: str, finished: str) -> None:
    decoded = finish(output, code, ((1, "1/2/1901"),))
    assert (decoded.text, decoded.error) == (finished, "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = train_spm()
    tags = ["eng_Latn", "hin_Deva", "tam_Taml"]
    source = ["<s>", "<pad>", "</s>", "<unk>", *tags, *pieces(model)]
    write_model(tmp_path / "en-indic" / "ct2", source, [*source[:4], *pieces(model)], add_source_eos=True)
    (tmp_path / "en-indic" / "vocab").mkdir()
    for name in ("model.SRC", "model.TGT"):
        (tmp_path / "en-indic" / "vocab" / name).write_bytes(model)
    return tmp_path / "en-indic" / "ct2"


def test_the_engine_finds_and_runs_it(folder: Path) -> None:
    with CTranslate2Engine(str(folder), compute_type="float32", workers=1) as engine:
        assert engine.fingerprint()["family"] == "indictrans2"
        assert engine.capabilities.placeholder == "<ID{n}>"
        assert engine.capabilities.max_tokens == 256
        engine.check("en", ["hi", "ta"])
        tokenizer = engine._tokenizer
        encoded = tokenizer.encode("the river at 10:30 eng_Latn", "en", "hi")
        assert encoded.tokens[:2] == ["eng_Latn", "hin_Deva"]
        assert encoded.tokens.count("eng_Latn") == 1
        assert "</s>" not in encoded.tokens
        assert (
            engine.count_tokens(["the river at 10:30 eng_Latn"], "en")
            == [encoded.n_tokens]
            == [len(encoded.tokens) + 1]
        )
        plain = [Request("the river", "en", "hi"), Request("the river", "en", "ta")]
        ((_, outputs),) = engine.translate_batches([[*plain, Request("the river at 10:30", "en", "hi")]])
        assert outputs[2].finish in ("error", "length")
        assert [output.n_src_tokens for output in outputs[:2]] == engine.count_tokens(["the river"] * 2, "en")


def test_directions_and_languages(folder: Path) -> None:
    with CTranslate2Engine(str(folder)) as engine:
        for src, tgt, match in (
            ("hi", "en", "this IndicTrans2 folder translates en-indic, not hi-en"),
            ("hi", "ta", "translates en-indic, not hi-ta"),
            ("en", "en", "not en-en"),
            ("en", "mr", "no tag mar_Deva"),
            ("en", "fr", "IndicTrans2 does not know fr"),
        ):
            with pytest.raises(EngineError, match=match):
                engine.check(src, [tgt])


def test_a_folder_without_model_tgt(folder: Path) -> None:
    (folder.parent / "vocab" / "model.TGT").unlink()
    with pytest.raises(EngineError, match=r"indictrans2 model without model\.TGT"):
        CTranslate2Engine(str(folder))


def test_codes_are_those_of_the_language_table() -> None:
    from dsbuild import languages

    assert all(languages.get(code).code == code for code in CODES)
    differ = {code for code, flores in CODES.items() if (languages.get(code).nllb or flores) != flores}
    assert differ <= {"sat"}, "NLLB writes Santali under another code"
