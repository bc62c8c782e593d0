"""Language identification, and the evidence for an expected language."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsbuild.errors import EngineError
from dsbuild.filters.language import MODEL, LanguageId, clean

HI = "यह किताब मैंने पिछले साल दिल्ली में खरीदी थी और अब तक नहीं पढ़ी है।"
MR = "हे पुस्तक मी मागच्या वर्षी पुण्यात विकत घेतले आणि अजून वाचले नाही आहे."
NE = "यो किताब मैले गएको वर्ष किनेको थिएँ तर अझै पढेको छैन।"
ES = "Compré este libro el año pasado en la ciudad y todavía no lo he leído."
CA = "Vaig comprar aquest llibre l'any passat a la ciutat i encara no l'he llegit amb els amics."
GL = "Merquei este libro o ano pasado na cidade e aínda non o lin coa miña irmá."
DA = "Jeg købte bogen sidste år, og nu har jeg endelig læst noget af den, men ikke meget."
NB = "Jeg kjøpte boken i fjor, og nå har jeg endelig lest noe av den, men ikke så mye."
EN = "I bought this book last year in the city and have not read it yet."
TEXTS = {"hi": HI, "mr": MR, "ne": NE, "es": ES, "ca": CA, "gl": GL, "da": DA, "nb": NB, "en": EN}


@pytest.fixture(scope="module")
def identify() -> LanguageId:
    pytest.importorskip("fasttext", reason="fastText is not installed")
    return LanguageId()


@pytest.mark.parametrize("code", sorted(TEXTS))
def test_the_right_language_is_believed(identify: LanguageId, code: str) -> None:
    (score,) = identify.evidence([TEXTS[code]], code, rivals=["en"]).to_pylist()
    assert score > 0.5


@pytest.mark.parametrize(
    ("expected", "given"),
    [
        ("hi", "mr"),
        ("mr", "hi"),
        ("hi", "ne"),
        ("es", "ca"),
        ("ca", "es"),
        ("gl", "es"),
        ("da", "nb"),
        ("nb", "da"),
        ("es", "en"),
        ("hi", "en"),
    ],
)
def test_a_neighbour_is_not(identify: LanguageId, expected: str, given: str) -> None:
    (score,) = identify.evidence([TEXTS[given]], expected, rivals=["en"]).to_pylist()
    assert score < 0.3


def test_it_abstains(identify: LanguageId) -> None:
    texts = ["", "123 ...", "no", "tres palabras aquí", "http://example.org/a/b/c/d"]
    assert identify.evidence(texts, "es").to_pylist() == [None] * 5
    assert identify.evidence(["x"] * 2, "yue").to_pylist() == [None, None]
    assert identify.evidence(["xx yy zz ww vv"], "kab").to_pylist() == [None], "neither labels nor words"


def test_scripts_that_one_language_has_need_no_model() -> None:
    identify = LanguageId(Path("there is no such model"))
    text = "இந்த புத்தகத்தை நான் கடந்த ஆண்டு வாங்கினேன்"
    assert identify.evidence([text, EN], "ta").to_pylist() == [1.0, 0.0]


def test_simplified_and_traditional(identify: LanguageId) -> None:
    simple, traditional = "这个国家的人们说话时总是问这样的问题", "這個國家的人們說話時總是問這樣的問題"
    one, two = identify.evidence([simple, traditional], "zh-Hans").to_pylist()
    assert one > 0.5 > two


def test_identify(identify: LanguageId) -> None:
    found = identify.identify([HI, EN, "la", "12 34", ""])
    assert [one.label for one in found] == ["hi", "en", "", "", ""]
    assert found[0].script == "Deva"
    assert found[0].agreement
    assert 0 <= found[0].margin <= found[0].score <= 1
    assert found[3].script == ""


def test_clean_strips_what_is_no_language() -> None:
    assert clean("See `x = 1` at https://a.b/c or mail me@x.org\n<b>now</b> 42").split() == [
        "See",
        "at",
        "or",
        "mail",
        "now",
    ]
    assert clean("a\ud800b\n1") == "a b"
    assert len(clean("word " * 10_000)) < 2_000


def test_wrong_models_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("fasttext", reason="fastText is not installed")
    wrong = tmp_path / "model.bin"
    wrong.write_bytes(b"this is not a model")
    with pytest.raises(EngineError, match="not a fastText model"):
        LanguageId(wrong).identify(["some words to look at"])
    assert MODEL.with_name("lid.176.LICENSE.md").is_file()
