from __future__ import annotations

import unicodedata

import numpy as np
import pyarrow as pa
import pytest

from dsbuild.builders.retrieval.lexical_tokens import Vocabulary, blocks, ngram_hashes, term_hashes, terms


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Ｃａｆé, CAFÉ", ["cafe\u0301", "cafe\u0301"]),
        ("हिन्दी में क़िला", ["हिन्दी", "में", unicodedata.normalize("NFD", "क़िला")]),
        ("தமிழ் മലയാളം ಕನ್ನಡ", ["தமிழ்", "മലയാളം", "ಕನ್ನಡ"]),
        ("१२३ ٤٥ 6", ["123", "45", "6"]),
        ("東京都へ行く", ["東京", "京都", "都へ", "へ行", "行く"]),
        ("猫 a 犬", ["猫", "a", "犬"]),
        ("한국어를", ["한국", "국어", "어를"]),
        ("ｶﾞｲﾄﾞ", [unicodedata.normalize("NFD", "ガイ"), unicodedata.normalize("NFD", "イド")]),
        ("ภาษา", ["ภาษ", "าษา"]),
        ("ຂ້ອຍ", ["ຂ້ອຍ"]),
        ("مُدَرِّسَةٌ مدرسه", ["مدرسه", "مدرسه"]),
        ("أحـــمد إلى آلي", ["احمد", "الي", "الي"]),
        ("کتاب ی", ["كتاب", "ي"]),
        ("שָׁלוֹם", ["שלום"]),
        ("3.5 km; it's!", ["3", "5", "km", "it", "s"]),
        ("می\u200cخواهم", ["ميخواهم"]),
        ("བོད་ཡིག", ["བོད", "ཡིག"]),
        ("… — 😀 ++", []),
        ("", []),
    ],
)
def test_terms_of_a_script(text: str, wanted: list[str]) -> None:
    assert [unicodedata.normalize("NFC", term) for term in terms(text)] == [
        unicodedata.normalize("NFC", term) for term in wanted
    ]


def test_marks_stay_in_indic_words_and_change_them() -> None:
    assert terms("की") != terms("का")
    assert terms("कि") == ["कि"]


def test_equal_terms_have_equal_hashes_and_others_do_not() -> None:
    texts = ["Straße ÉCOLE", "école", "e\u0301cole straße", "日本語", "日本", ""]
    hashes, bounds = term_hashes(pa.array(texts, pa.large_string()))
    by_text = [hashes[bounds[index] : bounds[index + 1]].tolist() for index in range(len(texts))]
    known: dict[str, int] = {}
    for text, found in zip(texts, by_text, strict=True):
        for term, value in zip(terms(text), found, strict=True):
            assert known.setdefault(term, value) == value
    assert len(set(known.values())) == len(known)
    assert by_text[5] == []


def test_a_slice_of_a_column_has_the_terms_of_its_texts() -> None:
    texts = pa.array(["one", "two words", "", "three"], pa.large_string())
    hashes, bounds = term_hashes(texts.slice(1, 3))
    assert np.diff(bounds).tolist() == [2, 0, 1]
    assert hashes.tolist() == term_hashes(pa.array(["two words three"], pa.large_string()))[0].tolist()


def test_vocabulary_numbers_by_first_occurrence_and_grows() -> None:
    vocabulary = Vocabulary()
    first = np.arange(1, 50_001, dtype=np.uint64) * np.uint64(2654435761)
    assert vocabulary.number(first, add=True).tolist() == list(range(50_000))
    assert vocabulary.number(first[::-1], add=True).tolist() == list(range(49_999, -1, -1))
    assert vocabulary.number(np.array([7], np.uint64), add=False).tolist() == [-1]
    assert vocabulary.number(np.array([0, 0], np.uint64), add=True).tolist() == [50_000, 50_000]
    assert vocabulary.size == 50_001


def test_blocks_hold_every_text_once() -> None:
    texts = pa.array(["x" * size for size in (5, 100, 1, 0, 30, 2)], pa.large_string())
    found = [part.to_pylist() for part in blocks(texts, 32)]
    assert [text for part in found for text in part] == texts.to_pylist()
    assert max(map(len, found)) > 1


def test_ngrams_are_of_folded_characters() -> None:
    def grams(text: str, n: int) -> list[int]:
        return list(ngram_hashes(pa.array([text], pa.large_string()), n)[0].tolist())

    assert len(grams("abcdef", 4)) == 3
    assert grams("ABCDE", 4) == grams("abcde", 4)
    assert len(grams("ab", 4)) == 1
    assert grams("", 4) == [] == grams("...", 4)
    # Two ideographs are as wide as four letters.
    assert len(grams("日本語学", 4)) == 3
