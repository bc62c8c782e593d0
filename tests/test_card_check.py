"""A number of the README that is not what the files give is found, wherever it stands."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dsbuild import release
from dsbuild.builders.card_check import check_card
from tests.small_set import make, write_memory, write_set


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


def test_people_may_add_text(draft: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(draft, folder)
    with (folder / "README.md").open("a", encoding="utf-8") as handle:
        handle.write("\n## Thanks\n\nTo the 12 people who helped.\n")
    assert check_card(folder, release.read_manifest(folder)) == []
    (folder / "README.md").unlink()
    assert check_card(folder, release.read_manifest(folder))[0].startswith("README.md: cannot be read")
