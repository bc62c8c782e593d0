"""Run an engine in a child process, so that a native crash or a hang costs one request and never the run.

`HostedEngine` keeps the engine protocol and speaks with `python -m dsbuild.host` over one socket. When the child
dies, or finishes no batch within the timeout, it is started again; the unfinished batches then run one at a time
until the one that kills it is found, and that one is halved down to the request, which ends as an error.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

import dsbuild.errors
from dsbuild.engine import Capabilities, Output, Request, Terms, TranslationEngine
from dsbuild.errors import DsbuildError, EngineError
from dsbuild.registry import load
from dsbuild.wire import Message, pack_outputs, pack_requests, receive, send, unpack_outputs, unpack_requests

_MAX_REQUESTS_AHEAD = 8_192  # requests sent ahead in one go: keeps every queue of the engine full, bounds memory
_MAX_DEATHS_IN_A_ROW = 16  # single requests that kill the child one after another: then it is not the requests
_CLOSE_S = 10.0
_START_S = 120.0  # a busy machine may take long to start an interpreter; that is no fault of a batch
_WATCH_S = 0.5


class _ChildDiedError(Exception):
    """The child is gone or was stopped; the text says why."""


class HostedEngine:
    """The engine `target` ("module:Class", built with `options`) in a child process.

    timeout_s: longest wait for the next finished batch, and for any other answer (which may load the model).
    Raises what the engine's constructor raises; `EngineError` if the child dies before it is ready.
    """

    def __init__(self, target: str, options: Mapping[str, Any], timeout_s: float = 600.0) -> None:
        self._target = target
        self._options = dict(options)
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._closed = False
        hello = self._start()
        self.name: str = hello["name"]
        said: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in hello["capabilities"].items()
        }
        self.capabilities = Capabilities(**said)

    def __enter__(self) -> HostedEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """The engine's own fingerprint: the process it runs in does not change its output."""
        return dict(self._ask("fingerprint").header["value"])

    def terms(self) -> Terms:
        """Licence and origin of the model."""
        return Terms(**self._ask("terms").header["value"])

    def check(self, src: str, tgts: Sequence[str]) -> None:
        """Raise `EngineError` unless every direction is served."""
        self._ask("check", {"src": src, "tgts": list(tgts)})

    def count_tokens(self, texts: Sequence[str], src: str) -> list[int]:
        """Length of each text in the engine's own tokens."""
        table = pa.table({"text": pa.array(list(texts), pa.large_string())})
        return list(self._ask("count", {"src": src}, table).header["value"])

    def translate_batches(self, batches: Sequence[Sequence[Request]]) -> Iterator[tuple[int, list[Output]]]:
        """Translate each batch, each yielded as it is finished; crashes and hangs end as outputs with an error."""
        start = 0
        while start < len(batches):
            end, n_requests = start, 0
            while end < len(batches) and (end == start or n_requests + len(batches[end]) <= _MAX_REQUESTS_AHEAD):
                n_requests += len(batches[end])
                end += 1
            yield from self._window({index: batches[index] for index in range(start, end)})
            start = end

    def close(self) -> None:
        """Let the child end, by force if it does not; safe to call twice."""
        self._closed = True
        if self._process is not None and self._socket is not None:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                self._socket.settimeout(_CLOSE_S)
                send(self._socket, Message("close"))
                self._process.wait(_CLOSE_S)
        self._stop()

    def _window(self, todo: dict[int, Sequence[Request]]) -> Iterator[tuple[int, list[Output]]]:
        """Send all of `todo` ahead; after a death look for the killer one batch at a time, then send all again."""
        deaths = 0
        one_by_one = False
        while todo:
            now = [next(iter(todo))] if one_by_one else list(todo)
            died = ""
            try:
                for position, outputs in self._attempt([todo[index] for index in now]):
                    deaths = 0
                    yield now[position], outputs
                    del todo[now[position]]
            except _ChildDiedError as death:
                died = str(death)
            if died and one_by_one:
                outputs, deaths = self._bisect(todo[now[0]], died, deaths)
                yield now[0], outputs
                del todo[now[0]]
            one_by_one = one_by_one != bool(died)  # back to all at once when the killer was found

    def _bisect(self, batch: Sequence[Request], reason: str, deaths: int) -> tuple[list[Output], int]:
        """Outputs of a batch that killed the child, and the number of requests in a row that did so alone."""
        if len(batch) == 1:
            if deaths + 1 >= _MAX_DEATHS_IN_A_ROW:
                raise EngineError(
                    f"{self.name}: {reason} on {deaths + 1} requests in a row; the engine itself is broken"
                )
            return [Output("", "error", error=reason)], deaths + 1
        middle = len(batch) // 2
        outputs: list[Output] = []
        for half in (batch[:middle], batch[middle:]):
            try:
                (_, part), *_ = self._attempt([half])
                deaths = 0
            except _ChildDiedError as death:
                part, deaths = self._bisect(half, str(death), deaths)
            outputs += part
        return outputs, deaths

    def _attempt(self, batches: Sequence[Sequence[Request]]) -> Iterator[tuple[int, list[Output]]]:
        """One call of the child. Raises `_ChildDiedError` when it dies or no batch finishes in time."""
        missing = {position for position, batch in enumerate(batches)}
        self._say(Message("translate", {"n_batches": len(batches)}, pack_requests(batches)))
        finished = False
        try:
            while missing:
                answer = self._hear()
                position = answer.header["batch"]
                outputs = unpack_outputs(answer.table)
                if position not in missing or len(outputs) != len(batches[position]):
                    raise EngineError(f"{self.name}: {len(outputs)} outputs for batch {position} of {len(batches)}")
                missing.remove(position)
                finished = not missing
                yield position, outputs
        finally:
            if not finished:  # the caller stopped listening: what the child still sends would answer nothing
                self._stop()

    def _ask(self, kind: str, header: Mapping[str, Any] | None = None, table: pa.Table | None = None) -> Message:
        message = Message(kind, header or {}) if table is None else Message(kind, header or {}, table)
        try:
            self._say(message)
            return self._hear()
        except _ChildDiedError as death:
            raise EngineError(f"{self.name}: {death} during {kind}") from None

    def _say(self, message: Message) -> None:
        if self._process is None:
            self._start()
        assert self._socket is not None
        try:
            send(self._socket, message)
        except TimeoutError:
            raise _ChildDiedError(self._silence()) from None
        except OSError:
            raise _ChildDiedError(self._obituary()) from None

    def _hear(self) -> Message:
        assert self._socket is not None
        try:
            answer = receive(self._socket)
        except TimeoutError:
            raise _ChildDiedError(self._silence()) from None
        except OSError:
            answer = None
        if answer is None:
            raise _ChildDiedError(self._obituary())
        if answer.kind == "error":
            raise _error(answer.header["class"], answer.header["message"])
        return answer

    def _start(self) -> dict[str, Any]:
        """Start the child and return what it says of its engine."""
        if self._closed:
            raise EngineError(f"engine {self._target} is closed")
        ours, theirs = socket.socketpair()
        # The child must find the same modules, wherever the parent found them.
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dsbuild.host", str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=2,  # what a library prints must not mix with the parent's own standard output
                env={**os.environ, "PYTHONPATH": path},
                pass_fds=[theirs.fileno()],
            )
        self._socket = ours
        self._socket.settimeout(max(self._timeout_s, _START_S))
        ready = False
        try:
            self._say(Message("open", {"target": self._target, "options": self._options}))
            hello = dict(self._hear().header)
            self._socket.settimeout(self._timeout_s)
            ready = True
        except _ChildDiedError as death:
            raise EngineError(f"engine {self._target}: {death} at the start") from None
        finally:
            if not ready:
                self._stop()
        return hello

    def _silence(self) -> str:
        """How long the child did not answer; it is stopped."""
        assert self._socket is not None
        waited = self._socket.gettimeout() or 0.0
        self._stop()
        return f"timeout: no answer in {waited:g} s"

    def _obituary(self) -> str:
        """Why the child ended; it is gone afterwards."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSE_S)  # the socket closes a moment before the process ends
        code = self._process.returncode
        self._stop()
        if code is None:
            return "crash: engine stopped answering"
        return f"crash: signal {-code}" if code < 0 else f"crash: exit code {code}"

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._socket is not None:
            self._socket.close()
        self._process = self._socket = None


def _error(name: str, message: str) -> DsbuildError:
    """An error of the same class and text as the child's, whatever that class's constructor takes."""
    kind = getattr(dsbuild.errors, name, EngineError)
    error: DsbuildError = kind.__new__(kind)
    error.args = (message,)
    return error


def serve(sock: socket.socket) -> None:
    """Answer a parent until it says close or goes away."""
    engine: TranslationEngine | None = None
    try:
        while (message := receive(sock)) is not None and message.kind != "close":
            try:
                if engine is None:
                    engine = load(message.header["target"])(**message.header["options"])
                    send(sock, Message("hello", {"name": engine.name, "capabilities": asdict(engine.capabilities)}))
                else:
                    _answer(sock, engine, message)
            except DsbuildError as error:
                send(sock, Message("error", {"class": type(error).__name__, "message": str(error)}))
    except ConnectionError:
        return  # the parent is gone, and with it whoever would read an answer
    finally:
        if engine is not None:
            engine.close()


def _answer(sock: socket.socket, engine: TranslationEngine, message: Message) -> None:
    header = message.header
    if message.kind == "translate":
        batches = unpack_requests(message.table, header["n_batches"])
        for position, outputs in engine.translate_batches(batches):
            send(sock, Message("outputs", {"batch": position}, pack_outputs(outputs)))
        return
    value: Any = None
    if message.kind == "fingerprint":
        value = engine.fingerprint()
    elif message.kind == "terms":
        value = asdict(engine.terms())
    elif message.kind == "check":
        engine.check(header["src"], header["tgts"])
    elif message.kind == "count":
        value = engine.count_tokens(message.table["text"].to_pylist(), header["src"])
    send(sock, Message("value", {"value": value}))


def _watch(parent: int) -> None:
    """End this process when the parent has ended, even while the engine is busy in native code."""
    while os.getppid() == parent:
        time.sleep(_WATCH_S)
    os._exit(1)


def main(arguments: Sequence[str]) -> None:
    """Entry of the child: the socket's number and the parent's process id."""
    descriptor, parent = (int(argument) for argument in arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes its children
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    with socket.socket(fileno=descriptor) as sock:
        sock.settimeout(None)
        serve(sock)


if __name__ == "__main__":
    main(sys.argv[1:])
