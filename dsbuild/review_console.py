"""What people see of a review outside of its page: the address, and the sums."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.text import Text

from dsbuild.console import new_console, new_table, number
from dsbuild.review_server import Answered, ReviewServer


def serve(review: Answered, port: int) -> None:
    """Serve until Ctrl-C; the address goes to standard error, so that standard output holds the result alone."""
    with ReviewServer(review, port) as server:
        print(
            f"review: open {server.address} (Ctrl-C ends; every answer is saved at once)", file=sys.stderr, flush=True
        )
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            print(file=sys.stderr)


def print_written(sheets: Mapping[str, int]) -> None:
    """Where sheets are, and how many rows they have."""
    for path, rows in sheets.items():
        new_console().print(Text(f"sheet: {path} ({rows:,} rows)"), highlight=False)


def print_sheets(found: Mapping[str, Any]) -> None:
    """What filled sheets come to: each question by language, errors, agreement of reviewers."""
    console = new_console()
    table = new_table("lang", "question", "#judged", "#yes", "#no", "#unsure", "#share", "95 % interval", "#weighted")
    for row in found["questions"]:
        counts = (number(row[name]) for name in ("judged", "yes", "no", "unsure"))
        table.add_row(row["lang"], row["question"], *counts, _percent(row["rate"]), _interval(row), _percent(row["weighted"]))  # fmt: skip
    console.print(table)
    for lang, errors in found["errors"].items():
        said = ", ".join(f"{name} {count:,}" for name, count in errors.items())
        console.print(Text(f"{lang}: {said}"), highlight=False)
    for row in found["agreement"]:
        console.print(Text(_agree(row, f" ({row['question']})")), highlight=False)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _interval(row: Mapping[str, Any]) -> str:
    return "-" if row["rate"] is None else f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %"


def _agree(row: Mapping[str, Any], what: str = "") -> str:
    kappa = "-" if row["kappa"] is None else f"{row['kappa']:.3f}"
    names = " and ".join(row["reviewers"])
    return f"{row['lang']}{what}: {names} agree on {100 * row['raw']:.1f} % of {row['rows']:,} rows, kappa {kappa}"


def print_review(found: Mapping[str, Any], answers: Path) -> None:
    """Acceptance by language and table, agreement of reviewers, and where the answers are."""
    console = new_console()
    table = new_table(
        "lang", "table", "#judged", "#yes", "#no", "#unsure", "#disputed", "#accepted", "95 % interval", "categories"
    )
    for row in found["tables"]:
        categories = ", ".join(f"{name} {count:,}" for name, count in row["categories"].items()) or "-"
        counts = (number(row[name]) for name in ("judged", "yes", "no", "unsure", "disputed"))
        table.add_row(row["lang"], row["table"], *counts, _percent(row["rate"]), _interval(row), categories)
    console.print(table)
    for row in found["agreement"]:
        console.print(Text(_agree(row)), highlight=False)
    console.print(Text(f"answers: {answers}"), highlight=False)
