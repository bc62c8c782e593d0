"""What native speakers said of a sample (`dsbuild review`), as a release keeps it: numbers without the reviewers' names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsbuild.errors import ReleaseError

REVIEW = "review.json"
_SHARES = ("judged", "yes", "no", "unsure", "disputed", "rate", "low", "high")


def find(folder: Path, answers: Path | None, build_key: str) -> dict[str, Any] | None:
    """The summary that `dsbuild review` wrote of this build: beside the answers file or the release, or in a folder `review-…` there.

    A summary that is of other builds too is left out, because its numbers are not of this one; of several the one with most answers is taken.
    """
    places = {*([answers.resolve().parent] if answers else []), folder.resolve().parent}
    paths = sorted(
        {path for place in places for pattern in ("", "review-*/") for path in place.glob(f"{pattern}{REVIEW}")}
    )
    found = [one for path in paths if (one := load(path))["releases"] == [build_key]]
    return max(found, key=lambda one: int(one["answers"]), default=None)


def load(path: Path) -> dict[str, Any]:
    """The summary's numbers; `ReleaseError` for a file that is none."""
    try:
        data = json.loads(path.read_text("utf-8"))
        people = data["reviewers"]
        return {
            "answers": int(data["answers"]),
            "reviewers": people if isinstance(people, int) else len(people),
            "releases": [str(one) for one in data["releases"]],
            "tables": [_table(one) for one in data["tables"]],
            "agreement": [
                {"lang": str(one["lang"]), "rows": int(one["rows"]), "raw": _number(one["raw"]), "kappa": _number(one["kappa"])}
                for one in data["agreement"]
            ],
        }  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReleaseError(
            f"{path}: not a summary of dsbuild review ({error}); write it again or move it away"
        ) from error


def _table(one: Mapping[str, Any]) -> dict[str, Any]:
    categories = {str(name): int(number) for name, number in one["categories"].items()}
    return {
        "lang": str(one["lang"]),
        "table": str(one["table"]),
        **{name: _number(one[name]) for name in _SHARES},
        "categories": categories,
    }


def _number(value: Any) -> float | None:
    """Four digits, as all facts have them that are no whole numbers."""
    return value if value is None or isinstance(value, int) else float(f"{float(value):.4g}")
