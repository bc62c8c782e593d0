"""JSON files that are one large array, or one object around it, read an element at a time."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsbuild.builders.sources.lines import open_stream
from dsbuild.errors import SourceError

_CHUNK = 1 << 20
_MOST = 256 << 20
_SPACE = " \t\r\n"


def members(path: Path, array: str = "") -> Iterator[tuple[str, Any]]:
    """The elements of the array that a file is, or of its member `array`, each as (array, element).

    Other members of the object come as (name, value) where they stand. Memory is that of the largest element. `SourceError` for what is
    not such JSON, with the number of the element.
    """
    text = _Text(path)
    first = text.peek()
    if first == "[" and not array:
        yield from (("", element) for element in _elements(text, "element"))
    elif first == "{" and array:
        text.skip("{", "an object")
        seen = False
        while text.peek() != "}":
            name = text.value("a member's name")
            text.skip(":", f"a colon after {name!r}")
            if name == array and text.peek() == "[":
                seen = True
                yield from ((array, element) for element in _elements(text, f"element of {array!r}"))
            else:
                yield str(name), text.value(f"the member {name!r}")
            if text.peek() != "}":
                text.skip(",", f"a comma after {name!r}")
        text.skip("}", "the end of the object")
        if not seen:
            raise SourceError(f"{path}: no array {array!r} in it; is it a file of another kind?")
    else:
        wanted = f"an object with an array {array!r}" if array else "an array"
        raise SourceError(f"{path}: begins with {first[:1]!r} where {wanted} is wanted; is it a file of another kind?")
    if text.peek():
        raise SourceError(f"{path}: goes on after the end of its JSON; it must be one document")


def _elements(text: _Text, what: str) -> Iterator[Any]:
    text.skip("[", "an array")
    number = 0
    while text.peek() != "]":
        yield text.value(f"{what} {number}")
        number += 1
        if text.peek() != "]":
            text.skip(",", f"a comma after {what} {number - 1}")
    text.skip("]", "the end of the array")


class _Text:
    """A file's text from where it was read to, and as much more as a value needs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = open_stream(path)
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = json.JSONDecoder()
        self._held, self._at, self._ended = "", 0, False

    def peek(self) -> str:
        """The next character that is no white space, "" at the end."""
        while True:
            while self._at < len(self._held) and self._held[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._more(_CHUNK):
                return ""

    def skip(self, char: str, what: str) -> None:
        """Go past a character that must come next."""
        if self.peek() != char:
            raise SourceError(
                f"{self._path}: not JSON: {what} is wanted and {self._held[self._at : self._at + 20]!r} stands there"
            )
        self._at += 1

    def value(self, what: str) -> Any:
        """The next value."""
        self.peek()
        size = _CHUNK
        while True:
            try:
                found, end = self._json.raw_decode(self._held, self._at)
            except RecursionError as error:
                raise SourceError(f"{self._path}: {what} is nested too deeply to be read") from error
            except ValueError as error:
                if not self._more(size):
                    raise SourceError(f"{self._path}: {what} is not JSON ({error}); is the file cut short?") from None
                size *= 2
                continue
            # A number or a word that reaches the end of what was read may go on.
            if end < len(self._held) or not self._more(_CHUNK):
                self._at = end
                return found

    def _more(self, size: int) -> bool:
        if self._ended:
            return False
        if len(self._held) - self._at > _MOST:
            raise SourceError(f"{self._path}: one element of more than {_MOST >> 20} MiB, or text that is not JSON")
        try:
            data: bytes = self._stream.read(size)
            self._ended = not data
            new = self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{self._path}: invalid UTF-8 (byte 0x{error.object[error.start]:02x}); convert it with iconv"
            ) from None
        except (OSError, pa.ArrowException) as error:
            raise SourceError(f"{self._path}: damaged or cut short; fetch it again") from error
        self._held, self._at = self._held[self._at :] + new, 0
        return not self._ended or bool(new)
