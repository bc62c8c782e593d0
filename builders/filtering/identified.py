"""The language of each line of a file, for `dsbuild lid`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dsbuild.builders.sources.lines import raw_blocks
from dsbuild.errors import SourceError

_BLOCK = 4096
_STANDARD_INPUT = Path("-")


def identify_lines(path: Path, model: Path | None) -> list[dict[str, Any]]:
    """One answer for each line of a file, which may be compressed (.gz, .bz2, .zst); `-` reads standard input.

    A file that is not UTF-8 is a `SourceError` naming the line.
    """
    from dsbuild.filters.language import LanguageId

    identify = LanguageId(model)
    found = []
    for first_line, data in _blocks(path):
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = first_line + data.count(b"\n", 0, error.start)
            raise SourceError(f"{path}:{line}: invalid UTF-8; convert the file with iconv") from None
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        for start in range(0, len(lines), _BLOCK):
            found += [
                asdict(one) for one in identify.identify([line.rstrip("\r") for line in lines[start : start + _BLOCK]])
            ]
    return found


def _blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """Whole lines, and the number of the first."""
    if path == _STANDARD_INPUT:
        yield 1, sys.stdin.buffer.read()
        return
    if path.exists() and not path.is_file() and not path.is_dir():
        # A pipe, such as the shell's <(...), can be read once and forwards only.
        yield 1, path.read_bytes()
        return
    for block in raw_blocks(path):
        yield block.first_line, block.data
