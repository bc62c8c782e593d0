"""What people see of projected sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from dsbuild.console import new_console, new_table, number

_OUTCOMES = ("in", "kept", "null", "low_confidence", "rejected")


def print_projected(found: Mapping[str, Any]) -> None:
    """Spans by language and label, why some were not kept, rows, and where the release is."""
    console = new_console()
    table = new_table("lang", "label", "#in", "#kept", "#null", "#low conf.", "#rejected")
    for lang, one in found["languages"].items():
        for label, row in [("all", one["spans"]), *one["labels"].items()]:
            table.add_row(lang, label, *(number(row[name]) for name in _OUTCOMES))
    console.print(table)
    for lang, one in found["languages"].items():
        if one["reasons"]:
            said = ", ".join(f"{reason} {count:,}" for reason, count in one["reasons"].items())
            console.print(Text(f"{lang}: not kept: {said}"), highlight=False)
        rows = found["accounting"][lang]["labelled"]
        lost = ", ".join(f"{reason} {count:,}" for reason, count in rows["reasons"].items())
        said = f"{lang}: {rows['kept']:,} of {rows['in']:,} rows are kept{f'; not kept: {lost}' if lost else ''}"
        console.print(Text(said), highlight=False)
    for path, rows in found.get("written", {}).items():
        console.print(Text(f"written: {path} ({rows:,} rows)"), highlight=False)
    for path, rows in found.get("sheets", {}).items():
        said = f"sheet: {path} ({rows:,} rows to judge)" if rows else f"no sheet {path}: no row was kept"
        console.print(Text(said), highlight=False)
    console.print(Text(f"release: {found['release']}"), highlight=False)


def print_calibrated(found: Mapping[str, Any]) -> None:
    """What held-out texts show: for each precision from which confidence on it holds, and for how many spans."""
    console = new_console()
    # Not the table's title, which is broken at its width.
    console.print(Text(f"{found['setup']}: {found['gold']}"), highlight=False)
    table = new_table("#asked", "#from", "#coverage", "#held out", "#at least")
    for one in found["promises"]:
        shown = (one[name] for name in ("least", "coverage", "held_out", "low"))
        table.add_row(f"{one['precision']:.2f}", *("–" if value is None else f"{value:.4f}" for value in shown))
    console.print(table)
    console.print(
        f"{found['spans']:,} spans; {found['exact']:.4f} exact; calibration error {found['calibration_error']:.4f}; all of held-out texts"
    )
    console.print(Text(f"calibration: {found['out']}"), highlight=False)
