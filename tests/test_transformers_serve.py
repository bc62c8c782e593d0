"""transformers' own OpenAI-compatible server as a language model: `transformers serve`, with a small model, in a process of its own."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsbuild.answers import AnswerStore
from dsbuild.budget import Budget
from dsbuild.chat_server import ChatServer
from dsbuild.errors import EngineError
from dsbuild.language_model import Call, Message, Said, Sampling
from dsbuild.llm import ask_all
from tests.small_set import cli
from tests.story_process import texts, write_passages
from tests.tiny_story_model import is_real, write_checkpoint

pytest.importorskip("torch")
pytest.importorskip("transformers")
from transformers.utils.import_utils import is_serve_available

if not is_serve_available():
    pytest.skip("transformers[serving] is not installed", allow_module_level=True)
if not is_real():  # its streams break off at halves of characters, which a model of random weights writes
    pytest.skip("the trained story model is not there beside the project", allow_module_level=True)

SCHEMA = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
START_S = 120.0


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("stories") / "model")


@pytest.fixture(scope="module")
def url(checkpoint: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = "from transformers.cli.transformers import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", serve, "serve", str(checkpoint), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until = time.monotonic() + START_S
        while not listens(port):
            if process.poll() is not None or time.monotonic() > until:
                raise AssertionError("transformers serve did not start")
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        asking.request("GET", "/v1/models")
        return asking.getresponse().status == 200
    except OSError:
        return False
    finally:
        asking.close()


def call(text: str, max_tokens: int = 60, **more: Any) -> Call:
    return Call(
        (Message("system", "A story."), Message("user", text)), Sampling(max_tokens=max_tokens, stop=(".",)), **more
    )


def ask(url: str, checkpoint: Path, place: Path, *calls: Call, **options: Any) -> list[Said]:
    model = ChatServer(str(checkpoint), url, concurrency=4, retries=2, pause_s=0.01, **options)
    try:
        with AnswerStore(place, model.fingerprint()) as answers:
            return list(ask_all(model, calls, answers, Budget()))
    finally:
        model.close()


def expected(checkpoint: Path, text: str) -> str:
    """What the model says to it by transformers itself, up to the end of the first sentence."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    talk = [{"role": "system", "content": "A story."}, {"role": "user", "content": text}]
    asked = tokenizer.apply_chat_template(talk, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    found = model.generate(**asked, max_new_tokens=60, do_sample=False, stop_strings=["."], tokenizer=tokenizer)
    return str(tokenizer.decode(found[0, asked["input_ids"].shape[1] :], skip_special_tokens=True)).strip()


@pytest.mark.parametrize("stream", [False, True])
def test_its_answers_are_those_of_the_model(url: str, checkpoint: Path, tmp_path: Path, stream: bool) -> None:
    asked = [f"Once upon a time there was a {one}" for one in ("dog", "girl", "bird", "king", "tree", "fish")]
    found = ask(url, checkpoint, tmp_path, *map(call, asked), stream=stream)
    assert {one.problem for one in found} <= {"", "cut"}
    assert sum(not one.problem for one in found) >= len(found) // 2
    for text, said in zip(asked, found, strict=True):
        wanted = expected(checkpoint, text)
        assert wanted.startswith(said.text.rstrip(".")), (wanted, said)
        assert said.n_said > 0


def test_an_answer_that_ends_by_length_is_cut(url: str, checkpoint: Path, tmp_path: Path) -> None:
    for stream in (False, True):
        (said,) = ask(url, checkpoint, tmp_path / str(stream), call("Once upon a time", 3), stream=stream)
        assert said.problem == "cut"


def test_what_it_cannot_do_is_found_out(url: str, checkpoint: Path, tmp_path: Path) -> None:
    model = ChatServer(str(checkpoint), url)
    model.check()
    assert (model.abilities.schema, model.abilities.logprobs, model.abilities.likelihood) == (False, False, False)
    model.close()
    (said,) = ask(url, checkpoint, tmp_path, call("Once upon a time", schema=SCHEMA))
    assert said.problem in ("not_json", "cut")  # it takes a schema and does not keep it
    with pytest.raises(EngineError, match="no log-probabilities"):
        ask(url, checkpoint, tmp_path, call("Once", continuation=" upon a time"))


def test_it_samples_where_it_is_told_to(url: str, checkpoint: Path) -> None:
    # It takes a temperature and stays greedy unless the model's own settings, or these, sample.
    extra = {"generation_config": json.dumps({"do_sample": True, "max_new_tokens": 30})}
    model = ChatServer(str(checkpoint), url, concurrency=1, extra=extra)
    asked = [Call((Message("user", "Once upon a time"),), Sampling(1.0, max_tokens=30), seed) for seed in (1, 2, 3, 1)]
    found = [said.text for _, said in sorted(model.answer(enumerate(asked)), key=lambda one: one[0])]
    model.close()
    assert found[0] == found[3]
    assert len(set(found)) == 3


def test_a_set_is_generated_with_it(url: str, checkpoint: Path, tmp_path: Path) -> None:
    source = write_passages(tmp_path / "passages.jsonl", texts(6))
    prompt = tmp_path / "story.prompt.md"
    prompt.write_text("---\nversion: 1\n---\nTell a story.\n", "utf-8")
    code, said, err = cli(
        "generate", "queries", "--src", f"jsonl:{source}", "--lang", "en", "--engine", "openai", "--base-url", url, "--model", checkpoint,
        "--style", "inpars", "--out", tmp_path / "out", "--store", tmp_path / "store", "--set", "funnel.stages=[form]", "--format", "json",
        "--set", f"style.prompt_file={prompt}", "--set", "sampling.max_tokens=300",
    )  # fmt: skip
    assert code == 0, err
    told = json.loads(said)["languages"]["en"]
    assert told["asked"] == 6 == told["answered"] + told["failed"]
    assert told["rows"] == told["answered"] > 0
