"""Words, sentences, graphemes, scripts and digits in many scripts."""

from __future__ import annotations

import unicodedata
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.text import class_ranges, fold_digits, graphemes, script_counts, sentences, word_spans, words

SCRIPT_TEXT = st.text(
    st.sampled_from(
        "aB z.!?।॥。？．۔؟。።”\"')」 \n\r\u2028•-*1२٣,;:कि्ाहिंদে্தமிழ்తెก่าเខ្មែ你好はガー한مَשָׁ\u200c\u200d\ufeff\u0301\ud800"
    ),
    max_size=60,
)

# Languages of many scripts, the scheduled ones of India among them: a text of two sentences (one where the script has no stop),
# its words, and what a reader counts as characters, spaces and signs included.
SHEET = {
    "hi": ("मैं हिन्दी में लिखता हूँ। यह दूसरा वाक्य है।", "मैं हिन्दी में लिखता हूँ यह दूसरा वाक्य है", 2),
    "mr": ("हे मराठी आहे. तो ऱ्हास झाला.", "हे मराठी आहे तो ऱ्हास झाला", 2),
    "bn": ("এটি বাংলা ভাষা। র\u200d্যাম ও উৎসব।", "এটি বাংলা ভাষা র\u200d্যাম ও উৎসব", 2),
    "as": ("এইটো অসমীয়া। ৰাতি।", "এইটো অসমীয়া ৰাতি", 2),
    "gu": ("આ ગુજરાતી છે. બીજું વાક્ય.", "આ ગુજરાતી છે બીજું વાક્ય", 2),
    "pa": ("ਇਹ ਪੰਜਾਬੀ ਹੈ। ਦੂਜਾ ਵਾਕ।", "ਇਹ ਪੰਜਾਬੀ ਹੈ ਦੂਜਾ ਵਾਕ", 2),
    "or": ("ଏହା ଓଡ଼ିଆ ଅଟେ। ଦ୍ୱିତୀୟ ବାକ୍ୟ।", "ଏହା ଓଡ଼ିଆ ଅଟେ ଦ୍ୱିତୀୟ ବାକ୍ୟ", 2),
    "ta": ("இது தமிழ் மொழி. இரண்டாவது வாக்கியம்.", "இது தமிழ் மொழி இரண்டாவது வாக்கியம்", 2),
    "te": ("ఇది తెలుగు భాష. రెండవ వాక్యం.", "ఇది తెలుగు భాష రెండవ వాక్యం", 2),
    "kn": ("ಇದು ಕನ್ನಡ ಭಾಷೆ. ಎರಡನೇ ವಾಕ್ಯ.", "ಇದು ಕನ್ನಡ ಭಾಷೆ ಎರಡನೇ ವಾಕ್ಯ", 2),
    "ml": ("ഇത് മലയാളം ആണ്. അവന്\u200d വന്നു.", "ഇത് മലയാളം ആണ് അവന്\u200d വന്നു", 2),
    "si": ("මෙය සිංහල ශ්\u200dරී ලංකා. දෙවැනි වාක්\u200dයය.", "මෙය සිංහල ශ්\u200dරී ලංකා දෙවැනි වාක්\u200dයය", 2),
    "ur": ("یہ اردو ہے۔ دوسرا جملہ۔", "یہ اردو ہے دوسرا جملہ", 2),
    "sd": ("هي سنڌي آهي۔ ٻيو جملو۔", "هي سنڌي آهي ٻيو جملو", 2),
    "ks": ("یہِ چھُ کٲشُر۔ بیاکھ۔", "یہِ چھُ کٲشُر بیاکھ", 2),
    "ks-Deva": ("यि छु कॉशुर। ब्याख।", "यि छु कॉशुर ब्याख", 2),
    "ne": ("यो नेपाली हो। अर्को वाक्य।", "यो नेपाली हो अर्को वाक्य", 2),
    "sa": ("संस्कृतम् अस्ति॥ रामः गच्छति।", "संस्कृतम् अस्ति रामः गच्छति", 2),
    "mai": ("ई मैथिली अछि। दोसर वाक्य।", "ई मैथिली अछि दोसर वाक्य", 2),
    "gom": ("ही कोंकणी. दुसरें वाक्य.", "ही कोंकणी दुसरें वाक्य", 2),
    "doi": ("एह् डोगरी ऐ। दूआ वाक्य।", "एह् डोगरी ऐ दूआ वाक्य", 2),
    "brx": ("बे बर' राव। नैथि बाथ्रा।", "बे बर राव नैथि बाथ्रा", 2),
    "sat": ("ᱱᱚᱣᱟ ᱫᱚ ᱥᱟᱱᱛᱟᱲᱤ ᱠᱟᱱᱟ᱾ ᱵᱟᱨ᱿", "ᱱᱚᱣᱟ ᱫᱚ ᱥᱟᱱᱛᱟᱲᱤ ᱠᱟᱱᱟ ᱵᱟᱨ", 2),
    "mni": ("মসি মৈতৈলোন্নি। অনিশুবা।", "মসি মৈতৈলোন্নি অনিশুবা", 2),
    "mni-Mtei": ("ꯃꯁꯤ ꯃꯅꯤꯄꯨꯔꯤ ꯅꯤ꯫ ꯑꯅꯤꯁꯨꯕ꯫", "ꯃꯁꯤ ꯃꯅꯤꯄꯨꯔꯤ ꯅꯤ ꯑꯅꯤꯁꯨꯕ", 2),
    "th": ("พูดภาษาไทย ไม่ใช่ไม้", "พู ด ภา ษา ไท ย ไม่ ใช่ ไม้", 1),
    "lo": ("ພາສາລາວ ນ້ຳ", "ພາ ສາ ລາ ວ ນ້ຳ", 1),
    "km": ("ភាសាខ្មែរ។ ល្អ។", "ភា សា ខ្មែ រ ល្អ", 2),
    "my": ("မြန်မာစကား။ ကောင်းတယ်။", "မြန် မာ စ ကား ကောင်း တယ်", 2),
    "bo": ("བོད་སྐད་ཤེས། ཡག་པོ།", "བོད སྐད ཤེས ཡག པོ", 2),
    "zh-Hans": ("我说中文。你好吗？", "我 说 中 文 你 好 吗", 2),
    "ja": ("日本のテレビ。がぎ。", "日 本 の テレビ が ぎ", 2),
    "ko": ("나는 한국어를 말한다. 좋다.", "나는 한국어를 말한다 좋다", 2),
    "ar": ("أتكلّم العربيّة. هل هذا جيّد؟", "أتكلّم العربيّة هل هذا جيّد", 2),
    "he": ("אֲנִי מְדַבֵּר עברית. צה״ל.", "אֲנִי מְדַבֵּר עברית צה״ל", 2),
    "am": ("አማርኛ እናገራለሁ። ጥሩ።", "አማርኛ እናገራለሁ ጥሩ", 2),
    "ka": ("მე ქართულად ვლაპარაკობ. კარგი. ა. ბერიძე.", "მე ქართულად ვლაპარაკობ კარგი ა ბერიძე", 3),
    "hy": ("Ես հայերեն եմ խոսում։ Լավ։", "Ես հայերեն եմ խոսում Լավ", 2),
    "ru": ("Я говорю по-русски. Хорошо.", "Я говорю по русски Хорошо", 2),
    "el": ("Μιλάω ελληνικά. Καλά;", "Μιλάω ελληνικά Καλά", 2),
    "vi": ("Tôi nói tiếng Việt. Tốt lắm.", "Tôi nói tiếng Việt Tốt lắm", 2),
    "mn": ("ᠮᠣᠩᠭᠣᠯ ᠬᠡᠯᠡ᠃ ᠰᠠᠶᠢᠨ᠃", "ᠮᠣᠩᠭᠣᠯ ᠬᠡᠯᠡ ᠰᠠᠶᠢᠨ", 2),
}
# What no mark belongs to, in scripts without spaces: vowels that are letters, and digits. A mark after one stays outside the word.
FINAL = set("ะาำๅະາຳเแโใไເແໂໃໄ") | {
    chr(code)
    for start, end in class_ranges(r"[[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]&&\p{Nd}]")
    for code in range(start, end)
}
SCRIPTS = [
    "Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Oriya", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala", "Ol_Chiki", "Meetei_Mayek",
    "Arabic", "Hebrew", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan", "Han", "Hiragana", "Katakana", "Hangul", "Ethiopic", "Georgian",
    "Armenian", "Cyrillic", "Greek", "Latin", "Mongolian", "Thaana",
]  # fmt: skip


@cache
def of_script(script: str) -> st.SearchStrategy[str]:
    """Texts of one script: its letters, marks and digits, with joiners, spaces and signs."""
    own = [
        chr(code)
        for start, end in class_ranges(rf"[\p{{Script_Extensions={script}}}&&[\p{{L}}\p{{M}}\p{{Nd}}]]")
        # Letters that Python's tables do not know yet cannot be judged here.
        for code in range(start, min(end, start + 700))
        if unicodedata.category(chr(code)) != "Cn"
    ]
    return st.text(
        st.sampled_from(own) | st.sampled_from(own) | st.sampled_from(" \n.,'’!?।。\u200c\u200d1aZ"), max_size=40
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


@pytest.mark.parametrize("lang", SHEET)
def test_the_sheet_of_languages(lang: str) -> None:
    text, expected, n_sentences = SHEET[lang]
    assert words(text, lang) == expected.split()
    assert len(cut(text, lang)) == n_sentences
    assert "".join(cut(text, lang)).replace(" ", "") == text.replace(" ", "")
    assert not {"Zyyy", "Zzzz"} & set(script_counts(text))
    for word in expected.split():
        # Neither a word nor a character of one begins with a mark; of the spacing ones, Burmese has some that stand alone (UAX 29).
        assert not unicodedata.category(word[0]).startswith("M")
        assert all(unicodedata.category(part[0]) != "Mn" for part in graphemes(word))


@pytest.mark.parametrize("script", SCRIPTS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_words_of_every_script(script: str, data: st.DataObject) -> None:
    text = data.draw(of_script(script))
    spans = word_spans(text)
    assert all(start < end for start, end in spans)
    assert all(one[1] <= two[0] for one, two in pairwise(spans))
    word_at = {place: index for index, (start, end) in enumerate(spans) for place in range(start, end)}
    for place, letter in enumerate(text):
        if letter.isalnum():
            assert place in word_at
        elif unicodedata.category(letter).startswith("M") and place - 1 in word_at and text[place - 1] not in FINAL:
            assert word_at.get(place) == word_at[place - 1]
    found = words(text)
    assert found == [text[start:end] for start, end in spans]
    # An apostrophe before an ideograph, kana or Thai letter stays with the word, and is lost where the two are set apart.
    assert words(" ".join(found)) == [word.rstrip("'’") for word in found]
    assert words(f"{text} {text}") == found * 2


@pytest.mark.parametrize("script", SCRIPTS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_graphemes_of_every_script(script: str, data: st.DataObject) -> None:
    text = data.draw(of_script(script))
    parts = graphemes(text)
    assert "".join(parts) == text
    # A canonically equivalent text looks the same, so it is as long.
    assert len(graphemes(unicodedata.normalize("NFD", text))) == len(graphemes(unicodedata.normalize("NFC", text)))
    for before, part in pairwise(parts):
        assert before[-1] in "\n" or unicodedata.category(part[0]) != "Mn"


@pytest.mark.parametrize(
    "zero", [chr(start) for first, last in class_ranges(r"\p{Nd}") for start in range(first, last, 10)]
)
def test_digits_of_every_script(zero: str) -> None:
    digits = "".join(chr(ord(zero) + value) for value in range(10))
    assert fold_digits(digits) == "0123456789"
    assert words(f"x {digits} y") == ["x", digits, "y"]


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
    graphemes(text)


@pytest.mark.parametrize("unit", ["\u0301", "क\u200d", "က္", "。"])
def test_a_megabyte_of_one_thing(unit: str) -> None:
    text = unit * (1_000_000 // len(unit.encode()))
    assert sum(end - start for start, end in word_spans(text)) in (0, len(text))
    assert len(sentences(text, "xx")) <= 1


@pytest.mark.parametrize(("unit", "longest"), [("a", 10_000_000), ("a'", 2_000_001)])
def test_one_word_of_ten_megabytes(unit: str, longest: int) -> None:
    assert word_spans(unit * (10_000_000 // len(unit)))[0] == (0, longest)


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
