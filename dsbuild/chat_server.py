"""Any server that speaks the OpenAI chat protocol: `vllm serve`, transformers' own, llama.cpp, hosted ones."""

from __future__ import annotations

import email.utils
import http.client
import json
import math
import queue
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from dsbuild.answer_text import settled
from dsbuild.chat_protocol import FORMATS, MANNERS, Format, Manner, as_text, body_of, joined, mean, said_of
from dsbuild.engine import Terms
from dsbuild.errors import EngineError, RecipeError
from dsbuild.feed import Feed
from dsbuild.http_peer import Connection, Peer, Reply
from dsbuild.language_model import Abilities, Call, Message, Said, Sampling
from dsbuild.text_scores import TextScores, text_scores

_RETRIED = {408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529}
_STOPPING = {
    301,
    302,
    307,
    308,
    401,
    402,
    403,
    404,
}  # of the key, the rights, the address or the model: not of one text
_LONGEST_PAUSE_S = 300.0
_PATIENCE_S = 10.0  # for what is in flight when nothing more can be asked
_PIECES = 4  # of a stream for each token that was allowed: servers send one or fewer
_DETAIL_CHARS = 200

# What a request has from its call, so that a field of the same name would be lost, or its answer could not be read.
_TAKEN = (
    "model", "messages", "stream", "stream_options", "n", "response_format", "temperature", "top_p", "max_tokens", "max_completion_tokens",
    "seed", "stop", "logprobs",
)  # fmt: skip

# What nobody can object to: its refusal is everybody's.
_GREETING = (Message("system", "Answer in few words."), Message("user", "Say good morning."))
_TINY: Mapping[str, Any] = {
    "type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"], "additionalProperties": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why there is no answer. status: of the last reply, 0 for none."""

    status: int
    detail: str


class ChatServer:
    """A server, and how it is spoken with; `concurrency` requests are in flight as long as there is something to ask.

    model: as the server calls it; base_url: up to `/v1`; timeout_s: for a whole answer, however it drips; retries: after 429, 5xx, lost
    connections and lateness, with doubling waits from pause_s or what Retry-After says; stream: take answers piece by piece;
    extra: more fields of every request, such as {chat_template_kwargs: {enable_thinking: false}}; revision: of the model, where it is known;
    license: of the model. The key comes from the environment variable `api_key_env` only.

    Before the first question a greeting finds out what the server accepts (`Manner`), and again before the first that is drawn otherwise;
    before the first question with a schema, another one finds out how it may be told (`FORMATS`). So a refusal is everybody's (`EngineError`)
    or of one text (problem "rejected"), and never both. Likelihood is scored over plain text (`as_text`), because chat templates cannot be
    asked for over this protocol.
    """

    name: ClassVar[str] = "openai"

    def __init__(
        self, model: str, base_url: str = "http://127.0.0.1:8000/v1", concurrency: int = 32, timeout_s: float = 120.0, retries: int = 5,
        pause_s: float = 0.5, stream: bool = False, extra: Mapping[str, Any] | None = None, revision: str = "", license: str = "",
        api_key_env: str = "OPENAI_API_KEY", setting: str = "generator",
    ) -> None:  # fmt: skip
        for option, value, least, kind in (
            ("concurrency", concurrency, 1, int),
            ("timeout_s", timeout_s, 0.001, int | float),
            ("retries", retries, 0, int),
            ("pause_s", pause_s, 0, int | float),
        ):
            if isinstance(value, bool) or not isinstance(value, kind) or not least <= value < math.inf:
                what = "whole number" if kind is int else "number"
                raise RecipeError(f"{setting}.{option}: {value!r} must be a {what} of at least {least}")
        if not isinstance(extra or {}, Mapping):
            raise RecipeError(
                f"{setting}.extra: {extra!r} must be fields of a request: --set '{setting}.extra={{top_k: 20}}'"
            )
        if not model:
            raise RecipeError(f"{setting} needs a model: --set {setting}.model=NAME, as the server calls it")
        if taken := [name for name in _TAKEN if name in (extra or ())]:
            raise RecipeError(
                f"{setting}.extra: {taken[0]!r} is not for extra fields: every request has its own, see the setting of that name"
            )
        self.model = model
        self.concurrency = concurrency
        self.abilities = Abilities()
        self._peer = Peer(base_url, api_key_env, setting)
        self._timeout_s, self._retries, self._pause_s, self._stream = timeout_s, retries, pause_s, stream
        self._extra = dict(extra or {})
        self._revision, self._license, self._setting = revision, license, setting
        self._found = threading.Lock()
        self._manner: Manner | None = None
        self._greeted: set[Sampling] = set()
        self._formats: dict[str, Format] = {}
        self._scoring: str | None = None
        self._closed = threading.Event()

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """Model, revision and extra fields; not the server's address or the key."""
        extra = json.dumps(self._extra, sort_keys=True) if self._extra else None
        return {
            "kind": self.name,
            "version": 1,
            "model": self.model,
            "revision": self._revision or None,
            "extra": extra,
        }

    def terms(self) -> Terms:
        """The model's licence, if the user named it."""
        note = "" if self._license else f"name the model's terms with --set {self._setting}.license=…"
        return Terms(self._license or "unknown", self.model, note)

    def check(self) -> None:
        """Greet the server; what it can do is in `abilities` afterwards."""
        connection = Connection(self._peer)
        try:
            greeting = Call(_GREETING, Sampling(1.0, max_tokens=48), logprobs=True)
            manner = self._how(connection, greeting.sampling)
            said = self._try(connection, greeting, manner, "")
            obeyed = False
            for form in FORMATS[:-1]:
                answer = self._try(connection, replace(greeting, schema=_TINY), manner, form)
                # The greeting does not ask for JSON: an answer that keeps the schema was made to.
                if isinstance(answer, Said) and not settled(replace(greeting, schema=_TINY), answer).problem:
                    obeyed = True
                    break
            logprobs = isinstance(said, Said) and said.logprob is not None
            self.abilities = Abilities(schema=obeyed, logprobs=logprobs, likelihood=bool(self._how_scored(connection)))
        finally:
            connection.close()

    def answer(self, calls: Iterable[tuple[int, Call]]) -> Iterator[tuple[int, Said]]:
        """See `LanguageModel`; each of `concurrency` threads has a connection of its own."""
        feed = Feed(calls, self.concurrency)
        answers: queue.SimpleQueue[tuple[int, Said] | BaseException | None] = queue.SimpleQueue()

        def work(item: tuple[int, Call] | None) -> None:
            connection = Connection(self._peer)
            try:
                while (item := item or feed.take()) is not None:
                    number, call = item
                    answers.put((number, self._ask(connection, call)))
                    item = None
            except BaseException as error:
                answers.put(error)
            finally:
                connection.close()
                answers.put(None)

        try:
            first = feed.take()
            if first is None:
                return
            for number in range(self.concurrency):
                threading.Thread(target=work, args=(None if number else first,), name="chat", daemon=True).start()
            ended, stopped, until = 0, None, 0.0
            while ended < self.concurrency:
                try:
                    found = answers.get(timeout=max(0.0, until - time.monotonic()) if stopped else None)
                except queue.Empty:
                    break
                if isinstance(found, BaseException):
                    # The others have questions in flight, which are paid for: their answers are taken before this one ends it all.
                    if stopped is None:
                        stopped, until = found, time.monotonic() + _PATIENCE_S
                        feed.close()
                elif found is None:
                    ended += 1
                else:
                    yield found
            if stopped is not None:
                raise stopped
        finally:
            feed.close()

    def close(self) -> None:
        """Wait for no server any more."""
        self._closed.set()

    def _ask(self, connection: Connection, call: Call) -> Said:
        if call.continuation is not None:
            return self._score(connection, call, call.continuation)
        manner = self._how(connection, call.sampling)
        form = self._form(connection, manner, call) if call.schema is not None else ""
        said = self._try(connection, call, manner, form)
        return said if isinstance(said, Said) else _lost(said)

    def _how(self, connection: Connection, sampling: Sampling) -> Manner:
        """What the server wants to be spared; `EngineError` if it refuses a greeting, also one that is drawn like this."""
        drawn = replace(sampling, max_tokens=16)
        with self._found:
            if self._manner is None or drawn not in self._greeted:
                greeting = Call(_GREETING, drawn, logprobs=True)
                refused: list[_Failure] = []
                for manner in MANNERS if self._manner is None else (self._manner,):
                    said = self._try(connection, greeting, manner, "")
                    if isinstance(said, Said):
                        self._manner = manner
                        self._greeted.add(drawn)
                        break
                    self._refused(said)
                    refused.append(said)
                else:
                    raise EngineError(f"{self._peer.base_url}: {refused[0].detail}")
            return self._manner

    def _form(self, connection: Connection, manner: Manner, call: Call) -> Format:
        """How the schema of a call may be told to the server."""
        key = json.dumps(call.schema, sort_keys=True)
        with self._found:
            if key not in self._formats:
                call = replace(call, messages=_GREETING, sampling=replace(call.sampling, max_tokens=16))
                for form in FORMATS:
                    said = self._try(connection, call, manner, form) if form else Said()
                    if isinstance(said, Said):
                        self._formats[key] = form
                        break
                    self._refused(said, http.client.INTERNAL_SERVER_ERROR)
            return self._formats[key]

    def _refused(self, failure: _Failure, *also: int) -> None:
        """`EngineError` unless the server refused what it was asked: nothing is known of one that is busy or away."""
        if (not failure.status or failure.status in _RETRIED) and failure.status not in also:
            raise EngineError(f"{self._peer.base_url}: {failure.detail}")

    def _try(self, connection: Connection, call: Call, manner: Manner, form: Format) -> Said | _Failure:
        body = self._extra | body_of(call, self.model, manner, form, stream=self._stream)
        most = _PIECES * call.sampling.max_tokens + 16

        def streamed(data: bytes) -> Reply | Said:
            lines = connection.lines("/chat/completions", data, self._timeout_s)
            try:
                first = next(lines)
                if isinstance(first, Reply):
                    return first
                kept = (line for line in _and(first, lines) if isinstance(line, bytes))
                return said_of(joined(kept, most))
            finally:
                lines.close()  # type: ignore[attr-defined]

        def whole(data: bytes) -> Reply | Said:
            reply = connection.post("/chat/completions", data, self._timeout_s)
            return said_of(json.loads(reply.body)) if reply.status == http.client.OK else reply

        return self._patiently(streamed if self._stream else whole, body)

    def _patiently(self, ask: Callable[[bytes], Reply | Said], body: Mapping[str, Any]) -> Said | _Failure:
        """What the server says, asked again while that may help; a refusal that every request would get is an `EngineError`."""
        data = json.dumps(body, ensure_ascii=True).encode("ascii")
        failure = _Failure(0, "")
        for attempt in range(self._retries + 1):
            pause = 0.0
            try:
                got = ask(data)
                if isinstance(got, Said):
                    return got
                said = self._peer.hidden(" ".join(got.body[:4096].decode("utf-8", "replace").split()))[:_DETAIL_CHARS]
                failure = _Failure(got.status, f"HTTP {got.status} {said}".rstrip())
                if got.status in _STOPPING or "insufficient_quota" in said:
                    hint = f"; {self._peer.refused}" if got.status == http.client.UNAUTHORIZED else ""
                    raise EngineError(f"{self._peer.base_url}: {failure.detail}{hint}")
                if got.status not in _RETRIED:
                    return failure
                pause = _seconds(got.retry_after)
            except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
                if isinstance(error, ConnectionRefusedError | socket.gaierror) and attempt == self._retries:
                    raise EngineError(
                        f"{self._peer.base_url}: no server answers; start one or name it with --set {self._setting}.base_url=…; answers are kept"
                    ) from None
                late = isinstance(error, TimeoutError)
                said = self._peer.hidden(_line(error))[:_DETAIL_CHARS]
                failure = _Failure(0, f"no whole answer in {self._timeout_s:g} s" if late else said)
            if attempt < self._retries:
                doubled = min(30.0, self._pause_s * 2**attempt) * (0.5 + random.random())
                if self._closed.wait(max(doubled, min(pause, _LONGEST_PAUSE_S))):
                    break
        return failure

    def _how_scored(self, connection: Connection) -> str:
        """Which of the two ways to score a given text the server has, "" for none."""
        with self._found:
            if self._scoring is None:
                self._scoring = ""
                for way in ("echo", "prompt_logprobs"):
                    found = self._scores(connection, "Good morning", way)
                    if isinstance(found, TextScores):
                        self._scoring = way
                        break
            return self._scoring

    def _score(self, connection: Connection, call: Call, continuation: str) -> Said:
        way = self._how_scored(connection)
        if not way:
            raise EngineError(
                f"{self._peer.base_url}: gives no log-probabilities of a given text (/completions with echo or prompt_logprobs)"
            )
        before = as_text(call.messages)
        scores = self._scores(connection, before + continuation, way)
        if isinstance(scores, _Failure):
            return _lost(scores)
        if scores is None:
            return Said(problem="no_logprobs")
        start = scores.start_of(before, continuation)
        if start is None:
            # Tokens that hold parts of characters do not show where they stand: what comes before is counted on its own.
            alone = self._scores(connection, before, way)
            if not isinstance(alone, TextScores):
                return _lost(alone) if alone is not None else Said(problem="no_logprobs")
            start = len(alone.tokens)
        found = scores.logprobs[start:]
        return Said(n_asked=len(scores.tokens), n_said=len(found), logprob=mean(found))

    def _scores(self, connection: Connection, text: str, way: str) -> TextScores | _Failure | None:
        """The tokens of a text with their log-probabilities; None where the server takes the request and gives none."""
        wanted: dict[str, Any] = {"echo": True, "logprobs": 1} if way == "echo" else {"prompt_logprobs": 0}
        body = {"model": self.model, "prompt": text, "max_tokens": 1, "temperature": 0.0, **wanted}
        found: list[TextScores | None] = []

        def ask(data: bytes) -> Reply | Said:
            reply = connection.post("/completions", data, self._timeout_s)
            if reply.status in _STOPPING:
                return Said()
            if reply.status != http.client.OK:
                return reply
            found.append(text_scores(json.loads(reply.body), way))
            return Said()

        failure = self._patiently(ask, body)
        return failure if isinstance(failure, _Failure) else found[0] if found else None


def _lost(failure: _Failure) -> Said:
    refused = failure.status and failure.status not in _RETRIED
    return Said(problem="rejected" if refused else "unreachable", detail=failure.detail)


def _and(first: bytes, lines: Iterator[bytes | Reply]) -> Iterator[bytes | Reply]:
    yield first
    yield from lines


def _seconds(retry_after: str) -> float:
    """What a Retry-After header asks for: seconds, or a date."""
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return 0.0


def _line(error: Exception) -> str:
    said = " ".join(str(error).split())
    if isinstance(error, json.JSONDecodeError):
        return f"what came is no JSON ({said})"
    return said if type(error) is ValueError else f"{type(error).__name__} {said}".strip()
