"""The language of a labelled file: what it says, else what its texts seem to be in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsbuild.builders.labelled.formats import open_labelled
from dsbuild.builders.labelled.labelled_set import identified, open_section, stated_language
from dsbuild.builders.sections import SourceSection
from dsbuild.errors import RecipeError

EN = ["The old bridge was closed for the winter.", "Nobody knows who lit the lamp.", "She sells bread at the market."]
DE = [
    "Die alte Brücke war im Winter geschlossen.",
    "Niemand weiß, wer die Lampe angezündet hat.",
    "Sie verkauft Brot auf dem Markt.",
]


def spans(path: Path, texts: list[str], lang: str | None = None) -> Path:
    rows = [
        {"id": str(number), "text": text, "spans": [], **({"lang": lang} if lang else {})}
        for number, text in enumerate(texts)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.mark.parametrize(("texts", "lang"), [(EN, "en"), (DE, "de"), (["अनीता कल बाज़ार गई और उसने रोटी ख़रीदी।"], "hi")])
def test_a_clear_language_is_found(tmp_path: Path, texts: list[str], lang: str) -> None:
    found, share = identified(open_labelled(f"spans:{spans(tmp_path / 'a.jsonl', texts)}"))
    assert (found, share > 0.9) == (lang, True)


@pytest.mark.parametrize("texts", [["42", "17 + 3"], [*(EN * 60), *(DE * 60)]])
def test_an_unclear_one_is_not_guessed(tmp_path: Path, texts: list[str]) -> None:
    assert identified(open_labelled(f"spans:{spans(tmp_path / 'a.jsonl', texts)}"))[0] == ""


def test_what_the_file_or_the_user_says_goes_first(tmp_path: Path) -> None:
    path = spans(tmp_path / "a.jsonl", EN, "de")
    assert stated_language(open_labelled(f"spans:{path}")) == "de"
    assert stated_language(open_labelled(f"spans:{spans(tmp_path / 'b.jsonl', EN)}")) == ""
    assert stated_language(open_labelled(f"spans:{tmp_path / 'b.jsonl'}", lang="fr")) == "fr"


def test_columns_have_no_place_in_a_labelled_file() -> None:
    with pytest.raises(RecipeError, match=r"leave source\.columns out"):
        open_section(SourceSection(src="spans:a.jsonl", columns={"text": "body"}))
