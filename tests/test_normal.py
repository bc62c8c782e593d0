"""Match keys: what is equal, what must stay apart, and the way back to the text."""

from __future__ import annotations

import sys
import unicodedata
from itertools import pairwise

import numpy as np
import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dsbuild.errors import UnknownName
from dsbuild.filters.folding import folded
from dsbuild.normal import FORMS, STEPS, Form, Key, key
from dsbuild.text import codepoints

# Letters, marks and signs that the steps are about, beside anything that Unicode has.
ACTIVE = (
    "aZßİſﬁﬀＡ１　 \t\n\x1c\u0301\u0345\u0307éΐǰς१٣๔क़\u0915\u093cऱर्हिन्दीनंमपङ্রত\u09cdৎന്ൻറരൺംകాకಂ್ತাெো\u200d\u200c\u200b\u2060\u00ad\ufe0f\ufe0e"
    "\u034f\u200f\u202eـىیکكيآأٱا\u0653\u0654\u0655\u064eﷲﻻﺁﹰ؀\u06dd👩🔥❤ｶﾞﾊﾟｱガｰ한\u1112\u1161\u11ab각ﾡไม่้がか\u3099葛\U000e0100\ud800\U000e0067"
)
TEXT = st.text(st.sampled_from(ACTIVE) | st.characters(), max_size=24)
FORM = st.sampled_from(["canonical", "match", "loose"])


def same(one: str, two: str, form: Form = "match") -> bool:
    return key(one, form=form) == key(two, form=form)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("\u0958लम", "\u0915\u093cलम"),
        ("\u0931", "\u0930\u093c"),
        ("\u09df", "\u09af\u09bc"),
        ("\u0a36", "\u0a38\u0a3c"),
        ("\u0b5c", "\u0b21\u0b3c"),
        ("கொ", "க\u0bc6\u0bbe"),
        ("café", "cafe\u0301"),
        ("tới", "to\u031b\u0301i"),
        ("각", "\u1100\u1161\u11a8"),
        ("ガ", "カ\u3099"),
    ],
)
def test_canonical_equivalents_have_one_key(one: str, two: str) -> None:
    assert same(one, two, "canonical")
    assert same(one, two)
    assert unicodedata.normalize("NFC", one) == key(one, form="canonical").text


@pytest.mark.parametrize(
    ("one", "two", "by_folding"),
    [
        ("ＡＢＣ１２", "abc12", True),
        ("ｶﾞｷﾞﾊﾟ", "ガギパ", True),
        ("한국", "한\u200b국", True),
        ("ﻣﺮﺣﺒﺎ", "مرحبا", True),
        ("ﷲ", "الله", False),  # its four letters are more than folding's table holds
        ("ﬁne ﬀ", "fine ff", True),
        ("سلـــام", "سلام", True),
        ("می\u200cخواهم", "میخواهم", True),
        ("ශ්\u200dරී", "ශ්රී", True),
        ("❤\ufe0f", "❤", True),
        ("葛\U000e0100", "葛", False),
        ("hy\u00adphen", "hyphen", True),
        ("\u200fשלום\u200e", "שלום", True),
        ("അവന്\u200d", "അവൻ", True),
        ("ത\u0d3eള്\u200d", "താൾ", True),
        ("എൻ്റെ", "എന്റെ", False),
        ("সৎ", "সত্\u200d", False),
        ("दर्\u200dया", "दऱ्या", False),
        ("Straße", "STRASSE", False),
        ("Σίσυφος", "σίσυφοσ", False),
        ("1,00,000 ५५ ٣ ௬ ７ 𝟠", "1,00,000 55 3 6 7 8", True),
        ("  a\t\n b\u3000", "a b", True),
    ],
)
def test_what_was_only_typed_otherwise_is_equal(one: str, two: str, by_folding: bool) -> None:
    assert same(one, two)
    assert not same(one, two, "canonical")
    # Folding agrees, except where the declared forms differ (see the two modules' first lines).
    assert (folded(one) == folded(two)) == by_folding


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("がぎ", "かき"), ("ハ", "パ"), ("ไม่", "ไม้"), ("ไม่", "ไม"), ("tới", "tối"), ("tới", "toi"), ("हिन्दी", "हिनदी"), ("कु", "क"),
        ("कि", "की"), ("क़लम", "कलम"), ("අම්", "අම"), ("ខ្មែរ", "ខមែរ"), ("မြန်", "မန"), ("คน", "ค้น"), ("שָׁלוֹם", "שלום"), ("كَتَب", "كتب"),
        ("අ", "ආ"), ("5²", "52"), ("a-b", "ab"), ("a b", "ab"), ("①", "1"), ("é", "e"), ("い", "ぃ"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["canonical", "match", "loose"])
def test_meaning_is_never_taken_away(one: str, two: str, form: Form) -> None:
    assert not same(one, two, form)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("അവൻ", "അവന്"),  # he; to him
        ("র\u200d্যাম", "র্যাম"),
        ("👩\u200d👧", "👩👧"),
        ("दर्\u200dया", "दर्या"),  # valleys; ocean
        ("ሰላም", "ሠላም"),
        ("हिन्दी", "हिंदी"),
        ("علی", "علي"),
        ("؀1", "1"),
        ("🏴\U000e0067\U000e0062", "🏴"),
    ],
)
def test_match_keeps_what_may_distinguish(one: str, two: str) -> None:
    assert not same(one, two)


@pytest.mark.parametrize(
    ("one", "two", "equal"),
    [
        ("हिन्दी", "हिंदी", True), ("सम्बन्ध", "संबंध", True), ("पङ्कज", "पंकज", True), ("चञ्चल", "चंचल", True), ("घण्टा", "घंटा", True),
        ("అన్ద", "అంద", True), ("ಅಙ್ಕ", "ಅಂಕ", True), ("ગાન્ધી", "ગાંધી", True), ("ଅନ୍ଧ", "ଅଂଧ", True), ("പങ്ക്", "പംക്", True),
        ("সঙ্গীত", "সংগীত", True), ("বন্ধ", "বংধ", False), ("अन्न", "अंन", False), ("जन्म", "जंम", False), ("हन्प", "हंप", False),
        ("علی", "علي", True), ("کتاب", "كتاب", True), ("أحمد", "احمد", True), ("آب", "اب", True), ("ا\u0654", "ا", True), ("ئ", "ي", False),
    ],
)  # fmt: skip
def test_loose(one: str, two: str, equal: bool) -> None:
    assert same(one, two, "loose") == equal
    assert not same(one, two)


@settings(deadline=None)
@given(TEXT, FORM)
@example("آ\u0654\u0654", "loose")
@example("x\u0345\u0316", "match")
@example("ന\ufe0f്\u200d്റ", "match")
@example("র\u200d\u200d্", "match")
def test_forms_are_idempotent_and_respect_canonical_equivalence(text: str, form: Form) -> None:
    found = key(text, form=form)
    assert key(found.text, form=form).text == found.text
    assert key(unicodedata.normalize("NFD", text), form=form) == found
    assert unicodedata.is_normalized("NFC", found.text)


@settings(deadline=None)
@given(TEXT)
def test_canonical_is_nfc(text: str) -> None:
    assert key(text, form="canonical").text == unicodedata.normalize("NFC", text)


@settings(deadline=None)
@given(TEXT, FORM)
def test_the_map_is_monotone_and_covers_what_is_not_at_the_ends(text: str, form: Form) -> None:
    found = key(text, form=form)
    assert len(found.starts) == len(found.ends) == len(found.text)
    assert all(0 <= one < two <= len(text) for one, two in zip(found.starts, found.ends, strict=True))
    for row in (found.starts, found.ends):
        assert bool(np.all(np.diff(row) >= 0))
    # Neighbours overlap only where they share all that they stand for, and nothing between them is lost.
    for (start, end), (after, _) in pairwise(zip(found.starts.tolist(), found.ends.tolist(), strict=True)):
        assert after in (start, end)
    if found.text:
        assert key(text[: found.starts[0]], form=form).text == ""
        assert key(text[found.ends[-1] :], form=form).text == ""


@settings(deadline=None)
@given(TEXT, FORM)
def test_words_of_the_key_are_the_keys_of_their_words(text: str, form: Form) -> None:
    found = key(text, form=form)
    if form == "canonical":
        return
    for word in regex.finditer(r"[^ ]+", found.text):
        start, end = found.to_original(*word.span())
        assert key(text[start:end], form=form).text == word.group()
        assert found.to_key(start, end) == word.span()


@settings(deadline=None)
@given(TEXT, FORM, st.data())
def test_spans_go_there_and_back(text: str, form: Form, data: st.DataObject) -> None:
    found = key(text, form=form)
    start = data.draw(st.integers(0, len(found.text)))
    end = data.draw(st.integers(start, len(found.text)))
    first, last = found.to_original(start, end)
    assert 0 <= first <= last <= len(text)
    back = found.to_key(first, last)
    if start < end:
        # What was one in the original comes back whole.
        assert back[0] <= start
        assert end <= back[1]
        assert found.to_original(*back) == (first, last)
    else:
        assert first == last


@settings(deadline=None)
@given(st.lists(TEXT, max_size=4), st.sampled_from([" ", "\n", "\u3000", " \t "]), st.sampled_from(["match", "loose"]))
def test_texts_joined_by_white_space(texts: list[str], space: str, form: Form) -> None:
    keys = [key(text, form=form).text for text in texts]
    assert key(space.join(texts), form=form).text == " ".join(found for found in keys if found)


@settings(deadline=None)
@given(TEXT)
def test_marks_are_never_lost(text: str) -> None:
    # Counted on canonically decomposed text, without what "invisible" names and what case folding makes letters or marks of.
    gone = regex.compile(r"[\p{Variation_Selector}\u034f]")

    def marks(value: str) -> list[str]:
        parts = unicodedata.normalize("NFD", gone.sub("", value).casefold())
        return sorted(letter for letter in parts if unicodedata.category(letter).startswith("M"))

    plain = regex.sub(r"[\uff00-\uffef\ufb00-\ufdff\ufe70-\ufeff]|[ക-ഹত]്\u200d|র\u093c?्\u200d", "", text)
    assert marks(key(plain).text) == marks(plain)


def test_every_code_point() -> None:
    for start in range(0, sys.maxunicode + 1, 0x400):
        # Separators keep neighbours apart, so that each code point is judged alone.
        block = [chr(code) for code in range(start, start + 0x400)]
        joined = key("|".join(block)).text.split("|")
        if start:
            assert len(joined) == len(block) + sum("|" in key(letter).text for letter in ("｜",) if letter in block)
        assert key("|".join(joined)).text.split("|") == joined


def test_keys_are_values() -> None:
    one, two = key("Ａ  b"), key("a b")
    assert one == two
    assert hash(one) == hash(two)
    assert one != key("ab")
    assert key("") == Key("", np.arange(0), np.arange(0))
    assert key("").to_original(0, 0) == (0, 0)
    with pytest.raises(IndexError, match="key of 3 characters"):
        one.to_original(0, 4)


def test_places_of_what_was_left_out_and_taken_apart() -> None:
    found = key(" \u200fﬁ\u00adn\u0303 ❤\ufe0f!")
    assert found.text == "fiñ ❤!"
    assert found.to_original(0, 1) == (2, 3)
    assert found.to_original(0, 2) == (2, 4)  # the ligature with the soft hyphen after it
    assert found.to_original(2, 3) == (4, 6)
    assert found.to_original(4, 5) == (7, 9)
    assert found.to_key(8, 9) == (4, 5)
    assert found.to_key(0, 2) == (0, 0)


@pytest.mark.parametrize("unit", ["\u00ad", "\u0301", " "])
def test_ten_megabytes_of_nothing(unit: str) -> None:
    assert len(key(unit * (10_000_000 // len(unit.encode()))).text) in (0, 5_000_000)


def test_unknown_form_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'match'"):
        key("a", form="mach")  # type: ignore[arg-type]


def test_forms_are_made_of_declared_steps() -> None:
    assert {step for steps in FORMS.values() for step in steps} == set(STEPS)


@pytest.mark.parametrize(
    "unit", ["a", "\u0301", "e\u0301", "क\u200d", "\u200d", "ന്\u200d", "ـ", " ", "आन्द", "आ\u0654", "ا\u0653", "ﷺ", "\ufe0f", "ᄀ\u1161", "ｶﾞ"]
)  # fmt: skip
def test_rubbish_is_read_in_linear_time(unit: str) -> None:
    text = unit * (60_000 // len(unit))  # a quadratic step would take minutes here
    for form in ("match", "loose"):
        found = key(text, form=form)
        assert len(found.starts) == len(codepoints(found.text))
