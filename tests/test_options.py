"""Options by name: what is of another type than a signature says is one line, wherever a recipe gives it."""

from __future__ import annotations

from typing import Any

import pytest

from dsbuild.builders.generation.generation import open_task
from dsbuild.builders.generation.triplets_e5 import MOST_TASKS, E5Tasks
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.llm import close_models, open_model


@pytest.mark.parametrize(
    ("style", "options", "said"),
    [
        ("queries/zero-shot", {"temperature": "hot"}, "style.temperature='hot': input should be a valid number"),
        ("queries/zero-shot", {"temperature": True}, "style.temperature=True"),
        ("queries/zero-shot", {"temperature": -1}, "style.temperature=-1: at least 0"),
        ("queries/zero-shot", {"temperature": float("nan")}, "style.temperature=nan"),
        ("queries/zero-shot", {"max_tokens": "many"}, "style.max_tokens='many': input should be a valid integer"),
        ("queries/zero-shot", {"max_tokens": 0}, "style.max_tokens=0: at least 1"),
        ("queries/zero-shot", {"per_passage": "x"}, "style.per_passage='x'"),
        ("queries/inpars", {"guided": "maybe"}, "style.guided='maybe'"),
        ("queries/promptagator", {"n_examples": -1}, "style.n_examples=-1: at least 1"),
        ("queries/promptagator", {"max_chars": 0}, "style.max_chars=0: at least 1"),
        ("queries/promptagator", {"held_out": 3}, "in quotes"),
        ("triplets/e5", {"tasks": "x"}, "style.tasks='x'"),
        ("triplets/e5", {"tasks": MOST_TASKS + 1}, f"at most {MOST_TASKS}"),
        ("qa/indic-rag", {"answers": 3}, "style.answers=3"),
    ],
)
def test_a_style_takes_what_its_fields_say(style: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        open_task(style, options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_whole_numbers_are_numbers_and_words_name_the_nearest() -> None:
    assert open_task("queries/zero-shot", {"temperature": 1, "per_passage": 2}).sampling.temperature == 1
    with pytest.raises(UnknownName, match="Did you mean 'question'"):
        open_task("qa/indic-rag", {"answers": "questions"})
    with pytest.raises(UnknownName, match="Did you mean 'temperature'"):
        open_task("queries/zero-shot", {"temperatur": 1})


def test_as_many_tasks_as_an_answer_may_have() -> None:
    schema = E5Tasks().prompt.schema
    assert schema is not None
    assert schema["properties"]["tasks"]["maxItems"] == MOST_TASKS


@pytest.mark.parametrize(
    "options",
    [{"stream": "yes"}, {"retries": 2.5}, {"timeout_s": "long"}, {"extra": ["a"]}, {"revision": 3}, {"model": 7}],
)
def test_a_language_model_takes_what_its_arguments_say(options: dict[str, Any]) -> None:
    try:
        with pytest.raises(RecipeError, match=rf"judge\.{next(iter(options))}"):
            open_model("openai", {"model": "m", **options}, "judge")
    finally:
        close_models()
