"""Answers on disk: the last one counts, a cut line does no harm, merging knows no order, sums are right."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest

from dsbuild.builders.evaluation import judgements
from dsbuild.builders.evaluation.judgements import append, check, kappa, merge, read, summary
from dsbuild.errors import SourceError, StoreError
from dsbuild.shares import wilson
from tests.small_set import cli


def answer(row: str, acceptable: str | None, by: str = "ana", at: str = "2026-01-01", **more: Any) -> dict[str, Any]:
    blank = {"spans": None, "category": None, "note": "", "release": "r", "lang": "hi", "table": "corpus"}
    return {**blank, "id": row, "acceptable": acceptable, "by": by, "at": at, **more}


def test_the_last_answer_counts(tmp_path: Path) -> None:
    path = tmp_path / "deep/answers.jsonl"
    for said in ("yes", "no", None, "unsure"):
        append(path, answer("d1", said))
    append(path, answer("d1", "yes", by="ben"))
    assert path.read_bytes().count(b"\n") == 5
    assert [one["acceptable"] for one in read(path).values()] == ["unsure", "yes"]


def test_a_line_that_a_crash_cut_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    append(path, answer("d1", "yes", note="न" * 1900))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:5000])
    assert len(read(path)) == 1
    append(path, answer("d2", "no"))
    assert [key[3] for key in read(path)] == ["d1", "d2"]
    assert path.read_bytes().startswith(whole)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "1",
        '{"id": "d1"}',
        json.dumps(answer("d1", "perhaps")),
        json.dumps(answer("d1", "yes", category="term")),
        "\ufeff{}",
    ],
)
def test_what_is_no_answer_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "answers.jsonl"
    append(path, answer("d1", "yes"))
    with path.open("a", encoding="utf-8") as handle:
        handle.write(line + "\n")
    with pytest.raises(SourceError, match="line 2"):
        read(path)


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "answers.jsonl"
    append(path, answer("d1", "yes"))
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(judgements.os, "fsync", full)
    with pytest.raises(StoreError, match="disk full"):
        append(path, answer("d2", "no"))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "raw", [{"acceptable": "maybe"}, {"note": 3}, {"note": "x" * 2001}, {"id": "d1"}, {"spans": "yes"}]
)
def test_what_is_no_answer_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="."):
        check(raw)


def test_merging_knows_no_order(tmp_path: Path) -> None:
    files = {
        "a": [("d1", "yes", "ana", "1"), ("d2", "no", "ana", "2")],
        "b": [("d1", "no", "ana", "3"), ("d1", "yes", "ben", "1")],
        "c": [],
    }
    for name, lines in files.items():
        (tmp_path / name).touch()
        for row, said, by, at in lines:
            append(tmp_path / name, answer(row, said, by, at))
    outs = set()
    for order in itertools.permutations(files):
        found = merge([tmp_path / name for name in order], tmp_path / "out/all.jsonl")
        outs.add(((tmp_path / "out/all.jsonl").read_bytes(), (tmp_path / "out/review.json").read_bytes()))
    assert len(outs) == 1
    assert [(one["by"], one["id"], one["acceptable"]) for one in read(tmp_path / "out/all.jsonl").values()] == [
        ("ana", "d1", "no"), ("ben", "d1", "yes"), ("ana", "d2", "no"),
    ]  # fmt: skip
    assert json.loads((tmp_path / "out/review.json").read_text()) == found
    # Merged once more with one of its parts, nothing changes.
    assert merge([tmp_path / "out/all.jsonl", tmp_path / "a"], tmp_path / "out/again.jsonl") == found


def test_sums_count_each_row_once(tmp_path: Path) -> None:
    said = [answer(f"d{n}", "yes" if n < 8 else "no", category=None if n < 8 else "term") for n in range(10)]
    said += [answer("d0", "no", by="ben"), answer("d9", "no", by="ben"), answer("d20", "unsure"), answer("d21", None)]
    (row,) = summary(said)["tables"]
    # d0 has as many yes as no.
    assert (row["judged"], row["yes"], row["no"], row["disputed"], row["unsure"]) == (9, 7, 2, 1, 1)
    assert row["rate"] == pytest.approx(7 / 9)
    assert row["categories"] == {"term": 2}
    assert summary(said)["answers"] == 13
    assert summary([]) == {"releases": [], "reviewers": [], "answers": 0, "tables": [], "agreement": []}


@pytest.mark.parametrize("n", [1, 7, 200])
def test_the_interval_is_where_the_score_test_turns(n: int) -> None:
    for yes in range(n + 1):
        low, high = wilson(yes, n)
        assert low is not None and high is not None  # noqa: PT018
        assert 0 <= low <= yes / n <= high <= 1
        for bound in (low, high):
            if 0 < bound < 1:
                assert abs(yes / n - bound) / math.sqrt(bound * (1 - bound) / n) == pytest.approx(1.959964, abs=1e-5)


def test_agreement_is_of_rows_that_both_judged() -> None:
    said = [answer(f"d{n}", one) for n, one in enumerate(["yes", "yes", "no", "no", "unsure", "yes"])]
    said += [answer(f"d{n}", one, by="ben") for n, one in enumerate(["yes", "no", "no", "no", "yes"])]
    said += [answer("d0", "yes", by="cid", lang="ta")]
    (found,) = summary(said)["agreement"]
    # Both: yes 1, yes/no 1, no 2. Chance: (2*1 + 2*3) / 16.
    assert found == {"lang": "hi", "reviewers": ["ana", "ben"], "rows": 4, "raw": 0.75, "kappa": 0.5}
    assert kappa([("yes", "yes")] * 3) == {"raw": 1.0, "kappa": None}
    assert kappa([]) == {"raw": None, "kappa": None}


def test_the_command_merges(tmp_path: Path) -> None:
    append(tmp_path / "a", answer("d1", "yes"))
    append(tmp_path / "b", answer("d1", "no", by="ben"))
    code, out, err = cli("review", "merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "c")
    assert (code, err) == (0, "")
    assert "kappa" in out
    for wrong in (["merge"], ["merge", tmp_path / "a"], ["merge", tmp_path / "none", "--out", tmp_path / "d"]):
        code, _, err = cli("review", *wrong)
        assert (code, err.count("\n")) == (2, 1)
    assert not (tmp_path / "d").exists()
