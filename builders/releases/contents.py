"""Content digests of a release's splits, and whether its rows are still those that they were taken of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsbuild import content

Contents = dict[str, dict[str, content.Content]]  # by configuration and split


def check_content(folder: Path, manifest: Mapping[str, Any], found: Contents | None = None) -> list[str]:
    """What of the content digests in a manifest does not agree with the rows; nothing for a draft, which has none.

    found: what the splits hold, where they were read before.
    """
    if "release" not in manifest:
        return []
    said: Mapping[str, Mapping[str, Mapping[str, Any]]] = manifest["release"]["content"]
    problems = []
    found = contents(folder, manifest) if found is None else found
    for config in sorted({*said, *found}):
        for split in sorted({*said.get(config, ()), *found.get(config, ())}):
            known, there = said.get(config, {}).get(split), found.get(config, {}).get(split)
            if known is None or there is None or (known["rows"], known["digest"]) != (there.rows, there.digest):
                problems.append(f"{config}/{split}: the rows are not those that the content digest was taken of")
    return problems


def contents(folder: Path, manifest: Mapping[str, Any]) -> Contents:
    """The content of every split of every configuration."""
    return {
        name: {split: content.read_content([folder / path for path in one["files"]]) for split, one in config["splits"].items()}
        for name, config in manifest["configs"].items()
    }  # fmt: skip
