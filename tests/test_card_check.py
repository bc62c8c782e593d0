"""A number of the README that is not what the files give is found, wherever it stands."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dsbuild import release
from dsbuild.builders.releases.card_check import check_card
from dsbuild.builders.releases.contents import contents
from tests.small_set import cli, make, write_memory, write_set


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("card")
    make(folder, write_set(folder / "set"), write_memory(folder / "memory.tsv"), ("hi",))
    return folder / "out"


def more(pattern: str) -> Callable[[str], str]:
    """Put a 7 before the number that a pattern ends in, at its first place."""
    return lambda text: re.sub(rf"({pattern})(\d)", r"\g<1>7\g<2>", text, count=1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (more("num_examples: "), "its metadata says {'corpus': 7"),
        (more("download_size: "), "its metadata says download_size 7"),
        (more("dataset_size: "), "its metadata says dataset_size 7"),
        (more("    num_bytes: "), "its splits add up to 7"),
        (more(r"\| hi-corpus \| corpus \| "), "the files give '| hi-corpus"),
        (more(r"\| hi \| corpus \| "), "the files give '| hi | corpus"),
        (more("Judgements in hi: "), "the files give 'Judgements in hi"),
        (more(r"\| translate.hi \| "), "the files give '| translate.hi"),
        (lambda text: text.replace("config_name: hi-qrels", "config_name: hi-qrel", 1), "does not describe hi-qrels"),
        (lambda text: text.replace("name: title", "name: titel", 1), "says other columns of en-corpus"),
        (
            lambda text: text.replace("dtype: int32", "dtype: int64", 1),
            "says that en-qrels.relevance is int64, in the files it is int32",
        ),
        (lambda text: text.replace("path: hi-corpus", "path: en-corpus", 1), "names other files of hi-corpus"),
        (lambda text: text.replace("license: unknown", "license: mit", 1), "says license mit, the release gives"),
        (lambda text: text.replace("n<1K", "n>1T", 1), "says size_categories ['n>1T']"),
        (lambda text: text.replace("- hi\n", "- mr\n", 1), "says language ['en', 'mr']"),
        (lambda text: text.replace("dataset_info:", "dataset_info: {", 1), "cannot be read"),
        (lambda text: text.replace("dataset_info:", "dataset_info: 1\nx:", 1), "cannot be read"),
    ],
)
def test_a_number_changed_by_hand(draft: Path, tmp_path: Path, change: Callable[[str], str], says: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(draft, folder)
    manifest = release.read_manifest(folder)
    before = (folder / "README.md").read_text("utf-8")
    assert check_card(folder, manifest) == []
    (folder / "README.md").write_text(change(before), "utf-8")
    assert change(before) != before
    assert any(says in line for line in check_card(folder, manifest))


def test_the_bytes_of_a_release_are_those_of_its_rows(draft: Path, tmp_path: Path) -> None:
    """A number that adds up and is not true; a draft states what writing took, so there it only adds up."""
    asked = ["--name", "made", "--version", "1.0.0", "--out", tmp_path / "set", "--license", "mit"]
    assert cli("release", draft, *asked)[0] == 0
    folder = tmp_path / "set/1.0.0"
    manifest = release.read_manifest(folder)
    held = contents(folder, manifest)
    assert check_card(folder, manifest, held) == []
    text = (folder / "README.md").read_text("utf-8")
    number = held["hi-corpus"]["corpus"].nbytes
    assert f"num_bytes: {number}\n" in text
    (folder / "README.md").write_text(
        text.replace(f"_bytes: {number}", "_bytes: 7").replace(f"_size: {number}", "_size: 7"), "utf-8"
    )
    assert check_card(folder, manifest, held) == [
        f"README.md: its metadata says num_bytes {{'corpus': 7}} of hi-corpus, the files give {{'corpus': {number}}}"
    ]
    assert check_card(folder, manifest) == []


def test_people_may_add_text(draft: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(draft, folder)
    with (folder / "README.md").open("a", encoding="utf-8") as handle:
        handle.write("\n## Thanks\n\nTo the 12 people who helped.\n")
    text = (folder / "README.md").read_text("utf-8")
    (folder / "README.md").write_text(text.replace("---\n", "---\nthumbnail: a.png\n", 1), "utf-8")
    assert check_card(folder, release.read_manifest(folder)) == []
    (folder / "README.md").unlink()
    assert check_card(folder, release.read_manifest(folder))[0].startswith("README.md: cannot be read")
