"""Triplets in two steps from nothing and in one pass from documents: what is drawn and asked, what makes a triplet useless, releases."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dsbuild.builders.generation.generation import open_task
from dsbuild.builders.generation.triplets import one_triplet
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.llm import close_models
from tests.scripted_chat import ScriptedChat
from tests.scripted_model import ScriptedModel, ask, data_of, passages
from tests.small_set import cli, rows
from tests.test_generated import PLACES, TOPICS, generate, write

GOOD = {
    "query": "when did the lamp burn oil",
    "positive": "The lamp of the old harbour burned oil until 1938.",
    "answer": "until 1938",
    "negative": "The lamp of the new harbour is electric.",
}
DRAWN = {
    "query_type": {"extremely rare", "rare", "common"},
    "query_words": {"2 to 4", "5 to 15", "at least 10"},
    "clarity": {"clear", "understandable with some effort", "ambiguous"},
    "difficulty": {"high_school", "university", "phd"},
    "document_words": {"50", "100", "200", "300", "400", "500"},
}


@pytest.fixture(autouse=True)
def models() -> Iterator[None]:
    yield
    close_models()


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"query": " \u200b "}, "empty"),
        ({"negative": ""}, "empty"),
        ({"positive": "WHEN did the  lamp burn oil"}, "document_is_query"),
        ({"negative": "when did the lamp burn oil"}, "document_is_query"),
        ({"negative": "The LAMP of the old harbour burned oil until १९३८."}, "negative_is_positive"),
        ({"negative": "Yes. The lamp of the old harbour burned oil until 1938. So it is."}, "negative_holds_positive"),
        ({"negative": "The lamp of the old harbour burned oil"}, "negative_holds_positive"),
        ({"negative": "The lamp of the old harbour burned oil until 1938, or so."}, "negative_holds_positive"),
        ({"positive": "灯台は石油を燃やした。", "negative": "灯台は石油を燃やしたと言う。"}, "negative_holds_positive"),
        ({"negative": "The other lamp was there until 1938 too."}, "negative_holds_answer"),
    ],
)
def test_a_useless_triplet_is_a_verdict(changed: dict[str, str], rule: str) -> None:
    assert one_triplet("Find it.", {**GOOD, **changed}, {}) == rule


def test_a_good_triplet_is_kept_as_it_came() -> None:
    (row,) = one_triplet(" Find it. ", {**GOOD, "query": "\n" + GOOD["query"]}, {"a": 1})
    assert row == {"text": GOOD["query"], "instruction": "Find it.", "positive": GOOD["positive"], "negative": GOOD["negative"],
                   "details": {"a": 1, "answer": "until 1938"}}  # fmt: skip
    # An answer that the positive has not says nothing about the negative, nor does a part of a word or number.
    for answer, negative in (("electric", GOOD["negative"]), ("19", "It burned until 1950."), ("", GOOD["negative"])):
        assert not isinstance(one_triplet("Find it.", {**GOOD, "answer": answer, "negative": negative}, {}), str)
    # Nor is a short text within another one that has it inside a word or number.
    for positive, negative in (("5", "1995"), ("art", "a party"), ("1874", "18745 lamps")):
        assert not isinstance(one_triplet("Find it.", {**GOOD, "positive": positive, "negative": negative}, {}), str)
    assert one_triplet("", GOOD, {}) == "empty"


def tasks(data: dict[str, Any], call: Any) -> Any:
    return {"tasks": [f"Given a {word}, find its history." for word in TOPICS[: data["tasks"]]]}


def test_tasks_are_listed_at_most_as_many_as_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topics = passages(*[""] * 25)
    model = ScriptedModel(tasks)
    made, result, _ = ask(
        {"small": model}, tmp_path / "a", monkeypatch, topics, "steps/e5-tasks", lang="hi", options={"tasks": 10}
    )
    asked = [data_of(call) for call in model.calls]
    assert [one["tasks"] for one in asked] == [10, 10, 5]
    assert Counter(row["parent_id"] for row in made) == {"p0": 10, "p10": 10, "p20": 5}
    assert len({one["subjects"] for one in asked}) == 3
    assert len({call.messages[0] for call in model.calls}) == 1
    assert "one or several paragraphs" in model.calls[0].messages[0].text
    assert result.counts.kept == 3
    many = {"tasks": ["a task", " A  task", "", "another", "a third", "a fourth"]}
    made, _, _ = ask(
        {"small": ScriptedModel(lambda data, call: many, "b")},
        tmp_path / "b",
        monkeypatch,
        passages("", "", ""),
        "steps/e5-tasks",
    )
    assert [row["text"] for row in made] == ["a task", "another", "a third"]
    made, result, _ = ask(
        {"small": ScriptedModel(lambda data, call: {"tasks": [" "]}, "c")},
        tmp_path / "c",
        monkeypatch,
        passages(""),
        "steps/e5-tasks",
    )
    assert (made, result.verdicts[0]["rule"]) == ([], "nothing_to_ask")


def test_every_task_gets_its_triplet_with_drawn_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed, _, _ = ask(
        {"small": ScriptedModel(tasks)},
        tmp_path / "a",
        monkeypatch,
        passages(*[""] * 16),
        "steps/e5-tasks",
        options={"tasks": 16},
    )
    table = pa.Table.from_pylist(listed)
    model = ScriptedModel(lambda data, call: {**GOOD, "query": f"{data['task']} {data['clarity']}"})
    made, _, _ = ask(
        {"small": model}, tmp_path / "b", monkeypatch, table, "triplets/e5", lang="mr", options={"per_passage": 6}
    )
    assert len(made) == len(model.calls) == 96 == len({row["id"] for row in made})
    assert {row["parent_id"] for row in made} == {row["id"] for row in listed}
    for row, call in zip(made, model.calls, strict=True):
        data = data_of(call)
        assert row["instruction"] == data["task"]
        assert json.loads(row["details"]) == {**{name: data[name] for name in DRAWN}, "answer": "until 1938"}
    for name, values in DRAWN.items():
        counted = Counter(data_of(call)[name] for call in model.calls)
        assert set(counted) == values
        assert max(counted.values()) < 3 * 96 / len(values), "drawn evenly"
    assert len({call.messages[0] for call in model.calls}) == 1, "one prefix for all"
    assert "Marathi (mr), in the script Deva" in model.calls[0].messages[0].text
    assert {call.sampling.temperature for call in model.calls} == {1.0}
    # The same draws whatever stands beside a row.
    alone = ScriptedModel(lambda data, call: GOOD, "alone")
    given = {"lang": "mr", "options": {"per_passage": 6}}
    ask({"small": alone}, tmp_path / "c", monkeypatch, table.slice(5, 1), "triplets/e5", **given)  # type: ignore[arg-type]
    assert [call.messages for call in alone.calls] == [call.messages for call in model.calls[30:36]]


def test_kinds_of_tasks() -> None:
    with pytest.raises(UnknownName, match=r"short-long"):
        open_task("triplets/e5", {"kind": "short-lon"})
    with pytest.raises(RecipeError, match=r"style\.tasks=0"):
        open_task("triplets/e5", {"tasks": 0})
    steps = open_task("triplets/e5", {"kind": "short-short", "tasks": 3, "temperature": 0.5}).step_options  # type: ignore[attr-defined]
    assert steps == {"steps/e5-tasks": {"kind": "short-short", "tasks": 3, "temperature": 0.5}}


def e5(data: dict[str, Any], body: Any) -> Any:
    """Both steps: tasks by the words that are drawn, and a triplet of a task; every eighth one is useless."""
    if "subjects" in data:
        return {
            "tasks": [
                f"Given a question on the {place} of {data['subjects']}, find its {topic}."
                for place in PLACES
                for topic in TOPICS
            ][: data["tasks"]]
        }
    found = re.search(r"on the (\w+) of (.*), find its (\w+)\.", data.get("task", "on the x of y, find its z."))
    assert found
    place, subjects, topic = found.groups()
    about = " ".join(re.findall(r"\w+", subjects)[:3])
    positive = f"The {topic} of the {place} belongs to {about}."
    return {"query": f"which {topic} of the {place} has to do with {about}", "positive": positive, "answer": about,
            "negative": positive if topic == "wool" else f"The {topic} of the {place} is made of stone."}  # fmt: skip


def test_a_release_from_nothing_in_two_steps(tmp_path: Path) -> None:
    place = ("--out", str(tmp_path / "out"), "--store", str(tmp_path / "s"), "--format", "json")
    with ScriptedChat(e5) as chat:
        given = ("--style", "e5", "--langs", "en", "--engine", "openai", "--base-url", chat.url, "--model", "small")
        code, said, err = cli("generate", "triplets", "--count", "50", *given, *place, "--set", "style.tasks=20")
        assert code == 0, err
        one = json.loads(said)["languages"]["en"]
        source = write(tmp_path / "set", 3)
        code, _, err = cli("generate", "triplets", "--src", f"beir:{source}", *given, *place)
        assert (code, "reads no passages" in err) == (2, True)
    (listed,) = one["steps"]
    assert (listed["asked"], listed["answered"], listed["rows"]) == (3, 3, 50)
    assert (one["asked"], one["answered"], one["failed"], one["problems"]) == (50, 47, 3, {"negative_is_positive": 3})
    out = tmp_path / "out"
    queries, corpus, qrels, negatives = (
        rows(out, f"en-{name}/*") for name in ("queries", "corpus", "qrels", "negatives")
    )
    assert len(queries) + len(rows(out, "dropped/en-queries*")) == 47
    assert len(corpus) == 2 * len(queries) == 2 * len(qrels) == 2 * len(negatives)
    texts = {row["doc_id"]: row["text"] for row in corpus}
    for row in queries:
        assert row["instruction"].startswith("Given a question on the ")
        assert texts[row["query_id"] + "-p"] == row["positive"] != row["negative"] == texts[row["query_id"] + "-n"]
    assert {row["style"] for row in queries} == {"e5"}
    assert {row["rule"] for row in rows(out, "dropped/verdicts-*")} >= {"negative_is_positive"}
    card = (out / "README.md").read_text("utf-8")
    assert "steps/e5-tasks: version 1" in card
    assert "triplets/e5: version 1" in card
    assert cli("verify", str(out))[0] == 0
    code, _, err = cli("rebuild", str(out), "--store", str(tmp_path / "s"))
    assert code == 0, err
    code, _, err = cli("explain", str(out), "--id", queries[0]["query_id"])
    assert code == 0, err
    code, _, err = cli("export", str(out), "--to", "st-triplet", "--out", str(tmp_path / "e"))
    assert code == 0, err


def mme5(data: dict[str, Any], body: Any) -> Any:
    found = re.match(r"The (\w+) of the (\w+) is", data.get("passage", "The x of the y is"))
    assert found
    topic, place = found.groups()
    draft = {
        "instruction": "Find stories.",
        "query": f"which stories are told of the {topic} at the {place}",
        "positive": f"Old {topic} stories come from the {place}.",
        "answer": "",
        "negative": f"The {place} is quiet.",
    }
    final = {**draft, "negative": f"Nobody at the {place} tells stories of its {topic}."}
    if topic == "wool":
        final["negative"] = final["positive"].upper()
    scores = {"relevance": 5, "hard_negative": 2, "clarity": 5, "diversity": 3 if topic != "lamp" else 6}
    return {
        "interpretation": f"About a {topic}.",
        "draft": draft,
        "evaluation": {**scores, "advice": "a harder negative"},
        "final": final,
    }


def test_a_release_from_documents_in_one_pass(tmp_path: Path) -> None:
    source = write(tmp_path / "set")
    with ScriptedChat(mme5) as chat:
        code, found, err = generate(tmp_path, source, chat.url, task="triplets")
    assert code == 0, err
    assert found["style"] == "mme5"
    assert any("no --style named: mme5" in note for note in found["notes"])
    texts = (source / "corpus.jsonl").read_text("utf-8")
    topics = Counter(re.findall(r"The (\w+) of the \w+ is", texts))
    one = found["languages"]["en"]
    assert one["problems"] == {"negative_is_positive": topics["wool"], "schema": topics["lamp"]}
    out = tmp_path / "out"
    queries = rows(out, "en-queries/*")
    assert queries
    for row in queries:
        assert row["negative"].startswith("Nobody"), "what was revised"
        details = json.loads(row["details"])
        assert details["scores"] == {"relevance": 5, "hard_negative": 2, "clarity": 5, "diversity": 3}
        assert set(details["draft"]) == {"negative"}
        assert (details["advice"], details["passage_lang"]) == ("a harder negative", "en")
        assert set(DRAWN) <= set(details)
    assert {row["doc_id"] for row in rows(out, "en-corpus/*")} == {
        f"{row['query_id']}-{end}" for row in queries for end in "pn"
    }
    asked = [one["data"] for one in chat.asked]
    assert all({"passage", *DRAWN} == set(one) for one in asked)
    assert cli("verify", str(out))[0] == 0


def test_a_budget_that_ends_in_the_first_step_counts_its_questions(tmp_path: Path) -> None:
    place = ("--out", str(tmp_path / "out"), "--store", str(tmp_path / "s"), "--format", "json")
    with ScriptedChat(e5) as chat:
        given = ("--style", "e5", "--langs", "en,hi", "--engine", "openai", "--base-url", chat.url, "--model", "small")
        more = ("--set", "style.tasks=5", "--set", "funnel.language=false", "--set", "generator.concurrency=1")
        # Fifty tokens a question: two that list tasks and ten of triplets in English.
        code, said, err = cli("generate", "triplets", "--count", "10", *given, *place, "--budget-tokens", "600", *more)
    assert code == 0, err
    found = json.loads(said)
    english, hindi = (found["languages"][lang] for lang in ("en", "hi"))
    assert (english["rows"], hindi["problems"]["budget"]) == (10, 2)
    assert [step["failed"] for step in hindi["steps"]] == [2]
    assert any("2 of 2 questions not asked" in note for note in found["notes"])
