"""Glossary files."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsbuild.errors import RecipeError, UnknownName
from dsbuild.translate.glossary import load_glossary
from dsbuild.translate.protect import find


def write(folder: Path, text: str) -> Path:
    path = folder / "terms.tsv"
    path.write_text(text, "utf-8")
    return path


def test_terms_by_language(tmp_path: Path) -> None:
    path = write(tmp_path, "# names\n\nGanga\nmonsoon\tमानसून\thi\nmonsoon\tपावसाळा\tmr\nrice\tअन्न\tte\n  tea \t चाय \n")
    assert load_glossary(path, "en", ["hi", "mr", "ta"]) == {
        "hi": {"Ganga": "Ganga", "monsoon": "मानसून", "tea": "चाय"},
        "mr": {"Ganga": "Ganga", "monsoon": "पावसाळा", "tea": "चाय"},
        "ta": {"Ganga": "Ganga", "tea": "चाय"},
    }


def test_a_language_may_be_spelled_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path, "tea\t茶\tzh-CN\nrice\t米\tZH-hans\n")
    assert load_glossary(path, "en", ["zh-Hans", "hi"]) == {"zh-Hans": {"tea": "茶", "rice": "米"}, "hi": {}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tea\tचाय\thi\textra\n", ":1: write term<TAB>translation<TAB>language"),
        ("\tचाय\thi\n", ":1: write term"),
        ("tea\tचाय\thi\ntea\tचहा\n", ":2: 'tea' has another translation for hi above"),
        ("# nothing\n", "no term for en -> hi"),
        ("rice\tअन्न\tte\n", "no term for en -> hi"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_glossary(write(tmp_path, text), "en", ["hi"])
    assert said in str(caught.value)


def test_unknown_language_and_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="no language 'hni'"):
        load_glossary(write(tmp_path, "tea\tचाय\thni\n"), "en", ["hi"])
    with pytest.raises(RecipeError, match="cannot be read as a glossary"):
        load_glossary(tmp_path / "none.tsv", "en", ["hi"])
    (tmp_path / "bytes.tsv").write_bytes(b"tea\t\xff\n")
    with pytest.raises(RecipeError, match="cannot be read as a glossary"):
        load_glossary(tmp_path / "bytes.tsv", "en", ["hi"])


def test_terms_are_whole_words_and_the_longest_wins() -> None:
    items = find("Tea time, tea and teapots.", (), terms={"tea": "चाय", "Tea time": "चाय का समय"})
    assert [(item.text, item.replacement) for item in items] == [("Tea time", "चाय का समय"), ("tea", "चाय")]
