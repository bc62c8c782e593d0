"""How scores of a projection are printed for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from dsbuild.console import new_console, new_table, number


def print_judged(found: Mapping[str, Any]) -> None:
    """Precision, recall and F1 in all, by language and by label, and what was left out."""
    console = new_console()
    table = new_table(
        "", "#gold", "#exact P", "#R", "#F1", "#overlap F1", "#head F1", "#coverage", "#null", "#low", "#rejected"
    )
    for name, one in _groups(found):
        exact = one["exact"]
        shown = [
            exact["precision"],
            exact["recall"],
            exact["f1"],
            one["overlap"]["f1"],
            one["head"]["f1"],
            one["coverage"],
        ]
        counts = (number(one[key]) for key in ("null", "low_confidence", "rejected"))
        table.add_row(
            Text(name), number(one["gold"]), *("–" if value is None else f"{value:.4f}" for value in shown), *counts
        )
    console.print(table)
    if found["calibration"]:
        console.print(
            f"calibration error {found['calibration']['ece']:.4f} over {found['calibration']['n']:,} answers with a confidence"
        )
    console.print(Text(found["rule"], style="dim"))


def print_alignment(found: Mapping[str, Any]) -> None:
    """AER, precision, recall and F1 of word links."""
    console = new_console()
    table = new_table("#pairs", "#sure links", "#predicted", "#AER", "#P", "#R", "#F1")
    scores = ("–" if found[key] is None else f"{found[key]:.4f}" for key in ("aer", "precision", "recall", "f1"))
    table.add_row(*(number(found[key]) for key in ("pairs", "sure", "predicted")), *scores)
    console.print(table)


def _groups(found: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "all", found
    for lang, one in found["languages"].items():
        if len(found["languages"]) > 1:
            yield lang, one
        for label, scores in one["labels"].items():
            yield f"{lang} {label}", scores
