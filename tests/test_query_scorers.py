"""Scorers of queries: form, words that leak, words that dangle; on sentences written for this test, and on real queries where they are."""

from __future__ import annotations

import gzip
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dsbuild.filters.leaked_words import LeakedWords, leaked
from dsbuild.filters.query_form import QueryForm
from dsbuild.filters.query_shapes import kind_of
from dsbuild.filters.stands_alone import StandsAlone

TOPICS = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "retrieval" / "miracl_topics_qrels"

LEAKING = {
    "en": "According to the passage, when did the dam break?", "hi": "इस लेख के अनुसार बाँध कब टूटा?", "mr": "या परिच्छेदानुसार धरण कधी फुटले?",
    "ta": "இந்தப் பத்தியின்படி அணை எப்போது உடைந்தது?",
    "te": "ఈ వ్యాసం ప్రకారం ఆనకట్ట ఎప్పుడు తెగింది?", "bn": "এই অনুচ্ছেদ অনুসারে বাঁধটি কবে ভেঙেছিল?",
    "sw": "Kulingana na makala, bwawa lilivunjika lini?",
    "es": "Según el texto, ¿cuándo se rompió la presa?", "de": "Wann brach der Damm laut dem Text?",
    "fr": "D'après le texte, quand le barrage a-t-il cédé ?", "pt": "De acordo com o texto, quando a barragem rompeu?",
    "it": "Secondo il testo, quando si è rotta la diga?", "ru": "Когда прорвало плотину согласно тексту?", "ar": "وفقًا للنص، متى انهار السد؟",
    "zh": "根据文章，大坝是什么时候决堤的？", "ja": "この文章によると、ダムはいつ決壊しましたか？", "ko": "본문에 따르면 댐은 언제 무너졌습니까?",
}  # fmt: skip
DANGLING = {
    "en": "When was he elected?", "hi": "उसका जन्म कब हुआ था?",
    "mr": "त्याचा जन्म कधी झाला?", "ta": "அவர் எப்போது பிறந்தார்?",
    "te": "ఆయన ఎక్కడ జన్మించారు?",
    "bn": "তিনি কবে জন্মগ্রহণ করেন?", "sw": "Yeye alizaliwa wapi?",
    "es": "¿Cuándo fue él elegido?", "de": "Wann wurde er gewählt?",
    "fr": "Quand est-il né ?", "pt": "Quando ele foi eleito?",
    "it": "Quando lui è stato eletto?", "ru": "Когда он родился?", "zh": "他什么时候当选的？",
    "ja": "彼はいつ生まれましたか？", "ko": "그는 언제 태어났습니까?",
}  # fmt: skip
WHOLE = {
    "en": "Is it true that the moon has an atmosphere?", "hi": "वह कौन सा ग्रह है जो सबसे बड़ा है?", "de": "Gibt es Leben auf dem Mars?",
    "fr": "Est-il possible de voir la muraille depuis la lune ?", "es": "¿Qué es la fotosíntesis?",
}  # fmt: skip


def one(scorer: Any, text: str, lang: str) -> dict[str, Any]:
    return {name: values[0].as_py() for name, values in scorer.score(pa.array([text]), [lang]).items()}


@pytest.mark.parametrize("lang", LEAKING)
def test_words_that_leak(lang: str) -> None:
    assert one(LeakedWords(), LEAKING[lang], lang)["leaked_words"] >= 1
    assert one(LeakedWords(), unicodedata.normalize("NFD", LEAKING[lang]), lang)["leaked_words"] >= 1
    if lang in DANGLING:
        assert one(LeakedWords(), DANGLING[lang], lang)["leaked_words"] == 0


def test_labels_borders_and_languages_without_a_list() -> None:
    assert one(LeakedWords(), "Question: who wrote Ulysses?", "en")["leaked_phrase"] == "Question:"
    assert one(LeakedWords(), "the question: who wrote Ulysses?", "en")["leaked_words"] == 0
    assert one(LeakedWords(), "the passage of the civil rights act", "en")["leaked_words"] == 0
    assert one(LeakedWords(), "in the textile industry", "en")["leaked_words"] == 0
    assert one(LeakedWords(), "in  the\nTEXT", "en")["leaked_words"] == 1
    assert one(LeakedWords(), "in the text", "fi") == {"leaked_words": None, "leaked_phrase": None}
    found = LeakedWords().score(pa.array(["in the text", "según el texto", "x"]), ["en", "es", "fi"])
    assert found["leaked_words"].to_pylist() == [1, 1, None]


@pytest.mark.parametrize("lang", list(leaked()))
def test_what_is_found_fast_holds_all_that_is_found_exactly(lang: str) -> None:
    import pyarrow.compute as pc

    from dsbuild.filters import leaked_words

    phrases = [one.strip().removesuffix("*") for code, kind, said in leaked_words.listed_words(leaked_words._FILE) if (code, kind) == (lang, "phrase")
               for one in said.split("|")]  # fmt: skip
    assert pc.all(pc.match_substring_regex(pa.array(phrases), leaked()[lang].rough, ignore_case=True)).as_py()
    assert all(leaked()[lang].exact.search(phrase) for phrase in phrases)


@pytest.mark.parametrize("lang", DANGLING)
def test_words_that_dangle(lang: str) -> None:
    assert one(StandsAlone(), DANGLING[lang], lang)["alone_dangling"]


@pytest.mark.parametrize("lang", WHOLE)
def test_words_that_only_look_so(lang: str) -> None:
    assert one(StandsAlone(), WHOLE[lang], lang) == {"alone_dangling": False, "alone_word": None}


def test_a_pronoun_after_a_name_or_noun_is_no_loss() -> None:
    assert not one(StandsAlone(), "What did Ada Lovelace write when she was young?", "en")["alone_dangling"]
    assert one(StandsAlone(), "what are the authors' conclusions", "en")["alone_word"] == "the authors"
    assert one(StandsAlone(), "qui on", "fi")["alone_dangling"] is None


@pytest.mark.parametrize(
    ("text", "framed"),
    [('"who wrote it"', True), ("- who wrote it", True), ("1. who wrote it", True), ('{"query": "who"}', True), ("```who```", True),
     ("**who?**", True),
     ("「誰が書いた」", True), ("who wrote \"Ulysses\"", False), ("1984 novel author", False), ("3.5 mm jack", False), ("it's who's", False)],
)  # fmt: skip
def test_frames(text: str, framed: bool) -> None:
    assert one(QueryForm(), text, "en")["form_framed"] is framed


@pytest.mark.parametrize(
    ("text", "controls"),
    [
        ("who\x07 wrote\x00 it", 2),
        ("who wrote\x9d it\ufffd", 2),
        ("who\twrote\r\nit\x85", 0),
        ("क्‍या है?", 0),
        ("متى\u200f كتب", 0),
    ],
)
def test_control_characters(text: str, controls: int) -> None:
    assert one(QueryForm(), text, "en")["form_controls"] == controls


def test_words_and_lines() -> None:
    assert one(QueryForm(), "two words\n\n", "en")["form_lines"] == 1
    assert one(QueryForm(), "a\nb", "en")["form_lines"] == 2
    assert one(QueryForm(), "東京 タワー", "ja")["form_words"] == 3


@pytest.mark.parametrize(
    ("text", "lang", "kind"),
    [("how many moons has mars", "en", "how_much"), ("how do moons form", "en", "how"), ("does mars have moons", "en", "whether"),
     ("moons of mars", "en", "no question"),
     ("मंगल के कितने चंद्रमा हैं", "hi", "how_much"), ("火星有几个卫星", "zh", "how_much"), ("moni kuu?", "fi", "question")],
)  # fmt: skip
def test_kinds(text: str, lang: str, kind: str) -> None:
    assert kind_of(text, lang) == kind


@pytest.mark.skipif(not TOPICS.is_dir(), reason="the topics of MIRACL are not here")
@pytest.mark.parametrize("lang", ["ar", "bn", "de", "en", "es", "fr", "hi", "ja", "ru", "sw", "te", "zh"])
def test_real_queries_pass(lang: str) -> None:
    with gzip.open(TOPICS / f"topics.miracl-v1.0-{lang}-dev.tsv.gz", "rt") as lines:
        texts = pa.array([line.rstrip("\n").split("\t")[1] for line in lines])
    langs = [lang] * len(texts)
    assert sum(LeakedWords().score(texts, langs)["leaked_words"].to_pylist()) == 0
    assert sum(StandsAlone().score(texts, langs)["alone_dangling"].to_pylist()) <= 0.005 * len(texts)
    assert sum(QueryForm().score(texts, langs)["form_framed"].to_pylist()) == 0
