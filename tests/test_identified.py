"""`dsbuild lid`: one answer a line, whatever the file's form."""

from __future__ import annotations

import gzip
import io
import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.small_set import cli

LINES = ["The baker opens the shop before the sun is up.", "", "दुकानदार सुबह सूरज निकलने से पहले दुकान खोलता है।", "ok"]
LABELS = ["en", "", "hi", ""]


def labels(*arguments: object) -> list[str]:
    code, out, err = cli("lid", *arguments, "--format", "json")
    assert code == 0, err
    return [row["label"] for row in json.loads(out)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_plain_compressed_or_with_a_byte_order_mark(tmp_path: Path, end: str) -> None:
    data = end.join(LINES).encode()
    (tmp_path / "plain.txt").write_bytes(data)
    (tmp_path / "marked.txt").write_bytes(b"\xef\xbb\xbf" + data + end.encode())
    (tmp_path / "packed.txt.gz").write_bytes(gzip.compress(data))
    for name in ("plain.txt", "marked.txt", "packed.txt.gz"):
        assert labels(tmp_path / name) == LABELS
    (tmp_path / "empty.txt").write_bytes(b"")
    assert labels(tmp_path / "empty.txt") == []


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO("\n".join(LINES).encode())))
    assert labels("-") == LABELS


def test_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes("\n".join(LINES).encode()))
    writer.start()
    assert labels(tmp_path / "pipe") == LABELS
    writer.join()


def test_what_is_no_text_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"one\ntwo caf\xe9\n")
    for path, said in (
        (tmp_path / "latin.txt", "latin.txt:2: invalid UTF-8"),
        (tmp_path / "no.txt", "no.txt: no such file"),
        (tmp_path, "folder"),
    ):
        code, _, err = cli("lid", path)
        assert (code, err.count("\n")) == (2, 1)
        assert said in err
