"""The language table."""

from __future__ import annotations

import pytest

from dsbuild import languages
from dsbuild.errors import UnknownName
from dsbuild.text import SCRIPTS


def test_every_row_is_whole() -> None:
    assert len(languages.codes()) >= 110
    for code in languages.codes():
        language = languages.get(code)
        assert language.code == code
        assert len(language.iso639_3) == 3
        assert all(len(script) == 4 for script in language.scripts)
        assert set(language.unicode_scripts) <= set(SCRIPTS), code
        assert language.direction in ("ltr", "rtl")
        assert language.name
        assert language.autonym
        assert code not in language.confusables
        assert all(languages.get(other) for other in language.confusables)
        if language.nllb:
            assert languages.find(language.nllb, "nllb") == language


@pytest.mark.parametrize("scheme", ["nllb"])
def test_engine_labels_are_unique(scheme: str) -> None:
    labels = [getattr(languages.get(code), scheme) for code in languages.codes()]
    named = [label for label in labels if label]
    assert len(named) == len(set(named))


def test_known_codes() -> None:
    hindi = languages.get("hi")
    assert (hindi.nllb, hindi.m2m100, hindi.lid176, hindi.script) == ("hin_Deva", "hi", "hi", "Deva")
    assert languages.get("HI") == hindi
    assert languages.get("SR-latn").code == "sr-Latn"
    assert languages.get("zh_hant").nllb == "zho_Hant"
    assert languages.get("iw").code == "he"
    assert languages.get("no").code == "nb"
    assert languages.get("ja").unicode_scripts == ("Hani", "Hira", "Kana")
    assert languages.get("ur").direction == "rtl"


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("hin", "'hi'"),
        ("hin_Deva", "hi"),
        ("pt-BR", "'pt'"),
        ("zh", "zh-Hans"),
        ("Hindi", "hi"),
        ("xx", "Known"),
        ("", "Known"),
    ],
)
def test_unknown_codes_say_what_is_near(code: str, hint: str) -> None:
    with pytest.raises(UnknownName) as caught:
        languages.get(code)
    assert hint in str(caught.value)


def test_find_by_other_codes() -> None:
    found = languages.find("npi_Deva", "nllb")
    assert found is not None
    assert found.code == "ne"
    assert languages.find("nope", "lid176") is None
