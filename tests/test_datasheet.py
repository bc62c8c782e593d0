"""The datasheet: every question, every number from the facts, and answers that stay text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dsbuild import release
from dsbuild.builders.releases.facts import compute
from dsbuild.cards.answers import NOT_ANSWERED, questions, sections
from dsbuild.cards.datasheet import datasheet, quoted
from tests.small_set import MARKET, QRELS, TRAIN, cli, make, write_memory, write_set

NASTY = """<script>alert(1)</script> <img src=x onerror=alert(1)>

# A heading

| a | table |
|---|---|

---

- a list
1. another
{{ facts }} {% for x in y %} ${x} $$E=mc^2$$
```
code
```
[link](javascript:alert(1)) ![image](http://x/y.png) *bold* _it_ ~~gone~~ &lt;"""


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("datasheet")
    memory = write_memory(folder / "memory.tsv", missing={"hi": [MARKET], "ta": [TRAIN]})
    source = write_set(folder / "set", qrels={"train": QRELS})
    make(folder, source, memory, settings=["engine.origin=machine", "engine.license=CC-BY-NC-4.0"], parallel=True)
    return compute(folder / "out", release.read_manifest(folder / "out"))


def test_all_sections_and_questions_are_there(facts: dict[str, Any]) -> None:
    text = datasheet(facts, {})
    assert re.findall(r"^## \d\. (.*)$", text, re.MULTILINE) == [title for _, title, _ in sections()]
    for one in questions():
        assert (f"**{one.ask}** ({one.by})" in text) == (one.key != "comments"), one.name
    blank = [one for one in questions() if one.by != "A" and one.key != "comments"]
    assert text.count(f"> {NOT_ANSWERED}\n") == len(blank)
    assert "## Translationese" in text
    assert "forbid commercial use" in text
    assert "| set: unknown | memory: CC-BY-NC-4.0 | unknown (follows from the sources) |" in text


def test_what_parallel_cost_is_told(facts: dict[str, Any]) -> None:
    text = datasheet(facts, {})
    for lang, row in facts["parallel"]["tables"]["corpus"]["languages"].items():
        assert f"| corpus | {lang} | {row['own']} | {row['others']} | {row['sole']} |" in text
    for grade, row in facts["parallel"]["grades"].items():
        assert f"| {grade} | {row['in']} | {row['lost']} |" in text
    assert "## What keeping only common rows cost" not in datasheet({**facts, "parallel": None}, {})


def test_answers_are_quoted_and_stay_text(facts: dict[str, Any]) -> None:
    empty = datasheet(facts, {})
    answers = {one.name: NASTY for one in questions()}
    text = datasheet(facts, answers)
    assert NOT_ANSWERED not in text
    quotes = [line for line in text.splitlines() if line.startswith(">")]
    for line in quotes:
        assert not re.search(r"[<|`*\[\]{}#$\\~]", line.replace("&#", "")[1:]), line
        assert not re.match(r"> ([-+=]|\d+[.)])", line), line
    plain = [line for line in text.splitlines() if line and not line.startswith((">", "**Anything else"))]
    assert plain == [line for line in empty.splitlines() if line and not line.startswith(">")]


def test_values_of_the_build_stay_text_too(facts: dict[str, Any]) -> None:
    nasty = "<b>|x|</b> {{ 1 }}\n# h"
    source = {**facts["source"], "name": nasty, "url": nasty, "revision": nasty, "license": nasty}
    licences = {**facts["licences"], "sources": {nasty: {"said": nasty, "id": None, "asks": [nasty], "url": ""}}}
    text = datasheet({**facts, "name": nasty, "source": source, "licences": licences, "notes": [nasty]}, {})
    assert "<b>" not in text
    assert "{{" not in text
    assert not re.search(r"^# h", text, re.MULTILINE)


def test_a_paragraph_is_one_line_of_a_quotation() -> None:
    assert quoted("a\nb\n\n\n= c") == "> a b\n>\n> &#61; c"
    assert quoted("2) x") == "> 2&#41; x"


def test_a_filtered_set_has_its_rules_and_no_translationese(tmp_path: Path) -> None:
    code, _, err = cli(
        "filter", "--src", f"beir:{write_set(tmp_path / 'set')}", "--lang", "en", "--profile", "sentence", "--out", tmp_path / "out",
        "--store", tmp_path / "store",
    )  # fmt: skip
    assert code == 0, err
    manifest = release.read_manifest(tmp_path / "out")
    text = datasheet(compute(tmp_path / "out", manifest), {})
    assert "Translationese" not in text
    assert "No model wrote any text of this set." in text
    for lang, tables in manifest["accounting"].items():
        for reason, rows in (
            (reason, rows) for table in tables.values() for reason, rows in table.get("reasons", {}).items()
        ):
            assert re.search(rf"^\| {lang} \| \w+ \| {re.escape(reason)} \| {rows} \|$", text, re.MULTILINE)
    assert "exact.corpus: " in text
