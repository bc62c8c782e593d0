"""Version numbers of releases: which step a change calls for, and the folders that hold them.

The versions follow Croissant 1.1, "Dataset Versioning": PATCH, the data are the same; MINOR, they are unchanged and there are more
columns, splits or configurations; MAJOR, anything else, also rows that were added to a split that was there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsbuild import release
from dsbuild.errors import ReleaseError

BUMPS = ("patch", "minor", "major")
_MAX_NAMES = 4
_VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}", re.ASCII)


@dataclass(frozen=True, order=True, slots=True)
class Version:
    """MAJOR.MINOR.PATCH."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    def bump_from(self, before: Version) -> str:
        """What kind of step leads here from an earlier version.

        >>> parse("1.2.0").bump_from(parse("1.1.7"))
        'minor'
        """
        if self.major > before.major:
            return "major"
        return "minor" if self.minor > before.minor else "patch"

    def bumped(self, bump: str) -> Version:
        """The next version of a kind.

        >>> str(parse("1.2.3").bumped("minor"))
        '1.3.0'
        """
        if bump == "major":
            return Version(self.major + 1, 0, 0)
        return (
            Version(self.major, self.minor + 1, 0)
            if bump == "minor"
            else Version(self.major, self.minor, self.patch + 1)
        )


def parse(text: str) -> Version:
    """A version from its text; anything but three numbers is a `ReleaseError`."""
    match = _VERSION.fullmatch(text)
    if not match:
        raise ReleaseError(f"--version {text!r}: write it as MAJOR.MINOR.PATCH, such as 1.0.0")
    return Version(*map(int, match.groups()))


def check_name(name: str) -> str:
    """The name of a set, as a folder and a repository can have it."""
    if not _NAME.fullmatch(name) or ".." in name or name.endswith((".git", ".")):
        raise ReleaseError(f"--name {name!r}: up to 96 letters, digits, '-', '_' and '.', with a letter or digit first")
    return name


def smaller(one: str, other: str) -> bool:
    """Whether a bump is smaller than another.

    >>> smaller("patch", "minor"), smaller("major", "major")
    (True, False)
    """
    return BUMPS.index(one) < BUMPS.index(other)


def previous(folder: Path, version: Version) -> Path | None:
    """The folder of the highest version below `version` that lies in `folder`."""
    found = [
        (parse(path.name), path)
        for path in (folder.iterdir() if folder.is_dir() else ())
        if _VERSION.fullmatch(path.name) and (path / release.MANIFEST).is_file()
    ]
    return max((one for one in found if one[0] < version), default=(None, None))[1]


def propose(configs: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """The bump that differences make by Croissant's rule, and why; the weightiest reasons come first."""
    major, minor = [], []
    for entry in configs:
        name, schema = entry["config"], entry["schema"]
        if entry["state"] == "added":
            minor.append(f"{name}: new configuration of {_rows(entry['added'])}")
            continue
        if entry["state"] == "removed":
            major.append(f"{name}: configuration removed")
            continue
        major += _columns(name, schema["removed"], "removed")
        major += [f"{name}: column {one['name']} is {one['b']} now, it was {one['a']}" for one in schema["changed"]]
        if schema["order"]:
            major.append(f"{name}: columns stand in another order")
        for split, one in entry["splits"].items():
            if one["rows_a"] is None:
                minor.append(f"{name}/{split}: new split of {_rows(one['rows_b'])}")
                continue
            if one["rows_b"] is None:
                major.append(f"{name}/{split}: split removed")
                continue
            said = [f"{_rows(one[kind])} {kind}" for kind in ("removed", "changed", "added") if one[kind]]
            said += [
                f"{_rows(one[kind])} moved {where}"
                for kind, where in (("moved_out", "to another split"), ("moved_in", "in"))
                if one[kind]
            ]
            if said:
                major.append(f"{name}/{split}: {', '.join(said)}")
        minor += _columns(name, schema["added"], "new")
    if major:
        return "major", [*major, *minor]
    return ("minor", minor) if minor else ("patch", ["every row is the same"])


def _columns(config: str, columns: Sequence[Mapping[str, Any]], what: str) -> list[str]:
    names = [one["name"] for one in columns]
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return (
        [f"{config}: {what} column{'' if len(names) == 1 else 's'} {', '.join(names[:_MAX_NAMES])}{more}"]
        if names
        else []
    )


def _rows(number: int) -> str:
    return f"{number:,} row{'' if number == 1 else 's'}"
