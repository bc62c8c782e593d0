"""A chat server on this machine that translates by a cipher: each word of Latin letters becomes one of Devanagari letters, all else stays."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_LATIN = "abcdefghijklmnopqrstuvwxyz"
_DEVANAGARI = "कखगघङचछजझञटठडढणतथदधनपफबभमय"
_TABLE = str.maketrans(_LATIN + _LATIN.upper(), _DEVANAGARI * 2)


def cipher(text: str) -> str:
    """The text in other letters; marks such as <ID1> as they are.

    >>> cipher("ab <ID1> c.")
    'कख <ID1> ग.'
    """
    return "".join(part if part.startswith("<ID") else part.translate(_TABLE) for part in re.split(r"(<ID\d+>)", text))


class ChatCipher:
    """The server. said: called with the data of each question and what would be answered; returns what is answered (a text, or any JSON value)."""

    def __init__(self, said: Callable[[Mapping[str, Any], str], Any] | None = None) -> None:
        self.said = said
        self.asked: list[dict[str, Any]] = []

    def __enter__(self) -> ChatCipher:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                data = json.dumps(
                    {"choices": [{"message": {"content": outer.answer(body)}, "finish_reason": "stop"}], "usage": {}}
                ).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, body: Mapping[str, Any]) -> str:
        try:
            data = json.loads(body["messages"][-1]["content"])
        except (KeyError, ValueError):
            return "Good morning"
        self.asked.append({"messages": body["messages"], **data})
        found: Any = cipher(data["text"])
        if self.said is not None:
            found = self.said(data, found)
        return json.dumps({"translation": found}, ensure_ascii=False)
