"""Characters, letters and their shares, of any script."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.filters.lengths import COLUMNS, Lengths

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"])), max_size=5)


@settings(deadline=None)
@given(TEXTS)
def test_letters_are_those_that_unicode_says(texts: list[str]) -> None:
    found = Lengths().score(pa.array(texts, pa.string()), ["und"] * len(texts))
    assert set(found) == set(COLUMNS)
    for place, text in enumerate(texts):
        letters = sum(unicodedata.category(c)[0] == "L" for c in text)
        marks = sum(unicodedata.category(c)[0] == "M" for c in text)
        assert letters <= found["length_letters"][place].as_py() <= letters + marks + 2 * text.count("〇")
        share = found["length_letter_share"][place].as_py()
        assert share is None or 0 <= share <= 1


def test_marks_belong_to_letters_and_space_to_nothing() -> None:
    found = Lengths().score(pa.array(["हिन्दी 12", " \n", ""]), ["hi"] * 3)
    assert found["length_characters"].to_pylist() == [8, 0, 0]
    assert found["length_letters"].to_pylist() == [6, 0, 0]
    assert found["length_digit_share"].to_pylist() == [0.25, None, None]
