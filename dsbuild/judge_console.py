"""What people see of judged sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from dsbuild.console import new_console, new_table, number


def print_judged(found: Mapping[str, Any]) -> None:
    """By language what was asked and said, how far the judge agrees with the set, and where the release is."""
    console = new_console()
    console.print(Text(f"{found['judge']}, {found['mode']}"), highlight=False)
    table = new_table("lang", "#queries", "#asked", "#answered", "#failed", "said")
    for lang, one in found["languages"].items():
        table.add_row(lang, *(number(one[name]) for name in ("queries", "asked", "answered", "failed")), _said(one))
    console.print(table)
    for lang, one in found["languages"].items():
        if one["problems"]:
            listed = ", ".join(f"{name} {n:,}" for name, n in one["problems"].items())
            console.print(Text(f"{lang}: without an answer: {listed}"), highlight=False)
        for judge, told in one.get("agreement", {}).items():
            kappa = _interval(told["kappa"])
            console.print(
                Text(
                    f"{lang}: {told['pairs']:,} pairs that {judge} judged too: {_interval(told['raw'])} equal, kappa {kappa}"
                ),
                highlight=False,
            )
        if order := one.get("order"):
            total = sum(order.values())
            decided = order.get("first", 0) + order.get("second", 0)
            console.print(
                Text(f"{lang}: the order of showing decided {decided:,} of {total:,} comparisons"), highlight=False
            )
        if "added" in one:
            console.print(Text(f"{lang}: {one['added']:,} new judgements"), highlight=False)
    console.print(Text(f"release: {found['release']}"), highlight=False)


def _said(one: Mapping[str, Any]) -> str:
    if "grades" in one:
        return ", ".join(f"{n:,} of grade {grade}" for grade, n in enumerate(one["grades"]))
    if "outcomes" in one:
        return ", ".join(f"{name} {n:,}" for name, n in one["outcomes"].items())
    return f"{one['ranked']:,} ranked"


def _interval(told: Mapping[str, Any]) -> str:
    if told["value"] is None:
        return "not known"
    return f"{told['value']:.2f}" + ("" if told["low"] is None else f" ({told['low']:.2f} to {told['high']:.2f})")
