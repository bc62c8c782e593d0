"""The review page's server: only the page itself, on this machine, with the token, may ask."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from dsbuild.errors import StoreError
from dsbuild.review_server import ReviewServer


class Small:
    """A review of one row."""

    def __init__(self) -> None:
        self.said: list[Mapping[str, Any]] = []
        self.full = False

    def page(self, nonce: str) -> str:
        return f"<p>page {nonce}</p>"

    def state(self) -> dict[str, Any]:
        return {"items": ["one"]}

    def answer(self, place: int, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        if place:
            raise ValueError("no such row")
        if self.full:
            raise StoreError("answers.jsonl: disk full")
        self.said.append(raw)
        return raw


@pytest.fixture
def server() -> Iterator[ReviewServer]:
    with ReviewServer(Small()) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(
    server: ReviewServer, method: str, path: str, body: bytes = b"", **headers: str | None
) -> tuple[int, dict[str, str], bytes]:
    """A request of our own making; a header that is None is left out, `_` in a name stands for -."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    given: dict[str, str | None] = {
        "Host": server.host,
        **({"Content-Length": str(len(body))} if method == "POST" else {}),
    }
    given.update({name.replace("_", "-"): value for name, value in headers.items()})
    for name, value in given.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def post(server: ReviewServer, body: Any, **headers: str | None) -> int:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    path = server.address.removeprefix(server.origin) + "answer"
    usual: dict[str, str | None] = {"Origin": server.origin, "Content_Type": "application/json"}
    return ask(server, "POST", path, data, **{**usual, **headers})[0]


GOOD = {"place": 0, "answer": {"acceptable": "yes"}}


def test_the_page_comes_with_a_policy_that_allows_only_itself(server: ReviewServer) -> None:
    root = server.address.removeprefix(server.origin)
    status, headers, body = ask(server, "GET", root, Sec_Fetch_Site="none")
    policy = headers["Content-Security-Policy"]
    nonce = body.decode().removeprefix("<p>page ").removesuffix("</p>")
    assert status == 200
    assert f"script-src 'nonce-{nonce}'" in policy
    assert all(
        part in policy
        for part in ("default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "form-action 'none'")
    )
    assert (headers["Cache-Control"], headers["X-Content-Type-Options"], headers["Server"]) == (
        "no-store",
        "nosniff",
        "dsbuild",
    )
    assert "Access-Control-Allow-Origin" not in headers
    assert ask(server, "GET", root)[2] != body
    assert json.loads(ask(server, "GET", root + "state")[2]) == {"items": ["one"]}


def test_it_listens_on_this_machine_only(server: ReviewServer) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert server.address.startswith("http://127.0.0.1:")
    assert len(server.address.rstrip("/").rpartition("/")[2]) >= 32


@pytest.mark.parametrize("path", ["/", "/state", "/wrong/", "/wrong/state", "/%00/", "//", "/../", "/%C3%A9/"])
def test_without_the_token_there_is_nothing(server: ReviewServer, path: str) -> None:
    status, _, body = ask(server, "GET", path)
    assert status == 404
    assert b"items" not in body
    assert ask(server, "GET", server.address.removeprefix(server.origin)[:-1] + "x/state")[0] == 404
    assert ask(server, "GET", server.address.removeprefix(server.origin)[:-1])[0] == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"}, {"Host": None}, {"Host": "localhost:1"}, {"Origin": "http://evil.example"}, {"Origin": "null"},
        {"Origin": "http://127.0.0.1"}, {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"},
    ],
)  # fmt: skip
def test_a_foreign_page_may_not_ask(server: ReviewServer, headers: dict[str, str | None]) -> None:
    assert post(server, GOOD, **headers) == 403
    assert ask(server, "GET", server.address.removeprefix(server.origin) + "state", **headers)[0] == 403
    assert server.review.said == []


def test_an_answer_needs_an_origin_and_is_json(server: ReviewServer) -> None:
    assert post(server, GOOD, Origin=None) == 403
    assert post(server, GOOD, Content_Type="text/plain") == 415
    assert post(server, GOOD, Content_Type="application/x-www-form-urlencoded") == 415
    assert post(server, GOOD, Content_Length=None) == 413
    assert post(server, GOOD, Content_Length="-1") == 413
    assert post(server, b"x" * 70_000) == 413
    bodies: list[Any] = [
        b"{",
        b"\xff",
        [],
        {},
        {"place": True, "answer": {}},
        {"place": 0, "answer": 1},
        {"place": 7, "answer": {}},
        b"[" * 60_000,
    ]
    for body in bodies:
        assert post(server, body) == 400
    assert server.review.said == []
    assert post(server, GOOD) == 200
    assert server.review.said == [{"acceptable": "yes"}]
    server.review.full = True
    assert post(server, GOOD) == 507


def test_a_port_that_is_taken_is_told(server: ReviewServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(StoreError, match="--port"):
            ReviewServer(Small(), taken.getsockname()[1])
