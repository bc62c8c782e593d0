"""The terminal: texts of others on it, streams that are closed or know few letters, and Ctrl-C."""

from __future__ import annotations

import _thread
import io
import json
import math
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

_PICTURES = 0x2400  # Unicode's pictures of control characters stand here in their order
_SHOWN = {
    **{code: _PICTURES + code for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: 0x2421,
    **dict.fromkeys((*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD),
}


def shown(text: str) -> str:
    r"""A text that cannot steer a terminal: pictures of control characters, and none that turn the direction of what follows.

    >>> shown("one\x1b[2J two\n")
    'one␛[2J two\n'
    """
    return text.translate(_SHOWN)


def open_streams() -> None:
    """Standard streams that can be used: one that was closed reads and writes nothing, and no letter stops the others.

    A letter that the terminal's encoding lacks is written as its escape.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def json_text(found: Any, stream: IO[str]) -> str:
    """One JSON document, with escapes for letters where the stream's encoding lacks some."""
    every_letter = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"
    return json.dumps(_finite(found), ensure_ascii=not every_letter, indent=1, default=str)


def _finite(found: Any) -> Any:
    """The same without NaN and infinities, which JSON does not have: null."""
    if isinstance(found, dict):
        return {key: _finite(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [_finite(value) for value in found]
    return None if isinstance(found, float) and not math.isfinite(found) else found


@contextmanager
def stop_for_sure() -> Iterator[None]:
    """Ctrl-C that falls into a callback of native code, where Python can only drop it, is given again until it is heard."""
    before = sys.unraisablehook

    def again(what: Any) -> None:
        if what.exc_type is not KeyboardInterrupt:
            before(what)
            return
        timer = threading.Timer(0.05, _thread.interrupt_main)
        timer.daemon = True
        timer.start()

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before
