"""What people see of filters: the summary of a build, answers on thresholds, languages of lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from dsbuild.console import new_console, new_table, number


def print_filter_summary(summary: Mapping[str, Any], samples: Sequence[Mapping[str, str]]) -> None:
    """Per language the rows and how they ended; an example of what each common rule dropped; then where the release is."""
    console = new_console()
    table = new_table("lang", "#in", "#kept", "#dropped", "#kept %", "reasons")
    for lang, row in summary["languages"].items():
        reasons = ", ".join(f"{rule} {count:,}" for rule, count in row["reasons"].items()) or "-"
        share = f"{100 * row['kept'] / row['in']:.1f}" if row["in"] else "-"
        table.add_row(lang, *(number(row[name]) for name in ("in", "kept", "dropped")), share, reasons)
    console.print(table)
    for sample in samples:
        console.print()
        value = f" ({sample['value']})" if sample["value"] else ""
        keeper = f", kept: {sample['keeper']}" if sample["keeper"] else ""
        console.print(
            Text(f"{sample['rule']}{value}: {sample['id']} [{sample['lang']}]{keeper}"), style="bold", highlight=False
        )
        console.print(Text(f"  {sample['text']}"), highlight=False)
    console.print()
    console.print(Text(f"release: {summary['release']}"), highlight=False)


def print_dry_run(found: Mapping[str, Any]) -> None:
    """Kept shares by language, what each rule takes, and where to read more."""
    console = new_console()
    for stream in found["tables"]:
        table = new_table("lang", "#in", "#kept", "#kept %", title=stream["table"])
        for lang, row in stream["languages"].items():
            share = f"{100 * row['kept'] / row['in']:.1f}" if row["in"] else "-"
            table.add_row(lang, number(row["in"]), number(row["kept"]), share)
        console.print(table)
        rules = new_table(
            "rule",
            "threshold",
            "source",
            "#fails",
            "#first",
            "#only this one",
            "kept at other thresholds, before duplicates",
        )
        for rule in stream["rules"]:
            sweep = ", ".join(
                f"{one['threshold']:.4g}: {100 * one['kept_share']:.1f} %" for one in rule["sweep"][1:-1:2]
            )
            bound = "-" if rule["threshold"] is None else f"{rule['op']} {rule['threshold']:.4g}"
            rules.add_row(
                rule["rule"],
                bound,
                rule["source"],
                number(rule["fails"]),
                number(rule["first"]),
                number(rule["sole"]),
                sweep or "-",
            )
        console.print(rules)
    console.print(Text(f"report: {found['report']}"), highlight=False)


def print_identified(rows: Sequence[Mapping[str, Any]]) -> None:
    """One line per input: label, score, script, agreement, tab-separated."""
    for row in rows:
        agreement = {True: "agrees", False: "disagrees", None: "-"}[row["agreement"]]
        print("\t".join((row["label"] or "-", f"{row['score']:.3f}", row["script"] or "-", agreement)))


def print_calibration(found: Mapping[str, Any]) -> None:
    """Each threshold with what it rests on."""
    console = new_console()
    table = new_table(
        "setting", "#threshold", "#low", "#high", "#values", "from", title=f"{found['lang']}: {found['texts']:,} texts"
    )
    for key, entry in found["thresholds"].items():
        bounds = ("-" if entry[name] is None else f"{entry[name]:.4g}" for name in ("low", "high"))
        table.add_row(key, f"{entry['value']:.4g}", *bounds, number(entry["n"]), entry["source"])
    console.print(table)
    console.print(Text(f"thresholds: {found['out']}"), highlight=False)


def print_facts(found: Mapping[str, Any]) -> None:
    """Names and values, one a line."""
    console = new_console()
    for name, value in found.items():
        console.print(Text(f"{name}: {value}"), highlight=False)
