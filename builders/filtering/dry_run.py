"""Compute all scores once, drop nothing, and answer what each threshold would do: `dsbuild filter --dry-run`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dsbuild import executors, files, run
from dsbuild.builders.filtering.filtered import FilterRecipe, prepare_filter
from dsbuild.builders.filtering.threshold_facts import threshold_facts
from dsbuild.cards.threshold_report import render_report
from dsbuild.run import Reporter
from dsbuild.store import Store


def dry_run(
    recipe: FilterRecipe, out: Path | None, store: Path, executor: str, workers: int | None, reporter: Reporter
) -> dict[str, Any]:
    """Score every row and say what the thresholds would do; writes `report.html` and `report.json`, no release.

    Scores stay in the store, so that the next question is answered without computing them again.
    """
    folder = out or Path("outputs") / recipe.title() / "dry-run"
    prepared = prepare_filter(recipe, store / "digests")
    progress = run.run(prepared.nodes, Store(store), recipe.title(), executors.make(executor, workers), reporter)
    found = threshold_facts(prepared, progress)
    files.write_text(folder / "report.json", json.dumps(found, ensure_ascii=False, indent=1) + "\n")
    files.write_text(folder / "report.html", render_report(found))
    return {**found, "report": str(folder / "report.html")}
