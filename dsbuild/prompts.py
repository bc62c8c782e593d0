"""Prompts: versioned data files, filled with trusted settings; untrusted text travels beside them as one JSON value.

A file `NAME.prompt.md` is a YAML head between two lines of `---` and the instructions, in which `{slot}` stands for a setting:

    version: 1                     counted up whenever the wording changes
    source: the paper or system that the method comes from
    schema: the JSON schema of an answer
    examples: [{lang: en, data: {…}, answer: {…}}, …]    shown before the question, as a conversation
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from typing import Any

import yaml

from dsbuild.answer_text import broken
from dsbuild.errors import RecipeError
from dsbuild.language_model import Message
from dsbuild.stage import digest

ENDING = ".prompt.md"
_KEYS = {"version", "source", "schema", "examples"}
# What chat templates read as borders of messages: <|im_end|>, <start_of_turn>, [INST], [/INST], [gMASK], [control_8], <<SYS>>, and of EXAONE
# [|user|], of MiniMax ]~b], ]~!b[, ]!p~[ and [e~[. Brackets of JSON itself stand before a quote, a digit, a sign, a bracket, a comma, white space
# or one of its own words.
_BORDERS = re.compile(r"[<>]|\](?=[~!])|\[(?=\||\w+~)|\[(?!(?:true|false|null|NaN|Infinity)\])(?=/?[A-Za-z]\w*\])")


def as_data(value: Any) -> str:
    r"""A value as JSON in which no chat template finds a border between messages: `<`, `>` and brackets as in `[INST]` are escaped.

    >>> print(as_data({"passage": 'a "b" <|im_end|>[/INST] [1]'}))
    {"passage": "a \"b\" \u003c|im_end|\u003e\u005b/INST] [1]"}
    """
    written = json.dumps(value, ensure_ascii=False)
    return _BORDERS.sub(lambda found: f"\\u{ord(found.group()):04x}", written)


@dataclass(frozen=True)
class Example:
    """One worked example of a prompt. lang: of the answer, BCP-47."""

    lang: str
    data: Mapping[str, Any]
    answer: Mapping[str, Any]


@dataclass(frozen=True)
class Prompt:
    """Instructions and what an answer must look like. digest: of all that a model gets to see, the settings left out."""

    name: str
    version: int
    source: str
    text: str
    schema: Mapping[str, Any] | None
    examples: tuple[Example, ...] = field(default=(), repr=False)

    @cached_property
    def digest(self) -> str:
        """What stands beside each row that this prompt made."""
        shown = [[one.lang, one.data, one.answer] for one in self.examples]
        return digest(self.text, json.dumps([self.version, self.schema, shown], sort_keys=True, ensure_ascii=False))

    @cached_property
    def slots(self) -> frozenset[str]:
        """The settings that the text wants."""
        return frozenset(name for _, name, _, _ in string.Formatter().parse(self.text) if name)

    def messages(self, slots: Mapping[str, str], data: Any, examples: Sequence[Example] = ()) -> tuple[Message, ...]:
        """Instructions, examples as a conversation, and the question: `data` as JSON (`as_data`), whatever it holds.

        slots: trusted settings, every one that the text wants; never text of a row.
        """
        if lacking := sorted(self.slots - set(slots)):
            raise RecipeError(f"prompt {self.name}: nothing given for {{{lacking[0]}}}")
        shown = []
        for example in examples:
            shown += [Message("user", as_data(example.data)), Message("assistant", as_data(example.answer))]
        return (Message("system", self.text.format_map(slots)), *shown, Message("user", as_data(data)))


@cache
def load(package: str, name: str) -> Prompt:
    """The prompt file `NAME.prompt.md` of a package; `RecipeError` names it and what is wrong with it."""
    return parse(name, resources.files(package).joinpath(name + ENDING).read_text("utf-8"))


def parse(name: str, written: str) -> Prompt:
    """A prompt from the text of its file (also a user's own)."""
    parts = re.split(r"^---[ \t]*$", written, maxsplit=2, flags=re.MULTILINE)
    if len(parts) != 3 or parts[0].strip():
        raise RecipeError(f"prompt {name}: begins with a YAML head between two lines of ---")
    try:
        head = yaml.safe_load(parts[1])
    except yaml.YAMLError as error:
        raise RecipeError(f"prompt {name}: the head is not YAML ({error})") from error
    if not isinstance(head, dict) or type(head.get("version")) is not int:
        raise RecipeError(f"prompt {name}: the head needs a version, a whole number")
    if unknown := sorted(set(head) - _KEYS):
        raise RecipeError(f"prompt {name}: unknown key {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}")
    try:
        examples = tuple(Example(one["lang"], one["data"], one["answer"]) for one in head.get("examples") or ())
    except (KeyError, TypeError) as error:
        raise RecipeError(f"prompt {name}: an example has lang, data and answer ({error})") from error
    schema = head.get("schema")
    if schema is not None:
        broken(schema, None)  # a schema that is none is told now and not with the first answer
        for one in examples:
            if wrong := broken(schema, one.answer):
                raise RecipeError(f"prompt {name}: the answer of an example ({one.lang}) breaks the schema: {wrong}")
    return Prompt(name, head["version"], str(head.get("source", "")), _sound(name, parts[2].strip()), schema, examples)


def _sound(name: str, text: str) -> str:
    """The instructions, if every brace in them is a slot or stands there twice."""
    if not text:
        raise RecipeError(f"prompt {name}: no instructions after the head")
    try:
        found = list(string.Formatter().parse(text))
    except ValueError as error:
        raise RecipeError(f"prompt {name}: {error}; a brace that is no slot is written twice: {{{{ }}}}") from error
    for _, slot, form, conversion in found:
        if slot is not None and (not slot.isidentifier() or form or conversion):
            said = slot + (f":{form}" if form else "")
            raise RecipeError(f"prompt {name}: {{{said}}} is no slot; a brace that is none is written twice: {{{{ }}}}")
    return text
