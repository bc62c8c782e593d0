"""Read what a model said: the text without its wrapping, and the JSON value where the call has a schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from dsbuild.errors import RecipeError
from dsbuild.language_model import Call, Said

# What a reasoning model thinks aloud before it answers, where the server does not take it away. Templates that begin the thought themselves leave
# its end alone in the answer.
_THOUGHT = re.compile(r"\s*<think>.*?</think>", re.DOTALL)
_THOUGHT_END = re.compile(r"(?!\s*[{\[`]).*?</think>", re.DOTALL)
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL | re.IGNORECASE)
# A fence on lines of its own, with words before or after it.
_FENCED = re.compile(r"^```json[ \t]*\n(.*?)\n[ \t]*```[ \t]*$", re.DOTALL | re.IGNORECASE | re.MULTILINE)
_DETAIL_CHARS = 200


def settled(call: Call, said: Said) -> Said:
    """An answer as its reader wants it, from the answer as it came: `Said.text` unwrapped, `Said.value` valid by the call's schema.

    Whatever a server promised, nothing that breaks the schema comes through. Names that stand twice in an object and halves of characters
    are refused too: readers would disagree on what they mean.
    """
    if said.problem:
        return said
    if call.continuation is not None:
        return said if said.logprob is not None else replace(said, problem="no_logprobs")
    text = unwrapped(said.text)
    said = replace(said, text=text)
    if not text:
        return replace(said, problem="empty")
    if call.schema is None:
        wrong = _half(text)
        return replace(said, text="", problem="empty", detail=wrong) if wrong else said
    if len(fenced := _FENCED.findall(text)) == 1:
        text = fenced[0]
        said = replace(said, text=text)
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
        wrong = _half(value)
    except (ValueError, RecursionError) as error:
        return replace(said, problem="not_json", detail=_short(str(error)))
    if wrong:
        return replace(said, problem="not_json", detail=wrong)
    if wrong := broken(call.schema, value):
        return replace(said, problem="schema", detail=wrong)
    return replace(said, value=value)


def unwrapped(text: str) -> str:
    r"""The text without thoughts before it and without a fence around it.

    >>> unwrapped('<think>hm</think>```json\n{"a": 1}\n```'), unwrapped("so it is Oslo\n</think>\n\nOslo")
    ('{"a": 1}', 'Oslo')
    """
    if found := _THOUGHT.match(text) or _THOUGHT_END.match(text):
        text = text[found.end() :]
    text = text.strip()
    found = _FENCE.fullmatch(text)
    return found.group(1) if found else text


def broken(schema: Mapping[str, Any], value: Any) -> str:
    """How a value breaks a schema, "" if it keeps it: where, and what is wrong."""
    from jsonschema.exceptions import best_match

    error = best_match(_validator(json.dumps(schema, sort_keys=True)).iter_errors(value))
    if error is None:
        return ""
    return _short(f"{error.json_path}: {error.message}")


@lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    known = json.loads(schema)
    try:
        Draft202012Validator.check_schema(known)
    except SchemaError as error:
        raise RecipeError(f"the schema of a prompt is no JSON schema: {_short(error.message)}") from None
    return Draft202012Validator(known)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _half(value: Any) -> str:
    try:
        (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode("utf-8")
    except UnicodeEncodeError:
        return "half a character"
    return ""


def _short(text: str) -> str:
    return " ".join(text.split())[:_DETAIL_CHARS]
