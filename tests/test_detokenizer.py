"""Texts as people write them from tokens: only white space is decided, and tags go back to the same tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.builders import build
from dsbuild.builders.labelled.detokenizer import spaces_after
from dsbuild.builders.labelled.formats import open_labelled
from dsbuild.builders.projection.projected import ProjectRecipe, prepare
from dsbuild.tokens import joined


@pytest.mark.parametrize(
    ("tokens", "written"),
    [
        ("“ Come in , ” Ada said ( twice ) .", "“Come in,” Ada said (twice)."),
        ('" Go ! " he said : " Now ? "', '"Go!" he said: "Now?"'),
        ("The players ' bus ca n't stop , it 's late", "The players' bus can't stop, it's late"),
        ("She said ' no ' twice", "She said 'no' twice"),
        ("`` Yes '' , she said", "``Yes'', she said"),
        ("Er sagte : „ Komm “ , und ging", "Er sagte: „Komm“, und ging"),
        ("Er rief : » Komm « !", "Er rief: »Komm«!"),
        ("Il dit : « Viens »", "Il dit: «Viens»"),
        ("l' eau dell’ isola d’ Ada", "l'eau dell’isola d’Ada"),
        ("¿ Qué cuesta ? 5 $ o $ 6 , un 3 %", "¿Qué cuesta? 5 $ o $6, un 3%"),
        ("वह आया । क्यों ?", "वह आया। क्यों?"),
        ("He left . ”", "He left.”"),
        ("a - b / c", "a - b / c"),
        ("...", "..."),
        ("", ""),
    ],
)
def test_spaces_stand_where_people_write_them(tokens: str, written: str) -> None:
    own = tokens.split()
    assert joined(own, spaces_after(own))[0] == written


@given(st.lists(st.text("aZé9'’\"“”„«»‹›‘()[]$,.;-%।`", min_size=1, max_size=4), max_size=12))
def test_every_token_stands_in_the_text_as_it_is(tokens: list[str]) -> None:
    said = spaces_after(tokens)
    text, places = joined(tokens, said)
    assert len(said) == len(tokens)
    assert [text[start:end] for start, end in places] == tokens
    assert "".join(text.split()) == "".join(tokens)


FILE = "“\tO\nAda\tB-PER\n's\tI-PER\n”\tO\n,\tO\nhe\tO\nsaid\tO\n.\tO\n\nBo\tB-PER\n!\tO\n"


def test_tags_are_written_back_as_they_came(tmp_path: Path) -> None:
    (tmp_path / "in").write_text(FILE, "utf-8")
    source = open_labelled(f"conll:{tmp_path / 'in'}", options={"spaces": "detokenized"})
    items = list(source.read())
    assert [item.text for item in items] == ["“Ada's”, he said.", "Bo!"]
    assert [span.surface(item.text) for item in items for span in item.spans] == ["Ada's", "Bo"]
    assert source.write(iter(items), tmp_path / "out") == 2
    assert (tmp_path / "out").read_text("utf-8") == FILE


def test_a_note_says_that_tokens_are_translated(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("Ada\tB-PER\nsings\tO\n.\tO\n", "utf-8")
    given = {
        "source.src": f"conll:{tmp_path / 'in'}",
        "source.lang": "en",
        "langs": ["hi"],
        "method": "fuzzy",
        "engine.name": "mini",
    }
    for options, noted in (([], True), (["source.options.spaces=detokenized"], False)):
        recipe = build.compose(None, given, options, "project")
        assert isinstance(recipe, ProjectRecipe)
        assert any("spaces=detokenized" in note for note in prepare(recipe).notes) == noted
