"""what-if and the report page of a translated table of texts: what they say is what builds do and what the files hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dsbuild import release
from dsbuild.builders.made_by import command_of
from dsbuild.builders.releases.inspection import what_if
from dsbuild.builders.releases.report_facts import render_report, report_facts
from dsbuild.errors import RecipeError
from dsbuild.llm import close_models
from dsbuild.translate.engines import close_engines
from tests.chat_cipher import ChatCipher, cipher
from tests.test_translated_texts import rows_of, translate

ROWS = [
    {"id": "a", "text": "Write 5 sentences of tea.", "note": "The tea is warm.", "instruction_id_list": ["length_constraints:number_sentences"],
     "kwargs": [{"relation": "at least", "num_sentences": 5}]},
    {"id": "b", "text": "Name a river.", "note": "A river runs.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
    {"id": "c", "text": "Name 7 boats.", "note": "A boat is long.", "instruction_id_list": ["length_constraints:number_sentences"],
     "kwargs": [{"relation": "at least", "num_sentences": 7}]},
    {"id": "d", "text": "Name a boat, a river and a hill.", "note": "A hill.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
]  # fmt: skip


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    close_engines()
    close_models()


def longer(data: Mapping[str, Any], found: str) -> str:
    """Of the boats more is said than was asked, and the number of sentences is lost."""
    found = found.replace("5", "9")
    return f"{found} {cipher('They are on the wide river')}" if data["text"].startswith("Name 7") else found


def build(folder: Path, table: str, ratio: float) -> dict[str, Any]:
    folder.mkdir()
    fields = ["text", "note"] if table == "documents" else ["text"]
    with ChatCipher(longer) as server:
        close_engines()
        more = {"fields": fields, "bitext.max_length_ratio": ratio}
        return translate(folder, ROWS, server.url, table, **more)


@pytest.mark.parametrize("table", ["documents", "instructions"])
def test_what_if_foretells_what_a_build_does(tmp_path: Path, table: str) -> None:
    build(tmp_path / "first", table, 2.5)
    for number, bound in enumerate((2.5, 2.0, 1.1, 0.9)):
        found = what_if(tmp_path / "first" / "out", [f"bitext.max_length_ratio={bound}"])
        (row,) = found["tables"]
        told = build(tmp_path / str(number), table, bound)["accounting"]["hi"]["documents"]
        assert (row["lang"], row["table"], row["in"]) == ("hi", "documents", 4)
        assert (row["kept_then"], row["reasons"]) == (told["kept"], told["reasons"])
        assert row["kept"] == len(rows_of(tmp_path / "first", "hi-documents/*.parquet"))
    if table == "instructions":
        assert told["reasons"] == {"length_ratio": 4}, "what no threshold keeps is not lost by its instructions"


def test_rows_whose_instructions_nobody_checked_are_told(tmp_path: Path) -> None:
    build(tmp_path / "set", "instructions", 0.9)
    found = what_if(tmp_path / "set" / "out", ["bitext.max_length_ratio=2.5"])
    assert found["tables"][0]["newly_kept"] == 3
    assert found["notes"][-1] == "3 rows that would be kept were dropped before their instructions were checked."
    with pytest.raises(RecipeError, match="what-if: name a threshold"):
        what_if(tmp_path / "set" / "out", [])


@pytest.mark.parametrize("table", ["documents", "instructions"])
def test_the_page_shows_translations_beside_their_sources(tmp_path: Path, table: str) -> None:
    build(tmp_path / "set", table, 2.5)
    out = tmp_path / "set" / "out"
    facts = report_facts(out, release.read_manifest(out))
    (lang,) = facts["langs"]
    (shown,) = lang["tables"]
    kept, lost = (
        rows_of(tmp_path / "set", "hi-documents/*.parquet"),
        rows_of(tmp_path / "set", "dropped/hi-documents-*.parquet"),
    )
    assert (shown["steps"][-1]["rows"], sum(step["lost"] for step in shown["steps"])) == (len(kept), len(lost))
    assert {rule["rule"] for rule in shown["rules"]} >= {"length_ratio", "loop", "wrong_script"}
    sources = {row["id"]: row for row in ROWS}
    assert len(shown["examples"]) == len(kept)
    for one in shown["examples"]:
        source, target = one["sides"]
        assert (source["lang"], target["lang"]) == ("en", "hi")
        fields = {field["name"]: "".join(part["text"] for part in field["parts"]) for field in source["fields"]}
        names = ("text", "note") if table == "documents" else ("text",)
        assert fields == {name: sources[one["id"]][name] for name in names}
        assert [part["segment"] for field in target["fields"] for part in field["parts"] if part["segment"] is not None]
    nearest = [row for rule in shown["rules"] for row in (*rule["below"], *rule["above"])]
    assert all(row["source"] == sources[row["id"]]["text"] for row in nearest)
    assert shown["lengths"]["source_quantiles"]["longest"] == max(len(row["text"]) for row in ROWS)
    page = render_report(out, release.read_manifest(out))["report.html"]
    assert "Translated from English with llm" in page
    assert "Side by side" in page
    assert "dsbuild what-if DIR --set bitext.max_length_ratio=VALUE" in page


def test_a_release_is_told_by_the_command_that_makes_it() -> None:
    told = {build: command_of({"recipe": {"build": build}}) for build in ("judge", "mine", "translate-texts")}
    assert told == {
        "judge": "dsbuild generate judge",
        "mine": "dsbuild mine",
        "translate-texts": "dsbuild translate --table",
    }
