"""The data card: what its cells, notes and words on the translations say."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsbuild.cards.card import cell, origins, render_card
from tests.small_set import make, write_memory, write_set


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("length_z", "length_z"),
        ("_a_ b__c", "&#95;a&#95; b&#95;&#95;c"),
        ("a|b\n#c", "a&#124;b &#35;c"),
        ("`*[x](y)*` <b> {{z}} \\", "&#96;&#42;&#91;x&#93;(y)&#42;&#96; &#60;b&#62; &#123;&#123;z&#125;&#125; &#92;"),
        ("&#95; & 3", "&#38;&#35;95; &#38; 3"),
    ],
)
def test_a_cell_is_text_and_reads_well(value: str, said: str) -> None:
    assert cell(value) == said


def test_who_translated() -> None:
    made = {"a": {"origin": "machine"}, "b": {"origin": ""}, "c": {"origin": "machine"}, "d": {"origin": "human"}}
    assert origins({"engines": made}) == [
        "machine translations",
        "translations of unstated origin",
        "human translations",
    ]


def test_a_card_of_human_translations_with_notes(tmp_path: Path) -> None:
    memory = write_memory(tmp_path / "memory.tsv")
    built = make(tmp_path, write_set(tmp_path / "set"), memory, ("hi",))
    assert "are translations of unstated origin:" in (tmp_path / "out/README.md").read_text("utf-8")
    engines = {name: {**engine, "origin": "human"} for name, engine in built.manifest["engines"].items()}
    text = render_card({**built.manifest, "engines": engines, "notes": ["3 rows had *no* text"]}, [])["README.md"]
    assert "are human translations:" in text
    assert "by machine" not in text
    assert "## Notes\n\n- 3 rows had &#42;no&#42; text\n" in text
    engines = {name: {**engine, "origin": "machine"} for name, engine in built.manifest["engines"].items()}
    manifest = {**built.manifest, "engines": engines, "notes": []}
    assert "translated by machine into" in render_card(manifest, [])["README.md"]
