"""Chat models behind any server that speaks the OpenAI chat protocol (vLLM, llama.cpp, hosted ones): asking, retries, a journal of answers.

What is asked is the caller's business: a prompt's instructions go into the system message, untrusted text only as one JSON value into the user
message, and an answer is checked by whoever reads it, whatever the server promises about schemas.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsbuild import files
from dsbuild.errors import EngineError, RecipeError
from dsbuild.stage import digest

Body = Mapping[str, Any]

_RETRIED = {408, 409, 425, 429, 500, 502, 503, 504}
REFUSED = "engine_error: HTTP "
_STOPPING = {401, 403, 404}  # of the key, the rights, the address or the model: not of one text


@dataclass(frozen=True, slots=True)
class Said:
    """What a model said. error: why there is nothing to read ("": there is); finish: stop or length; answer: as it came."""

    text: str = ""
    error: str = ""
    finish: str = "stop"
    n_asked: int = 0
    n_said: int = 0
    answer: Mapping[str, Any] = field(default_factory=dict)


class ChatServer:
    """A server and how it is spoken with.

    base_url: up to `/v1`; timeout_s: per request; retries: after 429, 5xx and lost connections, with doubling waits. The key comes from the
    environment variable `api_key_env` only. setting: the section of the recipe that names the server, for messages.
    """

    def __init__(
        self, base_url: str, *, timeout_s: float = 120.0, retries: int = 5, api_key_env: str = "OPENAI_API_KEY", seed: int = 7,
        setting: str = "engine",
    ) -> None:  # fmt: skip
        if urllib.parse.urlsplit(base_url).scheme not in ("http", "https"):
            raise RecipeError(f"{setting}.base_url {base_url!r}: an http(s) address, such as http://127.0.0.1:8000/v1")
        self.base_url = base_url.rstrip("/")
        self.timeout_s = timeout_s
        self.retries = retries
        self.api_key_env = api_key_env
        self.setting = setting
        self._begun = False
        self._jitter = random.Random(seed)

    def is_first(self) -> bool:
        """True once: what the server says to the very first request tells whether it can be spoken with at all."""
        first, self._begun = not self._begun, True
        return first

    def ask(self, body: Body, first: bool, harmless: Callable[[], Body]) -> dict[str, Any] | str:
        """The server's answer, or what went wrong.

        The first refusal may be the text's fault or everybody's: a body that nobody can object to tells, and a refusal of it stops the run.
        """
        answer = self.post(body)
        if isinstance(answer, str) and first and answer.startswith(REFUSED):
            self.post(harmless(), probe=True)
        return answer

    def post(self, body: Body, *, probe: bool = False) -> dict[str, Any] | str:
        """The server's answer, or what went wrong after all retries; a refusal that every request would get is an `EngineError`."""
        key = os.environ.get(self.api_key_env, "")
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        request = urllib.request.Request(f"{self.base_url}/chat/completions", json.dumps(body).encode("utf-8"), headers)
        problem = ""
        for attempt in range(self.retries + 1):
            try:
                with urllib.request.urlopen(request, timeout=self.timeout_s) as reply:
                    answer = json.load(reply)
                return answer if isinstance(answer, dict) else "engine_error: the server's answer is not an object"
            except urllib.error.HTTPError as error:
                with error:
                    said = " ".join(error.read(300).decode("utf-8", "replace").split())
                    after = error.headers.get("Retry-After") or "0"
                if error.code in _STOPPING or (probe and error.code not in _RETRIED):
                    raise EngineError(f"{self.base_url}: HTTP {error.code}: {said}") from None
                if error.code not in _RETRIED:
                    return f"{REFUSED}{error.code} {said}".rstrip()
                problem, pause = f"{REFUSED}{error.code}", float(after) if after.isdigit() else 0.0
            except (
                urllib.error.URLError,
                ConnectionError,
                TimeoutError,
                http.client.HTTPException,
                ValueError,
            ) as error:
                reason = error.reason if isinstance(error, urllib.error.URLError) else error
                if isinstance(reason, ConnectionRefusedError) and attempt == self.retries:
                    raise EngineError(
                        f"{self.base_url}: no server answers; start one or name it with --set {self.setting}.base_url=…"
                    ) from None
                problem, pause = f"engine_error: {type(reason).__name__}", 0.0
            if attempt < self.retries:
                time.sleep(max(pause, min(30.0, 0.5 * 2**attempt) * (0.5 + self._jitter.random())))
        return problem


def said_of(answer: Mapping[str, Any] | str) -> Said:
    """The text of an answer of the chat protocol, without the fence that some models put around JSON."""
    if isinstance(answer, str):
        return Said(error=answer, finish="error")
    try:
        choice = answer["choices"][0]
        content = choice["message"]["content"] or ""
        text = content.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    except (KeyError, IndexError, TypeError, AttributeError):
        return Said(error="engine_error: the answer has no message", finish="error")
    usage = answer.get("usage") or {}
    asked, said = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
    if choice.get("finish_reason") == "length":
        return Said(finish="length", n_asked=asked, n_said=said, answer=answer)
    return Said(text, n_asked=asked, n_said=said, answer=answer)


def json_of(said: Said) -> dict[str, Any] | str:
    """The JSON object that a model said, or what is wrong with it."""
    if said.error:
        return said.error
    try:
        value = json.loads(said.text)
    except ValueError:
        return "engine_error: the answer is not JSON"
    return value if isinstance(value, dict) else "engine_error: the answer is not an object"


class Answers:
    """A journal of answers, one JSON line each, kept under the digest of what was asked: a killed run repeats at most what was in flight.

    A torn last line is passed over.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, Any] = {}
        if path.exists():
            for line in path.read_bytes().split(b"\n"):
                try:
                    key, value = json.loads(line)
                except (ValueError, TypeError):
                    continue
                self._known[key] = value

    def get(self, key: str) -> Any:
        """What was answered, None if nothing was."""
        return self._known.get(key)

    def put(self, key: str, value: Any) -> None:
        """Write an answer down."""
        self._known[key] = value
        line = json.dumps([key, value], ensure_ascii=True).encode("ascii")
        try:
            with self.path.open("ab") as handle:
                # A line that was torn by a kill ends here.
                handle.write(b"\n" + line)
                handle.flush()
        except OSError as error:
            raise files.disk_error(self.path, error) from error


def ask_all(
    server: ChatServer, bodies: Iterable[Body], harmless: Callable[[], Body], answers: Answers, concurrency: int
) -> Iterator[Said]:
    """What the model says to each body, in order, with at most `concurrency` requests in flight; what the journal knows is not asked again.

    Answers that failed are not written down, so that the next run asks again.
    """
    waiting: dict[int, Future[tuple[str, dict[str, Any] | str]]] = {}
    done: dict[int, Said] = {}
    given = iter(enumerate(bodies))
    turn, ended = 0, False
    with ThreadPoolExecutor(concurrency) as pool:
        try:
            while True:
                # Answers wait for their turn, so that what is held stays small.
                while not ended and len(waiting) < concurrency and len(done) < 16 * concurrency:
                    number, body = next(given, (-1, {}))
                    if number < 0:
                        ended = True
                        break
                    key = digest(json.dumps(body, sort_keys=True))
                    known = answers.get(key)
                    if known is not None:
                        done[number] = said_of(known)
                        continue
                    waiting[number] = pool.submit(_one, server, body, server.is_first(), harmless, key)
                while turn in done:
                    yield done.pop(turn)
                    turn += 1
                if not waiting:
                    if ended and not done:
                        return
                    continue
                wait(waiting.values(), return_when=FIRST_COMPLETED)
                for number in [number for number, future in waiting.items() if future.done()]:
                    key, answer = waiting.pop(number).result()
                    if isinstance(answer, dict):
                        answers.put(key, answer)
                    done[number] = said_of(answer)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _one(
    server: ChatServer, body: Body, first: bool, harmless: Callable[[], Body], key: str
) -> tuple[str, dict[str, Any] | str]:
    return key, server.ask(body, first, harmless)
