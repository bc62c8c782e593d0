"""Generation against a real server in a process of its own, with a real small model in it, through everything that servers do.

How often who was asked is counted in the server's own log, by code that knows nothing of dsbuild.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsbuild.answers import AnswerStore
from dsbuild.budget import Budget
from dsbuild.chat_server import ChatServer
from dsbuild.ct2_generator import CTranslate2Generator
from dsbuild.language_model import Call, Message, Said, Sampling
from dsbuild.llm import ask_all
from tests.story_process import Served
from tests.story_server import Model
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


def test_the_model_that_is_served_is_that_of_transformers(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    checkpoint = folder.parent / "checkpoint"
    tokenizer, peer = AutoTokenizer.from_pretrained(checkpoint), AutoModelForCausalLM.from_pretrained(checkpoint)
    served = Model(folder)
    begun = "Once upon a time, there was a little girl named"
    ids = tokenizer(begun, return_tensors="pt").input_ids
    assert tokenizer.convert_ids_to_tokens(ids[0]) == served.tokens(begun)
    whole = peer.generate(ids, max_new_tokens=40, do_sample=False)[0]
    tokens, scores = served.goes_on(served.tokens(begun), 40, 0.0, 0)
    assert tokens == tokenizer.convert_ids_to_tokens(whole[ids.shape[1] :])[: len(tokens)]
    with torch.no_grad():
        told = torch.log_softmax(peer(whole[None]).logits[0], -1)
    expected = [float(told[place - 1, whole[place]]) for place in range(ids.shape[1], ids.shape[1] + len(scores))]
    assert scores == pytest.approx(expected, abs=1e-3)
    if not is_real():
        return
    assert "Lily" in served.text(tokens)
    story, shuffled = "The dog was happy and ran to the park.", "park the to ran and happy was dog The."
    likely = [sum(filter(None, served.scores(served.tokens(text)))) for text in (story, shuffled)]
    assert likely[0] > likely[1] + 10


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


CONTINUATIONS = ("Lily was happy.", "lily", "नदी was", "é!", "ly went home")


@pytest.mark.parametrize("continuation", CONTINUATIONS)
def test_a_text_has_one_likelihood_wherever_its_model_runs(
    served: Served, folder: Path, tmp_path: Path, continuation: str
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    checkpoint = folder.parent / "checkpoint"
    tokenizer, peer = AutoTokenizer.from_pretrained(checkpoint), AutoModelForCausalLM.from_pretrained(checkpoint)
    asked, before = ("The dog", "ran to the"), "The dog\n\nran to the\n\n"
    encoded = tokenizer(before + continuation, return_offsets_mapping=True, return_tensors="pt")
    ids, places = encoded["input_ids"][0], encoded["offset_mapping"][0].tolist()
    with torch.no_grad():
        told = torch.log_softmax(peer(ids[None]).logits[0], -1)
    reaching = [at for at, (_, end) in enumerate(places) if end > len(before)]
    wanted = sum(float(told[at - 1, ids[at]]) for at in reaching) / len(reaching)
    question = Call(tuple(Message("user", text) for text in asked), continuation=continuation)
    here = CTranslate2Generator(str(folder))
    ((_, local),) = here.answer([(0, question)])
    here.close()
    (remote,) = ask(served, tmp_path / "a", [question])
    for said in (local, remote):
        assert (said.n_asked, said.n_said) == (len(ids), len(reaching))
        assert said.logprob == pytest.approx(wanted, abs=1e-3)


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
    before = sum(served.answered().values())
    served.faults()
    assert [one.problem for one in ask(served, tmp_path / "a", calls(), stream=stream)] == [
        one.problem for one in found
    ]
    assert sum(served.answered().values()) == before


@pytest.mark.parametrize("fault", [429, 500, 503, "drop", "half"])
def test_storms_and_lost_connections_end_answered(served: Served, tmp_path: Path, fault: Any) -> None:
    stream = fault == "half"
    served.faults({"match": "dog 1", "do": fault, "times": 3}, {"match": "dog", "do": fault, "times": 5})
    found = ask(served, tmp_path / "a", calls(), stream=stream, retries=8)
    assert [one.problem for one in found] == [""] * N
    assert served.answered() == Counter({call.messages[-1].text: 1 for call in calls()})


def test_a_text_that_always_fails_is_unreachable_and_is_asked_again_by_the_next_run(
    served: Served, tmp_path: Path
) -> None:
    served.faults({"match": "dog 7", "do": 500})
    found = ask(served, tmp_path / "a", calls(), retries=1)
    assert [one.problem for one in found] == ["unreachable" if number == 7 else "" for number in range(N)]
    served.faults()
    assert [one.problem for one in ask(served, tmp_path / "a", calls(), retries=1)] == [""] * N
    assert served.answered() == Counter({call.messages[-1].text: 1 for call in calls()})


def test_a_slow_answer_ends_by_its_time(served: Served, tmp_path: Path) -> None:
    served.faults({"match": "dog 2", "do": "slow"})
    found = ask(served, tmp_path / "a", calls(6), timeout_s=0.2, retries=0)
    assert [one.problem for one in found] == ["unreachable" if number == 2 else "" for number in range(6)]


def test_a_server_that_knows_no_schema_is_asked_without_one(served: Served, tmp_path: Path) -> None:
    served.faults({"do": "refuse_schema"})
    found = ask(served, tmp_path / "a", calls(3))
    assert {one.problem for one in found} == {"not_json"}  # this model writes stories unless it is held
    assert {one["schema"] for one in served.requests()} == {None}


def test_a_budget_ends_and_a_larger_one_goes_on(served: Served, tmp_path: Path) -> None:
    found = ask(served, tmp_path / "a", calls(), Budget(tokens=150), concurrency=1)
    some = sum(not one.problem for one in found)
    assert 0 < some < N
    assert {one.problem for one in found} == {"", "budget"}
    found = ask(served, tmp_path / "a", calls(), Budget(tokens=100_000), concurrency=1)
    assert {one.problem for one in found} == {""}
    assert served.answered() == Counter({call.messages[-1].text: 1 for call in calls()})
