"""`dsbuild contamination` from files to a release: what is found, where, and what becomes of it."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from dsbuild.builders.filtering.contaminated import check, set_names
from dsbuild.errors import RecipeError, SourceError, UnknownName
from dsbuild.release import read_manifest
from tests.small_set import ASK_RIVER, RIVER, cli, digests, make, rows, said, write_memory, write_set

QUESTION = (
    "Which river did the old stone bridge of the northern harbour town cross before the great flood of that winter?"
)
GRAM = " ".join(QUESTION.split()[3:16])
EVAL = [
    {"id": "e0", "question": QUESTION},
    {"id": "e1", "question": "who lit the lamp"},
    {"id": "e2", "question": "yes"},
    {"id": "e3", "question": "भारत में १९५१ में कितने गाँव थे"},
    {"id": "e4", "question": "春天的时候谁在河边种了那些又高又大的柳树并且每天给它们浇水"},
    {"id": "e5", "question": "photosynthesis"},
]
TRAIN = [
    {
        "id": "clean",
        "text": "A keeper writes down every ship that passes, four times a day, and yes, twice at night; photosynthesis is no concern of his.",
    },
    {"id": "gram", "text": f"It is asked: {GRAM.upper()}, and nobody knew. 🎈"},
    {"id": "twelve", "text": "It is asked: " + " ".join(GRAM.split()[:12]) + " nobody."},
    {"id": "whole", "text": "Tell me - “Who lit  the lamp?” - and be quick."},
    {"id": "hindi", "text": "प्रश्न: भारत में 1951 में कितने गाँव थे?"},
    {"id": "han", "text": "他问：春天的时候谁在河边种了那些又高又大的柳树并且每天给它们浇水？没有人知道。"},
    {"id": "word", "text": "Photosynthesis!"},
    {"id": "two", "text": f"{QUESTION} Also: who lit the lamp? {QUESTION}"},
]
HIT = {"gram", "whole", "hindi", "han", "word", "two"}


def write_lines(path: Path, given: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in given), "utf-8")
    return path


def run(
    folder: Path,
    *settings: str,
    policy: str = "drop",
    out: str = "out",
    train: list[dict[str, Any]] = TRAIN,
    **more: Any,
) -> dict[str, Any]:
    src, against = write_lines(folder / "train.jsonl", train), write_lines(folder / "eval.jsonl", EVAL)
    return check(
        f"jsonl:{src}",
        [str(against)],
        policy=policy,
        lang="en",
        settings=settings,
        out=folder / out,
        store=folder / "store",
        **more,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contaminated")
    run(folder)
    return folder


def test_contaminated_rows_are_dropped_and_all_others_kept(folder: Path) -> None:
    assert {row["doc_id"] for row in rows(folder / "out", "en-documents/*")} == {row["id"] for row in TRAIN} - HIT
    assert {row["doc_id"] for row in rows(folder / "out", "dropped/en-documents-*")} == HIT
    code, out, err = cli("verify", folder / "out")
    assert code == 0, out + err


def test_evidence_names_item_span_and_coverage(folder: Path) -> None:
    texts = {row["id"]: row["text"] for row in TRAIN}
    found = {
        (row["id"], row["item"], texts[row["id"]][row["start"] : row["end"]], round(row["coverage"], 4), row["kind"])
        for row in rows(folder / "out", "evidence/*")
    }
    assert found == {
        ("gram", "e0", GRAM.upper(), round(13 / 20, 4), "ngram"),
        ("whole", "e1", "Who lit  the lamp", 1.0, "whole"),
        ("hindi", "e3", "भारत में 1951 में कितने गाँव थे", 1.0, "whole"),
        ("han", "e4", EVAL[4]["question"], 1.0, "ngram"),
        ("word", "e5", "Photosynthesis", 1.0, "whole"),
        ("two", "e0", QUESTION.rstrip("?"), 1.0, "ngram"),
        ("two", "e1", "who lit the lamp", 1.0, "whole"),
    }
    verdicts = [row for row in rows(folder / "out", "dropped/verdicts-*") if row["rule"] == "contaminated"]
    assert {row["id"] for row in verdicts} == HIT
    assert sum(row["primary"] for row in verdicts) == len(HIT)
    assert {row["threshold"] for row in verdicts} == {0.1}


def test_items_that_are_too_short_are_reported(folder: Path) -> None:
    (one,) = json.loads((folder / "out" / "manifest.json").read_text("utf-8"))["findings"]["sets"].values()
    assert one == {"items": 6, "ngram": 2, "whole": 2, "whole_text_only": 1, "uncheckable": 1, "found": 5, "rows": 6}
    assert "1 of 6 items are too short" in (folder / "out" / "README.md").read_text("utf-8")


def test_masked_rows_hold_nothing_more_of_an_item(folder: Path) -> None:
    run(folder, policy="mask", out="masked")
    masked = {row["doc_id"]: row["text"] for row in rows(folder / "masked", "en-documents/*")}
    assert masked.keys() == {row["id"] for row in TRAIN}
    assert masked["gram"] == "It is asked: […], and nobody knew. 🎈"
    assert masked["two"] == "[…]? Also: […]? […]?"
    assert masked["clean"] == TRAIN[0]["text"]
    again = check(str(folder / "masked"), [str(folder / "eval.jsonl")], out=folder / "again", store=folder / "store")
    assert sum(again["contaminated"].values()) == 0
    code, out, err = cli("verify", folder / "masked")
    assert code == 0, out + err


def test_flagged_rows_stay_as_they_are(folder: Path) -> None:
    run(folder, policy="flag", out="flagged")
    found = {row["doc_id"]: row for row in rows(folder / "flagged", "en-documents/*")}
    assert {name for name, row in found.items() if row["flag"] == "contaminated"} == HIT
    assert {name: row["text"] for name, row in found.items()} == {row["id"]: row["text"] for row in TRAIN}
    assert (found["gram"]["contamination_set"], found["gram"]["contamination_item"]) == ("eval", "e0")
    assert found["clean"]["contamination_coverage"] == 0
    assert found["clean"]["contamination_item"] is None


def test_coverage_decides(folder: Path) -> None:
    run(folder, "contamination.min_coverage=0.7", out="strict")
    assert {row["doc_id"] for row in rows(folder / "strict", "dropped/en-documents-*")} == HIT - {"gram"}
    # What is covered too little to matter is still evidence.
    assert "gram" in {row["id"] for row in rows(folder / "strict", "evidence/*")}


def test_shorter_ngrams(folder: Path) -> None:
    run(folder, "contamination.n=12", out="twelve")
    assert {row["doc_id"] for row in rows(folder / "twelve", "dropped/en-documents-*")} == HIT | {"twelve"}


def test_protected_splits_lose_no_row(tmp_path: Path) -> None:
    given = [{**row, "split": "test" if row["id"] == "gram" else "train"} for row in TRAIN]
    run(tmp_path, "contamination.protected=[test]", train=given)
    (kept,) = rows(tmp_path / "out", "en-documents/test-*")
    assert (kept["doc_id"], kept["flag"]) == ("gram", "contaminated")


def test_the_same_bytes_whatever_the_executor_and_the_order_of_rows(folder: Path, tmp_path: Path) -> None:
    run(tmp_path, executor="in-process")
    assert {name: one for name, one in digests(tmp_path / "out").items() if "parquet" in name} == {
        name: one for name, one in digests(folder / "out").items() if "parquet" in name
    }
    run(tmp_path, train=TRAIN[::-1], out="turned")
    one, other = (
        sorted((row["id"], row["item"], row["start"]) for row in rows(place, "evidence/*"))
        for place in (folder / "out", tmp_path / "turned")
    )
    assert one == other


def slow_rows(train: list[str], items: list[str], n: int = 13) -> set[int]:
    """Rows that share n words in a row with an item, or hold a shorter one whole; plain ASCII words."""
    cut = [re.findall(r"[a-z0-9]+", text.lower()) for text in train]
    wanted = [re.findall(r"[a-z0-9]+", text.lower()) for text in items]
    found = set()
    for number, words in enumerate(cut):
        for item in wanted:
            size = min(n, len(item))
            if size < 3:
                continue
            grams = {tuple(item[i : i + size]) for i in range(len(item) - size + 1)}
            if any(tuple(words[i : i + size]) in grams for i in range(len(words) - size + 1)):
                found.add(number)
    return found


def test_counts_are_those_of_a_search_word_by_word(tmp_path: Path) -> None:
    draw = random.Random(2)
    vocabulary = [f"w{i}" for i in range(400)]
    items = [" ".join(draw.choices(vocabulary, k=draw.randint(3, 40))) for _ in range(150)]
    train = [" ".join(draw.choices(vocabulary, k=80)) for _ in range(300)]
    for number in range(0, 300, 3):
        words = draw.choice(items).split()
        start = draw.randint(0, max(0, len(words) - 13))
        planted = " ".join(words[start : start + draw.randint(8, 20)])
        train[number] = f"{train[number][:100]} {planted} {train[number][100:]}"
    src = write_lines(tmp_path / "train.jsonl", [{"id": str(i), "text": text} for i, text in enumerate(train)])
    against = write_lines(tmp_path / "eval.jsonl", [{"id": str(i), "text": text} for i, text in enumerate(items)])
    settings = ["contamination.min_coverage=0.0001"]
    check(f"jsonl:{src}", [str(against)], lang="en", settings=settings, out=tmp_path / "out", store=tmp_path / "store")
    assert {int(row["doc_id"]) for row in rows(tmp_path / "out", "dropped/en-documents-*")} == slow_rows(train, items)


def test_a_retrieval_set_against_another_takes_judgements_along(tmp_path: Path) -> None:
    docs = [
        ("d0", "", TRAIN[1]["text"]),
        ("d1", "", TRAIN[0]["text"]),
        ("d2", "Who lit the lamp", "Nobody that we know of."),
    ]
    queries = {"q0": "who asks that", "q1": "who lit the lamp"}
    write_set(tmp_path / "mine", docs, queries, {"train": [("q0", "d0", 1), ("q0", "d1", 1), ("q1", "d1", 1)]})
    write_set(tmp_path / "bench", [("x", "", QUESTION)], {"y": "Who lit the lamp?"}, {"test": [("y", "x", 1)]})
    found = check(
        f"beir:{tmp_path / 'mine'}",
        [str(tmp_path / "bench")],
        lang="en",
        out=tmp_path / "out",
        store=tmp_path / "store",
    )
    assert {row["doc_id"] for row in rows(tmp_path / "out", "en-corpus/*")} == {"d1"}
    assert {row["query_id"] for row in rows(tmp_path / "out", "en-queries/*")} == {"q0"}
    assert {(row["query_id"], row["doc_id"]) for row in rows(tmp_path / "out", "en-qrels/*")} == {("q0", "d1")}
    qrels = read_manifest(tmp_path / "out")["accounting"]["en"]["qrels"]
    assert (qrels["in"], qrels["kept"], qrels["orphaned"]) == (3, 1, 2)
    assert found["sets"]["bench"]["items"] == 2
    assert {(row["id"], row["field"], row["item"]) for row in rows(tmp_path / "out", "evidence/*")} == {
        ("d0", "text", "x"), ("d2", "title", "y"), ("q1", "text", "y"),
    }  # fmt: skip
    code, out, err = cli("verify", tmp_path / "out")
    assert code == 0, out + err
    # Against itself, no judgement is left, and each is accounted for.
    mine = f"beir:{tmp_path / 'mine'}"
    check(
        mine,
        [mine],
        lang="en",
        settings=["contamination.min_coverage=0.01", "contamination.tables=[corpus]"],
        out=tmp_path / "none",
        store=tmp_path / "store",
    )
    assert read_manifest(tmp_path / "none")["accounting"]["en"]["qrels"]["orphaned"] == 3
    only = ["contamination.tables=[queries]"]
    check(
        f"beir:{tmp_path / 'mine'}",
        [str(tmp_path / "bench")],
        lang="en",
        settings=only,
        out=tmp_path / "queries",
        store=tmp_path / "store",
    )
    assert {row["doc_id"] for row in rows(tmp_path / "queries", "en-corpus/*")} == {"d0", "d1"}


def test_a_changed_evaluation_file_runs_again(tmp_path: Path) -> None:
    run(tmp_path)
    write_lines(tmp_path / "other.jsonl", [{"id": "n", "text": "and be quick about the ship"}])
    (tmp_path / "eval2").mkdir()
    src = f"jsonl:{tmp_path / 'train.jsonl'}"
    check(src, [f"jsonl:{tmp_path / 'other.jsonl'}"], lang="en", out=tmp_path / "out2", store=tmp_path / "store")
    assert rows(tmp_path / "out2", "evidence/*") == []
    write_lines(tmp_path / "other.jsonl", [{"id": "n", "text": "four times a day"}])
    check(src, [f"jsonl:{tmp_path / 'other.jsonl'}"], lang="en", out=tmp_path / "out2", store=tmp_path / "store")
    assert {row["id"] for row in rows(tmp_path / "out2", "evidence/*")} == {"clean"}


def test_names_of_sets() -> None:
    assert set_names(["a/questions.jsonl", "b/questions.tsv.gz", "hf:ORG/NAME@main"]) == [
        "questions",
        "questions-2",
        "NAME",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--policy", "remove"], "no policy 'remove'"),
        (["--against", "missing.jsonl"], "missing.jsonl"),
        (["--against", "missing"], "missing"),
        (["--set", "contamination.min_coverage=0"], "min_coverage"),
        (["--set", "contamination.n=1"], "contamination.n"),
        (["--set", "contamination.coverage=0.5"], "coverage"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_line(
    folder: Path, tmp_path: Path, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    against = [] if "--against" in arguments else ["--against", folder / "eval.jsonl"]
    code, out, err = cli(
        "contamination",
        "--src",
        f"jsonl:{folder / 'train.jsonl'}",
        "--lang",
        "en",
        *against,
        *arguments,
        "--out",
        tmp_path / "out",
        "--store",
        tmp_path / "s",
    )
    assert (code, out) == (2, ""), out
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_from_code_too(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="policy"):
        run(tmp_path, policy="burn")
    with pytest.raises(RecipeError, match="at least one evaluation set"):
        check(f"jsonl:{folder / 'train.jsonl'}", [], out=tmp_path / "out", store=tmp_path / "store")
    (tmp_path / "bad.jsonl").write_text('{"text": "fine here"}\nnot json\n', "utf-8")
    with pytest.raises(SourceError, match="bad.jsonl"):
        check(
            f"jsonl:{folder / 'train.jsonl'}",
            [str(tmp_path / "bad.jsonl")],
            lang="en",
            out=tmp_path / "out",
            store=tmp_path / "store",
        )


def test_translations_of_an_item_are_looked_for_too(tmp_path: Path) -> None:
    source = write_set(tmp_path / "bench", [("d", "", RIVER)], {"q": ASK_RIVER}, {"test": [("q", "d", 1)]})
    make(tmp_path, source, write_memory(tmp_path / "memory.tsv"), ("hi", "ta"))
    given = [{"id": "ta", "text": f"« {said(ASK_RIVER, 'ta')} »"}, {"id": "es", "text": said(ASK_RIVER, "es")}]
    src = write_lines(tmp_path / "train.jsonl", given)
    found = check(
        f"jsonl:{src}", [str(tmp_path / "out")], lang="ta", out=tmp_path / "checked", store=tmp_path / "store"
    )
    assert {(row["id"], row["item"], row["item_lang"]) for row in rows(tmp_path / "checked", "evidence/*")} == {
        ("ta", "q", "ta")
    }
    assert found["sets"]["beir-bench-hi-ta"]["items"] == 6


def test_several_sets_after_one_option(folder: Path, tmp_path: Path) -> None:
    other = write_lines(tmp_path / "other.jsonl", [{"id": "n", "text": "four times a day"}])
    code, out, err = cli(
        "contamination", "--src", f"jsonl:{folder / 'train.jsonl'}", "--lang", "en", "--against", folder / "eval.jsonl", other, "--policy", "flag",
        "--out", tmp_path / "out", "--store", tmp_path / "store", "--format", "json",
    )  # fmt: skip
    assert code == 0, err
    found = json.loads(out)
    assert {name: one["found"] for name, one in found["sets"].items()} == {"eval": 5, "other": 1}
    assert found["languages"]["en"]["documents"] == {"in": 8, "kept": 8, "repaired": 0, "dropped": 0}


def test_a_release_without_a_row_is_refused(tmp_path: Path) -> None:
    from tests.small_set import cli

    line = '{"id": "a", "text": "The ferry leaves the harbour at noon and comes back when the evening tide has turned again."}\n'
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text(line, "utf-8")
    arguments = [
        "contamination",
        "--src",
        f"jsonl:{tmp_path / 'train.jsonl'}",
        "--lang",
        "en",
        "--against",
        tmp_path / "test.jsonl",
    ]
    code, _, err = cli(*arguments, "--out", tmp_path / "out", "--store", tmp_path / "store")
    assert (code, err.count("\n")) == (2, 1)
    assert "--policy flag" in err
    assert cli(*arguments, "--policy", "flag", "--out", tmp_path / "out", "--store", tmp_path / "store")[0] == 0
