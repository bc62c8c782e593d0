"""Cut a draft into a release: its rows under a name and a version, what they hold and what changed, without running a stage."""

from __future__ import annotations

import datetime
import importlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from dsbuild import content, files, parquet, release
from dsbuild.builders.evaluation import evaluations
from dsbuild.builders.projection import projection_scores
from dsbuild.builders.releases.contents import Contents, contents
from dsbuild.builders.releases.contents import check_content as check_content
from dsbuild.builders.releases.difference import Side, difference, opened
from dsbuild.builders.releases.shared_texts import WAYS_OUT, Shared, shared_texts
from dsbuild.builders.releases.verification import verify
from dsbuild.builders.releases.versions import Version, check_name, parse, previous, smaller
from dsbuild.cards import answers as human
from dsbuild.cards.card import render_card, row_license
from dsbuild.cards.changes import NAME as CHANGELOG
from dsbuild.cards.changes import render_changelog
from dsbuild.cards.facts import as_text
from dsbuild.errors import ReleaseError

# Makers of further files, called in this order with the new folder, its manifest (the same that lies in it, without the text files) and the
# answers file or None. They write into the folder or return texts by name. One whose module is not in the package is left out.
RENDERERS = (
    "dsbuild.builders.releases.facts:render_facts",
    "dsbuild.builders.releases.facts:render_datasheet",
    "dsbuild.builders.releases.facts:render_croissant",
    "dsbuild.builders.releases.report_facts:render_report",
)
# Called with the draft's manifest and the answers file or None; returns what a strict release lacks.
REQUIRED = "dsbuild.builders.releases.facts:missing_answers"

ANSWERS = "answers.yaml"
_RENDERED = frozenset({"README.md", "recipe.yaml", CHANGELOG, "facts.json", "DATASHEET.md", "croissant.json"})


@dataclass(frozen=True)
class Wanted:
    """What a release shall be; license, reason, date, answers and accept_leakage are None where the user says nothing.

    reason: why the version is smaller than the change; accept_leakage: why texts stay in several splits.
    """

    name: str
    version: Version
    license: str | None = None
    reason: str | None = None
    date: str | None = None
    answers: Path | None = None
    strict: bool = False
    accept_leakage: str | None = None


def wanted(
    name: str, version: str, *, license: str | None = None, reason: str | None = None, date: str | None = None,
    answers: Path | None = None, strict: bool = False, accept_leakage: str | None = None,
) -> Wanted:  # fmt: skip
    """Options as they were given, checked."""
    if date is not None and not _is_day(date):
        raise ReleaseError(f"--date {date!r}: write a day of the calendar as YYYY-MM-DD")
    if reason is not None and not reason.strip():
        raise ReleaseError("--reason: say why the version is smaller than the change")
    if answers is not None and not answers.is_file():
        raise ReleaseError(f"--answers {answers}: no such file")
    if license is not None and (not license.strip() or not license.isprintable()):
        raise ReleaseError(f"--license {license!r}: one line that names the licence, such as cc-by-4.0")
    if accept_leakage is not None and not accept_leakage.strip():
        raise ReleaseError("--accept-leakage: say why texts may stand in more than one split")
    said, why = (" ".join(text.split()) if text is not None else None for text in (reason, accept_leakage))
    return Wanted(check_name(name), parse(version), license, said, date, answers, strict, why)


def _is_day(text: str) -> bool:
    """Whether a text is a day of the calendar, as YYYY-MM-DD and in no other form of ISO 8601."""
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def cut(draft: Path, want: Wanted, out: Path | None = None, beside: Path | None = None) -> dict[str, Any]:
    """Write the release and return what the command prints.

    out: the folder of the set, in which the version becomes a folder (None: outputs/NAME); beside: where earlier versions lie (None:
    in that folder). Nothing is seen of the release before it is whole, and no version is ever replaced.
    """
    home = out or Path("outputs") / want.name
    folder = home / str(want.version)
    if folder.exists() or folder.is_symlink():
        raise ReleaseError(
            f"{folder}: this version is there already and stays as it is; name a higher one with --version"
        )
    with files.locked(home / f".{want.version}.lock", f"{folder}: another command is writing it; wait for it"):
        want = replace(want, answers=want.answers or _answers(draft, home))
        if want.answers:
            human.load(want.answers)  # what is no answer is told before the rows are read
        manifest, found, shared = _checked(draft, want)
        earlier = previous(beside or home, want.version)
        before = opened(earlier) if earlier else None
        if before and before.manifest["name"] != want.name:
            raise ReleaseError(
                f"{earlier}: a release of {before.manifest['name']!r}, not of {want.name!r}; name another --out"
            )
        partial = folder.with_name(f".{want.version}.partial")
        try:
            shutil.rmtree(partial, ignore_errors=True)
            return _write(partial, folder, draft, manifest, found, shared, want, before)
        except OSError as error:
            raise files.disk_error(Path(error.filename or folder), error) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _answers(draft: Path, home: Path) -> Path | None:
    """The answers that serve all versions of the set, else those that lie beside or in the draft."""
    places = (home, draft.resolve().parent, draft)
    return next((folder / ANSWERS for folder in places if (folder / ANSWERS).is_file()), None)


def _checked(draft: Path, want: Wanted) -> tuple[dict[str, Any], Contents, dict[str, Shared]]:
    """The manifest of a draft that may be released, with the licence that the user named; what its splits hold, and what several of them do."""
    manifest = release.read_manifest(draft)
    # Both read every row and need no common lock.
    with ThreadPoolExecutor(1) as beside:
        waiting = beside.submit(contents, draft, manifest)
        problems = verify(draft, leakage=False)["problems"]
    if problems:
        raise ReleaseError(f"{draft}: does not verify ({problems[0]}); build it again, then release it")
    if not manifest["configs"]:
        raise ReleaseError(f"{draft}: holds no rows, so there is nothing to release")
    if want.license:
        recipe = manifest["recipe"]
        manifest["recipe"] = {**recipe, "release": {**recipe.get("release", {}), "license": want.license}}
    if row_license(manifest) == "unknown":
        raise ReleaseError(
            f"{draft}: neither source nor recipe names a licence; say it with --license, such as --license cc-by-4.0"
        )
    if want.strict and (check := _named(REQUIRED)) is not None and (lacking := check(manifest, want.answers)):
        raise ReleaseError(
            f"--strict: {len(lacking)} required answers are missing, the first: {lacking[0]}; see: dsbuild card check {draft}"
        )
    shared = shared_texts(draft, manifest)
    if shared and want.accept_leakage is None:
        name, first = next(iter(sorted(shared.items())))
        raise ReleaseError(f"{draft}: {name}: {first.told()}; {WAYS_OUT}")
    return manifest, waiting.result(), shared


def _write(
    partial: Path,
    folder: Path,
    draft: Path,
    manifest: dict[str, Any],
    found: Contents,
    shared: Mapping[str, Shared],
    want: Wanted,
    before: Side | None,
) -> dict[str, Any]:
    # A draft builds again only with the licence that its recipe had: in some builds the source's facts rest on it.
    license_before = {"license_before": _license(release.read_manifest(draft))} if want.license else {}
    entries = {entry["path"]: entry for entry in manifest.pop("files") if entry["path"] not in _RENDERED}
    for path in entries:
        _place(draft / path, partial / path)
    manifest |= {"name": want.name, "version": str(want.version)}
    manifest["release"] = {
        "name": want.name, "version": str(want.version), "date": want.date, **license_before, **_accepted(shared, want),
        "content": {
            config: {split: {"rows": one.rows, "digest": one.digest} for split, one in splits.items()} for config, splits in found.items()
        },
    }  # fmt: skip
    changes = _changes(partial, manifest, before)
    bump = _bump(changes, want, before)
    said = str(before.manifest["version"]) if before else None
    manifest["release"] |= {
        "bump": bump, "previous": {"version": said, "manifest_sha256": parquet.sha256(before.folder / release.MANIFEST)} if before else None,
    }  # fmt: skip
    log = before.folder / CHANGELOG if before else None
    earlier = log.read_text("utf-8") if log and log.is_file() else ""
    override = bump["override"]
    texts = render_card(manifest, _parts(partial, manifest, entries, found))
    texts[CHANGELOG] = render_changelog(
        want.name, str(want.version), changes, said, date=want.date, override=override, earlier=earlier
    )
    for name, text in texts.items():
        files.write_text(partial / name, text)
    manifest["files"] = [entry for path, entry in sorted(entries.items()) if path.endswith(".parquet")]
    _put_manifest(partial, manifest)
    if measured := evaluations.held(draft, manifest["build_key"]):
        files.write_text(partial / evaluations.RETRIEVAL, as_text(measured))
    if scores := projection_scores.held(draft, manifest["build_key"]):
        files.write_text(partial / projection_scores.PROJECTION, as_text(scores))
    for name in RENDERERS:
        if (render := _named(name)) is not None:
            made = render(partial, manifest, want.answers)
            for path, text in made.items() if isinstance(made, Mapping) else ():
                files.write_text(partial / path, text)
    manifest["files"] = list(_listed(partial, entries))
    _put_manifest(partial, manifest)
    files.failpoint("before-release")
    partial.rename(folder)
    files.sync_folder(folder.parent)
    return {
        "release": str(folder), "name": want.name, "version": str(want.version), "previous": said, "bump": bump,
        "rows": sum(one.rows for splits in found.values() for one in splits.values()), "files": len(manifest["files"]) + 1,
        "license": row_license(manifest), "manifest_sha256": parquet.sha256(folder / release.MANIFEST),
    }  # fmt: skip


def _accepted(shared: Mapping[str, Shared], want: Wanted) -> dict[str, Any]:
    """Texts that stay in several splits, and why; nothing where there is none, whatever the user would accept."""
    if not shared:
        return {}
    return {
        "accepted": {"reason": want.accept_leakage, "texts": {name: one.texts for name, one in sorted(shared.items())}}
    }


def _put_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    text = json.dumps(manifest, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    files.write_text(folder / release.MANIFEST, text)


def _place(source: Path, target: Path) -> None:
    """A shard by a second name, which costs no room (drafts are exchanged whole and never written into); anything else as a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".parquet" and not source.is_symlink():
        try:
            os.link(source, target)
            return
        except OSError:
            pass  # another disk, or one without links
    files.write_atomically(target, lambda temporary: _copy(source, temporary))


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def _license(manifest: Mapping[str, Any]) -> str | None:
    said: str | None = manifest["recipe"].get("release", {}).get("license")
    return said


def _changes(partial: Path, manifest: Mapping[str, Any], before: Side | None) -> dict[str, Any]:
    after = Side(partial, manifest)
    if before is None:
        # Against nothing: every configuration is new.
        before = Side(partial, {**manifest, "configs": {}})
    return difference(before, after, samples=0, scratch=partial)


def _bump(changes: Mapping[str, Any], want: Wanted, before: Side | None) -> dict[str, Any]:
    """The proposed bump; a smaller version is refused unless there is a reason, which is recorded."""
    if before is None:
        return {"proposed": None, "reason": "first release", "override": None}
    proposed, reason = changes["bump"]["proposed"], changes["bump"]["reason"]
    last = parse(str(before.manifest["version"]))
    chosen = want.version.bump_from(last)
    override = want.reason if smaller(chosen, proposed) else None
    if smaller(chosen, proposed) and override is None:
        raise ReleaseError(
            f"--version {want.version} is a {chosen} step from {last}, but the change is {proposed} ({reason}); "
            f"name {last.bumped(proposed)}, or say why not with --reason"
        )
    return {"proposed": proposed, "reason": reason, "override": override}


def _parts(
    folder: Path,
    manifest: Mapping[str, Any],
    entries: Mapping[str, Mapping[str, Any]],
    found: Mapping[str, Mapping[str, content.Content]],
) -> list[release.Written]:
    """The configurations as the card reads them."""
    written = []
    for name, config in manifest["configs"].items():
        for split, one in config["splits"].items():
            schema = pq.read_schema(folder / one["files"][0])
            part = release.Part(name, split, schema, one["rows"], (), name, config["table"], config["lang"])
            facts = {
                path: parquet.FileFacts(*(entries[path][key] for key in ("rows", "size_bytes", "sha256")))
                for path in one["files"]
            }
            written.append(release.Written(part, facts, found[name][split].nbytes))
    return written


def _listed(partial: Path, entries: Mapping[str, Mapping[str, Any]]) -> Sequence[dict[str, Any]]:
    """Every file of the folder; of a shard the facts that were checked before it was taken."""
    listed = []
    for path in sorted(partial.rglob("*")):
        name = path.relative_to(partial).as_posix()
        if not path.is_file() or name == release.MANIFEST:
            continue
        if name in entries and name.endswith(".parquet"):
            listed.append(dict(entries[name]))
        else:
            listed.append({"path": name, "rows": 0, "size_bytes": path.stat().st_size, "sha256": parquet.sha256(path)})
    return sorted(listed, key=lambda one: str(one["path"]))


def _named(name: str) -> Any:
    """The function of a registered name; None where its module is not part of the package."""
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function, None)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("dsbuild."):
            return None
        raise
