"""What a release's README.md says in its metadata, and the numbers of its body, against the files that they describe."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from dsbuild.builders.releases.contents import Contents
from dsbuild.cards.card import render_body, stated

README = "README.md"
_MAX_SHOWN = 5
# Arrow's types that are compared, by the Hub's names of them; what else a column may be (a list, a time) has a name in each.
_TYPES = {
    **{name: name for name in ("string", "large_string", "binary", "bool", *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)))},
    "double": "float64", "float": "float32", "halffloat": "float16",
}  # fmt: skip


def check_card(folder: Path, manifest: Mapping[str, Any], found: Contents | None = None) -> list[str]:
    """What README.md says otherwise than the manifest and the files; only lines with a number, so that people may add text.

    found: what the splits hold, where that is known; then the bytes of their rows are compared too.
    """
    try:
        text = (folder / README).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [f"{README}: cannot be read ({error})"]
    sizes = _sizes(folder, manifest)
    head, _, body = text.removeprefix("---\n").partition("\n---\n")
    lines = [*_head(head, folder, manifest, sizes, found), *_body(body, render_body(manifest, sizes))]
    return [f"{README}: {line}" for line in lines[:_MAX_SHOWN]]


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


def _head(
    head: str,
    folder: Path,
    manifest: Mapping[str, Any],
    sizes: Sequence[Mapping[str, Any]],
    found: Contents | None,
) -> Iterator[str]:
    """All of the metadata that is computed; more keys may stand beside it."""
    try:
        data = yaml.safe_load(head) or {}
        infos = data.get("dataset_info", [])
        said = {one["config_name"]: one for one in ([infos] if isinstance(infos, dict) else infos)}
        for config, one in said.items():
            here = [size for size in sizes if size["config"] == config]
            yield from _numbers(config, one, here, _bytes(folder, manifest, config, found))
            if here:
                yield from _columns(folder, manifest, config, one["features"])
        if missing := sorted({size["config"] for size in sizes} - set(said)):
            yield f"its metadata does not describe {missing[0]}"
        for name, true in stated(manifest, sum(size["rows"] for size in sizes)).items():
            # A manifest that was read again is sorted, so languages may stand in another order.
            if _unordered(data.get(name)) != _unordered(true):
                yield f"its metadata says {name} {data.get(name)}, the release gives {true}"
        yield from _data_files(manifest, data.get("configs") or [])
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        yield f"its metadata cannot be read ({' '.join(str(error).split())[:100]})"


def _numbers(
    config: str, said: Mapping[str, Any], sizes: Sequence[Mapping[str, Any]], nbytes: Mapping[str, int] | None
) -> Iterator[str]:
    """Rows and bytes of a configuration. nbytes: of the rows of each split, None where only the sum can be checked."""
    rows = {split["name"]: split["num_examples"] for split in said["splits"]}
    if rows != (true := {size["split"]: size["rows"] for size in sizes}):
        yield f"its metadata says {rows} rows of {config}, the files give {true}"
    bytes_said = {split["name"]: split["num_bytes"] for split in said["splits"]}
    if nbytes is not None and bytes_said != nbytes:
        yield f"its metadata says num_bytes {bytes_said} of {config}, the files give {nbytes}"
    total = sum(size["size_bytes"] for size in sizes)
    if said["download_size"] != total:
        yield f"its metadata says download_size {said['download_size']} of {config}, the files give {total}"
    if said["dataset_size"] != (added := sum(bytes_said.values())):
        yield f"its metadata says dataset_size {said['dataset_size']} of {config}, its splits add up to {added}"


def _bytes(folder: Path, manifest: Mapping[str, Any], config: str, found: Contents | None) -> dict[str, int] | None:
    """The bytes of the rows of each split in memory, as a release states them; a draft says what they took when they were written.

    Another version of Arrow may lay the same rows out otherwise, so files of another one are not measured.
    """
    splits = manifest["configs"].get(config, {"splits": {}})["splits"]
    paths = [folder / path for one in splits.values() for path in one["files"]]
    if found is None or not all(str(pq.read_metadata(path).created_by).endswith(pa.cpp_version) for path in paths):
        return None
    return {split: found[config][split].nbytes for split in splits}


def _columns(
    folder: Path, manifest: Mapping[str, Any], config: str, said: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """Names and types of the columns; of nested ones the name."""
    (first, *_) = manifest["configs"][config]["splits"].values()
    schema = pq.read_schema(folder / first["files"][0])
    true = [(one.name, _TYPES.get(str(one.type))) for one in schema]
    shown = [(one["name"], one.get("dtype")) for one in said]
    if [name for name, _ in shown] != [name for name, _ in true]:
        yield f"its metadata says other columns of {config} than the files have"
        return
    for (name, kind), (_, known) in zip(shown, true, strict=True):
        if known is not None and kind != known:
            yield f"its metadata says that {config}.{name} is {kind}, in the files it is {known}"


def _unordered(value: Any) -> Any:
    return sorted(map(str, value)) if isinstance(value, list) else value


def _data_files(manifest: Mapping[str, Any], said: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Which files `load_dataset` opens."""
    found = {one["config_name"]: {(file["split"], file["path"]) for file in one["data_files"]} for one in said}
    for config, about in manifest["configs"].items():
        if found.get(config) != {(split, f"{config}/{split}-*.parquet") for split in about["splits"]}:
            yield f"its metadata names other files of {config} than the release has"


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
