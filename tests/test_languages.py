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


@pytest.mark.parametrize(
    ("label", "code"),
    [
        ("__label__hin_Deva", "hi"),
        ("cmn_Hani", "zh-Hans"),
        ("zho_Hans", "zh-Hans"),
        ("zho_Hant", "zh-Hant"),
        ("npi_Deva", "ne"),
        ("nep", "ne"),
        ("kok_Deva", "gom"),
        ("srp_Latn", "sr-Latn"),
        ("srp_Cyrl", "sr"),
        ("uzn_Cyrl", "uz-Cyrl"),
        ("als_Latn", "sq"),
        ("ekk_Latn", "et"),
        ("jpn_Jpan", "ja"),
        ("kor_Hang", "ko"),
        ("sat_Olck", "sat"),
        ("mni_Mtei", "mni-Mtei"),
        ("bh", "bho"),
        ("ns", "nso"),
        ("zh-TW", "zh-Hant"),
    ],
)
def test_labels_of_any_system(label: str, code: str) -> None:
    found = languages.find_any(label)
    assert found is not None
    assert found.code == code


def test_every_code_goes_there_and_back() -> None:
    for code in languages.codes():
        language = languages.get(code)
        assert languages.find_any(code) == language
        if language.nllb:
            assert languages.find_any(language.nllb) == language
            assert languages.find(language.nllb, "nllb") == language
        for scheme in ("iso639_3", "m2m100", "lid176"):
            label = getattr(language, scheme)
            found = languages.find(label, scheme) if label else language
            assert found is not None
            # Several languages may share a label (zh); it then means the first of them.
            assert getattr(found, scheme) == (label or getattr(language, scheme))
        assert language in languages.find_all(f"{language.iso639_3}_{language.scripts[0]}")
        assert language in languages.find_all(f"{language.iso639_3}_{language.unicode_scripts[0]}")
    pairs = [(languages.get(code).iso639_3, languages.get(code).scripts) for code in languages.codes()]
    assert len(pairs) == len(set(pairs))
    assert languages.find_any("xx_Latn") is None
    assert languages.find_any("zxx_none") is None
    assert languages.find_any("") is None


def test_lid176_labels_that_languages_share() -> None:
    shared: dict[str, list[str]] = {}
    for code in languages.codes():
        shared.setdefault(languages.get(code).lid176, []).append(code)
    shared.pop("")
    assert {label: found for label, found in shared.items() if len(found) > 1} == {
        "uz": ["uz", "uz-Cyrl"],
        "zh": ["zh-Hans", "zh-Hant"],
    }
