"""Labelled sets in several files: which file is which split, what is refused, and rows that keep both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsbuild.builders.labelled.splits import SplitSet, of_splits, open_split_set, split_files
from dsbuild.errors import SourceError


def spans(path: Path, *ids: str) -> Path:
    rows = [
        {"id": one, "text": f"Row {one}", "spans": [{"id": "0", "start": 0, "end": 3, "label": "X"}]} for one in ids
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def conll(path: Path, *words: str) -> Path:
    path.write_text("".join(f"{word} B-X\n\n" for word in words), "utf-8")
    return path


def test_a_folder_names_its_splits(tmp_path: Path) -> None:
    for name in ("test_de.jsonl", "train_de.jsonl", "dev_de.jsonl", "test_en_de_bt.jsonl", "readme.md"):
        spans(tmp_path / name, name[:2] + "1")
    found = split_files(str(tmp_path))
    assert {split: path.name for split, path in found.items()} == {
        "train": "train_de.jsonl", "dev": "dev_de.jsonl", "test": "test_de.jsonl",
    }  # fmt: skip


def test_files_are_named_with_and_without_their_split(tmp_path: Path) -> None:
    one, two = spans(tmp_path / "a.jsonl", "1", "2"), spans(tmp_path / "test.jsonl", "3")
    source = open_split_set(f"spans:gold={one},{two}", lang="en", options={})
    assert isinstance(source, SplitSet)
    assert [(split, item.id) for split, item in of_splits(source)] == [("gold", "1"), ("gold", "2"), ("test", "3")]
    assert [(split, item.id) for split, item in of_splits(source, 1)] == [("gold", "1"), ("test", "3")]
    assert [item.id for item in source.targets()] == ["1", "2", "3"]
    assert not isinstance(open_split_set(f"spans:{one}", lang="en", options={}), SplitSet)


def test_rows_without_ids_are_numbered_by_split(tmp_path: Path) -> None:
    one, two = conll(tmp_path / "train.conll", "Ada", "Bo"), conll(tmp_path / "test.conll", "Cy")
    source = open_split_set(f"conll:{one},{two}", lang="en", options={})
    assert [item.id for item in source.read()] == ["train-0", "train-1", "test-0"]


def test_a_file_whose_name_has_a_comma_is_one_file(tmp_path: Path) -> None:
    assert split_files(str(spans(tmp_path / "train,test.jsonl", "1"))) == {}


@pytest.mark.parametrize(
    ("names", "spec", "said"),
    [
        (("a.jsonl",), "", "no file in it is named after a split"),
        (("train.json", "train.jsonl"), "", "both of the split train"),
        (("train.json", "x.jsonl"), "{0}/train.json,{0}/x.jsonl", "of which split"),
        (("train.json",), "{0}/train.json,{0}/test.json", "no such file"),
        (("a.json", "b.json"), "train={0}/a.json,train={0}/b.json", "both of the split train"),
        (("a.json",), "tr ain={0}/a.json", "of which split"),
    ],
)
def test_what_names_no_splits_is_refused(tmp_path: Path, names: tuple[str, ...], spec: str, said: str) -> None:
    for name in names:
        spans(tmp_path / name, "1")
    with pytest.raises(SourceError, match=said):
        split_files(spec.format(tmp_path) or str(tmp_path))


def test_an_id_of_two_splits_is_refused(tmp_path: Path) -> None:
    one, two = spans(tmp_path / "train.jsonl", "1"), spans(tmp_path / "test.jsonl", "1")
    with pytest.raises(SourceError, match="'1' is one of train too"):
        list(open_split_set(f"spans:{one},{two}", lang="en", options={}).read())
