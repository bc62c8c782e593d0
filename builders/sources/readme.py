"""What the README of a data set says of it: the YAML block at its head, as the Hub writes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ReadmeFacts:
    """lang: the one language that it names, else None; configs: name -> list of (split or None, path pattern)."""

    lang: str | None = None
    license: str | None = None
    configs: dict[str, list[tuple[str | None, str]]] = field(default_factory=dict)


def readme_facts(folder: Path) -> ReadmeFacts:
    """The facts in `folder/README.md`; all empty if there is none or its head is not YAML."""
    try:
        with (folder / "README.md").open("rb") as handle:
            text = handle.read(_MAX_BYTES).decode("utf-8", "replace").replace("\r\n", "\n")
    except OSError:
        return ReadmeFacts()
    if not text.startswith("---\n") or (end := text.find("\n---", 3)) < 0:
        return ReadmeFacts()
    try:
        head = yaml.safe_load(text[4 : end + 1])
    except yaml.YAMLError:
        return ReadmeFacts()
    if not isinstance(head, dict):
        return ReadmeFacts()
    langs = head.get("language")
    named = (
        [langs]
        if isinstance(langs, str)
        else [one for one in langs or [] if isinstance(one, str)]
        if isinstance(langs, list)
        else []
    )
    said = head.get("license")
    return ReadmeFacts(
        named[0] if len(named) == 1 else None, said if isinstance(said, str) else None, _configs(head.get("configs"))
    )


def _configs(raw: Any) -> dict[str, list[tuple[str | None, str]]]:
    configs: dict[str, list[tuple[str | None, str]]] = {}
    for config in raw if isinstance(raw, list) else []:
        if not isinstance(config, dict) or not isinstance(config.get("config_name"), str):
            continue
        data_files = config.get("data_files")
        entries = data_files if isinstance(data_files, list) else [data_files]
        found: list[tuple[str | None, str]] = []
        for entry in entries:
            if isinstance(entry, str):
                found.append((None, entry))
            elif isinstance(entry, dict):
                paths = entry.get("path")
                split = entry.get("split")
                found += [
                    (split if isinstance(split, str) else None, path)
                    for path in ([paths] if isinstance(paths, str) else paths or [])
                    if isinstance(path, str)
                ]
        configs[config["config_name"]] = found
    return configs
