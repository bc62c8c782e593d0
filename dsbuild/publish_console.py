"""What people see of a publication: the operations and where the release is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from dsbuild.console import new_console


def print_publish(found: Mapping[str, Any]) -> None:
    """One line per operation, then the state."""
    console = new_console()

    def line(text: str) -> None:
        console.print(Text(text), highlight=False)

    for one in found["operations"]:
        line(_operation(one))
    where = f"{found['repository']}@{found['tag']}"
    if found["state"] == "planned":
        line(f"planned: {where} at {found['endpoint']}; nothing was changed")
        return
    subject = f"pull request {found['pull_request']}" if "pull_request" in found else where
    line(f"{found['state']}: {subject}, commit {found['commit'][:12]}, {found['files']:,} files compared")
    line(found["url"])


def _operation(one: Mapping[str, Any]) -> str:
    kind = one["operation"]
    if kind == "add":
        return f"add {one['path']}  {one['size_bytes']:,} bytes  sha256 {one['sha256'][:12]}"
    if kind == "create repository":
        return f"{kind} {one['repository']} ({'private' if one['private'] else 'public'})"
    if kind in ("commit", "open pull request"):
        return f"{kind} {one['title']!r} on {one['parent'][:12] if one['parent'] else 'the new repository'}"
    return " ".join(str(value) for value in one.values())
