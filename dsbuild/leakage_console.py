"""What people see of splits and of contamination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from dsbuild.console import new_console, new_table, number


def print_split(found: Mapping[str, Any]) -> None:
    """Rows of each split by language and table, what links there are, and where the release is."""
    console = new_console()
    names = list(
        dict.fromkeys(
            name
            for tables in found["languages"].values()
            for row in tables.values()
            for name in row
            if name != "dropped"
        )
    )
    table = new_table("lang", "table", *(f"#{name}" for name in names), "#dropped")
    for lang, tables in found["languages"].items():
        for name, row in tables.items():
            table.add_row(lang, name, *(number(row.get(split, 0)) for split in names), number(row["dropped"]))
    console.print(table)
    console.print(Text(f"release: {found['release']}"), highlight=False)


def print_contamination(found: Mapping[str, Any]) -> None:
    """Per evaluation set what was found, per table what became of the rows, an example, and where the release is."""
    console = new_console()
    sets = new_table("set", "#items", "#too short", "#found", "#in rows")
    for name, row in found["sets"].items():
        sets.add_row(name, *(number(row[key]) for key in ("items", "uncheckable", "found", "rows")))
    console.print(sets)
    table = new_table("lang", "table", "#in", "#kept", "#masked", "#dropped")
    for lang, tables in found["languages"].items():
        for name, row in tables.items():
            table.add_row(lang, name, *(number(row[key]) for key in ("in", "kept", "repaired", "dropped")))
    console.print(table)
    for one in found["examples"]:
        where = f"{one['id']} ({one['field']} {one['start']}-{one['end']})"
        console.print(Text(f"{where}: {one['coverage']:.0%} of {one['set']}:{one['item']}"), highlight=False)
    console.print(Text(f"release: {found['release']}"), highlight=False)
