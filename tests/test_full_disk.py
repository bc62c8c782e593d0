"""Disks that fill up: one clear line, what is finished stays finished, and the same command goes on."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from dsbuild import parquet
from dsbuild.errors import StoreError
from dsbuild.translate.journal import Journal
from tests.small_set import DOCS, QRELS, QUERIES, ROOT, cli, digests, translate, write_memory, write_set


def test_a_disk_that_is_full_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The release is written beside the old one; when that fails the old one stays."""
    memory = write_memory(tmp_path / "memory.tsv")
    assert cli(*translate(tmp_path, write_set(tmp_path / "set"), memory))[0] == 0
    before = digests(tmp_path / "out")
    smaller = write_set(tmp_path / "smaller" / "set", DOCS[:-1], QUERIES, {"test": QRELS[:6]})

    def full(path: Path, *more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(parquet, "_write_shard", lambda path, *more: parquet.write_atomically(path, full))
        code, _, err = cli(*translate(tmp_path, smaller, memory))
    assert code == 2
    assert "disk full; free some space and run the same command again" in err.splitlines()[-1]
    assert digests(tmp_path / "out") == before
    assert cli(*translate(tmp_path, smaller, memory))[0] == 0
    assert digests(tmp_path / "out") != before


def test_a_disk_that_fills_at_any_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The n-th write fails, for n further and further on; then the same command goes on and ends as an undisturbed run."""
    source, memory = write_set(tmp_path / "set"), write_memory(tmp_path / "memory.tsv")
    assert cli(*translate(tmp_path / "undisturbed", source, memory, langs="hi"))[0] == 0
    arguments = translate(tmp_path, source, memory, langs="hi")
    real, left = os.fsync, 0

    def fsync(handle: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    failures = 0
    with monkeypatch.context() as patch:
        patch.setattr("dsbuild.files.os.fsync", fsync)
        while not (tmp_path / "out").exists():
            left = 17 * (failures + 1)
            code, _, err = cli(*arguments)
            if code:
                failures += 1
                assert code == 2, err
                assert err.splitlines()[-1].startswith("dsbuild: ")
                assert "disk full; free some space and run the same command again" in err
    assert failures >= 2, "before and while the release is written"
    assert digests(tmp_path / "out") == digests(tmp_path / "undisturbed/out")


@pytest.mark.parametrize("limit", [0, 2_000])
def test_a_temporary_folder_that_is_full(tmp_path: Path, limit: int) -> None:
    """No file may grow over a limit, in a process of its own; without the limit the same command ends well."""
    source, memory = write_set(tmp_path / "set"), write_memory(tmp_path / "memory.tsv")
    arguments = [sys.executable, "-m", "dsbuild", *map(str, translate(tmp_path, source, memory, langs="hi"))]
    done = subprocess.run(
        arguments, cwd=ROOT, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("dsbuild: ")] == done.stderr.splitlines()[-1:]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
    assert cli(*translate(tmp_path, source, memory, langs="hi"))[0] == 0


def test_a_journal_on_a_full_disk(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / "journal"
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
    try:
        with Journal(path) as journal:
            journal.add("first", "x" * 100)
            with pytest.raises(StoreError, match="journal: cannot write"):
                journal.add("second", "x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with Journal(path) as journal:
        assert list(journal.entries) == ["first"]
        journal.add("second", "y")
    with Journal(path) as journal:
        assert list(journal.entries) == ["first", "second"]


@pytest.mark.parametrize("kind", ["text", "json"])
def test_standard_output_that_is_full(kind: str) -> None:
    arguments = [sys.executable, "-m", "dsbuild", "list", "filters", "--format", kind]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(arguments, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "dsbuild: standard output: disk full; free some space and run the same command again\n",
    )


@pytest.mark.parametrize("command", ["retrieval", "negatives"])
def test_a_place_that_cannot_be_written_is_told_before_the_work(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    place = tmp_path / "file" / "found.json"
    source = f"beir:{write_set(tmp_path / 'set')}"
    given = {
        "retrieval": [source, "--out", place],
        "negatives": ["--src", source, "--rule", "naive", "--judge-budget", 10, "--judge-out", place],
    }[command]
    code, _, err = cli("evaluate", command, *given, "--lang", "en", "--retriever", "bm25", "--store", tmp_path / "s")
    assert (code, err.count("\n")) == (2, 1)
    assert "a file stands where a folder is needed" in err
    assert not list((tmp_path / "s").rglob("*.parquet"))
