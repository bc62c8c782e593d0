"""Answers and quotations in their passages: places in the text as it came, borders of words, and how much is there where no place is."""

from __future__ import annotations

import gzip
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.builders.generation.found_answers import Passage

WORDS = "river नदी १२ मदुरै ஆறு 東京 가다 straße क़लम Ｒｓ １９".split()
TYPED = (
    str.upper,
    str.lower,
    lambda text: unicodedata.normalize("NFD", text),
    lambda text: unicodedata.normalize("NFC", text),
)


@pytest.mark.parametrize(
    ("passage", "answer", "found"),
    [
        ("It was built in 1874.", "1874", "1874"),
        ("यह १८७४ में बना था।", "1874", "१८७४"),
        ("It was built in 1874.", "१८७४", "1874"),
        ("मेरा क़लम नीला है", "क\u093cलम", "क़लम"),
        ("A party near the art school.", "Art", "art"),
        ("Founded in 1995, with 5 rooms.", "5", "5"),
        ("Founded in 1995.", "5", ""),
        ("It costs 3.50 here.", "3", ""),
        ("மதுரையில் பெரிய கோயில் உள்ளது.", "மதுரை", "மதுரை"),  # an ending of its last word is missing
        ("Er ist Berliner.", "Berlin", "Berlin"),
        ("An article of faith.", "art", ""),
        ("The portal is open.", "port", "port"),  # what looks like an ending is taken for one
        ("कलम", "क", ""),
        ("東京は日本の首都です。", "日本", "日本"),
        ("トウキョウ", "トウ", ""),
        ("ａｂｃ ｄｅｆ", "ABC", "ａｂｃ"),
        ("He said \u201cno\u200dt now\u201d to us", "not now", "no\u200dt now"),
        ("It ran for oil.", " “oil”. ", "oil"),
        ("It grew by 5%.", "5%", "5%"),
        ("anything", "", ""),
        ("", "anything", ""),
        ("anything", " . ", ""),
    ],
)  # fmt: skip
def test_where_an_answer_stands(passage: str, answer: str, found: str) -> None:
    place = Passage(passage).find(answer)
    assert (passage[place.start : place.end] if place.verbatim else "") == found
    assert (place.overlap == 1.0) or not place.verbatim
    assert (place.start is None) == (place.end is None)


@given(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=6),
    st.lists(st.sampled_from(WORDS), max_size=6),
    st.sampled_from(TYPED),
)
def test_an_answer_typed_another_way_is_found_where_it_stands(own: list[str], before: list[str], typed: object) -> None:
    passage = " ".join([*before, *own, "end"])
    place = Passage(passage).find(typed(" ".join(own)))  # type: ignore[operator]
    assert place.start is not None
    assert place.end is not None
    # Read without the code that found it: the same words stand there, whatever their case and composition.
    plain = [
        unicodedata.normalize("NFKC", text).casefold() for text in (passage[place.start : place.end], " ".join(own))
    ]
    assert plain[0] == plain[1]
    assert place.start <= len(" ".join([*before, ""]))


@given(st.text(max_size=40), st.text(max_size=12))
def test_any_text_may_come(passage: str, answer: str) -> None:
    held = Passage(passage)
    place = held.find(answer)
    assert 0.0 <= place.overlap <= 1.0
    if place.start is not None and place.end is not None:
        assert 0 <= place.start < place.end <= len(passage)
    spans, n = held.quotes(answer)
    assert len(spans) <= n


def test_what_is_not_there_in_one_piece_is_weighed_by_its_words() -> None:
    passage = Passage("The lamp of the old harbour burned oil until 1938, when electricity came to the island.")
    assert passage.find("the harbour lamp").overlap == 1.0
    assert passage.find("the harbour lamp").verbatim is False
    assert passage.find("gas and oil").overlap == pytest.approx(1 / 3)
    assert passage.find("electrical power").overlap == pytest.approx(1 / 2), "words with one beginning"
    assert passage.find("1937").overlap == 0.0, "numbers have no endings"
    assert Passage("பாரிஸில் ஒரு கோபுரம் உள்ளது").find("பாரிஸ்").overlap == 1.0
    assert Passage("東京は日本の首都です。").find("本日").overlap == 0.0, "single signs stand anywhere, so pairs count"


def test_of_several_places_the_one_in_the_quotation() -> None:
    text = "In 1938 the lamp went out. Electricity came in 1938 as well."
    passage = Passage(text)
    places, n = passage.quotes("It says “electricity came in 1938”.")
    assert n == 1
    (place,) = places
    assert text[place[0] : place[1]] == "Electricity came in 1938"
    assert passage.find("1938", near=tuple(places)).start == text.rindex("1938")
    assert passage.find("1938").start == text.index("1938")


@pytest.mark.parametrize(
    ("reasoning", "there", "n"),
    [
        ("no quotation", 0, 0),
        ('"the lamp went out"', 1, 1),
        ("«The LAMP» und „went out“", 2, 2),
        ("「the lamp」と『nothing』", 1, 2),
        ("“In 1938 … out.”", 1, 1),
        ("“In 1938 ... the moon”", 0, 1),
        ("“…”", 0, 1),
        ("an “open one", 0, 0),
    ],
)
def test_quotations(reasoning: str, there: int, n: int) -> None:
    places, count = Passage("In 1938 the lamp went out.").quotes(reasoning)
    assert (len(places), count) == (there, n)


XQUAD = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "projection" / "xquad"


@pytest.mark.skipif(not XQUAD.is_dir(), reason=f"XQuAD is not at {XQUAD}")
@pytest.mark.parametrize("lang", ["de", "en", "es", "hi"])
def test_answers_of_xquad_in_their_passages_and_in_others(lang: str) -> None:
    data = json.loads(gzip.decompress((XQUAD / f"xquad.{lang}.json.gz").read_bytes()))["data"]
    paragraphs = [one for article in data for one in article["paragraphs"]]
    own, others = [], []
    for number, one in enumerate(paragraphs):
        passage, elsewhere = Passage(one["context"]), Passage(paragraphs[(number + 97) % len(paragraphs)]["context"])
        for asked in one["qas"]:
            (answer,) = asked["answers"]
            place = passage.find(answer["text"])
            own.append(place)
            others.append(elsewhere.find(answer["text"]))
            if one["context"].count(answer["text"]) == 1 and place.start is not None:
                assert place.start == answer["answer_start"]
                assert place.end == answer["answer_start"] + len(answer["text"])
    assert sum(one.verbatim for one in own) >= 0.995 * len(own)
    # The threshold of the funnel's step, and what docs/funnel.md says of it.
    assert sum(one.overlap < 0.6 for one in own) <= 2
    assert 0.976 <= sum(one.overlap < 0.6 for one in others) / len(others) <= 0.988
