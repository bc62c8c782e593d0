"""Release folders: Parquet shards, a manifest that is written last, and an exchange of the old folder for the new."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from dsbuild import files, parquet
from dsbuild.errors import ReleaseError, StoreError

FORMAT = 1
MANIFEST = "manifest.json"
_AGAIN = "build the release again, or fetch it again"
_MAX_NAMED = 5
# What every manifest has; one without was cut off, or is the file of something else.
_SHAPE: Mapping[str, type] = {
    "name": str, "version": str, "dsbuild": str, "files": list, "configs": dict, "source": dict, "recipe": dict, "engines": dict,
    "accounting": dict,
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One split of one table: where it goes, its schema, its rows (counted before) and how to read them.

    folder/split name the files; tables can be gone through again; config is the Hub configuration it belongs to ("" for what is not a configuration:
    dropped rows, verdicts, segment maps).
    """

    folder: str
    split: str
    schema: pa.Schema
    n_rows: int
    tables: Iterable[pa.Table] = field(repr=False)
    config: str = ""
    table: str = ""
    lang: str = ""


@dataclass(frozen=True)
class Written:
    """A part as it lies in the release: file facts by path, and the size of its rows in memory."""

    part: Part
    files: Mapping[str, parquet.FileFacts]
    nbytes: int


def check_folder(out: Path) -> None:
    """Refuse a folder that holds anything but a release of this format; an absent or empty one is fine."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not out.is_dir():
        raise StoreError(f"{out}: is a file; name a folder with --out")
    try:
        found = json.loads((out / MANIFEST).read_text("utf-8")).get("format")
    except (OSError, ValueError):
        raise StoreError(f"{out}: is not empty and holds no {MANIFEST}; name another folder with --out") from None
    if found != FORMAT:
        raise StoreError(
            f"{out}: a release of format {found}, this version writes {FORMAT}; name another folder with --out"
        )


def check_replaceable(out: Path, source: Mapping[str, Any]) -> None:
    """Refuse to replace a release that was made from another source, or a folder that holds files of somebody else.

    `source`: facts of the source that the new release is made from. A source of the same name may have changed: sets grow.
    """
    check_folder(out)
    if not (out / MANIFEST).exists():
        return
    present = read_manifest(out)
    before = present["source"]["name"]
    if before != source["name"]:
        raise StoreError(f"{out}: holds a release of another source ({before}); name another folder with --out")
    known = {MANIFEST, *(entry["path"] for entry in present["files"])}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.is_file() and name not in known:
            raise StoreError(
                f"{out}: holds {name}, which is not part of the release; move it away or name another --out"
            )


def write(
    out: Path,
    parts: Iterable[Part],
    facts: Mapping[str, Any],
    render: Callable[[Mapping[str, Any], Sequence[Written]], Mapping[str, str]],
) -> dict[str, Any]:
    """Write a release beside `out` and exchange it for what is there; returns the manifest.

    `facts` are the content of the manifest; `render` makes the text files (README and the like) from the manifest and
    the written parts. If the release is there already with the same build key,
    nothing is written and `parts` is not gone through.
    """
    check_folder(out)
    present = read_manifest(out) if (out / MANIFEST).exists() else None
    if present is not None and present.get("build_key") == facts["build_key"] and not damaged(out, present, deep=False):
        return present
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    written = [_write_part(partial, part) for part in parts]
    listed = {path: one for part in written for path, one in part.files.items()}
    manifest = {"format": FORMAT, **facts, "configs": _configs(written)}
    texts = render(manifest, written)
    for name, text in sorted(texts.items()):
        files.write_text(partial / name, text)
        listed[name] = parquet.FileFacts(0, (partial / name).stat().st_size, parquet.sha256(partial / name))
    manifest["files"] = [
        {"path": path, "rows": one.rows, "size_bytes": one.size_bytes, "sha256": one.sha256}
        for path, one in sorted(listed.items())
    ]
    files.write_text(partial / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    files.exchange(partial, out)
    return manifest


def _write_part(root: Path, part: Part) -> Written:
    nbytes = 0

    def counted() -> Iterator[pa.Table]:
        nonlocal nbytes
        for table in part.tables:
            chosen = table.select(part.schema.names)
            nbytes += chosen.nbytes
            yield chosen

    shards = parquet.write_shards(root / part.folder, part.split, part.schema, counted(), part.n_rows)
    return Written(part, {f"{part.folder}/{name}": one for name, one in shards}, nbytes)


def _configs(written: Sequence[Written]) -> dict[str, Any]:
    configs: dict[str, Any] = {}
    for one in written:
        if one.part.config:
            config = configs.setdefault(one.part.config, {"table": one.part.table, "lang": one.part.lang, "splits": {}})
            config["splits"][one.part.split] = {"rows": one.part.n_rows, "files": sorted(one.files)}
    return configs


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a release folder; `ReleaseError` if it is not one, or not a whole one."""
    path = folder / MANIFEST
    try:
        manifest: Any = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        inside = sorted(one.parent.name for one in folder.glob(f"*/{MANIFEST}")) if folder.is_dir() else []
        hint = f"; name one of the releases in it: {', '.join(inside[:_MAX_NAMED])}" if inside else ""
        raise ReleaseError(f"{folder}: no {MANIFEST}, so this is not a (complete) release folder{hint}") from None
    except (OSError, ValueError) as error:
        raise ReleaseError(f"{path}: damaged ({error}); {_AGAIN}") from error
    said = manifest.get("format") if isinstance(manifest, dict) else None
    if said != FORMAT:
        raise ReleaseError(f"{folder}: a release of format {said}, this version reads {FORMAT}")
    if wrong := _misshapen(manifest):
        raise ReleaseError(f"{path}: damaged ({wrong}); {_AGAIN}")
    found: dict[str, Any] = manifest
    return found


def _misshapen(manifest: Mapping[str, Any]) -> str | None:
    """What keeps a manifest from being read: a part that is missing, or a path that leads out of the folder."""
    for name, kind in _SHAPE.items():
        if not isinstance(manifest.get(name), kind):
            return f"{name} is missing or of the wrong kind"
    for entry in manifest["files"]:
        if not isinstance(entry, dict) or not all(
            isinstance(entry.get(key), kind) for key, kind in (("path", str), ("size_bytes", int), ("sha256", str))
        ):
            return "an entry of files has no path, size_bytes or sha256"
        path = PurePosixPath(entry["path"])
        if path.is_absolute() or ".." in path.parts:
            return f"files: {entry['path']!r} is not a path inside the folder"
    return None


def damaged(folder: Path, manifest: Mapping[str, Any], *, deep: bool) -> list[str]:
    """What does not agree with the manifest: missing, added or changed files. `deep` recomputes every sha256."""
    problems = []
    known = {MANIFEST}
    for entry in manifest["files"]:
        path = folder / entry["path"]
        known.add(entry["path"])
        if not path.is_file():
            problems.append(f"{entry['path']}: missing")
        elif path.stat().st_size != entry["size_bytes"] or (deep and parquet.sha256(path) != entry["sha256"]):
            problems.append(f"{entry['path']}: changed since the release was written")
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in known:
            problems.append(f"{name}: not in the manifest")
    return problems


def part_files(folder: Path, prefix: str) -> list[Path]:
    """The Parquet files of a release whose path starts with `prefix`, in order."""
    paths = (entry["path"] for entry in read_manifest(folder)["files"])
    return [folder / path for path in paths if path.startswith(prefix) and path.endswith(".parquet")]


def read_part(folder: Path, prefix: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """The shards whose path starts with `prefix`, in order."""
    for path in part_files(folder, prefix):
        yield parquet.read(path, columns)
