"""One server over HTTP: connections that stay open, whole requests within a time, a key that is never shown."""

from __future__ import annotations

import http.client
import io
import os
import socket
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dsbuild.errors import RecipeError

_MOST_BYTES = 64 << 20  # of an answer: more is no answer to any question
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server sent back. retry_after: what its header says, "" if nothing."""

    status: int
    body: bytes
    retry_after: str = ""


class Peer:
    """A server's address, and its key from the environment variable `api_key_env`, read at each request and shown nowhere.

    base_url: http(s), up to `/v1`, without a name and a password in it; setting: what the recipe calls it, for messages. Proxies are
    those of the environment.
    """

    def __init__(self, base_url: str, api_key_env: str, setting: str) -> None:
        try:
            parts = urllib.parse.urlsplit(base_url)
            port = parts.port
        except ValueError:
            parts, port = urllib.parse.urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RecipeError(f"{setting}.base_url {base_url!r}: an http(s) address, such as http://127.0.0.1:8000/v1")
        if parts.username or parts.password:
            raise RecipeError(f"{setting}.base_url: no name and password in it; keys come from ${api_key_env}")
        self.base_url = base_url.rstrip("/")
        self.host, self.port, self.secure = parts.hostname, port, parts.scheme == "https"
        self._api_key_env = api_key_env
        proxies = {} if urllib.request.proxy_bypass(self.host) else urllib.request.getproxies()
        self._proxy = urllib.parse.urlsplit(proxies.get(parts.scheme, ""))
        # A proxy is told the whole address, unless it only tunnels.
        self.path = self.base_url if self._proxy.hostname and not self.secure else parts.path.rstrip("/")

    @property
    def key(self) -> str:
        """The key, "" for none; `RecipeError`, which does not show it, for one that no header can carry."""
        key = os.environ.get(self._api_key_env, "").strip()
        if not key.isascii() or any(one.isspace() for one in key):
            raise RecipeError(f"${self._api_key_env} holds white space or characters beyond ASCII: that is no key")
        return key

    @property
    def refused(self) -> str:
        """What to say of the key where the server refuses it."""
        name = self._api_key_env
        return f"see the key in ${name}" if self.key else f"a key is read from ${name}, which is not set"

    def hidden(self, text: str) -> str:
        """A text without the key, which some servers repeat when they refuse it."""
        return text.replace(self.key, "…") if self.key else text

    def open(self) -> http.client.HTTPConnection:
        """A connection, not connected yet."""
        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        if not self._proxy.hostname:
            return kind(self.host, self.port)
        connection = kind(self._proxy.hostname, self._proxy.port)
        if self.secure:
            connection.set_tunnel(self.host, self.port or 443)
        return connection


class Connection:
    """A connection to a peer that is opened when it is needed, and again when the server closed it; of one thread."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._held: http.client.HTTPConnection | None = None

    def post(self, path: str, body: bytes, timeout_s: float) -> Reply:
        """The whole reply; `OSError` or `http.client.HTTPException` if it does not come within `timeout_s`, whatever drips in."""
        return self._whole(self._send(path, body, time.monotonic() + timeout_s))

    def lines(self, path: str, body: bytes, timeout_s: float) -> Iterator[bytes | Reply]:
        """The lines of a reply as they come, or one `Reply` where its status is not 200. Errors as `post`.

        The connection is closed unless all lines were taken.
        """
        response = self._send(path, body, time.monotonic() + timeout_s)
        whole = False
        try:
            if response.status != http.client.OK:
                yield self._whole(response)
                whole = True
                return
            rest = b""
            while part := self._part(response):
                *found, rest = (rest + part).split(b"\n")
                if len(rest) > _MOST_BYTES:
                    raise http.client.HTTPException(f"more than {_MOST_BYTES >> 20} MB")
                yield from found
            yield rest
            whole = True
        finally:
            if not whole:
                self.close()

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        if self._held is not None:
            self._held.close()
        self._held = None

    def _whole(self, response: http.client.HTTPResponse) -> Reply:
        parts: list[bytes] = []
        size = 0
        while part := self._part(response):
            parts.append(part)
            size += len(part)
            if size > _MOST_BYTES:
                self.close()
                raise http.client.HTTPException(f"more than {_MOST_BYTES >> 20} MB")
        return Reply(response.status, b"".join(parts), response.getheader("Retry-After") or "")

    def _send(self, path: str, body: bytes, until: float) -> http.client.HTTPResponse:
        headers = {"Content-Type": "application/json"}
        if key := self._peer.key:
            headers["Authorization"] = f"Bearer {key}"
        while True:
            fresh = self._held is None
            held = self._held = self._held or self._peer.open()
            try:
                held.timeout = _left(until)
                if held.sock is None:
                    held.connect()
                held.sock.settimeout(_left(until))
                held.response_class = lambda sock, **said: _Response(sock, until, **said)  # type: ignore[assignment]
                held.request("POST", self._peer.path + path, body, headers)
                return held.getresponse()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.close()
                # A server may close what nobody used for a while; that says nothing about this request.
                if fresh:
                    raise
            except BaseException:
                self.close()
                raise

    def _part(self, response: http.client.HTTPResponse) -> bytes:
        try:
            part = response.read1(_CHUNK)
            if not part:
                response.close()  # read1 does not, and the connection takes no other request before
            return part
        except BaseException:
            self.close()
            raise


class _Response(http.client.HTTPResponse):
    """A response whose every byte, status line and headers too, comes before `until` or ends in `TimeoutError`."""

    def __init__(self, sock: socket.socket, until: float, **said: Any) -> None:
        super().__init__(sock, **said)
        self.fp = io.BufferedReader(_Before(self.fp.detach(), sock, until))


class _Before(io.RawIOBase):
    """What a socket receives before `until`: a timeout of the socket alone begins anew with each byte."""

    def __init__(self, raw: Any, sock: socket.socket, until: float) -> None:
        self._raw, self._sock, self._until = raw, sock, until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(_left(self._until))
        found: int | None = self._raw.readinto(buffer)
        return found

    def close(self) -> None:
        self._raw.close()
        super().close()


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("no time left")
    return left
