"""Engines in a child process: same answers, same errors, and a crash or a hang that costs one request."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dsbuild.engine import Output, Request, Terms
from dsbuild.errors import EngineError, MissingExtra, RecipeError, UnknownName
from dsbuild.host import HostedEngine
from tests.hosted_engine import Upper

TARGET = f"{Upper.__module__}:Upper"


def batches(*texts: str, size: int = 2) -> list[list[Request]]:
    requests = [Request(text, "en", "hi") for text in texts]
    return [requests[start : start + size] for start in range(0, len(requests), size)]


def translate(engine: HostedEngine, work: Sequence[Sequence[Request]]) -> list[list[Output]]:
    answers = dict(engine.translate_batches(work))
    assert sorted(answers) == list(range(len(work)))
    return [answers[index] for index in range(len(work))]


@pytest.fixture(scope="module")
def engine() -> Iterator[HostedEngine]:
    with HostedEngine(TARGET, {"name": "tall"}, timeout_s=20) as hosted:
        yield hosted


def test_it_is_the_engine_it_hosts(engine: HostedEngine) -> None:
    assert engine.name == "tall"
    assert engine.capabilities == Upper.capabilities
    assert engine.terms() == Terms("MIT", "here", "note")
    assert engine.count_tokens(["a b", "", "नदी \u2028 \0 x"], "en") == [2, 0, 3]
    fingerprint = engine.fingerprint()
    assert fingerprint.pop("pid") != os.getpid()
    assert fingerprint == {"engine": "tall", "n": 1, "x": 0.5, "none": None}
    engine.check("en", ["hi"])


def test_texts_beams_and_context_arrive_as_they_are(engine: HostedEngine) -> None:
    request = Request("नदी\n\0 é 🙂", "en", "hi", 4, {"term": "x"})
    assert translate(engine, [[request], []]) == [[Output("नदी\n\0 É 🙂 beam 4 term=x", "stop", -0.25, 3, 4, 1)], []]
    assert translate(engine, []) == []


def test_a_large_call_does_not_stall(engine: HostedEngine) -> None:
    work = batches(*["word " * 400] * 300, size=7)
    assert [output.text for batch in translate(engine, work) for output in batch] == ["WORD " * 400] * 300


def test_what_the_engine_prints_does_not_reach_standard_output(
    engine: HostedEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    assert translate(engine, batches("PRINT a"))[0][0].text == "PRINT A"
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("target", "kind", "message"),
    [
        ("xx", UnknownName, "no language 'xx'"),
        ("yy", MissingExtra, r"upper needs upperlib: pip install 'dsbuild\[upper\]'"),
    ],
)
def test_errors_keep_class_and_message(engine: HostedEngine, target: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        engine.check("en", [target])
    assert engine.terms().license == "MIT"


def test_an_error_while_translating_ends_the_call_and_not_the_engine(engine: HostedEngine) -> None:
    with pytest.raises(EngineError, match=r"^upper: no$"):
        list(engine.translate_batches(batches("a", "b", "FAIL", "c")))
    assert translate(engine, batches("a"))[0][0].text == "A"


def test_a_caller_that_stops_listening_gets_fresh_answers_next_time(engine: HostedEngine) -> None:
    for _ in engine.translate_batches(batches("a", "b", "c", "d", "e", "f")):
        break
    assert [output.text for batch in translate(engine, batches("x", "y", "z")) for output in batch] == ["X", "Y", "Z"]


def test_a_crash_costs_the_one_request(engine: HostedEngine) -> None:
    texts = [f"word {number}" for number in range(12)]
    texts[9] = "DIE here"
    texts[10] = "EXIT here"
    answers = [output for batch in translate(engine, batches(*texts, size=4)) for output in batch]
    assert [answers[9].finish, answers[9].error] == ["error", "crash: signal 11"]
    assert [answers[10].finish, answers[10].error] == ["error", "crash: exit code 3"]
    assert [output.text for number, output in enumerate(answers) if number not in (9, 10)] == [
        text.upper() for number, text in enumerate(texts) if number not in (9, 10)
    ]


def test_a_hang_costs_the_one_request() -> None:
    with HostedEngine(TARGET, {}, timeout_s=2.5) as hosted:
        answers = [output for batch in translate(hosted, batches("a", "HANG", "b", size=1)) for output in batch]
        assert [(output.finish, output.text, output.error) for output in answers] == [
            ("stop", "A", ""), ("error", "", "timeout: no answer in 2.5 s"), ("stop", "B", ""),
        ]  # fmt: skip


def test_an_engine_that_dies_on_everything_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsbuild.host._MAX_DEATHS_IN_A_ROW", 2)
    with (
        HostedEngine(TARGET, {"always": "DIE"}, timeout_s=20) as hosted,
        pytest.raises(EngineError, match="upper: crash: signal 11 on 2 requests in a row"),
    ):
        translate(hosted, batches("a", "b", "c", "d"))


def test_errors_of_the_constructor() -> None:
    with pytest.raises(RecipeError, match="'broken' is broken"):
        HostedEngine(TARGET, {"name": "broken"})
    with pytest.raises(EngineError, match="crash: signal 11 at the start"):
        HostedEngine(TARGET, {"die_at_start": True})


def test_close_lets_the_engine_close_and_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPPER_CLOSED", str(tmp_path / "closed"))
    hosted = HostedEngine(TARGET, {})
    pid = int(hosted.fingerprint()["pid"] or 0)
    hosted.close()
    hosted.close()
    assert (tmp_path / "closed").read_text() == "closed"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(EngineError, match="is closed"):
        hosted.terms()


def test_the_child_ends_with_a_parent_that_is_killed() -> None:
    code = f"""
import sys, time
sys.path[:0] = {sys.path!r}
from dsbuild.host import HostedEngine
from dsbuild.engine import Request
engine = HostedEngine({TARGET!r}, {{}})
print(engine.fingerprint()["pid"], flush=True)
list(engine.translate_batches([[Request("HANG", "en", "hi")]]))
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(0.2)
        parent.kill()
    assert _gone(child), "the child outlived its parent"


def _gone(pid: int) -> bool:
    for _ in range(50):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        if state == "Z":  # whoever adopted it has yet to reap it
            return True
        time.sleep(0.1)
    return False


def test_options_that_are_not_json_are_the_callers_mistake() -> None:
    bad: dict[str, Any] = {"name": object()}
    with pytest.raises(TypeError):
        HostedEngine(TARGET, bad)
