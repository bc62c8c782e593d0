from __future__ import annotations

import unicodedata
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.filters.folding import folded
from dsbuild.filters.shingles import Shingling, Unit
from dsbuild.filters.utf8 import encode
from dsbuild.text import graphemes

SCRIPTS = "ab é \u0301 हिंदी மொழி 漢字 かな ไทย ខ្មែរ ကမ် 1२ .😀+ \u200d한"


def sets_of(texts: list[str], unit: Unit = "graphemes", n: int = 0) -> list[set[int]]:
    hashes, bounds = Shingling(unit, n).sets(*encode(texts))
    found = [hashes[start:end].tolist() for start, end in pairwise(bounds)]
    assert all(one == sorted(set(one)) for one in found), "sorted, without repeats"
    return [set(one) for one in found]


def windows(units: list[str], n: int) -> set[tuple[str, ...]]:
    return {tuple(units[at : at + n]) for at in range(max(1, len(units) - n + 1))}


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text(st.sampled_from("abC .é"), max_size=30), min_size=1, max_size=5), st.integers(1, 6))
def test_words_are_those_of_python(texts: list[str], n: int) -> None:
    wanted = [windows(text.replace(".", " ").lower().split(), n) for text in texts]
    for one, theirs in zip(wanted, sets_of(texts, "words", n), strict=True):
        assert len(one) == len(theirs)
    found = sets_of(texts, "whitespace", n)
    for i, one in enumerate(wanted):
        for j, other in enumerate(wanted):
            if one != {()} and other != {()}:
                assert len(one & other) == len(found[i] & found[j])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text(st.sampled_from(SCRIPTS), max_size=25), min_size=1, max_size=4), st.integers(1, 6))
def test_every_text_has_a_shingle_and_grapheme_sets_overlap_as_they_should(texts: list[str], n: int) -> None:
    found = sets_of(texts, "graphemes", n)
    assert all(found)
    # Base and marks: what \X gives, but for jamo, emoji sequences and consonants joined by a virama, which it joins further.
    for text, ours in zip(texts, found, strict=True):
        assert len(ours) <= max(1, len(folded(text)))


@pytest.mark.parametrize("letters", ["कमाि", "ชดาี", "بتثً"], ids=["Devanagari", "Thai", "Arabic"])
def test_texts_that_are_made_of_other_graphemes_share_only_the_shingles_that_they_share(letters: str) -> None:
    texts = ["".join(parts) for size in (2, 3, 4) for parts in product(letters, repeat=size)]
    wanted = [windows(base_and_marks(text), 2) for text in texts]
    found = sets_of(texts, "graphemes", 2)
    for i, j in product(range(0, len(texts), 7), range(len(texts))):
        assert len(wanted[i] & wanted[j]) == len(found[i] & found[j]), (texts[i], texts[j])


def base_and_marks(text: str) -> list[str]:
    units: list[str] = []
    for letter in text:
        if unicodedata.category(letter).startswith("M") and units:
            units[-1] += letter
        else:
            units.append(letter)
    return units


def test_graphemes_of_latin_devanagari_and_tamil() -> None:
    for text in ("naïve café", "हिंदी में लिखा", "மொழிகள் பல", "tới tối tội"):
        units = graphemes(text)
        assert [len(sets_of([text], "graphemes", n)[0]) for n in (1, 3)] == [
            len(windows(units, 1)),
            len(windows(units, 3)),
        ]


@pytest.mark.parametrize(
    ("text", "count"),
    [("漢字を書く", 5), ("ภาษาไทย", 6), ("hello world", 2), ("漢字abc", 3), ("c++ x", 3), ("3.5 km", 3), ("ខ្មែរ", 3)],
)
def test_words_of_unspaced_scripts_are_single_letters(text: str, count: int) -> None:
    assert len(sets_of([text], "words", 1)[0]) == count, "distinct words"


def test_short_texts_are_near_their_equals_only() -> None:
    cat, cats, upper, nothing, dots, more, empty = sets_of(["cat", "cats", "Cat!", "!?", "...", "....", ""])
    assert cat == upper
    assert not cat & cats
    assert len({frozenset(one) for one in (nothing, dots, more, empty)}) == 4
    assert all(len(one) == 1 for one in (cat, nothing, dots, empty))


def test_a_long_text_in_linear_time() -> None:
    (found,) = sets_of(["word " * 200_000 + "\x00\ud800 end"])
    assert len(found) < 30
