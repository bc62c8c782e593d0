"""What a measuring command found of a release: a JSON file that lies beside the release, since a release is not changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dsbuild.errors import ReleaseError


def beside(folder: Path, name: str) -> Path:
    """Where the findings `name` of a release lie."""
    whole = folder.resolve()
    return whole.parent / f"{whole.name}-{name}"


def load(path: Path, keys: Sequence[str], show: Callable[[Mapping[str, Any]], object], command: str) -> dict[str, Any]:
    """The findings in a file that can be shown; `ReleaseError` for a file that `command` did not write.

    keys: all that findings have; show: makes what people see of them, and fails where something else than findings is given.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
        found = {key: data[key] for key in keys}
        show(found)
        return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReleaseError(f"{path}: not what {command} writes ({error}); write it again or move it away") from error
