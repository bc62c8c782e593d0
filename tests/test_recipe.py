from __future__ import annotations

import pytest

from dsbuild.builders.build import compose, share
from dsbuild.builders.recipes import find, named
from dsbuild.errors import RecipeError, UnknownName

GOOD = "source:\n  src: beir:x\n  lang: en\nlangs: [hi]\nengine:\n  name: memory\n  file: m.tsv\n"


def test_a_recipe_and_settings_over_it(tmp_path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(GOOD)
    recipe = compose(
        path, {"langs": ["hi", "mr"], "only": None}, ["bitext.max_loop=0.3", "engine.file=other.tsv", "parallel=true"]
    )
    assert recipe.langs == ("hi", "mr")
    assert recipe.bitext == {"max_loop": 0.3}
    assert recipe.engine.choice().options == {"file": "other.tsv"}
    assert recipe.parallel
    assert recipe.title() == "beir-x-hi-mr"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "paralel: true\n", r"r.yaml:8: no key 'paralel'. Did you mean 'parallel'"),
        (GOOD.replace("  lang: en", "  langs: en"), r"r.yaml:3: no key 'langs'. Did you mean 'lang'"),
        (GOOD + "max_drop: 3\n", r"r.yaml:8: max_drop: .*less than or equal to 1"),
        (GOOD + "only: qrels\n", r"r.yaml:8: only: .*'corpus' or 'queries'"),
        (GOOD.replace("[hi]", "hi"), r"r.yaml:4: langs: a list is needed, .*got 'hi'"),
        (
            GOOD.replace("\n  src: beir:x\n  lang: en", " beir:x"),
            r"r.yaml:1: source: a section of keys is needed, of .*src.*got 'beir:x'",
        ),
        ("- a\n", r"r.yaml:1: a recipe is a mapping"),
        ("a: [\n", r"r.yaml:2: not YAML"),
        ("a: x\0\n", r"r.yaml: not YAML"),
        ("version: 2024-99-99\n", r"r.yaml: not YAML: month must be in 1..12"),
    ],
)
def test_what_is_wrong_with_a_recipe_names_file_line_and_key(tmp_path, text, message) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        compose(path, {}, [])


@pytest.mark.parametrize("setting", ["a", "=1", "engine.name.x=1", "a..b=1", "name=2024-99-99"])
def test_settings_that_are_none(tmp_path, setting) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(GOOD)
    with pytest.raises(RecipeError, match="--set"):
        compose(path, {}, [setting])


@pytest.mark.parametrize(("setting", "key"), [("paralel=true", "paralel"), ("source.langs=en", "langs")])
def test_a_key_that_was_said_beside_the_file_is_not_looked_for_in_it(tmp_path, setting, key) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(GOOD)
    with pytest.raises(RecipeError, match=f"^options: no key '{key}'"):
        compose(path, {}, [setting])


def test_shares() -> None:
    assert share("12.5%") == 0.125
    for wrong in ("0", "150%", "many", "-1"):
        with pytest.raises(RecipeError, match="not a share"):
            share(wrong)


def test_every_named_recipe_is_valid() -> None:
    assert {"mmarco", "mrobust04", "sample"} <= set(named())
    for name in named():
        assert compose(find(name_path(name)), {}, []).name == name


def name_path(name: str):
    from pathlib import Path

    return Path(name)


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'mmarco'"):
        find(name_path("mmarcoo"))
    with pytest.raises(RecipeError, match="no such file"):
        find(name_path("here/r.yaml"))
