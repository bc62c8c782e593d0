"""What people see of retrieval sets: mined negatives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from dsbuild.console import new_console, new_table, number


def print_mined(found: Mapping[str, Any]) -> None:
    """Queries, fill and hardness by language, and where the release is."""
    console = new_console()
    names = list(dict.fromkeys(name for one in found["languages"].values() for name in one["median_ranks"]))
    table = new_table("lang", "#queries", "#negatives", "#filled", "#median rank", *(f"#by {name}" for name in names))
    for lang, one in found["languages"].items():
        fill = "" if one["fill"] is None else f"{one['fill']:.1%}"
        ranks = [one["median_rank"], *(one["median_ranks"].get(name) for name in names)]
        shown = ["beyond" if rank is None else f"{rank:g}" for rank in ranks] if one["negatives"] else [""] * len(ranks)
        table.add_row(lang, number(one["queries"]), number(one["negatives"]), fill, *shown)
    console.print(table)
    console.print(Text(f"release: {found['release']}"), highlight=False)


def print_measured(found: Mapping[str, Any]) -> None:
    """False negatives, fill and hardness by language."""
    console = new_console()
    names = list(dict.fromkeys(name for one in found["languages"].values() for name in one["median_ranks"]))
    table = new_table(
        "lang",
        "#false negatives",
        "95 % interval",
        "#filled",
        "#median rank",
        *(f"#by {name}" for name in names),
        "#queries",
    )
    for lang, one in found["languages"].items():
        share = "" if one["fn"] is None else f"{one['fn']:.1%}"
        interval = f"{one['fn_low']:.1%} to {one['fn_high']:.1%}" + (
            "" if one["identifiable"] else ", not identifiable"
        )
        fill = "" if one["fill"] is None else f"{one['fill']:.1%}"
        ranks = [one["median_rank"], *(one["median_ranks"].get(name) for name in names)]
        shown = ["beyond" if rank is None else f"{rank:g}" for rank in ranks] if one["negatives"] else [""] * len(ranks)
        table.add_row(lang, share, interval, fill, *shown, number(one["n_queries"]))
    console.print(table)
