"""Named entities of instruction data: listed ones are replaced everywhere alike, and what is lost is told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dsbuild.builders.translation.named_entities import NamedEntities
from dsbuild.errors import RecipeError
from dsbuild.llm import close_models
from dsbuild.translate.engines import close_engines
from tests.chat_cipher import ChatCipher, cipher
from tests.test_translated_texts import rows_of, translate

ROWS = [
    {
        "id": "a", "text": 'Write of Chicago and its lake. Use "Chicago" and "river".', "answer": "In Chicago a river is near.",
        "instruction_id_list": ["keywords:existence"], "kwargs": [{"keywords": ["Chicago", "river"]}],
    },
    {"id": "b", "text": "Say where the Guinness brewery is.", "answer": "It is there.", "instruction_id_list": [], "kwargs": []},
]  # fmt: skip
LOCAL = "लखनऊ"


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    close_engines()
    close_models()


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "entities.tsv"
    path.write_text(f"Chicago\t{LOCAL}\thi\n", "utf-8")
    return path


def obedient(data: Mapping[str, Any], found: str) -> str:
    """What a model says that writes the terms it is told, and otherwise gives the cipher."""
    for term, wanted in data.get("terms", {}).items():
        found = found.replace(cipher(term), wanted)
    return found.replace(cipher("Guinness"), "गिनीज़")


def verdicts(folder: Path) -> set[tuple[str, str, str, bool]]:
    return {
        (one["id"], one["detail"], one["outcome"], one["primary"])
        for one in rows_of(folder, "dropped/verdicts-*.parquet")
        if one["rule"] == "entity_lost"
    }


def test_listed_entities_are_replaced_in_prompt_response_and_arguments(tmp_path: Path, listed: Path) -> None:
    more = {"instructions.response": "answer", "instructions.entities": str(listed)}
    with ChatCipher(obedient) as server:
        manifest = translate(tmp_path, ROWS, server.url, "instructions", **more)
    assert manifest["accounting"]["hi"]["documents"]["kept"] == 2
    first, second = rows_of(tmp_path, "hi-documents/*.parquet")
    assert first["text"] == cipher(ROWS[0]["text"]).replace(cipher("Chicago"), LOCAL)
    assert first["answer"] == cipher(ROWS[0]["answer"]).replace(cipher("Chicago"), LOCAL)
    given = json.loads(first["kwargs"]) if isinstance(first["kwargs"], str) else first["kwargs"]
    assert given[0]["keywords"] == [LOCAL, cipher("river")]
    assert "गिनीज़" in second["text"]
    assert verdicts(tmp_path) == set()
    assert manifest["recipe"]["instructions"]["entities"] == "entities.tsv", "no folder of this place is told"


@pytest.mark.parametrize(("broken", "kept"), [("drop", 1), ("flag", 2)])
def test_what_a_model_leaves_out_is_told(tmp_path: Path, listed: Path, broken: str, kept: int) -> None:
    more = {"instructions.response": "answer", "instructions.entities": str(listed), "instructions.broken": broken}
    rows = [{**ROWS[0], "instruction_id_list": [], "kwargs": []}, ROWS[1]]
    with ChatCipher() as server:
        manifest = translate(tmp_path, rows, server.url, "instructions", **more)
    accounted = manifest["accounting"]["hi"]["documents"]
    assert accounted["kept"] == kept
    assert accounted["reasons"] == ({"entity_lost": 1} if broken == "drop" else {})
    outcome = "dropped" if broken == "drop" else "flagged"
    assert verdicts(tmp_path) == {
        ("a", f"text: Chicago -> {LOCAL}", outcome, True), ("a", f"answer: Chicago -> {LOCAL}", outcome, False),
        ("b", "text: Guinness", "flagged", True),
    }  # fmt: skip


@pytest.mark.parametrize(("names", "outcomes"), [("drop", {"dropped"}), ("off", set())])
def test_names_that_nobody_listed(tmp_path: Path, names: str, outcomes: set[str]) -> None:
    with ChatCipher() as server:
        translate(tmp_path, ROWS[1:], server.url, "instructions", **{"instructions.names": names})
    assert {outcome for _, _, outcome, _ in verdicts(tmp_path)} == outcomes


def test_lists_that_do_not_fit(tmp_path: Path, listed: Path) -> None:
    terms = tmp_path / "terms.tsv"
    terms.write_text("Chicago\tशिकागो\n", "utf-8")
    with ChatCipher() as server:
        with pytest.raises(RecipeError, match=r"'Chicago' is 'लखनऊ' in hi, but 'शिकागो' in .*terms.tsv"):
            translate(
                tmp_path,
                ROWS,
                server.url,
                "instructions",
                glossary=str(terms),
                **{"instructions.entities": str(listed)},
            )
        with pytest.raises(RecipeError, match="add --table instructions"):
            translate(tmp_path, ROWS, server.url, "documents", **{"instructions.entities": str(listed)})


def test_names_by_their_sound() -> None:
    named = NamedEntities("en", "hi", {"New York": "मुंबई", "Ganga": "Ganga"})
    assert named.listed_lost("From New York to Ganga", "मुंबई से Ganga") == []
    assert named.listed_lost("From New York to Ganga", "न्यूयॉर्क से गंगा") == ["New York -> मुंबई", "Ganga -> Ganga"]
    assert named.names_lost("He went from Washington to New York", "वह वाशिंगटन से गया") == []
    assert named.names_lost("He went from Washington to New York", "वह घर से गया") == ["Washington"]
    assert named.names_lost("He says Washington", "वह घर", known=("Washington",)) == []
    assert named.names_lost("He says Washington", "वह Washington") == []
    assert NamedEntities("de", "hi").names_lost("Das ist Washington", "वह घर") == []
    assert NamedEntities("en", "zh-Hans").names_lost("He went to Washington", "他去了家") == []
