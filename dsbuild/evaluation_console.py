"""What people see of a measured retrieval set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from dsbuild.console import new_console, new_table, number


def print_evaluated(found: Mapping[str, Any]) -> None:
    """Scores by language and retriever with their change against the source, and how many queries look damaged."""
    console = new_console()
    k = found["k"]
    table = new_table(
        "lang", "retriever", "#queries", f"#nDCG@{k}", f"#MRR@{k}", f"#recall@{k}", "#change of MRR", "#damaged", ""
    )
    for lang, one in found["languages"].items():
        dropped = {drop["retriever"] for drop in one["drops"]}
        damaged = one.get("damage", {}).get("alarms")
        for name, scores in one["retrievers"].items():
            change = (scores.get("change") or {}).get("mrr")
            said = "" if not change else f"{change['mean']:+.3f} ({change['low']:+.3f} to {change['high']:+.3f})"
            shown = ["" if scores[metric] is None else f"{scores[metric]:.3f}" for metric in ("ndcg", "mrr", "recall")]
            hurt = "" if damaged is None else number(damaged)
            table.add_row(lang, name, number(one["queries"]), *shown, said, hurt, "drop" if name in dropped else "")
    console.print(table)
    if found["written"]:
        console.print(Text(f"written: {found['written']}"), highlight=False)
