"""`dsbuild review`: the same rows for everyone, answers saved at once, gone on with, and judged by keyboard in a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from dsbuild import parquet, release
from dsbuild.builders.evaluation.judgements import read
from dsbuild.builders.releases.review import open_review, quota
from dsbuild.errors import DsbuildError
from dsbuild.tables import LABELLED
from tests.chromium import MISSING, PROGRAM, Chromium
from tests.small_set import MARKET, QRELS, ROOT, cli, digests, make, rows, said, write_memory, write_set

ATTACK = f"{said(MARKET, 'hi')} <img src onerror=go()>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("review")
    source = write_set(made / "set", qrels={"train": QRELS})
    make(made, source, write_memory(made / "memory.tsv", changed={(MARKET, "hi"): ATTACK}), ("hi", "ta"))
    return made / "out"


def test_the_same_seed_gives_the_same_rows(folder: Path, tmp_path: Path) -> None:
    first, again, other = (open_review(folder, ["hi"], 6, seed, tmp_path / f"{seed}.jsonl", None) for seed in (1, 1, 2))
    names = [(item["table"], item["id"]) for item in first.items]
    assert names == [(item["table"], item["id"]) for item in again.items]
    assert names != [(item["table"], item["id"]) for item in other.items]
    assert Counter(table for table, _ in names) == {"corpus": 3, "queries": 3}
    assert first.by != again.by


def test_rows_are_those_of_the_release_with_their_source(folder: Path, tmp_path: Path) -> None:
    review = open_review(folder, ["hi", "ta"], 500, 1, tmp_path / "a.jsonl", "ana")
    texts = {
        (lang, row[key]): row["text"]
        for lang in ("en", "hi", "ta")
        for table, key in (("corpus", "doc_id"), ("queries", "query_id"))
        for row in rows(folder, f"{lang}-{table}/*")
    }
    # Of a row without any text there is nothing to judge.
    assert len(review.items) == sum(
        bool(row["text"])
        for lang in ("hi", "ta")
        for table in ("corpus", "queries")
        for row in rows(folder, f"{lang}-{table}/*")
    )
    for item in review.items:
        shown = {
            field["lang"]: field["text"] for field in [*item["source"], *item["target"]] if field["name"] == "text"
        }
        for lang, text in shown.items():
            assert text == texts[lang, item["id"]]


def test_answers_are_on_disk_before_they_are_acknowledged_and_gone_on_with(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    review = open_review(folder, ["hi"], 6, 1, path, None)
    review.answer(2, {"acceptable": "no", "category": "term", "note": "न"})
    review.answer(0, {"acceptable": "yes"})
    review.answer(0, {"acceptable": None})
    assert len(read(path)) == 2
    again = open_review(folder, ["hi"], 6, 1, path, None)
    assert again.by == review.by
    assert again.said == {2: {"acceptable": "no", "category": "term", "note": "न", "spans": None}}
    assert open_review(folder, ["hi"], 6, 1, path, "somebody else").said == {}
    found = again.finish()
    assert json.loads((tmp_path / "review.json").read_text()) == found
    assert (found["answers"], found["tables"][0]["no"]) == (1, 1)


@pytest.mark.parametrize("raw", [{"acceptable": "perhaps"}, {"spans": "right"}, {"who": "me"}])
def test_what_is_no_answer_is_not_saved(folder: Path, tmp_path: Path, raw: dict[str, str]) -> None:
    review = open_review(folder, ["hi"], 6, 1, tmp_path / "a.jsonl", None)
    for place in (0, -1, 6):
        with pytest.raises(ValueError, match="."):
            review.answer(place, raw)
    assert not (tmp_path / "a.jsonl").exists()


def test_what_cannot_be_reviewed_is_one_line(folder: Path, tmp_path: Path) -> None:
    for arguments in (
        [folder], [folder, "--langs", "xx"], [folder, "--langs", ","], [folder, folder, "--langs", "hi"], [tmp_path, "--langs", "hi"],
        [folder, "--langs", "hi", "--answers", folder / "a.jsonl"], [folder, "--langs", "hi", "--answers", tmp_path],
    ):  # fmt: skip
        code, _, err = cli("review", *arguments)
        assert (code, err.count("\n")) == (2, 1), arguments
    (tmp_path / "two.jsonl").write_text(
        "".join(
            json.dumps({"release": "r", "lang": "hi", "table": "t", "id": "1", "by": by}) + "\n"
            for by in ("ana", "ben")
        )
    )
    with pytest.raises(DsbuildError, match="--reviewer"):
        open_review(folder, ["hi"], 6, 1, tmp_path / "two.jsonl", None)


def test_small_tables_give_way() -> None:
    assert quota({"corpus": 3, "queries": 500}, 10) == {"corpus": 3, "queries": 7}
    assert quota({"corpus": 3, "queries": 2}, 10) == {"corpus": 3, "queries": 2}
    assert quota({"corpus": 9, "queries": 9}, 1) == {"corpus": 1, "queries": 0}


def with_spans(folder: Path, copy: Path) -> Path:
    """The release with a table of labelled texts besides, as a projection of labels would write it."""
    shutil.copytree(folder, copy)
    text = "😀 दिल्ली भारत में है"
    span = {"span_id": "s", "start": 2, "end": 8, "label": "<b>place</b>"}
    for lang, line, spans in (("hi", text, [span]), ("en", "😀 Delhi is in India", [{**span, "end": 7}])):
        row = {"id": "n1", "text": line, "lang": lang, "spans": spans, "relations": []}
        parquet.write_shards(copy / f"{lang}-labelled", "train", LABELLED, [pa.Table.from_pylist([row], LABELLED)], 1)
    manifest = release.read_manifest(copy)
    manifest["configs"]["hi-labelled"] = {
        "table": "labelled",
        "lang": "hi",
        "splits": {"train": {"rows": 1, "files": []}},
    }
    (copy / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return copy


@contextmanager
def reviewing(folder: Path, answers: Path, *more: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The real command; its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dsbuild", "review", folder, "--answers", answers, "--format", "json", *map(str, more)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=folder.parent,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        address = re.search(r"http://127\.0\.0\.1:\S+/", process.stderr.readline())
        assert address
        yield address[0], process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
def test_a_person_judges_by_keyboard(folder: Path, tmp_path: Path) -> None:
    before = digests(folder)
    path = tmp_path / "answers.jsonl"
    saved = "document.getElementById('state').textContent === 'saved'"
    with reviewing(folder, path, "--langs", "hi", "--n", 50) as (address, process):
        with Chromium() as browser:
            browser.open(address)
            browser.wait("document.body.dataset.place === '0'")
            for key in ("1", "2", "m", "n", "<", "b", ">", "1", "Escape", "j", "3", "k", "u", "j", "1"):
                browser.press(key)
            browser.wait(saved)
            assert browser.errors == []
            assert all(one.startswith(address) for one in browser.requests)
            assert browser.run("document.querySelectorAll('#row img, #row script, #row b').length") == 0
            # The row with markup in it is shown as it is.
            total = len(rows(folder, "hi-corpus/*")) + len(rows(folder, "hi-queries/*"))
            for _ in range(total):
                browser.press("k")
            seen = ""
            for _ in range(total):
                seen += browser.run("document.getElementById('row').textContent")
                assert browser.run("document.querySelectorAll('#row img, #row script').length") == 0
                browser.press("j")
            assert "<img src onerror=go()>" in seen
            assert browser.errors == []
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 0
    judged = [(one["acceptable"], one["category"], one["note"]) for one in read(path).values()]
    assert sorted(judged, key=str) == sorted(
        [("yes", None, ""), ("yes", None, ""), ("no", "meaning", "<b>1"), (None, None, "")], key=str
    )
    assert json.loads(out)["answers"] == 3
    assert json.loads((tmp_path / "review.json").read_text()) == json.loads(out)
    assert digests(folder) == before
    # The next session goes on at the first row without an answer.
    with reviewing(folder, path, "--langs", "hi", "--n", 50) as (address, _), Chromium(390, 844, dark=True) as browser:
        browser.open(address)
        browser.wait("document.body.dataset.place !== undefined")
        assert browser.run("document.getElementById('count').textContent").endswith("3 answered")
        assert browser.run("document.documentElement.scrollWidth") == 390
        assert browser.run("document.querySelectorAll('button[aria-pressed=true]').length") == 0


@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
def test_spans_are_shown_and_judged_and_a_lost_server_is_told(folder: Path, tmp_path: Path) -> None:
    labelled = with_spans(folder, tmp_path / "labelled")
    path = tmp_path / "answers.jsonl"
    with (
        reviewing(labelled, path, "--langs", "hi", "--n", 100, "--seed", 3) as (address, process),
        Chromium() as browser,
    ):
        browser.open(address)
        browser.wait("document.body.dataset.place !== undefined")
        for _ in range(100):
            if browser.run("document.querySelectorAll('mark').length"):
                break
            browser.press("j")
        marks = browser.run("[...document.querySelectorAll('mark')].map(one => one.firstChild.textContent)")
        assert marks == ["Delhi", "दिल्ली"]
        assert browser.run("document.querySelector('mark small').textContent") == "<b>place</b>"
        browser.press("w")
        browser.wait("document.getElementById('state').textContent === 'saved'")
        assert [one["spans"] for one in read(path).values()] == ["wrong"]
        process.kill()
        process.wait()
        browser.press("1")
        browser.wait("document.getElementById('state').textContent.startsWith('NOT saved (1)')")


@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
def test_after_the_last_row_come_those_that_were_left_out_and_the_questions_stay_in_sight(
    folder: Path, tmp_path: Path
) -> None:
    state = "document.getElementById('state').textContent"
    with (
        reviewing(folder, tmp_path / "a.jsonl", "--langs", "hi", "--n", 4) as (address, _),
        Chromium(390, 640) as browser,
    ):
        browser.open(address)
        browser.wait("document.body.dataset.place === '0'")
        assert browser.run("document.getElementById('back').disabled")
        assert browser.run("document.querySelector('main #row .side').textContent") == "English"
        for key in ("j", "1", "1", "1"):
            browser.press(key)
        assert browser.run("document.body.dataset.place") == "0"
        browser.press("1")
        browser.wait(f"{state}.startsWith('saved; all 4 rows are answered')")
        assert browser.run("document.getElementById('open').disabled")
        browser.run("document.querySelector('#row p').textContent = 'long '.repeat(3000)")
        bottom = browser.run("document.querySelector('#acceptable button').getBoundingClientRect().bottom")
        assert 0 < bottom < 640
