"""Words, sentences, graphemes, scripts and digits in many scripts."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.text import fold_digits, graphemes, script_counts, sentences, word_spans, words

SCRIPT_TEXT = st.text(
    st.sampled_from(
        "aB z.!?।॥。？．۔؟。።”\"')」 \n\r\u2028•-*1२٣,;:कि्ाहिंদে্தமிழ்తెก่าเខ្មែ你好はガー한مَשָׁ\u200c\u200d\ufeff\u0301\ud800"
    ),
    max_size=60,
)


def cut(text: str, lang: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text, lang)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's 3.5 km, naïve café!", ["It's", "3.5", "km", "naïve", "café"]),
        ("हिन्दी में पढ़ो।", ["हिन्दी", "में", "पढ़ो"]),
        ("মানুষের অধিকার", ["মানুষের", "অধিকার"]),
        ("தமிழ் மொழி", ["தமிழ்", "மொழி"]),
        ("తెలుగు ന്\u200d", ["తెలుగు", "ന്\u200d"]),
        ("العربيّة لغة", ["العربيّة", "لغة"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("שָׁלוֹם צה״ל", ["שָׁלוֹם", "צה״ל"]),
        ("Привет, мир", ["Привет", "мир"]),
        ("Καλημέρα κόσμε", ["Καλημέρα", "κόσμε"]),
        ("한국어 말", ["한국어", "말"]),
        ("日本のテレビ", ["日", "本", "の", "テレビ"]),
        ("ไทย", ["ไท", "ย"]),
        ("ខ្មែរ", ["ខ្មែ", "រ"]),
        ("ລາວ", ["ລາ", "ວ"]),
        ("မြန်မာ", ["မြန်", "မာ"]),
        ("ሰላም፡ለዓለም", ["ሰላም", "ለዓለም"]),
        ("१,००,००० रुपये", ["१,००,०००", "रुपये"]),
        ("— … !", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(SCRIPT_TEXT)
def test_words_hold_every_letter_and_keep_marks(text: str) -> None:
    spans = word_spans(text)
    covered = {index for start, end in spans for index in range(start, end)}
    assert all(index in covered for index, character in enumerate(text) if character.isalnum())
    for start, _ in spans:
        assert not unicodedata.category(text[start]).startswith("M")
    assert all(one[1] <= two[0] for one, two in pairwise(spans))


@given(SCRIPT_TEXT)
def test_graphemes_are_the_text(text: str) -> None:
    assert "".join(graphemes(text)) == text


def test_graphemes() -> None:
    assert graphemes("हिंदी") == ["हिं", "दी"]
    assert graphemes("e\u0301👩‍👩‍👧") == ["e\u0301", "👩‍👩‍👧"]


@given(SCRIPT_TEXT, st.sampled_from(["en", "hi", "mr", "ja", "th", "el", "de", "xx"]))
def test_sentences_are_ordered_trimmed_and_lose_no_letter(text: str, lang: str) -> None:
    ranges = sentences(text, lang)
    position = 0
    for start, end in ranges:
        assert position <= start < end
        assert not text[start].isspace()
        assert not text[end - 1].isspace()
        assert not any(mark in text[start:end] for mark in "\n\r\u2028")
        position = end
    inside = "".join(text[start:end] for start, end in ranges)
    between = "".join(
        text[one:two]
        for one, two in zip([0, *(end for _, end in ranges)], [*(start for start, _ in ranges), len(text)], strict=True)
    )
    assert len(inside) + len(between) == len(text)
    # Only list markers such as "1." or "a)" may hold letters or digits outside.
    assert all(len(piece) <= 3 for piece in words(between))


@pytest.mark.parametrize(
    ("lang", "text", "expected"),
    [
        ("en", "Dr. Rao paid Rs. 3.5 lakh. Why?", ["Dr. Rao paid Rs. 3.5 lakh.", "Why?"]),
        (
            "en",
            "J. K. Rowling, e.g. here, wrote it. See www.x.com. Yes!",
            ["J. K. Rowling, e.g. here, wrote it.", "See www.x.com.", "Yes!"],
        ),
        (
            "en",
            "The U.S. economy grew in the U.S. The rest did not.",
            ["The U.S. economy grew in the U.S.", "The rest did not."],
        ),
        (
            "en",
            "I said no. He left. See No. 5 at 10.30 a.m. today.",
            ["I said no.", "He left.", "See No. 5 at 10.30 a.m. today."],
        ),
        (
            "en",
            '"Really?" he said. "Go." Then (at last.) He went...',
            ['"Really?" he said.', '"Go."', "Then (at last.)", "He went..."],
        ),
        ("en", "- one\n* two. Three\n1. four\n2) five • six\n---\n", ["one", "two.", "Three", "four", "five", "six"]),
        ("en", "first line\r\nsecond line\u2028third", ["first line", "second line", "third"]),
        (
            "hi",
            "यह है। वह नहीं है॥ डॉ. सिंह आए। रु. 500 दिए । ठीक",
            ["यह है।", "वह नहीं है॥", "डॉ. सिंह आए।", "रु. 500 दिए ।", "ठीक"],
        ),
        ("mr", "हे डॉ. के. आर. नारायणन आहेत. ते आले.", ["हे डॉ. के. आर. नारायणन आहेत.", "ते आले."]),
        ("ta", "திரு. எம். ஜி. ஆர். வந்தார். நன்றி.", ["திரு. எம். ஜி. ஆர். வந்தார்.", "நன்றி."]),
        ("ur", "یہ ہے۔ وہ نہیں؟ جی۔", ["یہ ہے۔", "وہ نہیں؟", "جی۔"]),
        (
            "ja",
            "これは本です。「はい。」と言った。本当？はい",
            ["これは本です。", "「はい。」と言った。", "本当？", "はい"],
        ),
        ("zh-Hans", "你好！我有3.5元。“走吧。”他走了。", ["你好！", "我有3.5元。", "“走吧。”", "他走了。"]),
        ("am", "ሰላም ነው። ደህና፡፡ እሺ", ["ሰላም ነው።", "ደህና፡፡", "እሺ"]),
        ("km", "ខ្ញុំទៅ។ គាត់មក៕", ["ខ្ញុំទៅ។", "គាត់មក៕"]),
        ("my", "သူလာတယ်။ ငါသွားမယ်။", ["သူလာတယ်။", "ငါသွားမယ်။"]),
        ("el", "Τι κάνεις; Καλά.", ["Τι κάνεις;", "Καλά."]),
        ("de", "Es war am 3. Oktober z. B. kalt. Er ging.", ["Es war am 3. Oktober z. B. kalt.", "Er ging."]),
        ("es", "El Sr. López ganó. ¿Qué? ¡Sí!", ["El Sr. López ganó.", "¿Qué?", "¡Sí!"]),
        ("ru", "Он родился в 1990 г. в Москве. Потом уехал.", ["Он родился в 1990 г. в Москве.", "Потом уехал."]),
        ("th", "ฉันรักเธอ คุณไปไหน", ["ฉันรักเธอ คุณไปไหน"]),
        ("en", "...", []),
        ("en", "", []),
    ],
)
def test_sentences(lang: str, text: str, expected: list[str]) -> None:
    assert cut(text, lang) == expected


@pytest.mark.parametrize(
    "unit", [".", "a.", "A. ", " ", "• ", '"', '!"', "1.", "a'", "เ", "\u0301", "-\n", "x\n.\n", "\u200b."]
)
def test_rubbish_is_read_in_linear_time(unit: str) -> None:
    text = unit * (60_000 // len(unit))  # a quadratic step would take minutes here
    sentences(text, "en")
    words(text)


def test_script_counts() -> None:
    assert script_counts("COVID-19 हुआ है।") == {"Latn": 5, "Deva": 5}
    assert script_counts("カー。漢字かな") == {"Kana": 2, "Hani": 2, "Hira": 2}
    assert script_counts("123 — !") == {}


@given(st.text(max_size=30))
def test_fold_digits_keeps_length(text: str) -> None:
    folded = fold_digits(text)
    assert len(folded) == len(text)
    assert all(character.isascii() for character in folded if unicodedata.category(character) == "Nd")


def test_fold_digits() -> None:
    assert fold_digits("१२३ ٤٥ ௬ ７ 𝟠 ৯") == "123 45 6 7 8 9"
