"""The stage that asks a model about rows: how rows end, what stands beside each answer, who is asked what."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dsbuild.builders.generation.ask_model import Bounds, ModelChoice
from dsbuild.builders.generation.generation import generated_id
from dsbuild.errors import EngineError
from dsbuild.language_model import Said
from tests.scripted_model import ScriptedModel, ask, passages

TEXTS = [f"The {word} is old." for word in "river lamp bridge well mill tower barn gate".split()]


def echo(data: dict[str, Any], call: Any) -> Any:
    """A query of the passage's second word and the seed."""
    return {"query": f"what of {data['passage'].split()[1]} {call.seed % 97}"}


def test_rows_say_what_made_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ScriptedModel(echo)
    made, result, used = ask(
        {"small": model}, tmp_path, monkeypatch, passages(*TEXTS), options={"per_passage": 2}, seed=5
    )
    assert len(made) == 16 == len(model.calls) == len({row["id"] for row in made})
    assert [row["parent_id"] for row in made] == [f"p{n}" for n in range(8) for _ in range(2)]
    for place, (row, call) in enumerate(zip(made, model.calls, strict=True)):
        assert row["id"] == generated_id("queries", "zero-shot", "small", row["parent_id"], "en", f"{place % 2}.0")
        assert row["seed"] == call.seed
        assert json.loads(row["sampling"]) == {"temperature": 0.7, "top_p": 1.0, "max_tokens": 256, "stop": []}
        assert (row["generator"], row["style"], row["lang"], row["n_said"]) == ("small", "zero-shot", "en", 5)
        assert row["text"] == f"what of {TEXTS[place // 2].split()[1]} {call.seed % 97}"
    assert len({call.seed for call in model.calls}) == 16
    counts = result.counts
    assert counts is not None
    assert (counts.n_in, counts.kept, counts.dropped, counts.failed) == (8, 8, 0, 0)
    assert used.to_pylist() == [{"n_asked": 320, "n_said": 80, "n_calls": 16, "n_known": 0}]
    assert not result.verdicts


def test_the_same_rows_in_any_order_of_answers_and_any_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = passages(*TEXTS)
    found = []
    for number, (late, shards) in enumerate([(0, [table]), (5, [table]), (16, [table.slice(0, 3), table.slice(3)])]):
        model = ScriptedModel(echo, late=late, seed=number)
        made, _, _ = ask(
            {"small": model}, tmp_path / str(number), monkeypatch, shards, options={"per_passage": 2}, seed=5
        )
        found.append(made)
    assert found[0] == found[1] == found[2]


def test_what_is_known_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ScriptedModel(echo)
    made, _, _ = ask({"small": first}, tmp_path, monkeypatch, passages(*TEXTS[:5]))
    again = ScriptedModel(lambda data, call: {"query": "something else"})
    more, _, used = ask({"small": again}, tmp_path, monkeypatch, passages(*TEXTS))
    assert len(again.calls) == 3
    assert more[:5] == made
    assert used.to_pylist()[0]["n_known"] == 5


def test_rows_end_kept_dropped_or_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[str, Any] = {
        "river": "Sure, here is one!",
        "lamp": {"question": "x"},
        "bridge": {"query": "  "},
        "well": Said(problem="refused", detail="no"),
        "mill": Said('{"query": "half', problem="cut"),
        "tower": Said(problem="unreachable", detail="503"),
    }

    def answer(data: dict[str, Any], call: Any) -> Any:
        return answers.get(data["passage"].split()[1]) or echo(data, call)

    models = {"small": ScriptedModel(answer)}
    made, result, _ = ask(models, tmp_path, monkeypatch, passages(*TEXTS), unreachable="fail")
    assert [row["parent_id"] for row in made] == ["p6", "p7"]
    told = {one["id"]: (one["outcome"], one["rule"]) for one in result.verdicts}
    rules = ["not_json", "schema", "empty", "refused", "cut", "unreachable"]
    assert told == {f"p{n}": ("failed", rule) for n, rule in enumerate(rules)}
    assert result.facts["problems"] == dict.fromkeys(rules, 1)
    counts = result.counts
    assert counts is not None
    assert (counts.n_in, counts.kept, counts.dropped, counts.failed) == (8, 2, 0, 6)
    assert {one["table"] for one in result.verdicts} == {"corpus"}
    with pytest.raises(EngineError, match="1 of 8 questions got no answer"):
        ask({"small": ScriptedModel(answer)}, tmp_path / "other", monkeypatch, passages(*TEXTS))


def test_a_row_with_one_answer_of_several_is_kept_and_flagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = Counter[str]()

    def answer(data: dict[str, Any], call: Any) -> Any:
        turn[data["passage"]] += 1
        return "no" if turn[data["passage"]] == 1 else echo(data, call)

    models = {"small": ScriptedModel(answer)}
    made, result, _ = ask(models, tmp_path, monkeypatch, passages(*TEXTS[:3]), options={"per_passage": 3})
    assert Counter(row["parent_id"] for row in made) == {"p0": 2, "p1": 2, "p2": 2}
    assert [(one["id"], one["outcome"], one["rule"]) for one in result.verdicts] == [
        (f"p{n}", "flagged", "not_json") for n in range(3)
    ]
    assert result.counts is not None
    assert (result.counts.kept, result.counts.failed) == (3, 0)


def test_a_budget_is_what_was_spent_before_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = Bounds(tokens=100)
    model = ScriptedModel(echo)
    made, result, used = ask({"small": model}, tmp_path, monkeypatch, passages(*TEXTS), bounds=bounds)
    assert len(made) == 4 == len(model.calls)  # 25 tokens each
    assert result.facts["problems"] == {"budget": 4}
    assert {one["rule"] for one in result.verdicts} == {"budget"}
    # Of the next node nothing is left.
    other = ScriptedModel(echo, "other")
    made, _, _ = ask(
        {"other": other}, tmp_path, monkeypatch, passages(*TEXTS), bounds=bounds, spent=used, choice=ModelChoice("other", "other")
    )  # fmt: skip
    assert (made, other.calls) == ([], [])
    # A larger budget asks what is missing alone.
    more = ScriptedModel(echo)
    made, _, _ = ask({"small": more}, tmp_path, monkeypatch, passages(*TEXTS), bounds=Bounds(tokens=10_000))
    assert (len(made), len(more.calls)) == (8, 4)


def test_several_models_share_the_passages_by_a_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = passages(*(f"The word{n} is old." for n in range(200)))
    models = {"a": ScriptedModel(echo, "a"), "b": ScriptedModel(echo, "b")}
    parts = [("a", 0.0, 0.25), ("b", 0.25, 1.0)]
    asked = {}
    for kind, low, high in parts:
        made, _, _ = ask(
            models, tmp_path, monkeypatch, table, options={"per_passage": 2}, choice=ModelChoice(kind, kind, low=low, high=high)
        )  # fmt: skip
        asked[kind] = Counter(row["parent_id"] for row in made)
    assert asked["a"] + asked["b"] == Counter({f"p{n}": 2 for n in range(200)})
    assert 60 < asked["a"].total() < 140
    assert not set(asked["a"]) & set(asked["b"])
    # More passages do not change who is asked about these.
    first = ModelChoice("a", "a", low=0.0, high=0.25)
    made, _, _ = ask(models, tmp_path, monkeypatch, table.slice(0, 50), options={"per_passage": 2}, choice=first)
    assert Counter(row["parent_id"] for row in made) == {key: n for key, n in asked["a"].items() if int(key[1:]) < 50}


def test_sampling_of_the_recipe_is_what_is_asked_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ScriptedModel(echo)
    made, _, _ = ask({"small": model}, tmp_path, monkeypatch, passages(TEXTS[0]), sampling={"temperature": 1.25})
    assert model.calls[0].sampling.temperature == 1.25
    assert json.loads(made[0]["sampling"])["temperature"] == 1.25
