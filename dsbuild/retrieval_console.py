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
    if "judged" in found:
        print_judged(found["judged"])


def print_judged(found: Mapping[str, Any]) -> None:
    """The sample for a judge, and what its answers say."""
    console = new_console()
    if "sample" in found:
        console.print(Text(f"sample of {number(found['sampled'])} negatives: {found['sample']}"), highlight=False)
    for lang, plan in found["plan"].items() if "languages" not in found else ():
        said = ", ".join(
            f"{100 * one['half_width']:.1f} points at {one['fn']:.0%} false negatives ({number(one['for_5_points'])} for 5)" for one in plan
        )  # fmt: skip
        console.print(Text(f"{lang}: about, on either side: {said}"), highlight=False)
    for lang, one in found.get("languages", {}).items():
        share = "nothing judged" if one["fn"] is None else f"{one['fn']:.1%} false negatives"
        said = f"{lang}: {share}, 95 % interval {one['fn_low']:.1%} to {one['fn_high']:.1%}, {number(one['judged'])} judged"
        if one["for_5_points"]:
            said += f"; about {number(one['for_5_points'])} judgements would give 5 points on either side"
        console.print(Text(said), highlight=False)


def print_exported(found: Mapping[str, Any]) -> None:
    """Queries and rows by scope and split, and where the files are."""
    console = new_console()
    if found["accounts"]:
        table = new_table("scope", "split", "part", "#queries", "#exported", "#rows")
        for one in found["accounts"]:
            table.add_row(
                one["scope"], one["split"], one["part"], *(number(one[key]) for key in ("queries", "exported", "rows"))
            )
        console.print(table)
    console.print(Text(f"export: {found['export']} ({len(found['files'])} files)"), highlight=False)
