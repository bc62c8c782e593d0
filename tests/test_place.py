"""Where a draft release goes, held by one run at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsbuild.builders.place import held_folder
from dsbuild.errors import StoreError


def test_one_run_at_a_time_and_the_next_after_it(tmp_path: Path) -> None:
    with held_folder(tmp_path / "out", "any") as folder:
        assert folder == tmp_path / "out"
        with pytest.raises(StoreError, match="another run is writing it"), held_folder(tmp_path / "out", "any"):
            pass
    with held_folder(tmp_path / "out", "any"):
        pass


def test_a_folder_is_named_by_the_build_and_dots_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with held_folder(None, "set-hi") as folder:
        assert folder == Path("outputs/set-hi/0.0.0-draft")
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    with held_folder(Path(), "any") as folder:
        assert folder == tmp_path / "inner"


def test_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", "utf-8")
    with pytest.raises(StoreError, match="is not empty"), held_folder(tmp_path, "any"):
        pass
