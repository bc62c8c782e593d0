"""Asking a model many things: order, each thing once, budget, what is refused whatever a model says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from dsbuild.answers import AnswerStore
from dsbuild.budget import Budget, Spent
from dsbuild.engine import Terms
from dsbuild.errors import EngineError, RecipeError, UnknownName
from dsbuild.language_model import Abilities, Call, LanguageModel, Message, Said
from dsbuild.llm import ask_all, open_model

SCHEMA = {
    "type": "object",
    "properties": {"said": {"type": "string"}},
    "required": ["said"],
    "additionalProperties": False,
}


class Scripted:
    """Answers by a function of the text; every second answer comes before the one asked first."""

    name = "scripted"
    abilities = Abilities()

    def __init__(self, answer: Callable[[str], Said]) -> None:
        self._answer = answer
        self.asked: list[str] = []

    def fingerprint(self) -> dict:
        return {"model": self.name}

    def terms(self) -> Terms:
        return Terms("unknown", "nowhere")

    def check(self) -> None: ...

    def close(self) -> None: ...

    def answer(self, calls: Iterable[tuple[int, Call]]) -> Iterator[tuple[int, Said]]:
        held = None
        for number, call in calls:
            text = call.messages[-1].text
            self.asked.append(text)
            one = number, self._answer(text)
            if held is None:
                held = one
                continue
            yield one
            yield held
            held = None
        if held is not None:
            yield held


def upper(text: str) -> Said:
    return Said(text.upper(), n_asked=8, n_said=2)


def calls(*texts: str, schema: dict | None = None) -> list[Call]:
    return [Call((Message("user", text),), schema=schema) for text in texts]


def ask(
    model: LanguageModel, folder: Path, *texts: str, budget: Budget | None = None, schema: dict | None = None
) -> list[Said]:
    with AnswerStore(folder, model.fingerprint()) as store:
        return list(ask_all(model, calls(*texts, schema=schema), store, budget or Budget()))


def test_answers_come_in_order_and_are_asked_once(tmp_path: Path) -> None:
    model = Scripted(upper)
    assert isinstance(model, LanguageModel)
    texts = [f"text {number}" for number in range(101)]
    first = ask(model, tmp_path, *texts)
    assert [one.text for one in first] == [text.upper() for text in texts]
    assert sorted(model.asked) == sorted(texts)
    assert ask(model, tmp_path, *texts, "more") == [*first, upper("more")]
    assert model.asked[101:] == ["more"]


def test_equal_calls_are_asked_once(tmp_path: Path) -> None:
    model, budget = Scripted(upper), Budget()
    said = ask(model, tmp_path, *["a", "b"] * 20, budget=budget)
    assert [one.text for one in said] == ["A", "B"] * 20
    assert sorted(model.asked) == ["a", "b"]
    assert budget.spent == Spent(40 * 8, 40 * 2, 40, 38)


def test_what_the_host_did_is_asked_again_and_what_the_model_said_stays(tmp_path: Path) -> None:
    model = Scripted(lambda text: Said(problem=text))
    problems = ["empty", "cut", "refused", "rejected", "unreachable"]
    assert [one.problem for one in ask(model, tmp_path, *problems)] == problems
    assert [one.problem for one in ask(model, tmp_path, *problems)] == problems
    assert model.asked[5:] == ["unreachable"]


def test_the_budget_stops_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    model = Scripted(upper)
    texts = [f"text {number}" for number in range(40)]
    first = ask(model, tmp_path, *texts, budget=Budget(tokens=100))
    n_said = sum(not one.problem for one in first)
    assert 10 <= n_said <= 12
    assert [one.problem for one in first] == [""] * n_said + ["budget"] * (40 - n_said)
    assert len(model.asked) == n_said
    again = Budget(tokens=100)
    assert ask(model, tmp_path, *texts, budget=again) == first
    assert len(model.asked) == n_said
    assert again.spent == Spent(8 * n_said, 2 * n_said, n_said, n_said)
    assert not any(one.problem for one in ask(model, tmp_path, *texts, budget=Budget()))
    assert sorted(model.asked) == sorted(texts)


def test_a_budget_needs_counts(tmp_path: Path) -> None:
    silent = Scripted(lambda text: Said(text.upper()))
    with pytest.raises(EngineError, match="do not say how many tokens"):
        ask(silent, tmp_path, "a", budget=Budget(tokens=100))
    assert [one.text for one in ask(silent, tmp_path, "a", budget=Budget())] == ["A"]


def test_cost_is_counted_by_prices(tmp_path: Path) -> None:
    budget = Budget(cost=0.001, price_asked=5, price_said=30)
    said = ask(Scripted(upper), tmp_path, *map(str, range(30)), budget=budget)
    assert 10 <= sum(not one.problem for one in said) <= 12
    assert budget.cost == pytest.approx(budget.spent.n_asked * 5e-6 + budget.spent.n_said * 30e-6)
    spent = Budget(tokens=10, before=Spent(5, 5))
    assert spent.reached
    with pytest.raises(RecipeError, match="price_asked"):
        Budget(cost=1)
    with pytest.raises(RecipeError, match="less than nothing"):
        Budget(tokens=-1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"said": "नदी"}', ""),
        ('```json\n{"said": "x"}\n```', ""),
        ('<think>{"said"?}</think>\n{"said": "x"}', ""),
        ('let me see\n</think>\n\n{"said": "x"}', ""),
        ('{"said": "a </think> b"}', ""),
        ('Here it is:\n```json\n{"said": "x"}\n```\nAnything else?', ""),
        ('One:\n```json\n{"said": "x"}\n```\nTwo:\n```json\n{"said": "y"}\n```', "not_json"),
        ('Sure! {"said": "x"}', "not_json"),
        ('{"said": "x"', "not_json"),
        ('{"said": "x"} {"said": "y"}', "not_json"),
        ('{"said": "x", "said": "y"}', "not_json"),
        ('{"said": "\\ud83d"}', "not_json"),
        ("[" * 5000, "not_json"),
        ("NaN", "not_json"),
        ('{"said": 1}', "schema"),
        ('{"other": "x"}', "schema"),
        ('{"said": "x", "id": "of another row"}', "schema"),
        ('["x"]', "schema"),
        ("null", "schema"),
        ("```\n```", "empty"),
        ("  ", "empty"),
        ("<think>hm</think>", "empty"),
    ],
)
def test_answers_are_checked_whatever_a_model_says(tmp_path: Path, text: str, problem: str) -> None:
    model = Scripted(lambda _: Said(text))
    (first,) = ask(model, tmp_path, "a", schema=SCHEMA)
    assert first.problem == problem
    assert (first.value is not None) == (not problem)
    assert bool(first.detail) == (problem in ("not_json", "schema"))
    # Read again from the store, by the same reader.
    assert ask(model, tmp_path, "a", schema=SCHEMA) == [first]


def test_a_schema_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no JSON schema"):
        ask(Scripted(lambda _: Said("{}")), tmp_path, "a", schema={"type": "objekt"})


def test_a_score_that_did_not_come_is_a_problem(tmp_path: Path) -> None:
    scored = [Call((Message("user", text),), continuation="b") for text in ("0", "-1.5")]
    model = Scripted(lambda text: Said(logprob=float(text) or None))
    with AnswerStore(tmp_path, {}) as store:
        assert [one.problem for one in ask_all(model, scored, store, Budget())] == ["no_logprobs", ""]


def test_answers_are_kept_while_nobody_takes_them(tmp_path: Path) -> None:
    model = Scripted(upper)
    with AnswerStore(tmp_path, model.fingerprint()) as store:
        said = ask_all(model, calls(*map(str, range(50))), store, Budget())
        next(said)
        until = time.monotonic() + 10
        while len(store) < 50 and time.monotonic() < until:
            time.sleep(0.01)
        assert len(store) == 50
        said.close()


def test_few_answers_wait_for_their_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsbuild.llm._AHEAD", 10)
    drawn: list[int] = []

    def many() -> Iterator[Call]:
        for number in range(200):
            drawn.append(number)
            yield from calls(str(number))

    with AnswerStore(tmp_path, {}) as store:
        for taken, _ in enumerate(ask_all(Scripted(upper), many(), store, Budget())):
            assert len(drawn) <= taken + 13
    assert len(drawn) == 200


def test_errors_come_out_and_threads_end(tmp_path: Path) -> None:
    def failing() -> Iterator[Call]:
        yield from calls("a", "b")
        raise ValueError("no more")

    def refuse(_: str) -> Said:
        raise EngineError("no server answers")

    before = threading.active_count()
    with AnswerStore(tmp_path, {}) as store:
        with pytest.raises(ValueError, match="no more"):
            list(ask_all(Scripted(upper), failing(), store, Budget()))
        with pytest.raises(EngineError, match="no server answers"):
            list(ask_all(Scripted(refuse), calls("c"), store, Budget()))
    assert threading.active_count() == before


def test_a_server_that_stays_away_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsbuild.llm._HOPELESS", 20)
    model = Scripted(lambda _: Said(problem="unreachable", detail="HTTP 500"))
    assert len(ask(model, tmp_path, *map(str, range(19)))) == 19
    with pytest.raises(EngineError, match="20 questions in a row got no answer"):
        ask(model, tmp_path, *map(str, range(30)))


KILLED = """
import sys
from pathlib import Path
from dsbuild.answers import AnswerStore
from dsbuild.budget import Budget
from dsbuild.llm import ask_all
from tests.test_ask_all import Scripted, calls, upper
model = Scripted(upper)
with AnswerStore(Path(sys.argv[1]), model.fingerprint()) as store:
    said = [one.text for one in ask_all(model, calls(*map(str, range(60))), store, Budget())]
print(len(model.asked), *said)
"""


@pytest.mark.parametrize(("point", "kept"), [("before-answer", 24), ("after-answer", 25)])
def test_a_killed_run_asks_for_nothing_that_was_kept(tmp_path: Path, point: str, kept: int) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run(command, env={**environment, "DSBUILD_FAILPOINT": f"{point}:25"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    n_asked, *said = again.stdout.split()
    assert (int(n_asked), said) == (60 - kept, [str(number) for number in range(60)])


def test_names_and_options() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'openai'"):
        open_model("open-ai", {})
    with pytest.raises(UnknownName, match="Did you mean 'base_url'"):
        open_model("openai", {"model": "m", "baseurl": "x"})
    with pytest.raises(RecipeError, match=r"--set generator\.model=…"):
        open_model("openai", {})
