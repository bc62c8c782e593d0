"""Answers of people: the file to fill in, what it may hold, and what is still open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from dsbuild.cards.answers import as_yaml, load, questions, sections, template, unanswered
from dsbuild.errors import DsbuildError
from tests.small_set import cli, make, write_memory, write_set

NASTY = [
    '"quoted": {{ 7 * 7 }} # no comment', "line one\nline two\n\n- a list\n| a | table |", "<script>alert(1)</script>", "key: [1, 2]\n---\n- x",
    "!!python/object:os.system", "&anchor *alias", "separators \u2028\u0085 inside", "'", "yes", "2026-01-01", "नदी \u202e txet",
]  # fmt: skip


def test_seven_sections_with_marks() -> None:
    assert [section for section, _, _ in sections()] == [
        "motivation", "composition", "collection", "preprocessing", "uses", "distribution", "maintenance",
    ]  # fmt: skip
    found = list(questions())
    assert len({one.name for one in found}) == len(found) >= 50
    assert {one.by for one in found} == {"A", "P", "H"}
    for one in found:
        assert bool(one.computed) == (one.by != "H"), one.name
        assert not (one.required and one.by == "A"), one.name


def test_an_empty_file_answers_nothing(tmp_path: Path) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text(template(), "utf-8")
    assert load(path) == {}
    open_ = unanswered({})
    assert [one.name for one in open_.required] == [one.name for one in questions() if one.required]
    text = path.read_text("utf-8")
    assert all(f"  {one.key}: " in text for one in questions())
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("text", NASTY)
def test_any_text_comes_back_as_it_was(tmp_path: Path, text: str) -> None:
    answers = {"motivation.purpose": text, "uses.unfit": "x"}
    for made in (template(answers), as_yaml(answers)):
        path = tmp_path / "answers.yaml"
        path.write_bytes(made.encode("utf-8"))
        assert load(path) == answers
        assert set(yaml.safe_load(made)) <= {section for section, _, _ in sections()}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("motivation: {purpos: x}", "Did you mean 'purpose'?"),
        ("motivations: {}", "Did you mean 'motivation'?"),
        ("motivation: {purpose: {a: b}}", "an answer is text"),
        ("motivation: {purpose: [a]}", "an answer is text"),
        ("motivation: text", "holds no answers"),
        ("- a", "holds no answers"),
        ("1: {}", "holds no answers"),
        ("motivation: {purpose: 'x", "not YAML"),
        ("motivation: {purpose: !!python/object/apply:os.getcwd []}", "not YAML"),
        ("a: &a [*a]\n", "section"),
        ("[" * 5000, "not"),
    ],
)
def test_what_is_no_answer_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(DsbuildError, match="answers") as caught:
        load(path)
    assert said in str(caught.value)
    code, _, err = cli("card", "check", path)
    assert code == 2
    assert err.count("\n") == 1


def test_what_yaml_takes_for_something_else_is_text(tmp_path: Path) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text("motivation: {purpose: yes, creators: 12, funding: 2026-01-02, comments: }\nuses:\n", "utf-8")
    assert load(path) == {"motivation.purpose": "yes", "motivation.creators": "12", "motivation.funding": "2026-01-02"}


def test_a_file_that_is_too_large_or_not_text(tmp_path: Path) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text("# " + "x" * (1 << 20), "utf-8")
    with pytest.raises(DsbuildError, match="larger than 1 MiB"):
        load(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DsbuildError, match="cannot be read"):
        load(path)


def test_the_commands(tmp_path: Path) -> None:
    make(tmp_path, write_set(tmp_path / "set"), write_memory(tmp_path / "memory.tsv"), ("hi",))
    out = tmp_path / "out"
    code, said, _ = cli("card", "check", out, "--strict")
    assert code == 1
    assert said.startswith("required  motivation.purpose: ")
    assert cli("card", "init", out)[0] == 0
    path = tmp_path / "answers.yaml"
    assert load(path) == {}
    code, _, err = cli("card", "init", out)
    assert code == 2
    assert "left as it is" in err
    path.write_text(template({one.name: "said" for one in questions() if one.required}), "utf-8")
    code, said, _ = cli("card", "check", out, "--strict", "--format", "json")
    found = json.loads(said)
    assert (code, found["required"], found["answers"]) == (0, [], str(path))
    assert found["open"]
    assert cli("verify", out)[0] == 0
    assert cli("card", "init", "--out", tmp_path / "mine.yaml")[0] == 0
    for wrong in (
        ("init",),
        ("init", tmp_path),
        ("init", "--out", tmp_path),
        ("check", tmp_path / "none"),
        ("check", path, "--croissant"),
    ):
        code, _, err = cli("card", *wrong)
        assert (code, err.count("\n")) == (2, 1), wrong
    code, _, err = cli("card", "check", out, "--croissant")
    assert code == 2
    assert "no croissant.json" in err
