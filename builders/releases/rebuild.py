"""Make a release again from its recipe and the store, compare the bytes, and name what differs where they are not the same."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from dsbuild import files, release, run
from dsbuild.builders import build
from dsbuild.builders.evaluation.evaluations import RETRIEVAL
from dsbuild.builders.releases.cut import ANSWERS, cut, wanted
from dsbuild.errors import ReleaseError, SourceError

_MAX_SHOWN = 20


def rebuild(
    folder: Path, *, store: Path, out: Path | None = None, src: str | None = None, settings: Sequence[str] = (), executor: str = "local",
    workers: int | None = None, reporter: run.Reporter | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Run the recipe that a release records and compare every file.

    out: keep what was made in this folder (None: it is deleted again); src: the source where it lies now, as the recorded recipe has the
    names of files and not their paths; settings: other values of the recipe that are paths, as for --set. Returns whether all bytes are
    the same, the files that are not, and the pins that differ: what was read, models, versions, parameters.
    """
    manifest = release.read_manifest(folder)
    if problems := release.damaged(folder, manifest, deep=True):
        raise ReleaseError(
            f"{folder}: {problems[0]}, so there is nothing to compare with; see: dsbuild verify {folder}"
        )
    with _room(out, store) as room:
        draft = room / "draft"
        _run(folder, manifest, draft, store, src, settings, executor, workers, reporter or run.Silent())
        made, again = draft, release.read_manifest(draft)
        different = _different(manifest, again, ".parquet")
        if "release" in manifest and not different:
            # Rows that are others may not have this version: the comparison ends with them.
            _cut_again(folder, manifest, draft, room)
            made = room / manifest["version"]
            again = release.read_manifest(made)
        if not different:
            different = _different(manifest, again, "")
        if different or (folder / release.MANIFEST).read_bytes() != (made / release.MANIFEST).read_bytes():
            different.append(release.MANIFEST)
        recorded = manifest if made != draft else {**manifest, "recipe": _drafted(manifest), "release": {}}
        found = pins(folder, recorded, made, again) if different else []
    return {
        "release": str(folder), "exact": not different, "files": len(manifest["files"]) + 1, "different": different[:_MAX_SHOWN],
        "more": max(0, len(different) - _MAX_SHOWN), "pins": found, "out": str(out) if out else None,
    }  # fmt: skip


@contextmanager
def _room(out: Path | None, store: Path) -> Iterator[Path]:
    if out is not None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ReleaseError(f"{out}: is not an empty folder; name another --out")
        _make(out)
        yield out
        return
    _make(store)
    try:
        room = tempfile.TemporaryDirectory(prefix="rebuild-", dir=store)
    except OSError as error:
        raise files.disk_error(store, error) from error
    with room as folder:
        yield Path(folder)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.disk_error(folder, error) from error


def _different(old: Mapping[str, Any], new: Mapping[str, Any], ending: str) -> list[str]:
    """Files of that ending that only one of two releases has, or that are not the same."""
    sums = [
        {one["path"]: one["sha256"] for one in each["files"] if one["path"].endswith(ending)} for each in (old, new)
    ]
    return sorted(path for path in {*sums[0], *sums[1]} if sums[0].get(path) != sums[1].get(path))


def _run(
    folder: Path, manifest: Mapping[str, Any], out: Path, store: Path, src: str | None, settings: Sequence[str], executor: str,
    workers: int | None, reporter: run.Reporter,
) -> None:  # fmt: skip
    recipe = {key: value for key, value in _drafted(manifest).items() if key != "build"}
    if "source" not in recipe:  # generated from nothing
        if src:
            raise ReleaseError(f"{folder}: its rows come from no source, so --src {src} says nothing; leave it out")
    else:
        recipe["source"] = {**recipe["source"], **({"src": src} if src else {})}
    made = build.compose(None, recipe, settings, manifest["recipe"]["build"])
    try:
        build.run_build(made, out, store, executor, workers, reporter)
    except SourceError as error:
        ways = [] if src or "source" not in recipe else ["--src KIND:PATH"]
        ways += [f"--set {place}=KIND:PATH" for place in further_files(recipe)]
        if not ways:
            raise
        named = f"the recipe of {folder} says {recipe['source']['src']}: " if not src and "source" in recipe else ""
        raise SourceError(f"{error}; {named}name where it lies now with {' and '.join(ways)}") from error


def further_files(recipe: Mapping[str, Any], at: str = "") -> list[str]:
    """The settings of a recipe that say where files beside its source lie.

    >>> further_files({"source": {"src": "xquad:en.json"}, "target": {"hi": {"src": "xquad:hi.json"}}})
    ['target.hi.src']
    """
    found = []
    for key, value in recipe.items():
        place = f"{at}.{key}" if at else key
        if isinstance(value, Mapping):
            found += further_files(value, place)
        elif key == "src" and place != "source.src" and value:
            found.append(place)
    return found


def _drafted(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe as the draft had it: the licence may have been named when the release was cut."""
    recipe, said = dict(manifest["recipe"]), manifest.get("release", {})
    if "license_before" in said:
        section = {key: value for key, value in recipe["release"].items() if key != "license"}
        before = said["license_before"]
        recipe["release"] = section if before is None else {**section, "license": before}
    return recipe


def _cut_again(folder: Path, manifest: Mapping[str, Any], draft: Path, room: Path) -> None:
    said = manifest["release"]
    answers = folder / ANSWERS
    want = wanted(
        manifest["name"], manifest["version"], license=manifest["recipe"]["release"]["license"] if "license_before" in said else None,
        reason=said["bump"]["override"], date=said["date"], answers=answers if answers.is_file() else None,
        accept_leakage=said.get("accepted", {}).get("reason"),
    )  # fmt: skip
    if (folder / RETRIEVAL).is_file():
        # Measured after the draft was made, so no stage makes it again; it lies where `release` looks for it.
        (room / RETRIEVAL).write_bytes((folder / RETRIEVAL).read_bytes())
    cut(draft, want, room, beside=folder.resolve().parent)


def pins(folder: Path, old: Mapping[str, Any], made: Path, new: Mapping[str, Any]) -> list[dict[str, str]]:
    """What the two builds rest on and does not agree: {pin, recorded, now}. Outputs are looked at only if all of it agrees."""
    found: list[dict[str, str]] = []

    def compare(pin: str, recorded: Any, now: Any) -> None:
        if recorded != now:
            found.append({"pin": pin, "recorded": _said(recorded), "now": _said(now)})

    files = [{one["name"]: one["sha256"] for one in each["source"]["files"]} for each in (old, new)]
    for name in sorted({*files[0], *files[1]}):
        compare(f"source file {name} (sha256)", files[0].get(name), files[1].get(name))
    for key in ("revision", "lang", "license", "evaluation"):
        compare(f"source {key}", old["source"].get(key), new["source"].get(key))
    for name in sorted({*old["engines"], *new["engines"]}):
        prints = [_flat(each["engines"].get(name, {}).get("fingerprint", {})) for each in (old, new)]
        for key in sorted({*prints[0], *prints[1]}):
            compare(f"engine {name} {key}", prints[0].get(key), prints[1].get(key))
    compare("dsbuild version", old["dsbuild"], new["dsbuild"])
    recipes = [_flat(each["recipe"]) for each in (old, new)]
    for key in sorted({*recipes[0], *recipes[1]}):
        compare(f"parameter {key}", recipes[0].get(key), recipes[1].get(key))
    stages = [{one["node"]: one for one in each["stages"]} for each in (old, new)]
    for node in dict.fromkeys([*stages[0], *stages[1]]):
        compare(f"stage {node} version", stages[0].get(node, {}).get("version"), stages[1].get(node, {}).get("version"))
    compare("library that writes Parquet", _writer(folder, old), _writer(made, new))
    compare("previous release", old.get("release", {}).get("previous"), new.get("release", {}).get("previous"))
    if not found:
        # The keys hash all that a unit depends on, also data files of the package.
        for node, one in stages[0].items():
            if one["keys"] != stages[1][node]["keys"]:
                compare(
                    f"stage {node} keys of units (data of the package or of a model)",
                    one["keys"],
                    stages[1][node]["keys"],
                )
                break
    return found


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted name."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _said(value: Any) -> str:
    return "none" if value is None else str(value)


def _writer(folder: Path, manifest: Mapping[str, Any]) -> str | None:
    path = next((one["path"] for one in manifest["files"] if one["path"].endswith(".parquet")), None)
    return str(pq.read_metadata(folder / path).created_by) if path else None
