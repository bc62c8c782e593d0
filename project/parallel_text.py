"""Further parallel text to learn from: lines of source, tab, target."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from dsbuild.errors import RecipeError


def read_parallel(path: str, method: str) -> list[tuple[str, str]]:
    """Source and target of each line of a file, compressed or not; `RecipeError` names a line without exactly one tab."""
    try:
        with pa.input_stream(str(Path(path).expanduser()), compression="detect") as stream:
            text = stream.read().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{method}: parallel {path}: cannot be read ({error})") from None
    found = []
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else [], 1):
        source, tab, target = line.partition("\t")
        if not tab or "\t" in target:
            raise RecipeError(f"{path}:{number}: a line of parallel text is source, tab, target")
        found.append((source, target))
    return found
