"""Verify a published release: what the Hub lists at its tag, and then its files as if they lay here."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dsbuild import release
from dsbuild.builders.releases import verification
from dsbuild.builders.releases.publish import differing, local_files
from dsbuild.hub import HUB_FILES, REPOSITORY, Hub, HubError, Say

_PUBLISHED = re.compile(rf"({REPOSITORY.pattern})@([\w.+/-]+)", re.ASCII)


def is_published(name: str) -> bool:
    """Whether a name is a published release, ORG/NAME@TAG.

    >>> is_published("org/name@v1.0.0"), is_published("outputs/name/1.0.0")
    (True, False)
    """
    return _PUBLISHED.fullmatch(name) is not None


def verify_remote(name: str, endpoint: str | None = None, say: Say = lambda line: None) -> dict[str, Any]:
    """Verify ORG/NAME@TAG: the version is the tag's, the Hub's digests are the manifest's, and the files verify.

    The files are fetched into the Hub's cache, at the commit that the tag points to. Returns what `verification.verify`
    returns, with the repository, the tag and the commit. Raises `HubError` where there is no such set or tag.
    """
    found = _PUBLISHED.fullmatch(name)
    if not found:
        raise HubError(f"{name}: name a published release as ORG/NAME@TAG")
    repository, tag = found[1], found[2]
    hub = Hub(repository, endpoint, say)
    state = hub.state()
    if state is None:
        raise HubError(
            f"{repository}: the Hub has no such data set, or it is private; check the name, or log in (hf auth login)"
        )
    if tag not in state.tags:
        raise HubError(f"{repository}: has no tag {tag}; it has: {', '.join(sorted(state.tags)) or 'none'}")
    commit = state.tags[tag]
    listed = hub.files(commit)
    if release.MANIFEST not in listed:
        raise HubError(f"{name}: no {release.MANIFEST}, so this is not a release of dsbuild")
    about = {"repository": repository, "tag": tag, "commit": commit}
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "release"
        _link(hub.snapshot(commit), folder)
        manifest = release.read_manifest(folder)
        problems = []
        if tag != f"v{manifest['version']}":
            problems.append(f"{release.MANIFEST}: version {manifest['version']} under the tag {tag}")
        problems += [f"{problem} (as the Hub lists it)" for problem in differing(listed, _present(folder, manifest))]
        found_here = verification.verify(folder)
    return {**about, **found_here, "problems": problems + found_here["problems"]}


def _present(folder: Path, manifest: dict[str, Any]) -> list[Any]:
    # The git id of a small file is made from its content: one that is not here is told of by `verify`.
    return [file for file in local_files(folder, manifest) if file.path.is_file()]


def _link(snapshot: Path, folder: Path) -> None:
    """The files of a snapshot without those that are the Hub's own."""
    for path in sorted(snapshot.rglob("*")):
        name = path.relative_to(snapshot)
        if path.is_file() and name.as_posix() not in HUB_FILES:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(path.resolve())
