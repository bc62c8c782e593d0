"""What people see of releases: what was cut, what differs, what was made again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from dsbuild.console import new_console, new_table, number

_MAX_CHARS = 300
_MAX_REASONS = 12
_MAX_COLUMNS = 8


def print_release(found: Mapping[str, Any]) -> None:
    """Where the release is, what kind of step it makes and why."""
    console = new_console()
    bump = found["bump"]
    if found["previous"]:
        console.print(Text(f"{bump['proposed']} change from {found['previous']}: {bump['reason']}"), highlight=False)
    else:
        console.print(Text("first release"), highlight=False)
    if bump["override"]:
        console.print(Text(f"numbered {found['version']} nevertheless: {bump['override']}"), highlight=False)
    console.print(
        Text(f"{found['rows']:,} rows, {found['files']:,} files, licence {found['license']}"), highlight=False
    )
    console.print(Text(f"release: {found['release']}"), highlight=False)


def print_difference(found: Mapping[str, Any]) -> None:
    """Rows by configuration and split, columns, moves, rules, samples side by side, and the version that they call for."""
    console = new_console()
    table = new_table(
        "config", "split", "#rows before", "#after", "#added", "#removed", "#changed", "#moved in", "#moved out"
    )
    for one in found["configs"]:
        for split, row in one["splits"].items():
            counts = (number(row[name]) for name in ("added", "removed", "changed", "moved_in", "moved_out"))
            rows = ("-" if row[name] is None else number(row[name]) for name in ("rows_a", "rows_b"))
            table.add_row(Text(one["config"]), Text(split), *rows, *counts)
    console.print(table)
    for one in found["configs"]:
        named = ((kind, ", ".join(column["name"] for column in one["schema"][kind])) for kind in ("added", "removed"))
        said = [f"columns {kind}: {names}" for kind, names in named if names]
        said += [f"column {column['name']}: {column['a']} -> {column['b']}" for column in one["schema"]["changed"]]
        said += [f"{name} changed in {rows:,} rows" for name, rows in one["columns"].items()]
        said += [f"{row['rows']:,} rows moved from {row['a']} to {row['b']}" for row in one["moves"]]
        for line in said:
            console.print(Text(f"{one['config']}: {line}"), highlight=False)
    if found["stages"]:
        gone = new_table("removed by", "rule", "#rows")
        for row in found["stages"]:
            gone.add_row(
                Text(row["stage"] or "not in the source any more"), Text(row["rule"] or "-"), number(row["rows"])
            )
        console.print(gone)
    for one in found["samples"]:
        console.print(Text(f"\n{one['kind']} {one['config']} {one['id']}{_where(one)}"), highlight=False)
        shown = {
            name: sides
            for name, sides in one["columns"].items()
            if any(value not in (None, "") for value in sides.values())
        }
        for name, sides in list(shown.items())[:_MAX_COLUMNS]:
            for letter, mark in (("a", "-"), ("b", "+")):
                if letter in sides:
                    console.print(Text(f"  {mark} {name}: {_short(sides[letter])}"), highlight=False)
    reasons = found["bump"]["reasons"]
    more = f"; and {len(reasons) - _MAX_REASONS} more" if len(reasons) > _MAX_REASONS else ""
    console.print(Text(f"\n{found['bump']['proposed']}: {'; '.join(reasons[:_MAX_REASONS])}{more}"), highlight=False)


def print_rebuild(found: Mapping[str, Any]) -> None:
    """Whether every byte is the same; if not, the files and what they rest on that differs."""
    console = new_console()
    for path in found["different"]:
        console.print(Text(f"differs: {path}"), highlight=False)
    if found["more"]:
        console.print(Text(f"and {found['more']:,} more"), highlight=False)
    for one in found["pins"]:
        console.print(Text(f"pin: {one['pin']}: recorded {one['recorded']}, now {one['now']}"), highlight=False)
    if found["exact"]:
        console.print(Text(f"the same bytes in all {found['files']:,} files"), highlight=False)
    elif not found["pins"]:
        console.print(Text("no recorded pin differs: a stage that is not deterministic ran again"), highlight=False)
    if found["out"]:
        console.print(Text(f"made again: {found['out']}"), highlight=False)


def _where(one: Mapping[str, Any]) -> str:
    if one["a"] is None or one["b"] is None or one["a"] == one["b"]:
        return f" ({one['b'] or one['a']})"
    return f" ({one['a']} -> {one['b']})"


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _MAX_CHARS else f"{text[: _MAX_CHARS - 1]}…"
