"""What people see of a funnel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from dsbuild.builders.funnel.sections import bounds, judged_shares, reason
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
                table.add_row(one["name"], *counts, ": ".join(filter(None, (one["by"], said))))
            else:
                table.add_row(one["name"], *("-",) * 5, f"not run: {one['why']}")
        console.print(table)
        for one in told["steps"]:
            for sample in one["samples"]:
                rule = sample.get("rule", one["name"])
                why = reason(sample)
                console.print(Text(f"{rule} {f'({why}) ' if why else ''}{sample['id']}"), style="bold", highlight=False)
                console.print(Text(f"  {sample['text']}"), highlight=False)
        if judged := told.get("judged"):
            console.print(Text(_judged(judged)), highlight=False)
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


def _judged(told: Mapping[str, Any]) -> str:
    """What a judge of a sample said, in one line."""
    said = [
        f"{what} {100 * one['share']:.0f} % ({100 * one['low']:.0f} to {100 * one['high']:.0f}) of {number(one['n'])}"
        for what, one in judged_shares(told).items()
        if one["n"]
    ]
    kappa = "no kappa" if told["kappa"] is None else f"kappa {told['kappa']:.2f}"
    without = f"; {number(told['without_verdict'])} answers were no verdict" if told["without_verdict"] else ""
    return f"judged {number(told['asked'])} rows: {', '.join([*said, kappa])}{without}"
