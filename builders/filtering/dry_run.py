"""Compute all scores once, drop nothing, and answer what each threshold would do: `dsbuild filter --dry-run`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dsbuild import executors, files, run
from dsbuild.builders.filtering.filtered import FilterRecipe, prepare_filter
from dsbuild.builders.filtering.threshold_facts import threshold_facts
from dsbuild.cards.threshold_report import render_report
from dsbuild.errors import StoreError
from dsbuild.run import Reporter
from dsbuild.store import Store

_DATA, _PAGE = "report.json", "report.html"


def dry_run(
    recipe: FilterRecipe, out: Path | None, store: Path, executor: str, workers: int | None, reporter: Reporter
) -> dict[str, Any]:
    """Score every row and say what the thresholds would do; writes `report.html` and `report.json`, no release.

    Scores stay in the store, so that the next question is answered without computing them again. `StoreError` before any work for a
    folder that holds anything but an earlier report: a release has a page of that name.
    """
    folder = out or Path("outputs") / recipe.title() / "dry-run"
    _check_folder(folder)
    prepared = prepare_filter(recipe, store / "digests")
    progress = run.run(prepared.nodes, Store(store), recipe.title(), executors.make(executor, workers), reporter)
    found = threshold_facts(prepared, progress)
    files.write_text(folder / _DATA, json.dumps(found, ensure_ascii=False, indent=1) + "\n")
    files.write_text(folder / _PAGE, render_report(found))
    return {**found, "report": str(folder / _PAGE)}


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder}: is a file; name a folder with --out")
    held = sorted(path.name for path in folder.iterdir() if path.name not in (_DATA, _PAGE)) if folder.exists() else []
    if held:
        raise StoreError(f"{folder}: holds {held[0]}, which is no report of a dry run; name another folder with --out")
