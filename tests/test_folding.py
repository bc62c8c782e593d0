from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.filters.folding import Form, fold_all, fold_table, folded, room
from dsbuild.filters.utf8 import encode

SAME = [
    ("Straße  42!", "straße 42"),
    ("É", "e\u0301"),
    ("ＡＢＣ　１２", "abc 12"),
    ("१२३ ٤٥ ๖", "123 45 6"),
    ("كـــتاب", "كتاب"),
    ("ﻛﺘﺎﺏ", "كتاب"),
    ("می‌خواهم", "میخواهم"),
    ("അവൻ", "അവന്\u200d"),
    ("ﬁne\ufeff", "fine"),
    ("ガ", "ｶﾞ"),
    ("क़लम", "क\u093cलम"),
    ("İ", "i"),
    ("one\u2014two...three\n\n\tfour", "one two three four"),
]
# Differences that carry meaning: none of these pairs may become equal.
APART = [
    ("がぎ", "かき"), ("ไม่", "ไม้"), ("tới", "tối"), ("कु", "क"), ("हिंदी", "हिदी"), ("x2", "x3"), ("c++", "c"), ("😀", "😂"),
    ("5€", "5"), ("ab c", "abc"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_does_not_count(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize(("one", "other"), APART)
def test_what_counts(one: str, other: str) -> None:
    assert folded(one) != folded(other)


def test_the_spaced_form_changes_white_space_only() -> None:
    assert folded(" A  B,\u00a0\nc\u0301 १ ", "spaced") == "A B, ć १"
    assert folded("A", "spaced") != folded("a", "spaced")
    assert folded("a.", "spaced") != folded("a", "spaced")


@settings(max_examples=150, deadline=None)
@given(st.text(), st.sampled_from(["spaced", "folded"]))
def test_folding_twice_is_folding_once_and_canonical_forms_are_equal(text: str, form: Form) -> None:
    once = folded(text, form)
    assert folded(once, form) == once
    # Marks in an unusual order and Hangul jamo are said to stay apart, so only texts without them are compared.
    decomposed = unicodedata.normalize("NFD", text)
    if not any(unicodedata.combining(letter) for letter in text) and not any(
        "\u1100" <= c < "\u1200" for c in decomposed
    ):
        assert folded(decomposed, form) == once


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.sampled_from("ǖΐﬄﷺ́aä 한\ud800\U000e0001\x00।")), max_size=5))
def test_there_is_room_for_every_text(texts: list[str]) -> None:
    data, offsets = encode(texts)
    table = fold_table("folded")
    codes, bounds = fold_all(data, offsets, table.one, table.many)
    assert len(codes) == bounds[-1]
    for text in range(len(texts)):
        assert bounds[text + 1] - bounds[text] <= room(offsets[text + 1] - offsets[text])


def test_ascii_agrees_with_python() -> None:
    text = "".join(map(chr, range(128)))
    words = "".join(c.lower() if c.isalnum() or c in "$+<=>|~" else " " for c in text).split()
    assert folded(text) == " ".join(words)
