"""Numbers by value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.filters.numbers import mismatch, numbers


def compare(source: str, src: str, target: str, tgt: str) -> float | None:
    return mismatch(numbers(source, src), numbers(target, tgt))


@pytest.mark.parametrize(
    ("source", "target", "tgt"),
    [
        ("It costs 100,000 rupees", "इसकी कीमत १,००,००० रुपये है", "hi"),
        ("2.5 million people", "25 लाख लोग", "hi"),
        ("30 million", "3 करोड़", "hi"),
        ("5 crore", "पाच कोटी", "mr"),
        ("1,234.5 tons", "1.234,5 toneladas", "es"),
        ("6 children", "சிறுவர்கள் ஆறு பேர்", "ta"),
        ("21 books", "veintiuno libros", "es"),
        ("on 5 June 2010", "५ जून २०१० को", "hi"),
        ("10/06/2010", "10.06.2010", "de"),
        ("at 3 p.m.", "a las 15:00", "es"),
        ("twelve of 500", "500 में से 12", "hi"),
        ("the 1980s", "los años 80", "es"),
        ("12 million", "1200万", "zh-Hans"),
        ("the 19th century", "el siglo XIX", "es"),
        ("1½ or 2.5", "1½ या ढाई", "hi"),
        ("٣٫٥ كيلو", "3.5 kilos", "es"),
    ],
)
def test_the_same_values(source: str, target: str, tgt: str) -> None:
    src = "ar" if "٣" in source else "en"
    assert compare(source, src, target, tgt) == 0


@pytest.mark.parametrize(
    ("source", "target", "share"),
    [
        ("231 people", "२३९ लोग", 1.0),
        ("1.153 billion", "1 अरब", 1.0),
        ("5 of 700", "7 में से 700", 0.5),
        ("in 1995", "तब", 1.0),
        ("then", "1995 में", 1.0),
    ],
)
def test_wrong_values(source: str, target: str, share: float) -> None:
    assert compare(source, "en", target, "hi") == pytest.approx(share)


def test_it_abstains() -> None:
    assert compare("no digits here", "en", "कुछ नहीं", "hi") is None
    assert compare("10 feet tall", "en", "3 metros de alto", "es") is None, "units that translators convert"
    assert compare("13 boys", "en", "പതിമൂന്ന് പേർ", "ml") is None, "number words of the language are not known"
    assert compare("13 of 1,947", "en", "1,947 പേർ", "ml") == 0


@given(st.integers(0, 10**9), st.sampled_from(["hi", "es", "de", "ta"]))
def test_grouping_does_not_change_a_value(value: int, lang: str) -> None:
    assert compare(f"{value} x", "en", f"{value:,} x", lang) == 0
    assert compare(f"{value:,} x", "en", f"{value:,} x".replace(",", "."), lang) == 0


@given(st.text(st.sampled_from("0१٣.,:' -½五十XIVa"), max_size=40))
def test_any_text_compares_with_itself(text: str) -> None:
    assert compare(text, "en", text, "en") in (None, 0)
