"""Language identification, and the evidence for an expected language."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dsbuild import languages
from dsbuild.errors import EngineError
from dsbuild.filters import closed, label_model, subwords
from dsbuild.filters.language import MODEL, LanguageId, _sampled, clean
from dsbuild.filters.utf8 import encode
from dsbuild.text import words

DATA = Path(__file__).parents[2] / "shared" / "data" / "lid"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the language samples beside the project")

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


def test_what_the_model_gives_next_to_nothing_or_another_label_more_is_no_answer(identify: LanguageId) -> None:
    found = identify.identify(["abc def ghi jkl", "\u202eabc def ghi jkl", "abc def ghi jkl mno pqr"])
    assert [one.label for one in found] == ["", "", ""]
    assert all(one.score < 0.15 for one in found)


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


MAI = "ओ कहलनि जे ई पोथी हमरा लेल नहि अछि, एहि गाममे सभ लोक एकरा पढ़ैत छथि।"
BHO = "ऊ कहले कि ई किताब हमरा खातिर नइखे, ए गाँव में सभे लोग एकरा के पढ़ेला, बाकिर हमार भाई ना पढ़ले बाड़े।"
CLOSE = {
    "mai": MAI,
    "bho": BHO,
    "nn": "Eg veit ikkje kvifor ho ikkje vil kome heim, men me skal sjå korleis det går no.",
    "hr": "Tko je rekao da će vlak stići tijekom sljedećeg tjedna, a tvrtka nije ništa rekla o tome?",
    "sr-Latn": "Ko je rekao da će voz stići tokom sledeće nedelje, a dete je uvek ovde posle mleka?",
    "sk": "Povedal, že môže prísť až keď bude čas, pretože pred tým niečo ešte musí urobiť.",
    "ms": "Beliau berkata bahawa pejabat itu boleh dibuka kerana kereta mereka ialah milik syarikat daripada bandar.",
    "ceb": "Wala siya moadto didto tungod kay ang iyang mga anak dili gusto ug ako usab.",
    "fy": "Hy hat my sein dat it net mear kin, want wy hawwe gjin tiid foar dizze dingen.",
    "as": "তেওঁ ক'লে যে এই কিতাপখন মোৰ বাবে নহয়, কিন্তু তাৰ পৰা আমাৰ সকলোৱে পঢ়িব পাৰে আৰু হৈছে।",
    "gl": "Non sei onde están os meus amigos, pero aínda hai moita xente na rúa da cidade.",
}


@pytest.mark.parametrize("code", sorted(CLOSE))
def test_close_languages_are_told_apart(identify: LanguageId, code: str) -> None:
    (found,) = identify.identify([CLOSE[code]])
    assert found.label == code
    assert found.agreement
    assert 0 <= found.margin <= found.score <= 1.001


def test_short_texts_are_answered_only_where_nothing_else_can_be_meant(identify: LanguageId) -> None:
    sure = {"สวัสดีครับผม": "th", "வணக்கம் நண்பா": "ta", "καλημέρα": "el", "ありがとう": "ja", "안녕하세요": "ko"}
    assert [one.label for one in identify.identify(list(sure))] == list(sure.values())
    unsure = ["la casa", "Hotel Berlin", "नमस्ते", "привет мир", "ok", "الله", "木", "😀 !!", "de la"]
    assert [one.label for one in identify.identify(unsure)] == [""] * len(unsure)


def test_a_script_excludes_what_is_not_written_in_it(identify: LanguageId) -> None:
    serbian = "Ово је један дан када ће сви људи бити слободни и срећни у својој земљи."
    latin = "Ovo je jedan dan kada će svi ljudi biti slobodni i srećni u svojoj zemlji, posle svega."
    found = identify.identify([serbian, latin, "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ᎤᏂᏬᏂᏍᏗ ᎠᏂᏣᎳᎩ ᎤᏂ"])
    assert [one.label for one in found] == ["sr", "sr-Latn", ""]
    assert [one.script for one in found] == ["Cyrl", "Latn", "Cher"]


def test_strange_texts(identify: LanguageId) -> None:
    texts = ["", " ", "\x00\x01\x02", "a\ud800b " * 50, "\u200d" * 100, "x" * 5000, "𐀀" * 50, "é" * 3, HI + "\x07" + HI]
    found = identify.identify(texts)
    assert len(found) == len(texts)
    assert found[-1].label == "hi"
    assert identify.identify([]) == []
    assert identify.evidence([], "hi").to_pylist() == []
    assert identify.evidence(texts, "hi")[len(texts) - 1].as_py() > 0.5


def test_of_a_long_text_a_sample_is_looked_at(identify: LanguageId) -> None:
    huge = [(EN + " ") * 150_000, "x" * 10_000_000, "<" * 10_000_000, "`" + "a@" * 5_000_000]
    # Only a sample of each is looked at.
    found = identify.identify(huge)
    assert found[0].label == "en"
    assert identify.evidence(huge, "en")[0].as_py() > 0.5
    assert all(len(text) < 1_000 for text in _sampled(huge, 800).texts)


def test_noise_is_not_language(identify: LanguageId) -> None:
    noisy = (
        f"{HI} https://example.org/the/of/and/to/in/is/that/for `for x in the: of and to` <div class='and the of'> {HI}"
    )
    (found,) = identify.identify([noisy])
    assert (found.label, found.script) == ("hi", "Deva")


def test_counts_are_those_of_the_words() -> None:
    texts = [HI, "L'any passat no l'he vist. I què?", "Ἐν ἀρχῇ 12 abc3def", "ひらがなと漢字", "", "Æ ’n 'n don’t"]
    looked = closed.look(*encode(texts))
    column = closed.codes()["hi"]
    for text, row in zip(texts, range(len(texts)), strict=True):
        plain = [word.lower() for word in words(text) if not word[0].isdigit()]
        assert looked.listed[row, column] == sum(word in closed.lists()["hi"] for word in plain)
        assert looked.distinct[row, column] == len(set(plain) & closed.lists()["hi"])
    assert looked.tokens.tolist() == [len(HI.split()), 7, 4, 1, 0, 4]
    assert looked.words[0] == len(words(HI))


def test_word_lists_are_sound() -> None:
    for code, listed in closed.lists().items():
        language = languages.get(code)
        assert len(listed) >= 10, code
        assert all(word == word.lower() for word in listed), code
        scripts = set(language.unicode_scripts)
        rows = closed.look(*encode(sorted(listed))).scripts
        own = rows[:, [closed.SCRIPT_CODES.index(script) for script in scripts]].sum(axis=1)
        assert (own == rows.sum(axis=1)).mean() > 0.95, code


# With one thread fastText 0.9.2 sets a tenth of its matrix and takes the rest as the memory is; large blocks of a process of its own are zero.
_TRAIN = """
import json, sys, fasttext
lines, path, options = sys.argv[1:]
options = json.loads(options)
quantize = options.pop("quantize", None)
make = fasttext.train_supervised if options.pop("supervised", True) else fasttext.train_unsupervised
model = make(lines, minCount=1, minn=2, maxn=4, thread=1, verbose=0, **options)
if quantize:
    model.quantize(input=lines, thread=1, verbose=0, **quantize)
model.save_model(path)
"""


def _trained(path: Path, labels: dict[str, str], **options: object) -> Path:
    pytest.importorskip("fasttext", reason="fastText is not installed")
    lines = path.with_suffix(".txt")
    rows = [f"__label__{label} {part}" for label, text in labels.items() for part in text.split(", ")]
    lines.write_text(("\n".join(rows) + "\n") * 8, "utf-8")
    command = [sys.executable, "-c", _TRAIN, str(lines), str(path), json.dumps(options)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"})
    return path


def test_wrong_models_are_refused(tmp_path: Path) -> None:
    labels = {"POSITIVE": "good fine nice", "NEGATIVE": "bad poor"}
    sentiment = _trained(tmp_path / "sentiment.bin", labels, dim=16, epoch=1, bucket=3000)
    vectors = _trained(tmp_path / "vectors.bin", labels, dim=16, epoch=1, bucket=3000, supervised=False)
    wrong, cut = tmp_path / "model.bin", tmp_path / "cut.ftz"
    wrong.write_bytes(b"this is not a model")
    cut.write_bytes(MODEL.read_bytes()[:300_000])
    for path, message in (
        (wrong, "not a fastText model"),
        (tmp_path / "none.bin", "no such file"),
        (tmp_path, "a folder"),
        (sentiment, "a language model has __label__xx"),
        (vectors, "a language model has __label__xx"),
        (cut, "not a whole fastText model"),
    ):
        with pytest.raises(EngineError, match=message) as caught:
            LanguageId(path).identify(["some words to look at"])
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
    assert MODEL.with_name("lid.176.LICENSE.md").is_file()


def test_a_model_with_scripts_in_its_labels(tmp_path: Path) -> None:
    chinese = "这个国家的人们说话时总是问这样的问题"
    labels = {
        "hin_Deva": HI,
        "mar_Deva": MR,
        "eng_Latn": EN,
        "spa_Latn": ES,
        "cmn_Hani": chinese,
        "xyz_Latn": "blorp zung mibble",
    }
    identify = LanguageId(_trained(tmp_path / "glot.bin", labels, dim=16, epoch=150, bucket=3000))
    found = identify.identify([HI, MR, EN, ES, chinese, "blorp zung mibble blorp zung"])
    assert [one.label for one in found] == ["hi", "mr", "en", "es", "zh-Hans", "xyz-Latn"]
    right, wrong = identify.evidence([HI, MR], "hi").to_pylist()
    assert right > 0.5 > wrong


@pytest.mark.parametrize("loss", ["hs", "softmax"])
def test_the_compiled_model_agrees_with_the_library(tmp_path: Path, loss: str) -> None:
    small = _trained(
        tmp_path / "small.ftz",
        TEXTS,
        dim=16,
        epoch=50,
        bucket=3000,
        loss=loss,
        quantize={"cutoff": 400, "qnorm": loss == "hs"},
    )
    _agrees(small, [*TEXTS.values(), "ciudad ciudad xx", "a\tb é"])


def test_the_shipped_model_agrees_with_the_library() -> None:
    pytest.importorskip("fasttext", reason="fastText is not installed")
    _agrees(MODEL, [*TEXTS.values(), *CLOSE.values(), "word", "naïve " * 40, "漢字かな交じり文"])


def _agrees(path: Path, texts: list[str]) -> None:
    compiled = subwords.read(path)
    assert compiled is not None
    library = label_model._library(str(path))
    data, offsets = encode(texts)
    breaks = np.zeros(0x110000, np.bool_)
    breaks[[ord(space) for space in " \t\n"]] = True
    for text, row in zip(texts, compiled.predict(data, offsets, breaks), strict=True):
        names, scores = library.predict([text], k=-1)
        expected = dict(zip((name.removeprefix("__label__") for name in names[0]), scores[0], strict=True))
        # The library adds 1e-5 at every turn of its tree.
        assert {label: expected.get(label, 0) for label in compiled.labels} == pytest.approx(
            dict(zip(compiled.labels, row.tolist(), strict=True)), abs=1e-3
        )


@needs_data
def test_three_words_are_hardly_ever_wrong(identify: LanguageId) -> None:
    with gzip.open(DATA / "tatoeba112_first60.tsv.gz", "rt", encoding="utf-8", newline="\n") as handle:
        rows = [line.rstrip("\n").split("\t") for line in handle][1:]
    short = [(name, text) for name, _, text in rows if len(text.split()) <= 3]
    answers = identify.identify([text for _, text in short])
    wrong = 0
    for (name, _), one in zip(short, answers, strict=True):
        right = {name, *(language.code for language in languages.find_all(name))}
        wrong += bool(one.label) and one.label not in right
    assert len(short) > 1000
    assert wrong / len(short) <= 0.01
