"""Pairs of a wanted similarity and of three labels: what is asked, useless pairs, releases with and without a source."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsbuild.builders.generation.generation import open_task
from dsbuild.llm import close_models
from tests.scripted_chat import ScriptedChat
from tests.scripted_model import ScriptedModel, ask, data_of, passages
from tests.small_set import cli, rows
from tests.test_generated import TOPICS, generate, write

LABELS = ("entailment", "neutral", "contradiction")
NLI = dict(
    zip(
        ("premise", *LABELS),
        ("The lamp burned oil.", "The lamp was lit.", "The oil was cheap.", "The lamp was never lit."),
        strict=True,
    )
)


@pytest.fixture(autouse=True)
def models() -> Iterator[None]:
    yield
    close_models()


def test_a_similarity_is_drawn_for_each_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ScriptedModel(lambda data, call: {"text_a": f"{data['similarity']} ", "text_b": data["unit"]})
    made, _, _ = ask(
        {"small": model},
        tmp_path,
        monkeypatch,
        passages(*[f"passage {n}" for n in range(40)]),
        "sts/graded",
        options={"per_passage": 5},
    )
    assert len(made) == 200
    asked = [data_of(call) for call in model.calls]
    for row, data in zip(made, asked, strict=True):
        assert row["score"] == data["similarity"] / 5
        assert json.loads(row["details"]) == {
            "passage_lang": "en",
            "similarity": data["similarity"],
            "unit": data["unit"],
        }
        assert (row["text"], row["text_b"]) == (str(data["similarity"]), data["unit"])
    counted = Counter(one["similarity"] for one in asked)
    assert set(counted) == {half / 2 for half in range(11)}
    assert max(counted.values()) < 40
    assert {call.sampling.temperature for call in model.calls} == {1.0}
    assert len({call.messages[:-1] for call in model.calls}) == 1


@pytest.mark.parametrize(
    ("task", "value", "rule"),
    [
        ("sts/graded", {"text_a": "One  day", "text_b": "one day "}, "same_text"),
        ("sts/graded", {"text_a": "", "text_b": "one day"}, "empty"),
        ("sts/graded", {"text_a": "a"}, "schema"),
        ("sts/graded", {"text_a": "a", "text_b": "b", "similarity": 5}, "schema"),
        ("nli/three-way", {**NLI, "neutral": "the lamp WAS lit."}, "same_text"),
        ("nli/three-way", {**NLI, "contradiction": NLI["premise"]}, "same_text"),
        ("nli/three-way", {**NLI, "entailment": "\u200b"}, "empty"),
        ("nli/three-way", {**NLI, "label": "neutral"}, "schema"),
        ("nli/three-way", [NLI], "schema"),
    ],
)  # fmt: skip
def test_useless_pairs_are_verdicts(
    task: str, value: Any, rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, result, _ = ask(
        {"small": ScriptedModel(lambda data, call: value)}, tmp_path, monkeypatch, passages("a passage"), task
    )
    assert (made, [one["rule"] for one in result.verdicts]) == ([], [rule])


def test_without_a_passage_subjects_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for task, said in (("sts/graded", {"text_a": "a", "text_b": "b"}), ("nli/three-way", NLI)):
        asked = []
        for seed in (0, 1):
            model = ScriptedModel(lambda data, call, said=said: said)  # type: ignore[misc]
            ask(
                {"small": model},
                tmp_path / f"{task[:3]}{seed}",
                monkeypatch,
                passages(*[""] * 30),
                task,
                lang="ta",
                seed=seed,
            )
            asked.append([data_of(call)["subjects"] for call in model.calls])
            assert "Tamil (ta), in the script Taml" in model.calls[0].messages[0].text
            assert "டெர்ன்" in model.calls[0].messages[1].text
        assert len({*asked[0], *asked[1]}) > 55
        assert all(len(one.split("; ")) == 3 for one in asked[0])


@pytest.mark.parametrize("task", ["sts/graded", "nli/three-way"])
def test_examples_keep_to_what_the_prompt_says(task: str) -> None:
    examples = open_task(task, {}).prompt.examples
    each = 2 if task.startswith("sts") else 1
    assert Counter(one.lang for one in examples) == dict.fromkeys(("en", "hi", "mr", "ta", "sw"), each)
    for one in examples:
        texts = list(one.answer.values())
        assert len(set(texts)) == len(texts)
        if "premise" in one.answer:
            assert one.answer["premise"] in one.data["passage"]


def nli(data: dict[str, Any], body: Any) -> Any:
    found = re.match(r"The (\w+) of the (\w+) is", data.get("passage", "The x of the y is"))
    assert found
    topic, place = found.groups()
    if topic == "water":
        return "no"
    of = f"The {topic} of the {place}" if topic != "rice" else "The rice of the plain"
    return {
        "premise": f"{of} is known far away.",
        "entailment": f"{of} is known to many people who have never been near it.",
        "neutral": "Everything has its own price somewhere.",
        "contradiction": f"{of} is not known to many people who have never been near it.",
    }


def test_a_release_of_three_labels(tmp_path: Path) -> None:
    source = write(tmp_path / "set")
    with ScriptedChat(nli) as chat:
        code, found, err = generate(tmp_path, source, chat.url, task="nli")
    assert code == 0, err
    topics = Counter(re.findall(r"The (\w+) of the \w+ is", (source / "corpus.jsonl").read_text("utf-8")))
    answered, again = 24 - topics["water"], topics["rice"] - 1
    assert again
    one = found["languages"]["en"]
    assert (one["asked"], one["failed"], one["rows"]) == (24, topics["water"], 3 * answered)
    out = tmp_path / "out"
    pairs, lost = rows(out, "en-pairs/*"), rows(out, "dropped/en-pairs*")
    # A premise stands in three rows, a hypothesis in several, and one word makes a contradiction: only equal pairs are duplicates.
    assert Counter(row["lost_at"] for row in lost) == {"duplicates": 3 * again}
    assert Counter(row["label"] for row in pairs) == dict.fromkeys(LABELS, answered - again)
    assert set(Counter(row["text_a"] for row in pairs).values()) == {3}
    for row in pairs:
        assert (" is not known " in row["text_b"]) == (row["label"] == "contradiction")
        assert row["score"] is None
    assert cli("verify", str(out))[0] == 0
    code, _, err = cli("explain", str(out), "--id", pairs[0]["pair_id"])
    assert code == 0, err
    code, said, _ = cli("funnel", str(out), "--format", "json")
    (step,) = [one for one in json.loads(said)["languages"]["en"]["steps"] if one["name"] == "duplicates"]
    assert [(rule["rule"], rule["threshold"], rule["source"]) for rule in step["rules"]][1] == (
        "near_duplicate",
        1.0,
        "style",
    )


def test_a_release_of_pairs_from_nothing(tmp_path: Path) -> None:
    def answer(data: dict[str, Any], body: Any) -> Any:
        words = re.findall(r"\w+", data.get("subjects", "a b c"))
        topic = TOPICS[len(words[0]) % 16]
        return {
            "text_a": f"The {topic} of a {words[0]} and its {words[-1]} are old.",
            "text_b": f"A {words[1]} may be near the {words[2]} today.",
        }

    place = ("--out", str(tmp_path / "out"), "--store", str(tmp_path / "s"), "--format", "json")
    with ScriptedChat(answer) as chat:
        given = ("--langs", "en", "--engine", "openai", "--base-url", chat.url, "--model", "small", "--count", "30")
        code, said, err = cli("generate", "sts", *given, *place, "--set", "funnel.language=false")
    assert code == 0, err
    one = json.loads(said)["languages"]["en"]
    assert (one["asked"], one["answered"]) == (30, 30)
    out = tmp_path / "out"
    pairs, lost = rows(out, "en-pairs/*"), rows(out, "dropped/en-pairs*")
    assert len(pairs) + len(lost) == 30
    assert {row["parent_id"] for row in (*pairs, *lost)} == {f"n{number:02}" for number in range(1, 31)}, (
        "questions by number"
    )
    assert "the number of the question" in (out / "README.md").read_text("utf-8")
    assert {row["score"] for row in pairs} <= {half / 10 for half in range(11)}
    assert len({row["score"] for row in pairs}) > 5
    assert {row["label"] for row in pairs} == {None}
    assert cli("verify", str(out))[0] == 0
