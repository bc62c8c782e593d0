"""Every command and option says what it is, and the documentation names them all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from dsbuild.cli import app
from tests.small_set import cli

ROOT = Path(__file__).resolve().parent.parent


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with its words."""
    command = command or get_command(app)
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))
    if not hasattr(command, "commands"):
        yield path, command


ALL = dict(commands())
NAMED = [
    ("translate",), ("run",), ("plan",), ("status",), ("explain",), ("verify",), ("what-if",), ("list",), ("models", "list"), ("models", "pull"),
    ("models", "convert"), ("models", "show"), ("doctor",),
]  # fmt: skip
OPTIONS = [
    "--src", "--langs", "--engine", "--model", "--device", "--beam", "--limit", "--only", "--workers", "--out", "--store", "--set", "--dry-run",
    "--format", "--recipe", "--glossary", "--parallel", "--max-drop",
]  # fmt: skip


def documentation() -> str:
    return "\n".join(
        path.read_text("utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))] if path.exists()
    )


def options(command: Any) -> list[Any]:
    return [one for one in command.params if one.param_type_name == "option" and one.name != "help"]


def test_the_commands_are_those_of_the_interface() -> None:
    assert set(NAMED) <= set(ALL)
    assert set(OPTIONS) <= {name for one in options(ALL["translate",]) for name in one.opts}


@pytest.mark.parametrize("path", list(ALL), ids=" ".join)
def test_every_command_and_option_has_help(path: tuple[str, ...]) -> None:
    command = ALL[path]
    assert command.help
    assert command.help.strip().splitlines()[0].endswith(".")
    assert all(one.help and one.help.strip() for one in options(command)), [one.name for one in options(command)]
    code, out, _ = cli(*path, "--help")
    assert code == 0
    for one in options(command):
        assert one.opts[0] in out


@pytest.mark.parametrize("path", list(ALL), ids=" ".join)
def test_every_command_prints_json(path: tuple[str, ...]) -> None:
    assert any("--format" in one.opts for one in options(ALL[path]))


@pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="there is no README.md yet")
def test_the_documentation_names_every_command_and_option() -> None:
    text = documentation()
    missing = [" ".join(path) for path in ALL if not re.search(rf"\b(dsbuild )?{re.escape(' '.join(path))}\b", text)]
    assert missing == []
    assert (
        sorted({name for command in ALL.values() for one in options(command) for name in one.opts if name not in text})
        == []
    )


@pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="there is no README.md yet")
def test_the_documentation_names_nothing_that_is_not_there() -> None:
    known = {name for command in ALL.values() for one in command.params for name in one.opts} | {
        "--help",
        "--debug",
        "--version",
    }
    examples = "\n".join(
        re.findall(r"^```(?:sh|bash|console|text)?\n(.*?)^```", documentation(), re.MULTILINE | re.DOTALL)
    ).replace("\\\n", " ")
    for line in re.findall(r"^(?:\$ )?(?:\S+/)?dsbuild (.+?)$", examples, re.MULTILINE):
        words = [word for word in line.split("#")[0].split() if re.match(r"^[\w-]+$|^--", word)]
        assert any(tuple(words[: len(path)]) == path for path in ALL), line
        assert {word.split("=")[0] for word in words if word.startswith("--")} <= known, line


def test_no_arguments_and_unknown_ones() -> None:
    assert "Usage" in "".join(cli()[1:])
    code, _, err = cli("translat")
    assert code == 2
    assert "translat" in err
    assert cli("translate", "--src", "msmarco-sample")[0] == 2, "--langs is missing"


def test_list_of_sources_is_what_the_help_says() -> None:
    import json

    kinds = {row["name"] for row in json.loads(cli("list", "sources", "--format", "json")[1])}
    source = next(one for one in options(ALL["translate",]) if "--src" in one.opts)
    assert all(kind in source.help for kind in kinds)


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name
)
def test_every_recipe_that_the_pages_show_is_valid(page, tmp_path) -> None:
    from dsbuild.builders.build import compose
    from dsbuild.filters.decide import load_thresholds

    for number, block in enumerate(re.findall(r"(?m)^```yaml\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL)):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block, "utf-8")
        assert load_thresholds(compose(path, {}, []).bitext, tgt="hi")
