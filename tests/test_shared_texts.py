"""Texts that stand in several splits of one language's table: found, counted as Python counts them, and only there where accepted."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from dsbuild import release
from dsbuild.builders.releases.shared_texts import Shared, shared_texts
from dsbuild.builders.releases.verification import verify
from tests.small_releases import write
from tests.small_set import cli


def docs(split: str, texts: list[str], lang: str = "hi") -> list[dict[str, Any]]:
    return [{"doc_id": f"{split}{n}", "text": text, "lang": lang, "score": 0.5} for n, text in enumerate(texts)]


def leaking(folder: Path) -> Path:
    """The second text of train is the first of test in other spelling; another language has that text too."""
    train, test = ["नदी पूर्व की ओर बहती है।", "Rice  is planted"], ["rice is planted!", "ऊन गर्म है"]
    return write(
        folder,
        {
            "hi-documents": {"train": docs("train", train), "test": docs("test", test)},
            "mr-documents": {"train": docs("m", test, "mr")},
        },
    )


def test_random_texts_are_counted_as_python_counts_them(tmp_path: Path) -> None:
    draw = random.Random(7)
    texts = {split: [f"Word {draw.randrange(60)}" for _ in range(30)] for split in ("dev", "test", "train")}
    draft = write(tmp_path / "draft", {"hi-documents": {split: docs(split, those) for split, those in texts.items()}})
    splits: dict[str, set[str]] = defaultdict(set)
    for split, those in texts.items():
        for text in those:
            splits[text].add(split)
    shared = {text for text, where in splits.items() if len(where) > 1}
    assert shared
    found = shared_texts(draft, release.read_manifest(draft))["hi-documents"]
    assert found.texts == len(shared)
    assert found.rows == {split: sum(text in shared for text in those) for split, those in texts.items()}
    for split, row_id in found.first.items():
        assert texts[split][int(row_id.removeprefix(split))] in shared


def test_what_is_no_text_or_another_language_is_shared_by_nobody(tmp_path: Path) -> None:
    empty = ["", " ", "...", "text"]
    draft = write(
        tmp_path / "draft",
        {
            "hi-documents": {"train": docs("a", empty), "test": docs("b", empty[:-1])},
            "mr-documents": {"test": docs("c", ["text"], "mr")},
        },
    )
    assert shared_texts(draft, release.read_manifest(draft)) == {}
    assert verify(draft)["problems"] == []


@pytest.mark.parametrize("other", ["text_a", "text_b", None])
def test_a_pair_is_shared_by_both_of_its_sides(tmp_path: Path, other: str | None) -> None:
    pair = {
        "pair_id": "1",
        "text_a": "one river",
        "lang_a": "en",
        "text_b": "एक नदी",
        "lang_b": "hi",
        "label": "yes",
        "score": 1.0,
    }
    again = {**pair, "pair_id": "2", **({other: "something else"} if other else {})}
    draft = write(tmp_path / "draft", {"hi-pairs": {"train": [pair], "test": [again]}})
    assert bool(shared_texts(draft, release.read_manifest(draft))) is (other is None)


def test_a_leak_is_not_in_order_and_not_released(tmp_path: Path) -> None:
    draft = leaking(tmp_path / "draft")
    (problem,) = verify(draft)["problems"]
    assert problem.startswith(
        "hi-documents: 1 text stands in more than one split (test: 1 row, such as 'test0'; train: 1 row, such as 'train1')"
    )
    assert "--accept-leakage" in problem
    code, _, err = cli("release", draft, "--name", "made", "--version", "1.0.0", "--out", tmp_path / "set")
    assert (code, err.count("\n")) == (2, 1)
    assert "hi-documents: 1 text stands in more than one split" in err
    assert not (tmp_path / "set/1.0.0").exists()


def test_what_was_accepted_is_recorded_and_shown(tmp_path: Path) -> None:
    draft = leaking(tmp_path / "draft")
    asked = ["--name", "made", "--version", "1.0.0", "--out", tmp_path / "set"]
    assert cli("release", draft, *asked, "--accept-leakage", " ")[0] == 2
    code, _, err = cli("release", draft, *asked, "--accept-leakage", "official\nsplits <b>")
    assert code == 0, err
    folder = tmp_path / "set/1.0.0"
    found = verify(folder)
    assert found["problems"] == []
    assert found["checked"]["texts in several splits, accepted"] == 1
    said = release.read_manifest(folder)["release"]["accepted"]
    assert said == {"reason": "official splits <b>", "texts": {"hi-documents": 1}}
    for name in ("README.md", "DATASHEET.md"):
        text = (folder / name).read_text("utf-8")
        assert "because: official splits &#60;b&#62;" in text
        assert re.search(r"1 text.* in more than one split|hi-documents: 1 text stands", text)


def test_another_number_than_was_accepted_is_not_in_order(tmp_path: Path) -> None:
    draft = leaking(tmp_path / "draft")
    path = draft / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["release"] = {"accepted": {"reason": "x", "texts": {"hi-documents": 2, "mr-documents": 1}}, "content": {}}
    path.write_text(json.dumps(manifest), "utf-8")
    problems = verify(draft)["problems"]
    assert "hi-documents: 1 texts stand in more than one split, 2 were accepted" in problems
    assert "mr-documents: 0 texts stand in more than one split, 1 were accepted" in problems


def test_accepting_what_is_not_there_records_nothing(tmp_path: Path) -> None:
    draft = write(tmp_path / "draft", {"hi-documents": {"train": docs("a", ["one"]), "test": docs("b", ["two"])}})
    code, _, err = cli(
        "release", draft, "--name", "made", "--version", "1.0.0", "--out", tmp_path / "set", "--accept-leakage", "x"
    )
    assert code == 0, err
    assert "accepted" not in release.read_manifest(tmp_path / "set/1.0.0")["release"]


def test_words() -> None:
    assert Shared(1200, {"a": 1500, "b": 1}, {"a": "1", "b": "2"}).told() == (
        "1,200 texts stand in more than one split (a: 1,500 rows, such as '1'; b: 1 row, such as '2')"
    )
