"""What people see of a funnel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from dsbuild.builders.funnel_sections import bounds, reason
from dsbuild.console import new_console, new_table, number


def print_funnel(found: Mapping[str, Any]) -> None:
    """For each language the steps with their counts and thresholds, lost samples, and the distance to real queries."""
    console = new_console()
    for lang, told in found["languages"].items():
        title = f"{lang}: {number(told['kept'])} of {number(told['in'])} generated rows kept"
        table = new_table("step", "#in", "#lost", "#lost %", "#left", "#flagged", "thresholds", title=title)
        for one in told["steps"]:
            if one["ran"]:
                share = f"{100 * one['lost'] / one['in']:.1f}" if one["in"] else "-"
                counts = [number(one["in"]), number(one["lost"]), share, number(one["left"]), number(one["flagged"])]
                said = bounds(one["rules"])
                table.add_row(one["name"], *counts, f"{one['by']}: {said}" if one["by"] else said)
            else:
                table.add_row(one["name"], *("-",) * 5, f"not run: {one['why']}")
        console.print(table)
        for one in told["steps"]:
            for sample in one["samples"]:
                rule = sample.get("rule", one["name"])
                why = reason(sample)
                console.print(Text(f"{rule} {f'({why}) ' if why else ''}{sample['id']}"), style="bold", highlight=False)
                console.print(Text(f"  {sample['text']}"), highlight=False)
        for name, far in (told["distance"] or {}).items():
            if far:
                n_real = sum(told["real"][name].values())
                console.print(
                    Text(
                        f"{name} against {n_real:,} real queries: divergence {far['value']:.3f} bits "
                        f"(95 %: {far['low']:.3f} to {far['high']:.3f}; by chance {far['chance']:.3f})"
                    ),
                    highlight=False,
                )
        if told["distance"] is None:
            console.print(Text("no real queries to compare with; name some: --real KIND:PATH"), highlight=False)
        console.print()
