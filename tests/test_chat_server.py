"""The language model `openai` against a server on this machine that behaves, and misbehaves, as servers do."""

from __future__ import annotations

import contextlib
import copy
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from dsbuild import http_peer
from dsbuild.chat_protocol import joined, said_of
from dsbuild.chat_server import ChatServer
from dsbuild.errors import EngineError, RecipeError
from dsbuild.language_model import Abilities, Call, Message, Said, Sampling
from dsbuild.text_scores import text_scores

SCHEMA = {
    "type": "object",
    "properties": {"said": {"type": "string"}},
    "required": ["said"],
    "additionalProperties": False,
}
WORDS = {"good": -0.5, "morning": -1.0, "नदी": -2.0, "the": -0.25}


class Server:
    """Answers in capitals; the text of a question says how to misbehave, the attributes what the server cannot do."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.connections: set[Any] = set()
        self.refused: set[str] = set()  # fields that end in 400
        self.obeyed: set[str] = {"json_schema"}  # kinds of response_format that are kept
        self.known: set[str] = {"json_schema", "json_object"}  # … that are not refused
        self.status = 0
        self.failing = 0
        self.retry_after = "0"
        self.scores = "echo"
        self.split = False
        self.delay_s = 0.0

    def __enter__(self) -> Server:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.connections.add(self.client_address)
                outer.headers.append(dict(self.headers))
                outer.bodies.append(body)
                time.sleep(outer.delay_s)
                if outer.failing or outer.status:
                    outer.failing -= bool(outer.failing)
                    return self.send(outer.status or 429, {"error": "busy"})
                if refused := outer.refused & set(body):
                    return self.send(400, {"error": f"{refused} is not known here"})
                if self.path.endswith("/completions") and "prompt" in body:
                    return self.score(body)
                if "cold" in outer.refused and body["temperature"] < 1:
                    return self.send(400, {"error": "temperature does not go below 1"})
                if "system" in outer.refused and body["messages"][0]["role"] == "system":
                    return self.send(400, {"error": "the chat template knows no system message"})
                kind = body.get("response_format", {}).get("type")
                if kind and kind not in outer.known:
                    return self.send(400, {"error": "response_format"})
                self.say(body, body["messages"][-1]["content"], kind in outer.obeyed)

            def say(self, body: dict[str, Any], text: str, constrained: bool) -> None:
                content: Any = text.upper()
                if constrained:
                    schema = json.dumps(body["response_format"])
                    content = '{"sure": true}' if '"sure"' in schema else json.dumps({"said": text.upper()})
                message: dict[str, Any] = {"role": "assistant", "content": content}
                finish = "stop"
                if text.startswith("slow"):
                    time.sleep(0.3)
                if text == "refuse":
                    return self.send(400, {"error": "not this text"})
                if text == "huge":
                    return self.send(413, {"error": "too large"})
                if text == "key":
                    return self.send(401, {"error": f"{self.headers['Authorization']} is wrong"})
                if text == "poor":
                    return self.send(429, {"error": {"code": "insufficient_quota"}})
                if text == "not http":
                    self.wfile.write(b"this is no HTTP\r\n\r\n")
                    self.close_connection = True
                    return None
                if text == "gone" or (text == "gone once" and outer.bodies.count(body) == 1):
                    self.send_response(200)
                    self.send_header("Content-Length", "1000")
                    self.end_headers()
                    self.wfile.write(b'{"choices": [')
                    self.close_connection = True
                    return None
                if text == "drip":
                    self.send_response(200)
                    self.send_header("Content-Length", "100000")
                    self.end_headers()
                    for _ in range(40):
                        self.wfile.write(b" ")
                        self.wfile.flush()
                        time.sleep(0.05)
                    self.close_connection = True
                    return None
                if text == "no json":
                    return self.raw(200, b"<html>", "text/html")
                if text == "no message":
                    return self.send(200, {"choices": []})
                if text == "busy":
                    return self.send(200, {"error": {"message": f"overloaded, key {self.headers['Authorization']}"}})
                if text == "drip of headers":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                    for _ in range(40):
                        self.wfile.write(b"a")
                        time.sleep(0.05)
                    self.close_connection = True
                    return None
                if text == "endless error":
                    self.send_response(500)
                    self.send_header("Content-Length", str(1 << 40))
                    self.end_headers()
                    for _ in range(200):
                        self.wfile.write(b"x" * 65_536)
                    self.close_connection = True
                    return None
                if text == "abort":
                    finish = "abort"
                if text == "decline":
                    message |= {"content": None, "refusal": "I would rather not"}
                if text == "filter":
                    finish = "content_filter"
                if text == "long":
                    finish = "length"
                if text == "nothing":
                    message["content"] = None
                if text == "parts":
                    message["content"] = [{"type": "text", "text": "PA"}, {"type": "text", "text": "RTS"}]
                choice: dict[str, Any] = {"message": message, "finish_reason": finish}
                if body.get("logprobs"):
                    choice["logprobs"] = {"content": [{"logprob": -0.25}, {"logprob": -0.75}]}
                usage = {"prompt_tokens": 9, "completion_tokens": 3}
                if body.get("stream"):
                    return self.stream(text, choice, usage)
                return self.send(200, {"choices": [choice], "usage": usage})

            def stream(self, text: str, choice: dict[str, Any], usage: dict[str, int]) -> None:
                content = choice["message"]["content"] or ""
                pieces: list[Any] = [{"delta": {"role": "assistant", "content": ""}}]
                pieces += [{"delta": {"content": one}, "logprobs": choice.get("logprobs")} for one in content]
                pieces = pieces if text != "endless" else pieces * 1000
                half = text.startswith("half") and (text == "half" or len(outer.bodies) % 2)
                pieces = pieces[: len(pieces) // 2] if half else [*pieces, {"delta": {}, "finish_reason": "stop"}]
                lines = [{"choices": [piece]} for piece in pieces]
                lines += [] if half else [{"choices": [], "usage": usage}]
                data = b": keep-alive\n\n" + b"".join(b"data: %s\n\n" % json.dumps(one).encode() for one in lines)
                self.raw(200, data + (b"" if half else b"data: [DONE]\n\n"), "text/event-stream")

            def score(self, body: dict[str, Any]) -> None:
                words = body["prompt"].replace("\n", " \n ").split(" ")
                tokens = [one if number == 0 else " " + one for number, one in enumerate(words)]
                tokens = [one.replace(" \n", "\n") for one in tokens if one.strip(" ")]
                if "\n" not in body["prompt"]:
                    tokens = body["prompt"].replace(" ", "| ").split("|")
                logprobs = [None, *[WORDS.get(one.strip().lower(), -3.0) for one in tokens[1:]]]
                if outer.split:
                    tokens = ["\ufffd" if not one.isascii() else one for one in tokens]
                if body["prompt"] == "none given":
                    logprobs = [None] * len(tokens)
                usage = {"prompt_tokens": len(tokens), "completion_tokens": 1}
                if outer.scores == "echo" and body.get("echo"):
                    said = {"tokens": [*tokens, "!"], "token_logprobs": [*logprobs, -9.0]}
                    return self.send(200, {"choices": [{"text": "", "logprobs": said}], "usage": usage})
                if outer.scores == "prompt_logprobs" and "prompt_logprobs" in body:
                    given = [
                        None if one is None else {"7": {"logprob": one, "decoded_token": token}}
                        for token, one in zip(tokens, logprobs, strict=True)
                    ]
                    return self.send(200, {"choices": [{"text": "!", "prompt_logprobs": given}], "usage": usage})
                return self.send(404 if not outer.scores else 200, {"choices": [{"text": "!"}], "usage": usage})

            def send(self, status: int, value: Any) -> None:
                self.raw(status, json.dumps(value).encode(), "application/json")

            def raw(self, status: int, data: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Retry-After", outer.retry_after)
                self.end_headers()
                self.wfile.write(data)

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *arguments) -> None:
                pass  # somebody hung up

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def model(server: Server, **options: Any) -> ChatServer:
    return ChatServer("m", server.url, **{"concurrency": 4, "pause_s": 0.001, "retries": 2, **options})


def call(text: str, **more: Any) -> Call:
    return Call((Message("system", "say it louder"), Message("user", text)), **more)


def ask(chat: ChatServer, *calls: Call) -> list[Said]:
    found = dict(chat.answer(enumerate(calls)))
    assert sorted(found) == list(range(len(calls)))
    return [found[number] for number in range(len(calls))]


def problems(chat: ChatServer, *texts: str) -> list[str]:
    return [one.problem for one in ask(chat, *map(call, texts))]


def test_a_request_says_what_the_call_says_and_nothing_of_its_place() -> None:
    with Server() as server:
        said = ask(
            model(server, extra={"top_k": 5}),
            call("a", sampling=Sampling(0.5, 0.9, 77, ("x",)), seed=2**62 + 3, schema=SCHEMA, logprobs=True),
        )
    assert said == [Said('{"said": "A"}', n_asked=9, n_said=3, logprob=-0.5)]
    assert server.bodies[-1] == {
        "model": "m",
        "messages": [{"role": "system", "content": "say it louder"}, {"role": "user", "content": "a"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 77,
        "stop": ["x"],
        "seed": 3,
        "logprobs": True,
        "top_k": 5,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
        },
    }


def test_all_are_answered_over_few_connections() -> None:
    with Server() as server:
        texts = [f"text {number}" for number in range(60)]
        assert [one.text for one in ask(model(server), *map(call, texts))] == [text.upper() for text in texts]
        assert len(server.bodies) == 61  # and one greeting
        assert len(server.connections) <= 4


def test_nobody_is_asked_where_there_is_nothing_to_ask() -> None:
    assert ask(ChatServer("m", "http://127.0.0.1:9/v1")) == []


def test_what_a_model_says_that_is_no_answer() -> None:
    with Server() as server:
        texts = ["decline", "filter", "long", "nothing", "parts", "refuse", "huge", "text"]
        said = ask(model(server), *map(call, texts))
    assert [one.problem for one in said] == ["refused", "refused", "cut", "", "", "rejected", "rejected", ""]
    assert [one.text for one in said[2:5]] == ["LONG", "", "PARTS"]
    assert (said[0].detail, said[5].detail) == ("I would rather not", 'HTTP 400 {"error": "not this text"}')


def test_what_a_server_does_is_asked_again() -> None:
    with Server() as server:
        chat = model(server)
        assert problems(chat, "text") == [""]
        server.failing = 2
        assert problems(chat, "text") == [""]
        server.failing = 3
        assert problems(chat, "text") == ["unreachable"]
        assert problems(chat, "gone once", "text") == ["", ""]
        server.bodies.clear()
        lost = ["gone", "not http", "no json", "no message"]
        said = ask(chat, *map(call, lost))
        assert [one.problem for one in said] == ["unreachable"] * 4
        assert all(one.detail for one in said)
        assert len(server.bodies) == 4 * 3


def test_retry_after_is_kept() -> None:
    with Server() as server:
        chat = model(server)
        problems(chat, "text")
        server.failing, server.retry_after = 1, "1"
        started = time.monotonic()
        assert problems(chat, "text") == [""]
        assert time.monotonic() - started >= 1


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_drips_ends_in_time(stream: bool) -> None:
    with Server() as server:
        chat = model(server, timeout_s=0.3, retries=0, stream=stream)
        started = time.monotonic()
        said = ask(chat, call("drip"))[0]
        assert time.monotonic() - started < 1.5
    assert (said.problem, said.detail) == ("unreachable", "no whole answer in 0.3 s")


def test_streams_are_put_together() -> None:
    with Server() as server:
        chat = model(server, stream=True)
        said = ask(chat, call("नदी text", logprobs=True), call("decline"), call("nothing"))
        assert said[0] == Said("नदी TEXT", n_asked=9, n_said=3, logprob=-0.5)
        assert [one.problem for one in ask(chat, call("half"), call("endless", sampling=Sampling(max_tokens=8)))] == [
            "unreachable",
            "cut",
        ]
        assert problems(model(server, stream=True, concurrency=1), "half once", "text") == ["", ""]
        assert server.bodies[-1]["stream_options"] == {"include_usage": True}
        server.refused = {"stream_options"}
        assert problems(model(server, stream=True), "text") == [""]
    with pytest.raises(ValueError, match="says an error: out of memory"):
        joined([b'data: {"error": {"message": "out of memory"}}'], 10)


@pytest.mark.parametrize("stream", [False, True])
def test_headers_that_drip_and_errors_without_end_end_too(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_peer, "_MOST_BYTES", 1 << 20)
    with Server() as server:
        chat = model(server, timeout_s=0.3, retries=0, stream=stream)
        started = time.monotonic()
        slow, endless = ask(chat, call("drip of headers"), call("endless error"))
        assert time.monotonic() - started < 1.5
    assert (slow.problem, slow.detail) == ("unreachable", "no whole answer in 0.3 s")
    assert (endless.problem, endless.detail) == ("unreachable", "HTTPException more than 1 MB")


def test_an_answer_that_the_server_broke_off_is_none_and_errors_in_its_place_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    with Server() as server:
        said = ask(model(server, retries=0), call("abort"), call("busy"))
    assert [one.problem for one in said] == ["unreachable"] * 2
    assert said[0].detail == "the server ended the answer with abort"
    assert said[1].detail == "the server says an error: overloaded, key Bearer …"


# Whatever JSON may hold in the place of anything.
ODD = (None, True, -5, 10**30, float("inf"), 3.5, "a", [], {}, ["a"], [[]], {"a": 1})


def odd(value: Any) -> Iterator[Any]:
    """A value with each of its parts exchanged for whatever it should not be."""
    yield from ODD
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        for other in odd(part):
            made = copy.deepcopy(value)
            made[key] = other
            yield made


def test_json_of_any_shape_is_an_answer_or_none() -> None:
    choice = {"finish_reason": "stop", "logprobs": {"content": [{"logprob": -1.0}]}}
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    whole = {
        "choices": [{**choice, "message": {"content": [{"type": "text", "text": "x"}], "refusal": None}}],
        "usage": usage,
    }
    piece = {"choices": [{**choice, "delta": {"content": "x", "refusal": None}}], "usage": usage}
    given = {"tokens": ["a", "b"], "token_logprobs": [None, -1.0]}
    scored = {
        "choices": [{"logprobs": given, "prompt_logprobs": [None, {"7": {"logprob": -1.0, "decoded_token": "b"}}]}],
        "usage": usage,
    }
    found = []
    for one in odd(whole):
        with contextlib.suppress(ValueError):
            found.append(said_of(one))
    for one in odd(piece):
        with contextlib.suppress(ValueError):
            found.append(said_of(joined([b"data: " + json.dumps(one).encode(), b"data: [DONE]"], 10)))
    for one in odd(scored):
        for way in ("echo", "prompt_logprobs"):
            if (scores := text_scores(one, way)) is not None:
                scores.start_of("a", "b")
    assert {type(one.text) for one in found} == {str}
    assert all(0 <= count < 2**31 for one in found for count in (one.n_asked, one.n_said))


@pytest.mark.parametrize("text", ["key", "poor"])
def test_what_every_request_would_get_stops_the_run_and_shows_no_key(text: str, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    with Server() as server:
        chat = model(server)
        with pytest.raises(EngineError, match="HTTP 4") as caught:
            ask(chat, call("a"), call(text), call("b"))
        assert server.headers[0]["Authorization"] == "Bearer secret-key"
    assert "secret-key" not in str(caught.value)
    assert "secret-key" not in json.dumps(chat.fingerprint())
    assert "127.0.0.1" not in json.dumps(chat.fingerprint())


def test_answers_in_flight_are_taken_before_a_refusal_ends_the_run(monkeypatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with Server() as server:
        chat = model(server)
        found: list[str] = []

        def take() -> None:
            for _, said in chat.answer(enumerate(map(call, ("slow a", "slow b", "key", *"cdefghi")))):
                found.append(said.text)

        with pytest.raises(EngineError, match=r"HTTP 401 .*; a key is read from \$OPENAI_API_KEY, which is not set"):
            take()
    assert {"SLOW A", "SLOW B"} <= set(found)
    assert len(found) < 9, "and nothing more is asked"


def test_a_refusal_of_everybody_and_a_missing_server_are_one_line(monkeypatch) -> None:
    with Server() as server:
        server.status = 400
        with pytest.raises(EngineError, match='HTTP 400 {"error": "busy"}'):
            ask(model(server), call("text"))
        server.status = 503
        with pytest.raises(EngineError, match="HTTP 503"):
            ask(model(server), call("text"))
        server.status = 404
        with pytest.raises(EngineError, match="HTTP 404"):
            model(server).check()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(EngineError, match=r"no server answers; start one or name it with --set judge\.base_url"):
        ask(ChatServer("m", url, retries=1, pause_s=0.001, setting="judge"), call("text"))
    monkeypatch.setenv("OPENAI_API_KEY", "two words")
    with pytest.raises(RecipeError, match=r"\$OPENAI_API_KEY holds white space") as caught:
        ask(ChatServer("m", url), call("text"))
    assert "two" not in str(caught.value)


@pytest.mark.parametrize(
    "refused", [{"max_tokens"}, {"logprobs"}, {"system"}, {"seed"}, {"logprobs", "seed", "system", "max_tokens"}]
)
def test_what_a_server_does_not_know_is_found_out_once(refused: set[str]) -> None:
    with Server() as server:
        server.refused = refused
        chat = model(server)
        said = ask(chat, *(call(f"text {number}", logprobs=True) for number in range(5)))
        n_asked = len(server.bodies)
        assert [one.problem for one in said] == [""] * 5
        assert (said[0].logprob is None) == ("logprobs" in refused)
        assert said[1].text.endswith("TEXT 1")
        assert ("SAY IT LOUDER" in said[1].text) == ("system" in refused)
        assert problems(chat, "text", "refuse" if "system" not in refused else "text") is not None
        assert len(server.bodies) == n_asked + 2


@pytest.mark.parametrize(
    ("known", "obeyed", "sent", "able"),
    [
        ({"json_schema", "json_object"}, {"json_schema"}, "json_schema", True),
        ({"json_object"}, {"json_object"}, "json_object", True),
        ({"json_schema", "json_object"}, set(), "json_schema", False),
        (set(), set(), None, False),
    ],
)
def test_schemas_are_told_as_the_server_wants(known: set, obeyed: set, sent: str | None, able: bool) -> None:
    with Server() as server:
        server.known, server.obeyed = known, obeyed
        chat = model(server)
        chat.check()
        assert chat.abilities == Abilities(schema=able, logprobs=True, likelihood=True)
        n_asked = len(server.bodies)
        said = ask(chat, *(call(f"text {number}", schema=SCHEMA) for number in range(9)))
        assert [json.loads(one.text)["said"] if able else one.text for one in said] == [f"TEXT {n}" for n in range(9)]
        kinds = [body.get("response_format", {}).get("type") for body in server.bodies[n_asked:]]
        probes = {"json_schema": 2, "json_object": 3, None: 3}[sent]  # a colder greeting, and one for each form
        assert kinds[probes:] == [sent] * 9
        assert all(body.get("response_format", {}).get("schema", SCHEMA) == SCHEMA for body in server.bodies[-9:])


def test_what_no_answer_can_be_drawn_with_is_everybodys() -> None:
    with Server() as server:
        server.refused = {"cold"}
        chat = model(server)
        assert ask(chat, call("text", sampling=Sampling(1.0)))[0].text == "TEXT"
        with pytest.raises(EngineError, match="temperature does not go below 1"):
            ask(chat, call("text"))


def test_a_busy_server_is_not_one_that_knows_no_schema() -> None:
    with Server() as server:
        chat = model(server, concurrency=1)
        problems(chat, "text")
        server.status = 503
        with pytest.raises(EngineError, match="HTTP 503"):
            ask(chat, call("text", schema=SCHEMA))


@pytest.mark.parametrize("way", ["echo", "prompt_logprobs"])
@pytest.mark.parametrize("split", [False, True])
def test_given_texts_are_scored(way: str, split: bool) -> None:
    with Server() as server:
        server.scores, server.split = way, split
        chat = model(server)
        before = Call((Message("user", "The नदी"),), continuation="good morning the नदी")
        (said,) = ask(chat, before)
    assert (said.problem, said.logprob, said.n_said) == ("", pytest.approx(-(0.5 + 1.0 + 0.25 + 2.0) / 4), 4)
    assert not any(message for body in server.bodies for message in body.get("messages", []))


def test_a_server_that_scores_no_text_is_one_line() -> None:
    for scores in ("", "nothing"):
        with Server() as server:
            server.scores = scores
            chat = model(server)
            chat.check()
            assert not chat.abilities.likelihood
            with pytest.raises(EngineError, match="no log-probabilities"):
                ask(chat, call("a", continuation="b"))


def test_options_that_cannot_work() -> None:
    for address in ("localhost:8000", "ftp://a/v1", "http://", "http://[a/v1", "http://a:b/v1"):
        with pytest.raises(RecipeError, match=r"generator\.base_url"):
            ChatServer("m", address)
    with pytest.raises(RecipeError, match="no name and password") as caught:
        ChatServer("m", "http://me:secret@a/v1")
    assert "secret" not in str(caught.value)
    with pytest.raises(RecipeError, match=r"generator\.model=NAME"):
        ChatServer("")
    with pytest.raises(RecipeError, match=r"generator\.concurrency"):
        ChatServer("m", concurrency=0)
    for taken in ("messages", "temperature", "max_completion_tokens", "seed"):
        with pytest.raises(RecipeError, match=f"'{taken}' is not for extra"):
            ChatServer("m", extra={taken: 0})
    for options in (
        {"retries": 2.5},
        {"concurrency": 1.5},
        {"timeout_s": float("nan")},
        {"pause_s": float("inf")},
        {"extra": 5},
    ):
        with pytest.raises(RecipeError, match=rf"generator\.{next(iter(options))}"):
            ChatServer("m", **options)
