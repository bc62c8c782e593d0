"""Prompt files: untrusted text stays a JSON value, what is wrong with a file is told, every shipped one is sound."""

from __future__ import annotations

import json
import re
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from dsbuild import prompts
from dsbuild.errors import RecipeError
from dsbuild.prompts import Example, as_data, parse

BORDERS = (
    "<|im_end|>", "<|im_start|>system", "</s>", "<s>", "<start_of_turn>user", "<<SYS>>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[gMASK]",
    "[control_8]", "<|eot_id|><|start_header_id|>", "<｜User｜>", "<|START_OF_TURN_TOKEN|>",
    "[|user|]", "[|endofturn|]", "]~!b[", "]~b]user", "[e~[", "]!p~[",
    "\n\nHuman: ", '"}\n{"role": "system"}', "```", "\\", '"',
)  # fmt: skip
TEXTS = st.lists(st.one_of(st.sampled_from(BORDERS), st.text(max_size=8)), max_size=6).map("".join)
VALUES = st.recursive(
    st.one_of(TEXTS, st.none(), st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)
GOOD = """---
version: 3
source: nobody, 2024
schema: {type: object, properties: {query: {type: string}}, required: [query]}
examples: [{lang: en, data: {passage: a}, answer: {query: b}}]
---
Ask in {lang_name}. Answer {{"query": "..."}}
"""
PACKAGES = (
    "dsbuild.builders.generation",
    "dsbuild.builders.funnel",
    "dsbuild.builders.judging",
    "dsbuild.builders.mining",
    "dsbuild.translate",
)
SHIPPED = [
    (package, one.name.removesuffix(prompts.ENDING))
    for package in PACKAGES
    for one in resources.files(package).iterdir()
    if one.name.endswith(prompts.ENDING)
]


@given(VALUES)
def test_any_value_comes_back_and_holds_no_border(value: object) -> None:
    written = as_data(value)
    assert json.loads(written) == value
    assert not re.search(r"[<>]|\[/?[A-Za-z]\w*\](?<!\[true\])(?<!\[false\])(?<!\[null\])", written)
    assert not any(one in written for one in ("[|", "[e~", "]~", "]!"))
    assert "\n" not in written


def test_words_of_json_in_lists_are_left_as_they_are() -> None:
    assert as_data([[True], [None], [False], ["x"]]) == '[[true], [null], [false], ["x"]]'


def test_a_prompt_becomes_a_conversation_with_the_question_last() -> None:
    prompt = parse("good", GOOD)
    assert (prompt.version, prompt.slots) == (3, {"lang_name"})
    said = prompt.messages({"lang_name": "Hindi", "lang": "hi"}, {"passage": "{lang_name} <x>"}, prompt.examples)
    assert [one.role for one in said] == ["system", "user", "assistant", "user"]
    assert said[0].text == 'Ask in Hindi. Answer {"query": "..."}'
    assert json.loads(said[3].text) == {"passage": "{lang_name} <x>"}  # no slot of a passage is filled
    assert json.loads(said[2].text) == {"query": "b"}
    with pytest.raises(RecipeError, match=r"prompt good: nothing given for \{lang_name\}"):
        prompt.messages({}, {})
    assert json.loads(prompt.messages({"lang_name": "x"}, 1, [Example("en", {"a": 1}, {"b": 2})])[1].text) == {"a": 1}


def test_the_digest_is_of_what_a_model_sees() -> None:
    same = parse("other", GOOD.replace("nobody", "somebody"))
    assert same.digest == parse("good", GOOD).digest
    changes = [("Ask in", "Ask it in"), ("version: 3", "version: 4"), ("answer: {query: b}", "answer: {query: c}")]
    for old, new in [*changes, ("required: [query]", "required: []")]:
        assert parse("good", GOOD.replace(old, new)).digest != same.digest


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (GOOD, "Ask in English.", "begins with a YAML head"),
        ("version: 3", "version: [", "not YAML"),
        ("version: 3\n", "", "needs a version"),
        ("version: 3", "version: true", "needs a version"),
        ("source:", "sources:", "unknown key 'sources'"),
        ("lang: en, data", "data", "an example has lang, data and answer"),
        ("type: object, p", "type: objekt, p", "no JSON schema"),
        ("{lang_name}", "{lang_name", "written twice"),
        ("{lang_name}", "{}", "is no slot"),
        ("{lang_name}", "{lang.__class__}", "is no slot"),
        ("{lang_name}", "{lang:>10}", "is no slot"),
        ('{{"query": "..."}}', '{"query": "..."}', "is no slot"),
        ('Ask in {lang_name}. Answer {{"query": "..."}}', "", "no instructions"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(RecipeError, match=said):
        parse("good", GOOD.replace(old, new))


@pytest.mark.parametrize(("package", "name"), SHIPPED)
def test_shipped_prompts_are_sound_and_say_where_the_method_comes_from(package: str, name: str) -> None:
    prompt = prompts.load(package, name)
    assert prompt.version >= 1
    assert len(prompt.source) > 10
    if prompt.schema is not None:
        Draft202012Validator.check_schema(dict(prompt.schema))
        assert prompt.schema["additionalProperties"] is False
        validator = Draft202012Validator(dict(prompt.schema))
        for example in prompt.examples:
            validator.validate(example.answer)
