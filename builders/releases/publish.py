"""Publish a release: uploads, one commit, one tag, then every digest compared with what the Hub lists."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsbuild import files, parquet, release
from dsbuild.builders.releases import verification
from dsbuild.errors import ReleaseError
from dsbuild.hub import HUB_FILES, Hub, HubError, LocalFile, RemoteFile, Say, State

_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?")
_MAX_SHOWN = 5


@dataclass(frozen=True)
class _Plan:
    """What a publication would do: add and delete on top of `parent` (None: a repository that is made first), then tag."""

    parent: str | None
    adds: tuple[LocalFile, ...]
    deletes: tuple[str, ...]

    @property
    def empty(self) -> bool:
        return self.parent is not None and not self.adds and not self.deletes


def publish(
    folder: Path,
    repository: str,
    *,
    endpoint: str | None = None,
    dry_run: bool = False,
    as_pr: bool = False,
    private: bool = False,
    say: Say = lambda line: None,
) -> dict[str, Any]:
    """Make the Hub's repository hold exactly this release under the tag v{version}; returns what was done.

    Everything is decided from what the Hub holds, so a run that was stopped is finished by the next, and a finished one
    changes nothing. A tag is never moved: one that holds other content is an error. Files of an older version go in the same
    commit; files that no release wrote are an error. `as_pr` opens a pull request instead; once it is merged, the same command
    tags. `dry_run` only reads. Raises `ReleaseError` for a draft or a release that does not verify, `HubError` for the rest.
    """
    manifest = release.read_manifest(folder)
    version, name = str(manifest["version"]), str(manifest["name"])
    if not _VERSION.fullmatch(version) or version.endswith("-draft"):
        raise ReleaseError(f"{folder}: version {version} is a draft; cut a release of it first (dsbuild release)")
    hub = Hub(repository, endpoint, say)
    if not dry_run:
        hub.need_token()
    elif not hub.token:
        say("no token of the Hub: a private repository looks as if there were none")
    local = _local(folder, manifest, hub.token)
    tag, state = f"v{version}", hub.state()
    if state is not None and private and not state.private:
        raise HubError(f"{repository}: exists and is public; make it private on the Hub, or leave --private out")
    found = {
        "repository": repository, "endpoint": hub.endpoint, "name": name, "version": version, "tag": tag, "files": len(local),
        "url": f"{hub.endpoint}/datasets/{repository}/tree/{tag}",
    }  # fmt: skip
    if state is not None and tag in state.tags:
        _check_tag(hub, tag, state.tags[tag], local)
        return {**found, "state": "already published", "commit": state.tags[tag], "operations": []}
    plan = _plan(hub, state, local, name, version)
    pull = _pull(hub, state, local) if as_pr and state and not plan.empty else None
    if pull is not None:
        return {**found, "state": "already proposed", **_request(hub, *pull), "operations": []}
    operations = _operations(plan, repository, version, as_pr=as_pr, private=private)
    if dry_run:
        return {**found, "state": "planned", "commit": None, "operations": operations}
    commit, number = _carry_out(hub, plan, local, manifest, as_pr=as_pr, private=private)
    _check(hub, commit, local, "nothing was tagged" if number is None else f"pull request {number} must not be merged")
    if number is not None:
        return {**found, "state": "proposed", **_request(hub, number, commit), "operations": operations}
    _tag(hub, tag, commit, local, f"{name} {version}")
    return {**found, "state": "published", "commit": commit, "operations": operations}


def local_files(folder: Path, manifest: Mapping[str, Any]) -> list[LocalFile]:
    """Every file of a release, the manifest too, with the digests that the manifest states."""
    path = folder / release.MANIFEST
    own = LocalFile(release.MANIFEST, path, path.stat().st_size, parquet.sha256(path))
    listed = (
        LocalFile(entry["path"], folder / entry["path"], entry["size_bytes"], entry["sha256"])
        for entry in manifest["files"]
    )
    return sorted((own, *listed), key=lambda file: file.name)


def differing(remote: Mapping[str, RemoteFile], local: Sequence[LocalFile]) -> list[str]:
    """What the Hub lists otherwise than the release: missing, added or changed files, one line each."""
    problems = [
        f"{file.name}: missing" if file.name not in remote else f"{file.name}: another digest"
        for file in local
        if file.name not in remote or not remote[file.name].holds(file)
    ]
    known = {file.name for file in local} | HUB_FILES
    return problems + [f"{name}: not in the release" for name in sorted(remote) if name not in known]


def _local(folder: Path, manifest: Mapping[str, Any], token: str | None) -> list[LocalFile]:
    found = local_files(folder, manifest)
    for path in (file.path for file in found if token and not file.name.endswith(".parquet") and file.path.is_file()):
        # A token that got into a text of the release would be there for everybody to read.
        if token and token.encode() in path.read_bytes():
            raise ReleaseError(f"{path}: holds your token of the Hub; take it out and make the release again")
    if problems := verification.verify(folder)["problems"]:
        raise ReleaseError(f"{folder}: not in order ({problems[0]}); dsbuild verify says more; nothing was published")
    return found


def _plan(hub: Hub, state: State | None, local: Sequence[LocalFile], name: str, version: str) -> _Plan:
    """What must change on main. What lies there must be an older (or the same) version of the same set, or nothing."""
    if state is None:
        return _Plan(None, tuple(local), ())
    remote = hub.files(state.head)
    adds = tuple(file for file in local if file.name not in remote or not remote[file.name].holds(file))
    others = sorted(set(remote) - {file.name for file in local} - HUB_FILES)
    known: set[str] = set()
    if release.MANIFEST in remote and (adds or others):
        before = hub.read_json(release.MANIFEST, state.head)
        if before.get("name") != name:
            raise HubError(f"{hub.repository}: holds another data set ({before.get('name')}); name another repository")
        if _order(str(before.get("version"))) > _order(version):
            raise HubError(f"{hub.repository}: holds version {before['version']}, which is newer than {version}")
        known = {str(entry.get("path")) for entry in before.get("files", ())}
    if foreign := [path for path in others if path not in known]:
        raise HubError(
            f"{hub.repository}: holds {foreign[0]}, which no release wrote; delete it there, or name another repository"
        )
    return _Plan(state.head, adds, tuple(others))


def _order(version: str) -> tuple[int, int, int, bool, str]:
    """For comparing versions; what is no version comes first.

    >>> _order("1.0.0-rc1") < _order("1.0.0") < _order("1.10.0"), _order("None") < _order("0.0.1")
    (True, True)
    """
    found = _VERSION.fullmatch(version)
    if not found:
        return (0, 0, 0, False, "")
    return (int(found[1]), int(found[2]), int(found[3]), found[4] is None, found[4] or "")


def _operations(plan: _Plan, repository: str, version: str, *, as_pr: bool, private: bool) -> list[dict[str, Any]]:
    """The exact operations, in order."""
    made: list[dict[str, Any]] = []
    if plan.parent is None:
        made.append({"operation": "create repository", "repository": repository, "private": private})
    made += [
        {"operation": "add", "path": file.name, "size_bytes": file.size, "sha256": file.sha256} for file in plan.adds
    ]
    made += [{"operation": "delete", "path": name} for name in plan.deletes]
    if plan.adds or plan.deletes:
        kind = "open pull request" if as_pr else "commit"
        made.append({"operation": kind, "title": _title(version), "parent": plan.parent})
    if plan.empty or not as_pr:
        made.append({"operation": "tag", "tag": f"v{version}"})
    return [*made, {"operation": "compare digests"}]


def _title(version: str) -> str:
    return f"Release {version}"


def _carry_out(
    hub: Hub, plan: _Plan, local: Sequence[LocalFile], manifest: Mapping[str, Any], *, as_pr: bool, private: bool
) -> tuple[str, int | None]:
    """Upload and commit; returns the commit and the number of the pull request, if it is one."""
    parent = plan.parent
    if parent is None:
        hub.create(private=private)
        state = hub.state()
        if state is None:
            raise HubError(f"{hub.repository}: was made, but the Hub does not show it; run the same command again")
        parent = state.head
    elif plan.empty:
        return parent, None
    adds = hub.upload(plan.adds, as_pr=as_pr)
    files.failpoint("publish-before-commit")
    body = "".join(f"manifest.json sha256:{file.sha256}\n" for file in local if file.name == release.MANIFEST)
    try:
        return hub.commit(adds, plan.deletes, parent, _title(str(manifest["version"])), body, as_pr=as_pr)
    except HubError as error:
        # An answer may be lost on its way when the commit was made: then main holds the release.
        state = None if as_pr else hub.state()
        if state and state.head != parent and not differing(hub.files(state.head), local):
            return state.head, None
        if error.status == 412:
            raise HubError(
                f"{hub.repository}: changed while this was published (main is no longer at {parent[:12]}); nothing was "
                "published, run the same command again"
            ) from None
        raise


def _tag(hub: Hub, tag: str, commit: str, local: Sequence[LocalFile], message: str) -> None:
    files.failpoint("publish-before-tag")
    try:
        hub.tag(tag, commit, message)
    except HubError as error:
        if error.status != 409:
            raise
    files.failpoint("publish-before-check")
    state = hub.state()
    points = state.tags.get(tag) if state else None
    if points is None:
        raise HubError(f"{hub.repository}: the Hub took the tag {tag} and does not list it; run the same command again")
    if points != commit:
        _check_tag(hub, tag, points, local)
    _check(hub, tag, local, f"do not use {tag}")


def _check_tag(hub: Hub, tag: str, commit: str, local: Sequence[LocalFile]) -> None:
    """A tag of this version must hold this release."""
    if problems := differing(hub.files(commit), local):
        raise HubError(
            f"{hub.repository}: the tag {tag} points elsewhere (to {commit[:12]}, where {_shown(problems)}); a published version is "
            "never changed: release another version"
        )


def _check(hub: Hub, revision: str, local: Sequence[LocalFile], consequence: str) -> None:
    """Compare every digest with the Hub's tree."""
    if problems := differing(hub.files(revision), local):
        raise HubError(
            f"{hub.repository}@{revision}: the Hub does not hold what was sent: {_shown(problems)}; {consequence}"
        )


def _shown(problems: Sequence[str]) -> str:
    more = len(problems) - _MAX_SHOWN
    return ", ".join(problems[:_MAX_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _pull(hub: Hub, state: State, local: Sequence[LocalFile]) -> tuple[int, str] | None:
    """The open pull request that holds this release, newest first, if there is one."""
    for number, commit in sorted(state.pulls.items(), reverse=True):
        if not differing(hub.files(commit), local) and hub.open_pull(number):
            return number, commit
    return None


def _request(hub: Hub, number: int, commit: str) -> dict[str, Any]:
    return {
        "commit": commit, "pull_request": number,
        "url": f"{hub.endpoint}/datasets/{hub.repository}/discussions/{number}",
    }  # fmt: skip
