"""What people see of pruned sets and of selected tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from dsbuild.console import new_console, new_table, number


def print_pruned(found: Mapping[str, Any]) -> None:
    """Sizes and certificate by language, each retriever before and after, and where the release is."""
    console = new_console()
    table = new_table(
        "lang", "#documents", "#kept", "#factor", "#unjudged", "#tau", "#tau AP", "#left out", "#refitted"
    )
    for lang, one in found["certificate"].items():
        held = one["documents"]
        factors = ["" if held[name] is None else f"{held[name]:.1f}x" for name in ("factor", "unjudged_factor")]
        if held["unjudged"] and not held["unjudged_kept"]:
            factors[1] = "none kept"
        taus = [_spread(one[name]) for name in ("tau", "tau_ap", "left_out_tau", "refitted_tau")]
        table.add_row(lang, number(held["whole"]), number(held["kept"]), *factors, *taus)
    console.print(table)
    for lang, one in found["certificate"].items():
        table = new_table(f"{lang}: retriever", f"#{one['metric']}", "#kept", "#inflation", "#pool bias", "#refitted")
        for name, scores in one["retrievers"].items():
            row = [
                _number(scores["whole"]),
                _number(scores["kept"]),
                _spread(scores["inflation"]),
                _spread(scores["pool_bias"]),
            ]
            table.add_row(name, *row, _number(scores["refitted"]))
        console.print(table)
    console.print(Text(f"release: {found['release']}"), highlight=False)


def print_selection(found: Mapping[str, Any]) -> None:
    """The tasks that were taken out in order, those that stay and why, and where it stopped."""
    console = new_console()
    table = new_table("#step", "taken out", "#Spearman", "#Pearson", "#MSE", "#left")
    for step, one in enumerate(found["removed"], 1):
        table.add_row(
            number(step),
            one["task"],
            *(_number(one[name]) for name in ("spearman", "pearson", "mse")),
            number(one["left"]),
        )
    console.print(table)
    table = new_table("stays", "type", "#Spearman", "#MSE", "because")
    for one in found["kept"]:
        table.add_row(one["task"], one["type"], _number(one["spearman"]), _number(one["mse"]), one["because"])
    console.print(table)
    console.print(Text(found["stopped"]), highlight=False)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _spread(value: Mapping[str, float | None]) -> str:
    if value["low"] is None or value["high"] is None:
        return _number(value["value"])
    return f"{_number(value['value'])} [{value['low']:.3f}, {value['high']:.3f}]"
