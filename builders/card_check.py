"""The numbers of a release's README.md, in its metadata and its body, against the files that they describe."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from dsbuild.cards.card import render_body

README = "README.md"
_MAX_SHOWN = 5


def check_card(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """What README.md says otherwise than the manifest and the files; only lines with a number, so that people may add text."""
    try:
        text = (folder / README).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [f"{README}: cannot be read ({error})"]
    sizes = _sizes(folder, manifest)
    head, _, body = text.removeprefix("---\n").partition("\n---\n")
    found = [*_head(head, sizes), *_body(body, render_body(manifest, sizes))]
    return [f"{README}: {line}" for line in found[:_MAX_SHOWN]]


def _sizes(folder: Path, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows and bytes of each split, as the files have them."""
    return [
        {
            "config": config, "split": split, "rows": sum(pq.read_metadata(folder / path).num_rows for path in one["files"]),
            "size_bytes": sum((folder / path).stat().st_size for path in one["files"]),
        }
        for config, about in manifest["configs"].items()
        for split, one in about["splits"].items()
    ]  # fmt: skip


def _head(head: str, sizes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Rows and bytes of the metadata; `num_bytes` is the size in memory of what wrote it, and only has to add up."""
    try:
        infos = (yaml.safe_load(head) or {}).get("dataset_info", [])
        said = {one["config_name"]: one for one in ([infos] if isinstance(infos, dict) else infos)}
        for config, one in said.items():
            here = {size["split"]: size for size in sizes if size["config"] == config}
            rows = {split["name"]: split["num_examples"] for split in one["splits"]}
            if rows != (true := {split: size["rows"] for split, size in here.items()}):
                yield f"its metadata says {rows} rows of {config}, the files give {true}"
            total = sum(size["size_bytes"] for size in here.values())
            if one["download_size"] != total:
                yield f"its metadata says download_size {one['download_size']} of {config}, the files give {total}"
            if one["dataset_size"] != (added := sum(split["num_bytes"] for split in one["splits"])):
                yield f"its metadata says dataset_size {one['dataset_size']} of {config}, its splits add up to {added}"
        if missing := sorted({size["config"] for size in sizes} - set(said)):
            yield f"its metadata does not describe {missing[0]}"
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        yield f"its metadata cannot be read ({' '.join(str(error).split())[:100]})"


def _body(body: str, expected: str) -> Iterator[str]:
    have = Counter(_words(line) for line in body.splitlines())
    prose = "".join(part for place, part in enumerate(expected.split("```")) if place % 2 == 0)
    for line in prose.splitlines():
        if any(sign.isdigit() for sign in line):
            have[_words(line)] -= 1
            if have[_words(line)] < 0:
                yield f"the files give {line.strip()[:120]!r}"


def _words(line: str) -> tuple[str, ...]:
    """A manifest that was read again is sorted, so what a line lists may stand in another order there."""
    return tuple(sorted(re.findall(r"[^\s,;]+(?:,\d{3})*", line)))
