import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.filters.ngram_index import AS_ROW, GRAMS, UNCHECKABLE, WHOLE, build_index, find, matches
from dsbuild.filters.ngram_units import WORD, weights
from dsbuild.filters.utf8 import encode

FOX = "The quick brown fox jumps over the lazy dog and then it runs back home again"  # 16 words


def looked_up(items, texts, n=13):
    index = build_index(*encode(items), n)
    return index, matches(index, find(index, *encode(texts)))


def spans(found, texts):
    match = found.span_match
    return [
        (int(found.text[m]), int(found.item[m]), texts[found.text[m]][start:end])
        for m, start, end in zip(match, found.span_start, found.span_end, strict=True)
    ]


def test_a_planted_ngram_is_found_where_it_stands():
    words = FOX.split()
    texts = ["nothing of the kind", "So, " + " ".join(words[1:14]) + " - the end", " ".join(words[:12])]
    _, found = looked_up([FOX], texts)
    assert spans(found, texts) == [(1, 0, " ".join(words[1:14]))]
    assert found.coverage.tolist() == [pytest.approx(13 / 16)]


def test_the_whole_item_is_covered_once_however_many_ngrams_overlap():
    texts = [f"{FOX}. {FOX}!"]
    _, found = looked_up([FOX], texts)
    assert found.coverage.tolist() == [1.0]
    assert [text for _, _, text in spans(found, texts)] == [FOX, FOX]


def test_short_items_are_matched_whole_and_only_at_word_borders():
    items = ["how are you today", "yes", "photosynthesis", "no way!"]
    texts = [
        "He asked: HOW ARE YOU, today?",
        "how are you todays",
        "somehow are you today",
        "yes",
        "Photosynthesis.",
        "on photosynthesis in plants",
        "no way",
    ]
    index, found = looked_up(items, texts)
    assert index.kinds.tolist() == [WHOLE, UNCHECKABLE, AS_ROW, UNCHECKABLE]
    assert spans(found, texts) == [(0, 0, "HOW ARE YOU, today"), (4, 2, "Photosynthesis")]


@pytest.mark.parametrize(
    ("item", "text", "wanted"),
    [
        (
            "我今天早上在北京的公园里看见了一只非常可爱的小猫和两只狗",
            "昨天他说：我今天早上在北京的公园里看见了一只非常可爱的小猫，还有",
            "我今天早上在北京的公园里看见了一只非常可爱的小猫",
        ),
        ("日本の首都はどこですか", "質問:日本の首都はどこですか?", "日本の首都はどこですか"),
        ("ประเทศไทยมีเมืองหลวงชื่อว่าอะไร", "ถามว่าประเทศไทยมีเมืองหลวงชื่อว่าอะไรครับ", "ประเทศไทยมีเมืองหลวงชื่อว่าอะไร"),
    ],
)  # fmt: skip
def test_scripts_without_spaces(item, text, wanted):
    _, found = looked_up([item], [text])
    assert [one for _, _, one in spans(found, [text])] == [wanted]


def test_ngrams_of_scripts_without_spaces_say_as_much_as_13_words():
    assert weights(*encode(["文" * 21]))[0] >= 13 * WORD > weights(*encode(["文" * 20]))[0]
    assert weights(*encode(["ก" * 54]))[0] >= 13 * WORD > weights(*encode(["ก" * 50]))[0]


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ("भारत की जनसंख्या १४३ करोड़ है", "भारत की जनसंख्या 143 करोड़ है"),  # native digits
        ("What did Café Noir sell?", "«WHAT did café—noir sell»"),  # case, punctuation, composed and decomposed
        ("the ｆｕｌｌ width form", "The full width form"),
        ("കണ്ണന്‍ എവിടെ ആണ്", "കണ്ണൻ എവിടെ ആണ്"),  # chillu
        ("أين تقع العـــاصمة اليوم", "أين تقع العاصمة اليوم"),  # tatweel
    ],
)
def test_what_folds_alike_matches(item, text):
    _, found = looked_up([item], [text])
    assert len(found.text) == 1


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ("वह कल दिल्ली गया", "वह कल दिल्ली गयी"),
        ("how are you today", "how are you to day"),
        ("ไม่มีใครรู้เรื่องนี้", "ไม้มีใครรู้เรื่องนี้"),
        ("かぎはどこにありますか", "がぎはどこにありますか"),
    ],
)
def test_what_means_something_else_does_not(item, text):
    _, found = looked_up([item], [text])
    assert len(found.text) == 0


def slow_matches(item, text, n):
    """Shared n-grams of plain lower-case ASCII words."""
    pattern = re.compile(r"[a-z]+")
    of_item, of_text = pattern.findall(item), [(m.group(), m.start(), m.end()) for m in pattern.finditer(text)]
    size = min(n, len(of_item))
    grams = {tuple(of_item[i : i + size]) for i in range(len(of_item) - size + 1)} if len(of_item) >= 3 else set()
    return sorted(
        {
            (of_text[i][1], of_text[i + size - 1][2])
            for i in range(len(of_text) - size + 1)
            if tuple(w for w, _, _ in of_text[i : i + size]) in grams
        }
    )


@pytest.mark.parametrize("seed", range(4))
def test_hits_are_those_of_a_search_word_by_word(seed):
    draw = random.Random(seed)
    words = [f"{chr(97 + i)}{chr(97 + j)}" for i in range(3) for j in range(2)]
    items = [" ".join(draw.choices(words, k=draw.randint(3, 9))) for _ in range(12)]
    texts = [" ".join(draw.choices(words, k=draw.randint(0, 60))) for _ in range(30)]
    index = build_index(*encode(items), 5)
    hits = find(index, *encode(texts))
    for item in range(len(items)):
        for text in range(len(texts)):
            mine = (hits.text == text) & (hits.item == item)
            assert sorted(set(zip(hits.start[mine].tolist(), hits.end[mine].tolist(), strict=True))) == slow_matches(
                items[item], texts[text], 5
            )


def test_texts_without_a_word_of_the_items_have_no_hit():
    draw = random.Random(7)
    items = [" ".join(f"i{draw.randrange(5000)}" for _ in range(draw.randint(3, 30))) for _ in range(500)]
    texts = [" ".join(f"t{draw.randrange(5000)}" for _ in range(300)) for _ in range(200)]
    _, found = looked_up(items, texts)
    assert len(found.text) == 0


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.text(max_size=20), st.text(max_size=20))
def test_any_text_is_found_in_itself_and_its_span_is_within(item, before, after):
    texts = [item, f"{before}\n{item}\n{after}"]
    index, found = looked_up([item], texts)
    if index.kinds[0] in (WHOLE, GRAMS):
        assert set(found.text.tolist()) == {0, 1}
    for match, start, end in zip(found.span_match, found.span_start, found.span_end, strict=True):
        assert 0 <= start < end <= len(texts[found.text[match]])


def test_odd_texts():
    texts = ["", " ", "\x00\x01", "☃" * 50, "a" * 100_000, "$ " * 1000, "\u0301", chr(0x378) * 20, "\ud800 lone"]
    index, found = looked_up([*texts, FOX], [*texts, FOX])
    assert (found.item[found.text == len(texts)] == len(texts)).all()
    assert index.kinds[:2].tolist() == [UNCHECKABLE, UNCHECKABLE]
    nothing, found = looked_up([], [FOX])
    assert len(found.text) == 0
    assert nothing.nbytes > 0


def test_boilerplate_that_many_items_share_costs_no_more_than_its_cap():
    items = [f"{FOX} item{i}" for i in range(300)]
    index = build_index(*encode(items))
    hits = find(index, *encode([FOX] * 10))
    assert np.bincount(hits.text).max() <= 4 * 64
