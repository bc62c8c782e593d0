"""A page on this machine for the person who sits at it: 127.0.0.1 only, a random token in the address, no foreign origin."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from dsbuild.errors import DsbuildError, StoreError

_HOST = "127.0.0.1"
_MAX_BODY = 64 << 10
_PATIENCE_S = 30


class Answered(Protocol):
    """What a server shows and where its answers go."""

    def page(self, nonce: str) -> str:
        """The page, whose scripts and styles carry the nonce."""

    def state(self) -> dict[str, Any]:
        """What the page shows, as data."""

    def answer(self, place: int, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        """Save an answer before returning; `ValueError` for one that cannot be."""


class ReviewServer(ThreadingHTTPServer):
    """Serves one review until it is shut down; only who knows `address` can read or write anything.

    port: 0 for any that is free. A port that is taken is a `StoreError`.
    """

    daemon_threads = True

    def __init__(self, review: Answered, port: int = 0) -> None:
        try:
            super().__init__((_HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise StoreError(
                f"port {port}: {getattr(error, 'strerror', None) or error}; choose another --port"
            ) from error
        self.review = review
        self.turn = threading.Lock()
        self._token = secrets.token_urlsafe(24)
        self.origin = f"http://{_HOST}:{self.server_address[1]}"
        self.host = self.origin.removeprefix("http://")

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"{self.origin}/{self._token}/"

    def name_of(self, path: str) -> str | None:
        """What a request asks for ("" is the page); None without the token."""
        token, slash, name = path.removeprefix("/").partition("/")
        right = secrets.compare_digest(token.encode("utf-8"), self._token.encode("utf-8"))
        return name if right and slash else None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is nothing to tell."""


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE_S

    def do_GET(self) -> None:
        """The page and its data."""
        if not self._is_welcome(("same-origin", "none"), origin_needed=False):
            return
        name = self.server.name_of(self.path)
        if name == "":
            nonce = secrets.token_urlsafe(16)
            policy = (
                f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
                "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            )
            self._send(HTTPStatus.OK, self.server.review.page(nonce), "text/html", policy)
        elif name == "state":
            with self.server.turn:
                self._send_json(HTTPStatus.OK, self.server.review.state())
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "nothing here; open the address that the command printed")

    def do_POST(self) -> None:
        """An answer: {"place": 3, "answer": {...}}."""
        if not self._is_welcome(("same-origin",), origin_needed=True):
            return
        if self.server.name_of(self.path) != "answer":
            self._refuse(HTTPStatus.NOT_FOUND, "nothing here")
            return
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal() or int(size) > _MAX_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too long")
            return
        if self.headers.get_content_type() != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "answers are JSON")
            return
        try:
            said = json.loads(self.rfile.read(int(size)))
            place, raw = said["place"], said["answer"]
            if not isinstance(place, int) or isinstance(place, bool) or not isinstance(raw, dict):
                raise ValueError("place is a number, answer an object")
            with self.server.turn:
                saved = self.server.review.answer(place, raw)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            self._send_json(HTTPStatus.BAD_REQUEST, {"error": f"not an answer: {error}"})
        except DsbuildError as error:
            self._send_json(HTTPStatus.INSUFFICIENT_STORAGE, {"error": str(error)})
        else:
            self._send_json(HTTPStatus.OK, {"answer": dict(saved)})

    def _is_welcome(self, sites: tuple[str, ...], *, origin_needed: bool) -> bool:
        """Whether the request comes from the page or the address bar; a name that resolves to this machine is not its address."""
        site = self.headers.get("Sec-Fetch-Site")
        origin = self.headers.get("Origin")
        welcome = (
            self.headers.get_all("Host") == [self.server.host]
            and (origin == self.server.origin or (origin is None and not origin_needed))
            and (site is None or site in sites)
        )
        if not welcome:
            self._refuse(HTTPStatus.FORBIDDEN, "only the page itself may ask")
        return welcome

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        # What is left of the request is not read, so the connection ends here.
        self.close_connection = True
        self._send(status, text + "\n", "text/plain")

    def _send_json(self, status: HTTPStatus, found: Any) -> None:
        self._send(status, json.dumps(found, ensure_ascii=False), "application/json")

    def _send(self, status: HTTPStatus, text: str, kind: str, policy: str = "default-src 'none'") -> None:
        data = text.encode("utf-8", "replace")
        self.send_response(status)
        for name, value in (
            ("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(data))), ("Content-Security-Policy", policy),
            ("Cache-Control", "no-store"), ("Referrer-Policy", "same-origin"), ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"), ("Cross-Origin-Resource-Policy", "same-origin"), ("Cross-Origin-Opener-Policy", "same-origin"),
            *((("Connection", "close"),) if self.close_connection else ()),
        ):  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def version_string(self) -> str:
        """What answers says nothing of what runs here."""
        return "dsbuild"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the address holds the token."""
