"""What people see of generated sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from dsbuild.console import new_console, new_table, number

_COUNTS = ("asked", "answered", "nothing", "failed", "rows", "kept")


def print_generated(found: Mapping[str, Any]) -> None:
    """By language: passages that were asked about and what came of them, what the funnel kept, and where the others were lost."""
    console = new_console()
    console.print(
        Text(f"{found['task']} in the style {found['style']} by {', '.join(found['generators'])}"), highlight=False
    )
    table = new_table("lang", "#passages", "#answered", "#nothing", "#failed", "#rows", "#kept")
    for lang, one in found["languages"].items():
        table.add_row(lang, *(number(one[name]) for name in _COUNTS))
    console.print(table)
    for lang, one in found["languages"].items():
        for said, counts in (("lost in the funnel", one["lost"]), ("questions without an answer", one["problems"])):
            if counts:
                listed = ", ".join(
                    f"{name} {n:,}" for name, n in sorted(counts.items(), key=lambda at: (-at[1], at[0]))
                )
                console.print(Text(f"{lang}: {said}: {listed}"), highlight=False)
    console.print(Text(f"release: {found['release']}"), highlight=False)
