"""What only people can answer of a data set: the questions, the file that holds the answers, and what is still open."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from dsbuild.errors import RecipeError, UnknownName

ANSWERS = "answers.yaml"
NOT_ANSWERED = "Not answered"
_MAX_BYTES = 1 << 20
_WIDTH = 110

Answers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the datasheet.

    section, key: its name is section.key; by: A (the files answer it), P (they answer a part), H (a person alone); required: a strict
    release needs a person's answer; computed: which facts are printed below it.
    """

    section: str
    key: str
    by: str
    ask: str
    required: bool = False
    help: str = ""
    computed: str = ""

    @property
    def name(self) -> str:
        """As answers are kept under."""
        return f"{self.section}.{self.key}"


@cache
def sections() -> tuple[tuple[str, str, tuple[Question, ...]], ...]:
    """Name, title and questions of the seven sections."""
    data = yaml.safe_load(resources.files("dsbuild.cards").joinpath(ANSWERS).read_text("utf-8"))
    return tuple(
        (one["section"], one["title"], tuple(Question(one["section"], **question) for question in one["questions"]))
        for one in data
    )


def questions() -> Iterator[Question]:
    """All questions, in order."""
    for _, _, those in sections():
        yield from those


def template(answers: Answers | None = None) -> str:
    """An answers file for a person to fill in: each question with its help; what is answered already is kept."""
    given = answers or {}
    lines = [
        "# Answers for the datasheet. Write between the quotes, or after a bar (key: |) over several lines.",
        "# What is left empty prints as \"Not answered\"; nothing is filled in for you.",
    ]  # fmt: skip
    for section, title, those in sections():
        lines += ["", f"# {title}", f"{section}:"]
        for one in those:
            said = {
                "A": "the release answers this itself; add to it if you like",
                "P": "the release answers a part of this",
            }.get(one.by)
            marks = ", ".join(part for part in ("REQUIRED" if one.required else "", said or "") if part)
            text = " ".join(part for part in (one.ask, one.help, f"({marks})" if marks else "") if part)
            lines += [f"  # {line}" for line in textwrap.wrap(text, _WIDTH)]
            lines.append(f"  {one.key}: {_scalar(given.get(one.name, ''))}")
    return "\n".join(lines) + "\n"


def as_yaml(answers: Answers) -> str:
    """Answers without the questions, as a release keeps them."""
    nested: dict[str, dict[str, str]] = {}
    for one in questions():
        if said := answers.get(one.name):
            nested.setdefault(one.section, {})[one.key] = said
    return yaml.safe_dump(nested, sort_keys=False, allow_unicode=True, width=10_000)


def _scalar(text: str) -> str:
    # YAML's double-quoted form: any text is one line of it.
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=1 << 30).strip()


def load(path: Path) -> dict[str, str]:
    """The answers of a file by question name, empty ones left out; `RecipeError` for what is no answer to a known question."""
    try:
        with path.open("rb") as handle:
            raw = handle.read(_MAX_BYTES + 1)
        if len(raw) > _MAX_BYTES:
            raise RecipeError(f"{path}: larger than 1 MiB, so hardly answers to {len(list(questions()))} questions")
        data = yaml.safe_load(raw.decode("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: not YAML ({' '.join(str(error).split())[:200]})") from error
    except RecursionError:
        raise RecipeError(f"{path}: not answers: too deeply nested") from None
    return dict(_read(path, {} if data is None else data))


def _read(path: Path, data: Any) -> Iterator[tuple[str, str]]:
    known = {one.name for one in questions()}
    names = {section for section, _, _ in sections()}
    for section, those in _items(path, data, "the file"):
        if section not in names:
            raise UnknownName(f"section of answers ({path})", section, names)
        for key, value in _items(path, those, section):
            if f"{section}.{key}" not in known:
                raise UnknownName(
                    f"question of {section} ({path})", key, [one.key for one in questions() if one.section == section]
                )
            if value is None or isinstance(value, dict | list):
                if value:
                    raise RecipeError(
                        f"{path}: {section}.{key} is a {type(value).__name__}; an answer is text: put it in quotes"
                    )
                continue
            # Unquoted dates, numbers and yes or no are text that YAML took for something else.
            text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value).strip()
            if text:
                yield f"{section}.{key}", text


def _items(path: Path, data: Any, what: str) -> Iterator[tuple[str, Any]]:
    if data is None:
        return
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise RecipeError(f"{path}: {what} holds no answers by name; dsbuild card init writes a file to fill in")
    yield from data.items()


@dataclass(frozen=True, slots=True)
class Open:
    """Questions without a person's answer: those that a strict release needs, and others that a person should look at."""

    required: tuple[Question, ...]
    others: tuple[Question, ...]
    answered: int


def unanswered(answers: Answers) -> Open:
    """What is still open; questions that the files answer themselves are not among it."""
    asked = [one for one in questions() if one.by != "A" and one.key != "comments"]
    missing = [one for one in asked if one.name not in answers]
    return Open(
        tuple(one for one in missing if one.required), tuple(one for one in missing if not one.required), len(answers)
    )
