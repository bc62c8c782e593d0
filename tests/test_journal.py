from __future__ import annotations

import pytest

from dsbuild.engine import Output
from dsbuild.translate.journal import Journal, pack, unpack


def test_outputs_survive_the_journal(tmp_path) -> None:
    outputs = [Output("नमस्ते\n", "stop", -0.5, 3, 2, 1), Output("", "error", error="missing: x")]
    with Journal(tmp_path / "j") as journal:
        journal.add("a", pack(outputs))
    with Journal(tmp_path / "j") as journal:
        assert unpack(journal.entries["a"]) == outputs


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_torn_tail_is_forgotten_and_the_rest_kept(tmp_path, cut) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        journal.add("a", [1])
        journal.add("b", ["नमस्ते"] * 3)
    data = path.read_bytes()
    path.write_bytes(data[:-cut])
    with Journal(path) as journal:
        assert journal.entries == {"a": [1]}
        journal.add("b", 2)
    with Journal(path) as journal:
        assert journal.entries == {"a": [1], "b": 2}


def test_a_line_that_was_changed_is_not_believed(tmp_path) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        journal.add("a", [1])
    path.write_bytes(path.read_bytes().replace(b"[1]", b"[2]"))
    with Journal(path) as journal:
        assert journal.entries == {}
