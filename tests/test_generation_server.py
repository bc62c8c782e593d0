"""Generation against a real server in a process of its own, with a real small model in it, through everything that servers do.

How often who was asked is counted in the server's own log, by code that knows nothing of dsbuild.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsbuild.answers import AnswerStore
from dsbuild.budget import Budget
from dsbuild.chat_server import ChatServer
from dsbuild.language_model import Call, Message, Said, Sampling
from dsbuild.llm import ask_all
from tests.small_set import ROOT, rows
from tests.tiny_story_model import is_real, write_checkpoint, write_ctranslate2

pytest.importorskip("torch")
pytest.importorskip("transformers")

SCHEMA = {
    "type": "object",
    "properties": {"query": {"type": "string"}},
    "required": ["query"],
    "additionalProperties": False,
}
N = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("stories")
    return write_ctranslate2(write_checkpoint(place / "checkpoint"), place / "ct2")


class Served:
    """The server as a process: it can be killed and started again on the same port."""

    def __init__(self, folder: Path, place: Path) -> None:
        self.folder, self.log, self.control = folder, place / "log.jsonl", place / "faults.json"
        self.port = 0
        self.process: Any = None
        self.faults()

    def faults(self, *faults: dict[str, Any]) -> None:
        partial = self.control.with_suffix(".new")
        partial.write_text(json.dumps(faults), "utf-8")
        partial.replace(self.control)

    def start(self) -> Served:
        command = [
            sys.executable,
            "-m",
            "tests.story_server",
            str(self.folder),
            str(self.log),
            str(self.control),
            "--port",
            str(self.port),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)
        self.port = int(self.process.stdout.readline())
        return self

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def asked(self, mark: str = "passage") -> Counter[str]:
        """The questions about passages and how often each was answered (not refused by a fault)."""
        lines = [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]
        return Counter(
            one["said"]
            for one in lines
            if mark in one["said"] and one["fault"] not in (429, 500, 503, "drop", "die", "half")
        )


@pytest.fixture
def served(folder: Path, tmp_path: Path) -> Iterator[Served]:
    server = Served(folder, tmp_path).start()
    yield server
    server.kill()


def calls(n: int = N, schema: Any = SCHEMA, **more: Any) -> list[Call]:
    sampling = Sampling(max_tokens=48)
    found = []
    for number in range(n):
        told = Message("user", json.dumps({"passage": f"A passage about dog {number}."}))
        found.append(Call((Message("system", "Tell a story."), told), sampling, seed=number, schema=schema, **more))
    return found


def ask(served: Served, place: Path, asked: list[Call], budget: Budget | None = None, **options: Any) -> list[Said]:
    said = {"concurrency": 4, "retries": 4, "pause_s": 0.01, "timeout_s": 20.0, **options}
    model = ChatServer("stories", served.url, **said)
    try:
        with AnswerStore(place, model.fingerprint()) as answers:
            return list(ask_all(model, asked, answers, budget or Budget()))
    finally:
        model.close()


@pytest.mark.skipif(not is_real(), reason="the trained story model is not there beside the project")
def test_the_model_that_is_served_is_the_trained_one(folder: Path) -> None:
    from tests.story_server import Model

    model = Model(folder)
    tokens, _ = model.goes_on(model.tokens("Once upon a time, there was a little girl named"), 12, 0.0, 0)
    assert "Lily" in model.text(tokens)
    story, shuffled = "The dog was happy and ran to the park.", "park the to ran and happy was dog The."
    scores = [sum(filter(None, model.scores(model.tokens(text)))) for text in (story, shuffled)]
    assert scores[0] > scores[1] + 10


@pytest.mark.parametrize("stream", [False, True])
def test_answers_keep_their_schema_and_are_the_same_again(served: Served, tmp_path: Path, stream: bool) -> None:
    first = ask(served, tmp_path / "a", calls(), stream=stream)
    again = ask(served, tmp_path / "b", calls(), stream=stream, concurrency=1)
    assert [one.problem for one in first] == [""] * N
    assert [one.value for one in first] == [one.value for one in again]
    assert all(set(one.value) == {"query"} and one.n_said > 0 and one.n_asked > 0 for one in first)


@pytest.mark.parametrize("stream", [False, True])
def test_scores_come_with_answers_and_of_given_texts(served: Served, tmp_path: Path, stream: bool) -> None:
    (plain,) = ask(served, tmp_path / "a", calls(1, None, logprobs=True), stream=stream)
    assert plain.logprob is not None
    assert plain.logprob < 0
    likely, odd = ask(
        served,
        tmp_path / "a",
        [one for text in ("The dog was happy.", "Zq vx dog kk.") for one in calls(1, None, continuation=text)],
    )
    assert likely.logprob is not None
    assert odd.logprob is not None
    if is_real():
        assert likely.logprob > odd.logprob


@pytest.mark.parametrize(
    ("fault", "problem", "stream"),
    [
        ("no_json", "not_json", False), ("empty", "empty", False), ("refuse", "refused", False), ("refuse", "refused", True),
        ("endless", "cut", False), ("endless", "cut", True), ("no_schema", "not_json", False), ("obey", "schema", False), (400, "rejected", False),
        (413, "rejected", True),
    ],
)  # fmt: skip
def test_what_a_model_says_that_is_no_answer_is_told_and_stays(
    served: Served, tmp_path: Path, fault: Any, problem: str, stream: bool
) -> None:
    served.faults({"match": "dog 3", "do": fault})
    found = ask(served, tmp_path / "a", calls(), stream=stream)
    assert [one.problem for one in found] == [problem if number == 3 else "" for number in range(N)]
    before = sum(served.asked().values())
    served.faults()
    assert [one.problem for one in ask(served, tmp_path / "a", calls(), stream=stream)] == [
        one.problem for one in found
    ]
    assert sum(served.asked().values()) == before


@pytest.mark.parametrize("fault", [429, 500, 503, "drop", "half"])
def test_storms_and_lost_connections_end_answered(served: Served, tmp_path: Path, fault: Any) -> None:
    stream = fault == "half"
    served.faults({"match": "dog 1", "do": fault, "times": 3}, {"match": "dog", "do": fault, "times": 5})
    found = ask(served, tmp_path / "a", calls(), stream=stream, retries=8)
    assert [one.problem for one in found] == [""] * N
    assert served.asked() == Counter({call.messages[-1].text: 1 for call in calls()})


def test_a_text_that_always_fails_is_unreachable_and_is_asked_again_by_the_next_run(
    served: Served, tmp_path: Path
) -> None:
    served.faults({"match": "dog 7", "do": 500})
    found = ask(served, tmp_path / "a", calls(), retries=1)
    assert [one.problem for one in found] == ["unreachable" if number == 7 else "" for number in range(N)]
    served.faults()
    assert [one.problem for one in ask(served, tmp_path / "a", calls(), retries=1)] == [""] * N
    assert served.asked() == Counter({call.messages[-1].text: 1 for call in calls()})


def test_a_slow_answer_ends_by_its_time(served: Served, tmp_path: Path) -> None:
    served.faults({"match": "dog 2", "do": "slow"})
    found = ask(served, tmp_path / "a", calls(6), timeout_s=0.2, retries=0)
    assert [one.problem for one in found] == ["unreachable" if number == 2 else "" for number in range(6)]


def test_a_server_that_knows_no_schema_is_asked_without_one(served: Served, tmp_path: Path) -> None:
    served.faults({"do": "refuse_schema"})
    found = ask(served, tmp_path / "a", calls(3))
    assert {one.problem for one in found} == {"not_json"}  # this model writes stories unless it is held
    lines = [json.loads(line) for line in served.log.read_text("utf-8").splitlines()]
    assert all(not one["schema"] for one in lines if "passage" in one["said"])


def test_a_budget_ends_and_a_larger_one_goes_on(served: Served, tmp_path: Path) -> None:
    found = ask(served, tmp_path / "a", calls(), Budget(tokens=150), concurrency=1)
    some = sum(not one.problem for one in found)
    assert 0 < some < N
    assert {one.problem for one in found} == {"", "budget"}
    found = ask(served, tmp_path / "a", calls(), Budget(tokens=100_000), concurrency=1)
    assert {one.problem for one in found} == {""}
    assert served.asked() == Counter({call.messages[-1].text: 1 for call in calls()})


def write_passages(place: Path, n: int) -> Path:
    path = place / "passages.jsonl"
    path.write_text(
        "".join(
            json.dumps(
                {"doc_id": f"d{k}", "text": f"A passage about the dog number {k}, which likes to run in the park."}
            )
            + "\n"
            for k in range(n)
        ),
        "utf-8",
    )
    return path


def command(served: Served, place: Path, source: Path) -> list[str]:
    steps = "--set funnel.stages=[form]"
    return [sys.executable, "-m", "dsbuild", "generate", "queries", "--src", f"jsonl:{source}", "--lang", "en", "--langs", "en", "--engine", "openai",
            "--base-url", served.url, "--model", "stories", "--out", str(place / "out"), "--store", str(place / "store"), *steps.split(),
            "--set", "generator.concurrency=2", "--set", "generator.retries=60", "--set", "generator.pause_s=0.1"]  # fmt: skip


def wait_for(served: Served, n: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if served.log.is_file() and sum(served.asked().values()) >= n:
            return
        time.sleep(0.02)
    raise AssertionError("the server was not asked")


def accounted(place: Path, n: int) -> None:
    made = rows(place / "out", "en-queries/*") + rows(place / "out", "dropped/en-queries*")
    assert Counter(one["parent_id"] for one in made) == Counter({f"d{k}": 1 for k in range(n)})
    assert len({one["query_id"] for one in made}) == n


def test_the_server_is_killed_and_comes_back(served: Served, tmp_path: Path) -> None:
    source = write_passages(tmp_path, 30)
    with subprocess.Popen(
        command(served, tmp_path, source), cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        wait_for(served, 5)
        served.kill()
        time.sleep(0.3)
        served.start()
        said = run.communicate(timeout=120)
    assert run.returncode == 0, said
    accounted(tmp_path, 30)
    # What was in flight when it died may have been asked before; nothing that was answered was asked again.
    assert sum(n - 1 for n in served.asked().values()) <= 2


def test_the_build_is_killed_and_run_again(served: Served, tmp_path: Path) -> None:
    source = write_passages(tmp_path, 40)
    with subprocess.Popen(
        command(served, tmp_path, source), cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        wait_for(served, 6)
        os.kill(run.pid, signal.SIGKILL)
        run.communicate()
    done = subprocess.run(
        command(served, tmp_path, source), cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    accounted(tmp_path, 40)
    # At most what was in flight (two requests) is asked twice.
    assert sum(n - 1 for n in served.asked().values()) <= 2
    assert sum(served.asked().values()) <= 42
