"""The cheap rules of pairs."""

from __future__ import annotations

import difflib
import math
import random

import pyarrow as pa
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.filters.pair_rules import COLUMNS, PairRules
from dsbuild.filters.profiles import group_rules
from dsbuild.text import words

TEXTS = st.lists(st.tuples(st.text(max_size=40), st.text(max_size=40)), min_size=1, max_size=6)
# Few letters, so that texts share and repeat stretches.
DENSE = st.lists(st.tuples(st.text("ab \n1", max_size=40), st.text("ab \n1", max_size=40)), min_size=1, max_size=6)


def score(
    pairs: list[tuple[str, str]], scorer: PairRules | None = None, a: str = "en", b: str = "de"
) -> dict[str, list[object]]:
    sides = [pa.array([pair[side] for pair in pairs], pa.string()) for side in (0, 1)]
    found = (scorer or PairRules()).score(*sides, [a] * len(pairs), [b] * len(pairs))
    return {name: column.to_pylist() for name, column in found.items()}


def one(a: str, b: str, lang_a: str = "en", lang_b: str = "de") -> dict[str, object]:
    return {name: values[0] for name, values in score([(a, b)], a=lang_a, b=lang_b).items()}


def distance(one: str, two: str) -> int:
    row = list(range(len(two) + 1))
    for i, left in enumerate(one, 1):
        last, row[0] = row[0], i
        for j, right in enumerate(two, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (left != right))
    return row[-1]


def common(one: str, two: str) -> int:
    return max(
        (len(one[i:j]) for i in range(len(one)) for j in range(i + 1, len(one) + 1) if one[i:j] in two), default=0
    )


def test_every_column_is_there_and_what_it_should_be() -> None:
    found = one("It costs 3.5 euros, or 1,000 rupees.", "Es kostet 3,5 Euro. Oder 1000 Rupien!")
    assert set(found) == set(COLUMNS)
    assert found["pairs_words_a"] == 7
    assert found["pairs_words_b"] == 7
    assert found["pairs_longest_word"] == 6
    assert found["pairs_script"] == 1
    assert found["pairs_numerals"] == 1
    assert found["pairs_terminal"] == pytest.approx(-math.log(3))
    assert found["pairs_tags"] is False
    assert found["pairs_repetition"] == 0


def test_words_and_lengths_by_script() -> None:
    hindi = one("He read four books today", "उसने आज चार किताबें पढ़ीं", "en", "hi")
    assert hindi["pairs_words_b"] == 5
    assert hindi["pairs_script"] == 1
    japanese = one("He read four books today", "彼は今日、本を四冊読んだ。", "en", "ja")
    assert japanese["pairs_mean_word_b"] is None
    assert 1 <= japanese["pairs_length_ratio"] < 1.5  # type: ignore[operator]
    assert japanese["pairs_script"] == 1
    assert one("abc", "где", "en", "en")["pairs_script"] == 0
    assert one("abc", "где", "und", "xx")["pairs_script"] is None
    assert one("१२ books", "12 books", "en", "en")["pairs_numerals"] == 1
    assert one("a। b। c।", "a. b. c.")["pairs_terminal"] == pytest.approx(-math.log(5))


def test_nothing_to_count() -> None:
    found = one("", "")
    assert found["pairs_length_ratio"] is None
    assert found["pairs_alphabet"] is None
    assert found["pairs_similarity"] == 1
    assert found["pairs_common_substring"] == 0
    assert one("a", "")["pairs_length_ratio"] == math.inf


@pytest.mark.parametrize(
    ("text", "tag"),
    [("a <b>c", True), ("a < b > c", False), ("1<2", False), ("<br/>", True), ("</p>", False), ("<!-- <i> -->", False), ("<a href", False),
     ('<a x="1>2"', False), ("<!-- x --><u>", True), ("<", False), ("a<", False)],
)  # fmt: skip
def test_tags(text: str, tag: bool) -> None:
    assert one("x", text)["pairs_tags"] is tag


def closes(text: str, start: int) -> bool:
    """Whether an opening tag, read alone from `start` on, is closed."""
    valued, quote = False, ""
    for letter in text[start:]:
        if quote:
            quote = "" if letter == quote else quote
        elif letter == ">":
            return True
        elif valued and letter in "\"'":
            valued, quote = False, letter
        else:
            valued = letter == "=" or (valued and letter <= " ")
    return False


@given(st.text("<>a=\"' !-?", max_size=30))
@settings(max_examples=300, deadline=None)
def test_tags_that_are_followed_together_are_closed_as_each_alone(text: str) -> None:
    place, found = 0, False
    while place < len(text) - 1:
        if text[place] == "<" and text[place + 1] == "a":
            found = found or closes(text, place + 2)
        elif text.startswith("<!--", place) and "-->" in text[place + 4 :]:
            place = text.index("-->", place + 4) + 3
            continue
        elif text[place] == "<" and text[place + 1] in "!?/":
            place = text.find(">", place + 1) + 1 or len(text)
            continue
        place += 1
    assert one("x", text)["pairs_tags"] is found


@given(TEXTS | DENSE)
@settings(max_examples=120, deadline=None)
def test_likeness_is_what_a_slow_count_says(pairs: list[tuple[str, str]]) -> None:
    pairs = [(a.encode("utf-8", "replace").decode(), b.encode("utf-8", "replace").decode()) for a, b in pairs]
    found = score(pairs)
    again = regex.compile(r"(\S.{2,100}?)(?: *\1){2,}")
    peer = score(pairs, PairRules(("counts", "repetition"), "peer"))
    for row, (a, b) in enumerate(pairs):
        shorter, longer = sorted((len(a), len(b)))
        assert found["pairs_common_substring"][row] == pytest.approx(common(a, b) / shorter if shorter else 0)
        assert found["pairs_similarity"][row] == pytest.approx(1 - distance(a, b) / longer if longer else 1)
        counts = [match.group(0).count(match.group(1)) - 1 if (match := again.search(text)) else 0 for text in (a, b)]
        assert peer["pairs_repetition"][row] == max(counts)
        digits = [[c for c in text if c in "123456789"] for text in (a, b)]
        assert peer["pairs_numerals"][row] == pytest.approx(difflib.SequenceMatcher(None, *digits).ratio())
        assert peer["pairs_words_a"][row] == len(a.split())
        assert peer["pairs_longest_word"][row] == max(
            (len(word) for text in (a, b) for word in text.split()), default=0
        )


@given(st.lists(st.text(st.sampled_from("aé.,1५'हि्ंद私カーのกเาខ្មែမြန်\u200d 。"), max_size=30), min_size=1, max_size=8))
@settings(max_examples=80, deadline=None)
def test_words_are_those_of_the_text_module(texts: list[str]) -> None:
    spaced = [
        text for text in texts if not regex.search(r"[\p{Han}\p{Hiragana}\p{Katakana}ーกเาខ្មែမြန်\u17d2\u103a]", text)
    ]
    if spaced:
        found = score([(text, "x") for text in spaced])["pairs_words_a"]
        for text, count in zip(spaced, found, strict=True):
            assert count >= len(words(text))  # type: ignore[operator]


def test_slices_and_chunks_do_not_matter() -> None:
    texts = ["left out", "one two 3", "", "नदी ", "<b> ha ha ha ha"]
    array = pa.array(texts)
    langs = ["en"] * 4
    sliced = PairRules().score(array[1:], array[1:], langs, langs)
    copied = PairRules().score(pa.array(texts[1:]), pa.array(texts[1:]), langs, langs)
    assert sliced == copied
    assert PairRules().score(array[:0], array[:0], [], []).keys() == set(COLUMNS)


@pytest.mark.parametrize("unit", ["a", "ab", " ", "<", "<a", '<a="', "<!-- >", "\x00\u0301", "12"])
def test_long_texts_take_linear_time(unit: str) -> None:
    # Quadratic time would be hours.
    text = unit * (1_000_000 // len(unit))
    assert score([(text, text)], PairRules(("counts",)))["pairs_tags"] == [False]
    text = text[:300_000]
    found = score([(text, text[: len(text) // 2] + "x" + text[len(text) // 2 :])])
    assert found["pairs_common_substring"][0] == pytest.approx(0.5, abs=0.501)


def test_texts_of_few_letters_without_repetition() -> None:
    rng = random.Random(0)
    # The word of Thue and Morse has no stretch three times in a row.
    thue = "".join("ab"[bin(place).count("1") % 2] for place in range(50_000))
    noise = "".join(rng.choice("abcdefgh ") for _ in range(50_000))
    assert score([(thue, noise)], PairRules(("repetition",)))["pairs_repetition"][0] in (0, 2, 3)
    assert score([(thue, thue)], PairRules(("repetition",)))["pairs_repetition"] == [0]


def test_rules_name_columns_that_there_are() -> None:
    assert {one.rule.column for one in group_rules("pairs")} <= set(COLUMNS)
    good = one("The river is wide and calm today.", "Der Fluss ist heute breit und ruhig.")
    for rule in (each.rule for each in group_rules("pairs")):
        value = good[rule.column]
        assert rule.value is None or (value >= rule.value if rule.op == "<" else value < rule.value)  # type: ignore[operator]
