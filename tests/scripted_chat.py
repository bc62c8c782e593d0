"""A chat server on this machine that answers by a function of what it is asked, and remembers all questions."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# What is said to a question: (data of the last message, whole body) -> a text, a JSON value, or an HTTP status.
Answer = Callable[[dict[str, Any], Mapping[str, Any]], Any]


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # as many may come at once as a model has in flight; the others would be reset


class ScriptedChat:
    """The server. answer: None says the first words of the passage; tokens: asked and said of each answer.

    score: the log-probability of every token of a given text, each character of which is one; None: it scores none.
    """

    def __init__(
        self, answer: Answer, tokens: tuple[int, int] = (40, 10), score: Callable[[str], float] | None = None
    ) -> None:
        self.answer, self.tokens, self.score = answer, tokens, score
        self.scored: list[str] = []
        self.asked: list[Mapping[str, Any]] = []
        self._lock = threading.Lock()

    def __enter__(self) -> ScriptedChat:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: Any) -> None:
                pass

            def do_GET(self) -> None:
                self.say(200, {"data": [{"id": "small"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if "prompt" in body:
                    found = outer.scores(body["prompt"]) if body.get("echo") else None
                    self.say(200 if found else 404, found or {"error": {"message": "no"}})
                    return
                said, status = outer.said(body), 200
                if isinstance(said, int):
                    self.say(said, {"error": {"message": "no"}})
                    return
                text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
                asked, given = outer.tokens
                choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                if body.get("logprobs"):
                    choice["logprobs"] = {"content": [{"token": "x", "logprob": -0.5}]}
                usage = {"prompt_tokens": asked, "completion_tokens": given}
                self.say(status, {"choices": [choice], "usage": usage})

            def say(self, status: int, value: Any) -> None:
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = _Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def said(self, body: Mapping[str, Any]) -> Any:
        try:
            data = json.loads(body["messages"][-1]["content"])
        except ValueError:
            data = {}
        if not isinstance(data, dict):
            data = {}
        if "passage" in data:
            with self._lock:
                self.asked.append({"data": data, **body})
        return self.answer(data, body)

    def scores(self, prompt: str) -> dict[str, Any] | None:
        if self.score is None:
            return None
        with self._lock:
            self.scored.append(prompt)
        logprobs = {"tokens": list(prompt), "token_logprobs": [None, *[self.score(prompt)] * (len(prompt) - 1)]}
        return {"choices": [{"text": prompt, "logprobs": logprobs}], "usage": {"prompt_tokens": len(prompt)}}

    def passages(self) -> list[str]:
        """The passages that were asked about, in the order of their coming."""
        return [one["data"]["passage"] for one in self.asked]
