"""The language of each line of a file, for `dsbuild lid`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dsbuild.errors import SourceError

_BLOCK = 4096


def identify_lines(path: Path, model: Path | None) -> list[dict[str, Any]]:
    """One answer for each line; `-` reads standard input. A file that is not UTF-8 is a `SourceError` naming the line."""
    from dsbuild.filters.language import LanguageId

    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SourceError(f"{path}:{line}: invalid UTF-8; convert the file with iconv") from None
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    identify = LanguageId(model)
    found = []
    for start in range(0, len(lines), _BLOCK):
        found += [
            asdict(one) for one in identify.identify([line.rstrip("\r") for line in lines[start : start + _BLOCK]])
        ]
    return found
