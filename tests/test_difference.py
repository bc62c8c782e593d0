"""Differences of releases: every number against one counted in Python."""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsbuild import parquet
from dsbuild.builders.releases import cut, row_pairs
from dsbuild.builders.releases.difference import difference, opened
from dsbuild.builders.releases.versions import propose
from dsbuild.errors import ReleaseError
from dsbuild.stage import verdict
from tests.small_releases import DOCS, document_schema, write, write_docs
from tests.small_set import cli

KINDS = ("added", "removed", "changed", "moved")


def compared(before: Path, after: Path, **more: Any) -> dict[str, Any]:
    return difference(opened(before), opened(after), **more)


def test_equal_rows_in_another_order_are_no_difference(tmp_path: Path) -> None:
    found = compared(write_docs(tmp_path / "a", DOCS), write_docs(tmp_path / "b", DOCS[::-1]))
    assert found["bump"] == {
        "proposed": "patch",
        "reason": "every row is the same",
        "reasons": ["every row is the same"],
    }
    assert found["languages"] == {"hi": {"added": 0, "removed": 0, "changed": 0, "moved": 0}}
    assert (found["samples"], found["stages"], found["configs"][0]["state"]) == ([], [], "same")


def test_one_row_removed(tmp_path: Path) -> None:
    before = write_docs(tmp_path / "a", DOCS)
    found = compared(before, write_docs(tmp_path / "b", [*DOCS[:4], *DOCS[5:]], dropped=[DOCS[4]]))
    assert found["bump"]["proposed"] == "major"
    assert found["bump"]["reason"] == "hi-documents/train: 1 row removed"
    assert found["stages"] == [{"stage": "decide", "rule": "short", "rows": 1}]
    (sample,) = found["samples"]
    assert (sample["kind"], sample["id"], sample["a"], sample["b"]) == ("removed", "d4", "train", None)
    assert sample["columns"]["text"] == {"a": "text 4 | नदी"}


def test_a_row_that_was_taken_out_of_a_file_by_hand(tmp_path: Path) -> None:
    """The digests of both manifests are the same; the files are not."""
    draft = write_docs(tmp_path / "draft", DOCS)
    for version in ("1.0.0", "1.0.1"):
        cut.cut(draft, cut.wanted("made", version), tmp_path / "set")
    before, after = tmp_path / "set/1.0.0", tmp_path / "set/1.0.1"
    assert difference(opened(before), opened(after))["bump"]["proposed"] == "patch"
    (path,) = (after / "hi-documents").glob("*.parquet")
    rows = parquet.read(path)
    path.unlink()  # the other version has the file too
    pq.write_table(rows.slice(1), path)
    manifest = json.loads((after / "manifest.json").read_text("utf-8"))
    entry = next(one for one in manifest["files"] if one["path"].startswith("hi-documents/"))
    entry |= {"size_bytes": path.stat().st_size, "sha256": parquet.sha256(path)}
    (after / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    found = difference(opened(before), opened(after))
    assert (found["configs"][0]["removed"], found["bump"]["proposed"]) == (1, "major")
    pq.write_table(rows, path)  # the same rows in another encoding
    entry |= {"size_bytes": path.stat().st_size, "sha256": parquet.sha256(path)}
    (after / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    found = difference(opened(before), opened(after))
    assert (found["configs"][0]["state"], found["bump"]["proposed"]) == ("same", "patch")


def test_a_row_that_the_source_lost_has_no_stage(tmp_path: Path) -> None:
    found = compared(write_docs(tmp_path / "a", DOCS), write_docs(tmp_path / "b", DOCS[1:]))
    assert found["stages"] == [{"stage": "", "rule": "", "rows": 1}]


def expected(
    before: dict[str, list[dict[str, Any]]], after: dict[str, list[dict[str, Any]]]
) -> tuple[Counter[str], Counter[str]]:
    """The counts and the columns, by ids."""
    sides = [{row["doc_id"]: (split, row) for split, rows in side.items() for row in rows} for side in (before, after)]
    counts, columns = Counter[str](), Counter[str]()
    counts["removed"] = len(sides[0].keys() - sides[1].keys())
    counts["added"] = len(sides[1].keys() - sides[0].keys())
    for key in sides[0].keys() & sides[1].keys():
        (split_a, a), (split_b, b) = sides[0][key], sides[1][key]
        counts["moved"] += split_a != split_b
        counts["changed"] += a != b
        columns.update(name for name in a if a[name] != b[name])
    return counts, columns


@pytest.mark.parametrize(("seed", "few"), [(0, 6), (1, 6), (2, 0), (3, 0)])
def test_random_changes_are_counted_as_python_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, few: int
) -> None:
    monkeypatch.setattr(row_pairs, "_FEW", few)
    draw = random.Random(seed)
    splits = ("train", "dev", "test")
    before: dict[str, list[dict[str, Any]]] = {split: [] for split in splits}
    after: dict[str, list[dict[str, Any]]] = {split: [] for split in splits}
    for number in range(300):
        row: dict[str, Any] = {
            "doc_id": f"d{number}",
            "text": draw.choice(["x", "नदी", ""]),
            "lang": "hi",
            "score": draw.choice([None, 0.5, 1.0]),
        }
        split = draw.choice(splits)
        fate = draw.random()
        if fate > 0.1:
            before[split].append(row)
        if fate < 0.9:
            other = dict(row)
            if draw.random() < 0.2:
                other["text"] += "."
            if draw.random() < 0.2:
                other["score"] = draw.choice([None, 0.5, 1.0])
            after[draw.choice(splits) if draw.random() < 0.1 else split].append(other)
    found = compared(
        write(tmp_path / "a", {"hi-documents": before}), write(tmp_path / "b", {"hi-documents": after}), samples=2
    )
    counts, columns = expected(before, after)
    (entry,) = found["configs"]
    by_kind = {kind: counts[kind] for kind in KINDS}
    assert {kind: entry[kind] for kind in KINDS} == by_kind == found["languages"]["hi"]
    assert entry["columns"] == dict(columns)
    for split, row in entry["splits"].items():
        assert (row["rows_a"], row["rows_b"]) == (len(before[split]), len(after[split]))
        assert row["rows_b"] == row["rows_a"] + row["added"] - row["removed"] + row["moved_in"] - row["moved_out"]
    assert sum(one["rows"] for one in entry["moves"]) == counts["moved"]
    assert sum(one["rows"] for one in found["stages"]) == counts["removed"]
    assert Counter(one["kind"] for one in found["samples"]) == dict.fromkeys(
        ("changed", "removed", "added", "moved"), 2
    )


def test_a_moved_row_is_told_with_both_splits(tmp_path: Path) -> None:
    before = write(tmp_path / "a", {"hi-documents": {"train": DOCS[:8], "test": DOCS[8:]}})
    found = compared(before, write(tmp_path / "b", {"hi-documents": {"train": DOCS[:7], "test": DOCS[7:]}}))
    (entry,) = found["configs"]
    assert entry["moves"] == [{"a": "train", "b": "test", "rows": 1}]
    assert (entry["changed"], entry["moved"]) == (0, 1)
    assert found["bump"]["proposed"] == "major"
    assert found["bump"]["reasons"] == [
        "hi-documents/test: 1 row moved in",
        "hi-documents/train: 1 row moved to another split",
    ]
    assert found["samples"][0] == {
        "config": "hi-documents",
        "lang": "hi",
        "kind": "moved",
        "id": "d7",
        "a": "train",
        "b": "test",
        "columns": {},
    }


QRELS = [{"query_id": f"q{i}", "doc_id": f"d{i % 3}", "relevance": i % 2, "judge": "source"} for i in range(6)]
QUERIES = [{"query_id": f"q{i}", "text": "x", "lang": "hi", "source": "s", "origin": "human"} for i in range(6)]
CORPUS = [
    {"doc_id": f"d{i}", "title": "", "text": "y", "lang": "hi", "source": "s", "group_id": f"d{i}"} for i in range(3)
]


def test_judgements_go_by_query_and_passage(tmp_path: Path) -> None:
    def made(name: str, qrels: list[dict[str, Any]], *verdicts: dict[str, Any]) -> Path:
        configs = {"hi-corpus": {"corpus": CORPUS}, "hi-queries": {"test": QUERIES}, "hi-qrels": {"test": qrels}}
        return write(tmp_path / name, configs, verdicts=verdicts)

    changed = [{**row, "relevance": 3} if row["query_id"] == "q1" else row for row in QRELS[:-1]]
    gone = verdict("qrels", "hi", "q5\td2", "cascade", "orphaned", "doc_dropped", value=1.0)
    found = compared(made("a", QRELS), made("b", changed, gone))
    entry = next(one for one in found["configs"] if one["config"] == "hi-qrels")
    assert (entry["removed"], entry["changed"], entry["added"], entry["columns"]) == (1, 1, 0, {"relevance": 1})
    assert found["stages"] == [{"stage": "cascade", "rule": "doc_dropped", "rows": 1}]
    assert [one["id"] for one in found["samples"]] == ["q1\td1", "q5\td2"]
    # The same judgement twice, once in each release: one row is gone, and nothing changed.
    twice = compared(made("c", [*QRELS, QRELS[0]]), made("d", QRELS))
    entry = next(one for one in twice["configs"] if one["config"] == "hi-qrels")
    assert (entry["removed"], entry["changed"], entry["added"]) == (1, 0, 0)
    # Twice with other grades: of the two rows one is the same, the other changed.
    other = compared(
        made("e", [*QRELS, {**QRELS[0], "relevance": 7}]), made("f", [*QRELS, {**QRELS[0], "relevance": 8}])
    )
    entry = next(one for one in other["configs"] if one["config"] == "hi-qrels")
    assert (entry["removed"], entry["changed"], entry["added"]) == (0, 1, 0)


def test_ids_that_stand_twice_are_counted_too(tmp_path: Path) -> None:
    # Not a sound release, but two folders that somebody wants to compare.
    twin = {**DOCS[3], "text": "twin"}
    found = compared(write_docs(tmp_path / "a", [*DOCS, twin]), write_docs(tmp_path / "b", [*DOCS[1:], twin, twin]))
    (entry,) = found["configs"]
    assert (entry["removed"], entry["added"], entry["changed"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("columns", "proposed", "reason"),
    [
        ([pa.field("score", pa.float64()), pa.field("note", pa.string())], "minor", "hi-documents: new column note"),
        ([pa.field("note", pa.string())], "major", "hi-documents: removed column score"),
        ([pa.field("score", pa.string())], "major", "hi-documents: column score is string now, it was float"),
        ([pa.field("score", pa.float32())], "patch", "every row is the same"),
    ],
)
def test_columns(tmp_path: Path, columns: list[pa.Field], proposed: str, reason: str) -> None:
    rows = [{**row, "score": 0.5, "note": "n"} for row in DOCS]
    before = write_docs(tmp_path / "a", rows)
    if columns[0].type == pa.string():
        rows = [{**row, "score": "0.5"} for row in rows]
    after = write_docs(tmp_path / "b", rows, schemas={"hi-documents": document_schema(*columns)})
    found = compared(before, after)
    assert (found["bump"]["proposed"], found["bump"]["reason"]) == (proposed, reason)


def test_new_and_gone_configurations_and_splits(tmp_path: Path) -> None:
    one = write(tmp_path / "a", {"hi-documents": {"train": DOCS}})
    two = write(tmp_path / "b", {"hi-documents": {"train": DOCS}, "en-documents": {"train": DOCS[:3]}})
    three = write(tmp_path / "c", {"hi-documents": {"train": DOCS, "dev": [{**DOCS[0], "doc_id": "new"}]}})
    assert compared(one, two)["bump"]["reasons"] == ["en-documents: new configuration of 3 rows"]
    assert compared(one, two)["bump"]["proposed"] == "minor"
    assert compared(two, one)["bump"]["proposed"] == "major"
    assert compared(two, one)["languages"]["en"]["removed"] == 3
    assert compared(one, three)["bump"] == {
        "proposed": "minor", "reason": "hi-documents/dev: new split of 1 row", "reasons": ["hi-documents/dev: new split of 1 row"],
    }  # fmt: skip
    assert compared(three, one)["bump"]["proposed"] == "major"


def test_names_with_quotes_and_brackets_stay_names(tmp_path: Path) -> None:
    field = pa.field("a\"b'c", pa.string())
    rows = [{**row, field.name: "x'; DROP TABLE pairs; --"} for row in DOCS]
    folder = tmp_path / "it's [odd] * 100%"
    before = write_docs(folder / "a", rows, schemas={"hi-documents": document_schema(field)})
    changed = copy.deepcopy(rows)
    changed[0][field.name] = "y"
    found = compared(before, write_docs(folder / "b", changed, schemas={"hi-documents": document_schema(field)}))
    assert found["configs"][0]["columns"] == {field.name: 1}
    assert found["samples"][0]["columns"] == {field.name: {"a": "x'; DROP TABLE pairs; --", "b": "y"}}


def test_the_command(tmp_path: Path) -> None:
    before, after = (
        write_docs(tmp_path / "a", DOCS),
        write_docs(tmp_path / "b", [{**DOCS[0], "text": "other"}, *DOCS[1:]]),
    )
    code, out, _ = cli("diff", before, after)
    assert code == 0
    for said in (
        "hi-documents: text changed in 1 rows",
        "  - text: text 0 | नदी",
        "  + text: other",
        "major: hi-documents/train: 1 row changed",
    ):
        assert said in out
    code, out, _ = cli("diff", before, after, "--format", "json", "--samples", 0)
    assert (code, json.loads(out)["samples"], json.loads(out)["configs"][0]["changed"]) == (0, [], 1)


def test_damaged_folders_are_one_line(tmp_path: Path) -> None:
    good, bad = write_docs(tmp_path / "a", DOCS), write_docs(tmp_path / "b", DOCS)
    (bad / "README.md").unlink()
    with pytest.raises(ReleaseError, match="README.md: missing; see: dsbuild verify"):
        opened(bad)
    for arguments in ((good, tmp_path / "nowhere"), (good, good, "--memory", "lots")):
        code, _, err = cli("diff", *arguments)
        assert code == 2
        assert err.startswith("dsbuild: ")
        assert len(err.splitlines()) == 1


def test_no_configurations_is_a_patch() -> None:
    assert propose([]) == ("patch", ["every row is the same"])


@pytest.mark.parametrize("said", ["lots", "0", ""])
def test_a_memory_that_is_none_names_its_option(tmp_path: Path, said: str) -> None:
    one = opened(write_docs(tmp_path / "one", DOCS))
    with pytest.raises(ReleaseError, match="^--memory .*such as 1GB"):
        difference(one, one, memory=said)
