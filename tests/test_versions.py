"""Version numbers and names of releases."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsbuild.builders.releases.versions import check_name, parse, previous
from dsbuild.errors import ReleaseError


@pytest.mark.parametrize(
    "text", ["1", "1.0", "1.0.0.0", "v1.0.0", "01.0.0", "1.0.0-draft", "", "1.0.x", "../1.0.0", "1.0.٠", " 1.0.0"]
)
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ReleaseError, match="write it as MAJOR.MINOR.PATCH"):
        parse(text)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", "a..b", "x.git", "नाम", "a" * 97, "a b", "a\n"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ReleaseError, match="--name"):
        check_name(name)


def test_versions_are_numbers(tmp_path: Path) -> None:
    assert parse("1.10.0") > parse("1.9.9")
    for version in ("1.9.0", "1.10.0", "2.0.0", "0.0.0-draft", "3.0.0"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "manifest.json").touch()
    (tmp_path / "1.11.0").mkdir()  # half a release is none
    assert previous(tmp_path, parse("1.12.0")) == tmp_path / "1.10.0"
    assert previous(tmp_path, parse("1.9.0")) is None
    assert previous(tmp_path / "nowhere", parse("1.0.0")) is None


@pytest.mark.parametrize(
    ("before", "after", "bump"),
    [
        ("1.2.3", "1.2.4", "patch"),
        ("1.2.3", "1.3.0", "minor"),
        ("1.2.3", "2.0.0", "major"),
        ("0.9.0", "1.0.0", "major"),
    ],
)
def test_steps(before: str, after: str, bump: str) -> None:
    assert parse(after).bump_from(parse(before)) == bump
    assert parse(before).bumped(bump) == parse(after)
