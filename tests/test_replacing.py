"""A release folder is replaced only by a release of the same source, and nothing leaves it."""

from __future__ import annotations

import json
import pickle

import pytest

from dsbuild.cards.card import cell
from dsbuild.errors import EngineError, MissingExtra, StoreError, UnknownName
from dsbuild.parquet import write_shards
from dsbuild.tables import QRELS
from tests.small_set import QRELS as JUDGED
from tests.small_set import RICE, WATER, cli, digests, make, translate, write_memory, write_set


def test_a_release_of_another_source_is_not_replaced(tmp_path) -> None:
    memory = write_memory(tmp_path / "memory.tsv")
    make(tmp_path, write_set(tmp_path / "a"), memory)
    before = digests(tmp_path / "out")
    other = write_set(tmp_path / "b", docs=[("d1", "", RICE), ("d2", "", WATER)], qrels={"test": [("q1", "d1", 1)]})
    with pytest.raises(StoreError, match="a release of another source"):
        make(tmp_path, other, memory)
    assert digests(tmp_path / "out") == before


def test_a_file_of_the_user_in_the_folder_is_never_deleted(tmp_path) -> None:
    source, memory = write_set(tmp_path / "a"), write_memory(tmp_path / "memory.tsv")
    make(tmp_path, source, memory)
    (tmp_path / "out/notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"holds notes\.txt, which is not part of the release"):
        make(tmp_path, source, memory)
    assert (tmp_path / "out/notes.txt").read_text() == "mine"


def test_a_split_name_cannot_leave_the_folder(tmp_path) -> None:
    memory = write_memory(tmp_path / "memory.tsv")
    source = write_set(tmp_path / "a", qrels={"dev-small": JUDGED})
    code, out, _ = cli(*translate(tmp_path, source, memory, "--format", "json"))
    assert code == 0
    assert json.loads(out)["release"]
    assert list((tmp_path / "out/hi-qrels").glob("dev_small-*.parquet"))
    with pytest.raises(StoreError, match="cannot be the name of a file"):
        write_shards(tmp_path / "x", "../escaped", QRELS, [], 0)


def test_a_run_that_loses_more_than_max_drop_releases_nothing(tmp_path) -> None:
    memory = write_memory(tmp_path / "memory.tsv", missing={"hi": [RICE, WATER]})
    source = write_set(tmp_path / "a", qrels={"train": JUDGED})
    with pytest.raises(EngineError, match=r"rows would be lost \(most: missing, \d+\), above --max-drop 1%"):
        make(tmp_path, source, memory, max_drop=0.01)
    assert not (tmp_path / "out").exists()


def test_cells_hold_no_markup_and_stay_readable() -> None:
    assert cell("length_z") == "length_z"
    assert (
        cell("a|b\n<i>*x*</i> [y](z) _w_") == "a&#124;b &#60;i&#62;&#42;x&#42;&#60;/i&#62; &#91;y&#93;(z) &#95;w&#95;"
    )
    assert cell("R&D") == "R&#38;D"


@pytest.mark.parametrize("error", [UnknownName("engine", "x", ["a"]), MissingExtra("x", "torch", "convert")])
def test_errors_of_worker_processes_arrive_as_they_were(error) -> None:
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_what_a_release_says_of_paths_and_addresses(tmp_path) -> None:
    from dsbuild.builders.parts import public

    (tmp_path / "model").mkdir()
    assert public(str(tmp_path / "model")) == "model"
    assert public("facebook/nllb-200-distilled-600M") == "facebook/nllb-200-distilled-600M"
    assert public("http://user:secret@host:8000/v1?key=secret") == "http://host:8000/v1"
    assert public("http://host:x/v1") == "http://host:x/v1"


def test_what_if_with_a_section_for_a_value_is_one_line(tmp_path) -> None:
    memory = write_memory(tmp_path / "memory.tsv")
    make(tmp_path, write_set(tmp_path / "a"), memory)
    code, _, err = cli("what-if", tmp_path / "out", "--set", "bitext=3")
    assert code == 2
    assert "name a threshold" in err
