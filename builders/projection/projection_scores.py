"""What `dsbuild evaluate projection` found of a release with gold, as a file beside it, and the section of report pages that shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dsbuild import files, release
from dsbuild.builders.evaluation import findings

PROJECTION = "projection.json"
_KEYS = (
    "build_key",
    "measured_with",
    "gold",
    "coverage",
    "exact",
    "overlap",
    "head",
    "calibration",
    "curve",
    "languages",
    "rule",
)


def beside(folder: Path) -> Path:
    """Where the scores of a release lie: beside the folder, since a release is not changed."""
    return findings.beside(folder, PROJECTION)


def save(folder: Path, gold: Sequence[str], scores: Mapping[str, Any]) -> Path:
    """Write the scores of a release beside it; gold: KIND:FILE of what they were measured with, of which the names are kept."""
    build_key = str(release.read_manifest(folder)["build_key"])
    names = [Path(one.partition(":")[2]).name for one in gold]
    found = {key: scores[key] for key in _KEYS if key in scores} | {"build_key": build_key, "measured_with": names}
    path = beside(folder)
    files.write_text(path, json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
    return path


def held(folder: Path, build_key: str) -> dict[str, Any] | None:
    """The scores in a release, else those of the same build beside it; None where there are none, or only of other builds."""
    if (folder / PROJECTION).is_file():
        return load(folder / PROJECTION)
    path = beside(folder)
    found = load(path) if path.is_file() else None
    return found if found and found["build_key"] == build_key else None


def load(path: Path) -> dict[str, Any]:
    """The scores in a file; `ReleaseError` for a file that is none."""
    return findings.load(path, _KEYS, section_of, "dsbuild evaluate projection")


def section_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """Scores by language and label, and how precision falls while more is kept."""
    languages: Mapping[str, Any] = found["languages"]
    rows = [_row("all", "", found)] if len(languages) > 1 else []
    for lang, one in languages.items():
        rows.append(_row(lang, "all", one))
        rows += [_row(lang, label, scores) for label, scores in one["labels"].items()]
    sure = found["calibration"]
    said = f" Calibration error {sure['ece']:.4f} over {sure['n']:,} answers with a confidence." if sure else ""
    columns = ["language", "label", "spans", "exact P", "exact R", "exact F1", "overlap F1", "head F1", "coverage"]
    made: dict[str, Any] = {
        "title": "Against gold", "text": f"Measured with {', '.join(found['measured_with'])}. {found['rule']}.{said}",
        "table": {"columns": columns, "rows": rows},
    }  # fmt: skip
    return {**made, "chart": {"kind": "curve", "points": found["curve"]}} if found["curve"] else made


def _row(lang: str, label: str, one: Mapping[str, Any]) -> list[Any]:
    exact = one["exact"]
    scores = (exact["precision"], exact["recall"], exact["f1"], one["overlap"]["f1"], one["head"]["f1"])
    return [lang, label, one["gold"], *scores, one["coverage"]]
