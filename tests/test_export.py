"""Exports: what is written, what is left out and said, and what is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests import mined_release
from tests.mined_release import JUDGED, LANGS, MINED, WORDS, text
from tests.small_set import cli


@pytest.fixture(scope="module")
def mined(tmp_path_factory) -> Path:
    return mined_release.write(tmp_path_factory.mktemp("mined") / "mined")


def export(release: Path, out: Path, *options: str) -> dict[str, Any]:
    code, printed, err = cli("export", str(release), "--out", str(out), "--format", "json", *options)
    assert code == 0, err
    found: dict[str, Any] = json.loads(printed)
    return found


def refused(release: Path, out: Path, *options: str) -> str:
    code, _, err = cli("export", str(release), "--out", str(out), *options)
    assert code == 2, err
    assert not (out / "export").exists()
    assert [path for path in out.parent.glob(f".{out.name}.*") if path.suffix != ".lock"] == []
    return err


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def table(folder: Path, split: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / f"{split}-00000.parquet").to_pylist()
    return rows


def whole(lang: str, number: int) -> str:
    title = f"{WORDS[lang][1]} {number} " if number % 2 else ""
    return title + text(lang, number)


def test_beir_is_the_same_set_again(mined, tmp_path) -> None:
    export(mined, tmp_path / "out", "--to", "beir", "--langs", "hi")
    found = lines(tmp_path / "out" / "corpus.jsonl")
    assert [row["_id"] for row in found] == [f"d{i}" for i in range(10)]
    assert [row["text"] for row in found] == [text("hi", i) for i in range(10)]
    assert [row["_id"] for row in lines(tmp_path / "out" / "queries.jsonl")] == [*JUDGED, "q7"]
    first, *rows = (tmp_path / "out" / "qrels" / "test.tsv").read_text("utf-8").splitlines()
    assert first.split("\t") == ["query-id", "corpus-id", "score"]
    assert {tuple(row.split("\t")) for row in rows} == {
        (query, doc, str(grade)) for query, grades in JUDGED.items() for doc, grade in grades.items()
    }
    code, printed, err = cli("mine", "--src", f"beir:{tmp_path / 'out'}", "--lang", "hi", "--retriever", "bm25", "--rule", "naive",
                             "--out", str(tmp_path / "again"), "--store", str(tmp_path / "store"), "--format", "json")  # fmt: skip
    assert code == 0, err
    assert json.loads(printed)["languages"]["hi"]["queries"] == 6, "what was written is a source again"


def test_every_query_is_accounted_for(mined, tmp_path) -> None:
    found = export(mined, tmp_path / "out", "--to", "st-ntuple", "--n", "3", "--langs", "en,hi", "--split", "test")
    assert [one["scope"] for one in found["accounts"]] == ["en", "hi"]
    for one in found["accounts"]:
        assert one["queries"] == len(JUDGED) == one["exported"] + sum(one["left"].values())
        assert one["left"] == {"fewer_negatives": 1, "no_negative": 1, "no_positive": 1}
        assert one["rows"] == 4, "q1 has two positives"
    left = lines(tmp_path / "out" / "export" / "left.jsonl")
    assert {(row["scope"], row["query_id"]): row["reason"] for row in left} == {
        (lang, query): reason
        for lang in ("en", "hi")
        for query, reason in (("q4", "fewer_negatives"), ("q5", "no_negative"), ("q6", "no_positive"))
    }
    assert any("3 of 6 queries left out" in note for note in found["notes"])
    manifest = json.loads((tmp_path / "out" / "export" / "manifest.json").read_text())
    on_disk = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    assert on_disk == {"export/manifest.json", *(one["path"] for one in manifest["files"])}


def test_triplets_are_every_positive_with_every_negative(mined, tmp_path) -> None:
    export(mined, tmp_path / "out", "--to", "st-triplet", "--langs", "hi", "--n", "2", "--split", "test")
    rows = table(tmp_path / "out" / "hi", "test")
    assert list(rows[0]) == ["anchor", "positive", "negative"]
    expected = [
        (f"{WORDS['hi'][0]} {query}?", whole("hi", int(doc[1:])), whole("hi", int(other[1:])))
        for query in MINED
        for doc, grade in JUDGED[query].items()
        if grade
        for other in MINED[query][:2]
    ]
    assert [tuple(row.values()) for row in rows] == expected


def test_positives_may_be_asked_to_be_better(mined, tmp_path) -> None:
    found = export(mined, tmp_path / "out", "--to", "st-triplet", "--langs", "en", "--positive", "2", "--split", "test")
    assert [one["exported"] for one in found["accounts"]] == [1]
    assert found["accounts"][0]["left"] == {"no_positive": 5}


def test_labels_and_scores(mined, tmp_path) -> None:
    export(mined, tmp_path / "pair", "--to", "st-labeled", "--langs", "en", "--split", "test")
    rows = table(tmp_path / "pair" / "en", "test")
    assert Counter(row["label"] for row in rows) == {1: 5, 0: 10}
    teacher = ("--style", "list", "--scores", "--retriever", "bm25")
    export(mined, tmp_path / "list", "--to", "st-labeled", *teacher, "--langs", "en", "--split", "test")
    rows = table(tmp_path / "list" / "en", "test")
    assert [len(row["docs"]) for row in rows] == [len(row["scores"]) for row in rows] == [5, 4, 4, 2]
    assert rows[0]["scores"] == [1.875, 1.75, 1.625, 1.5, 1.375], "the positives first"
    assert rows[1]["scores"][0] == 2.5, "the only positive was not returned: its anchor"


def test_scores_of_a_teacher(mined, tmp_path) -> None:
    options = ("--to", "st-distil", "--langs", "en", "--split", "test", "--retriever", "bm25")
    export(mined, tmp_path / "kl", *options, "--n", "2")
    rows = table(tmp_path / "kl" / "en", "test")
    assert list(rows[0]) == ["query", "positive", "negative_1", "negative_2", "scores"]
    assert rows[0]["scores"] == [1.875, 1.625, 1.5]
    export(mined, tmp_path / "margin", *options, "--n", "1", "--style", "margin")
    assert table(tmp_path / "margin" / "en", "test")[0]["label"] == 0.25
    assert "one of bm25, rrf:bm25+lsa" in refused(mined, tmp_path / "x", *options[:-2], "--n", "2"), "no default guess"
    assert "Did you mean 'bm25'" in refused(mined, tmp_path / "x", *options[:-1], "bm2", "--n", "2")
    assert "--n" in refused(mined, tmp_path / "x", *options), "the release does not say how many were mined"


def test_trec_has_runs_with_ranks_from_one(mined, tmp_path) -> None:
    export(mined, tmp_path / "out", "--to", "trec", "--langs", "hi")
    run = [line.split() for line in (tmp_path / "out" / "runs" / "rrf-bm25+lsa.txt").read_text().splitlines()]
    assert {len(row) for row in run} == {6}
    for query in MINED:
        own = [row for row in run if row[0] == query]
        assert [int(row[3]) for row in own] == list(range(1, len(own) + 1))
        assert [float(row[4]) for row in own] == sorted((float(row[4]) for row in own), reverse=True)
    topics = (tmp_path / "out" / "topics" / "test.tsv").read_text("utf-8").splitlines()
    assert [row.split("\t")[0] for row in topics] == list(JUDGED)


def test_colbert_is_numbered_by_line_and_leads_back(mined, tmp_path) -> None:
    out = tmp_path / "out"
    export(mined, out, "--to", "colbert", "--langs", "mr", "--scores", "--retriever", "bm25")
    collection = [row.split("\t") for row in (out / "collection.tsv").read_text("utf-8").split("\n")[:-1]]
    assert [row[0] for row in collection] == [str(i) for i in range(10)]
    assert {len(row) for row in collection} == {2}
    docs = {row["number"]: row["id"] for row in lines(out / "ids" / "documents.jsonl")}
    queries = {row["number"]: row["id"] for row in lines(out / "ids" / "queries.jsonl")}
    for query, positive, *negatives in lines(out / "triples" / "test.jsonl"):
        assert JUDGED[queries[query]][docs[positive[0]]] > 0
        assert [docs[one] for one, _ in negatives] == MINED[queries[query]]


@pytest.mark.parametrize("view", ["beir", "trec", "mmarco"])
def test_ids_that_break_columns_are_refused_or_numbered(view, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(JUDGED, "q\t9", {"d 1": 1})
    rows = mined_release.rows

    def odd(lang: str) -> dict[str, Any]:
        found = rows(lang)
        found[f"{lang}-corpus"]["corpus"][1]["doc_id"] = "d 1"
        for split in found[f"{lang}-qrels"].values():
            for row in split:
                row["doc_id"] = {"d1": "d 1"}.get(row["doc_id"], row["doc_id"])
        for split in found[f"{lang}-negatives"].values():
            split[:] = [row for row in split if row["doc_id"] != "d1"]
        found[f"{lang}-candidates"]["candidates"] = [
            row for row in found[f"{lang}-candidates"]["candidates"] if row["doc_id"] != "d1"
        ]
        return found

    monkeypatch.setattr(mined_release, "rows", odd)
    release = mined_release.write(tmp_path / "mined", ("en",))
    said = refused(release, tmp_path / "x", "--to", view)
    assert "cannot stand" in said
    assert "--ids number" in said
    assert ("'d 1'" if view == "trec" else r"'q\t9'") in said
    export(release, tmp_path / "out", "--to", view, "--ids", "number")
    assert [row["id"] for row in lines(tmp_path / "out" / "ids" / "documents.jsonl")][:3] == ["d0", "d 1", "d2"]
    assert "q\t9" in [row["id"] for row in lines(tmp_path / "out" / "ids" / "queries.jsonl")]


def test_queries_of_one_language_over_passages_of_another(mined, tmp_path) -> None:
    found = export(mined, tmp_path / "out", "--to", "beir", "--query-langs", "en", "--langs", "hi,mr")
    assert [one["name"] for one in found["scopes"]] == ["en-hi", "en-mr"]
    assert lines(tmp_path / "out" / "en-hi" / "queries.jsonl")[0]["text"] == "river q1?"
    assert lines(tmp_path / "out" / "en-hi" / "corpus.jsonl")[0]["text"] == text("hi", 0)


def test_one_pool_of_all_languages(mined, tmp_path) -> None:
    found = export(mined, tmp_path / "out", "--to", "beir", "--pooled", "--query-langs", "en,mr")
    ids = [row["_id"] for row in lines(tmp_path / "out" / "corpus.jsonl")]
    assert ids == [f"{lang}:d{i}" for lang in LANGS for i in range(10)]
    qrels = [row.split("\t") for row in (tmp_path / "out" / "qrels" / "test.tsv").read_text().splitlines()[1:]]
    judged = sum(len(grades) for grades in JUDGED.values())
    assert len(qrels) == 2 * 3 * judged == found["accounts"][0]["rows"]
    assert {row[1] for row in qrels} <= set(ids)
    assert "needs --query-langs" in refused(mined, tmp_path / "x", "--to", "beir", "--pooled")


def test_languages_of_training_rows_are_mixed(mined, tmp_path) -> None:
    options = ("--to", "tevatron", "--split", "test", "--query-langs", "en")

    def groups(mix: str, *more: str) -> list[dict[str, Any]]:
        out = tmp_path / f"{mix}{''.join(more)}"
        export(mined, out, *options, "--mix", mix, *more)
        assert {row["docid"] for row in lines(out / "corpus.jsonl")} == {
            f"{lang}:d{i}" for lang in LANGS for i in range(10)
        }
        return lines(out / "test.jsonl")

    def langs(row: dict[str, Any]) -> set[str]:
        return {one.split(":")[0] for one in row["positive_document_ids"] + row["negative_document_ids"]}

    def bare(row: dict[str, Any]) -> tuple[list[str], list[str]]:
        return tuple([one.split(":")[1] for one in row[f"{kind}_document_ids"]] for kind in ("positive", "negative"))  # type: ignore[return-value]

    wanted = {
        f"en:{query}": ([doc for doc, grade in JUDGED[query].items() if grade], docs) for query, docs in MINED.items()
    }
    passages = groups("passages")
    assert {row["query_id"]: bare(row) for row in passages} == wanted
    assert max(len(langs(row)) for row in passages) > 1
    entries = groups("entries")
    assert {row["query_id"]: bare(row) for row in entries} == wanted
    assert {len(langs(row)) for row in entries} == {1}
    robin = groups("robin")
    assert [(row["query_id"], *langs(row)) for row in robin] == [(query, lang) for query in wanted for lang in LANGS]
    drawn = {
        tuple(tuple(row["negative_document_ids"]) for row in groups("passages", "--seed", str(seed)))
        for seed in range(1, 5)
    }
    assert len(drawn) > 1, "another seed draws anew"
    assert "Did you mean 'passages'" in refused(mined, tmp_path / "x", *options, "--mix", "passage")


def test_the_same_release_makes_the_same_bytes_and_replaces_only_itself(mined, tmp_path) -> None:
    for view in ("pylate", "trec", "mteb"):
        first = export(mined, tmp_path / "a" / view, "--to", view, *(("--n", "1") if view == "pylate" else ()))
        again = export(mined, tmp_path / "b" / view, "--to", view, *(("--n", "1") if view == "pylate" else ()))
        assert first["files"] == again["files"]
    export(mined, tmp_path / "a" / "trec", "--to", "trec", "--langs", "hi")
    assert not (tmp_path / "a" / "trec" / "mr").exists(), "the folder is exchanged as a whole"
    code, _, err = cli("export", str(mined), "--to", "beir", "--out", str(tmp_path / "a" / "trec"))
    assert (code, "holds an export of made to trec" in err) == (2, True)
    (tmp_path / "a" / "trec" / "mine.txt").write_text("kept")
    code, _, err = cli("export", str(mined), "--to", "trec", "--out", str(tmp_path / "a" / "trec"))
    assert (code, "mine.txt" in err) == (2, True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").write_text("kept")
    assert "is not empty and no export" in refused(mined, tmp_path / "full", "--to", "beir")
    assert "no export" in cli("export", str(mined), "--to", "beir", "--out", str(mined))[2], "nor is a release replaced"


def test_what_cannot_be_exported_is_one_line(mined, tmp_path) -> None:
    out = tmp_path / "x"
    bare = mined_release.write(tmp_path / "bare", leave_out=("hi-negatives", "mr-queries", "en-candidates"))
    assert "hi has no negatives; mine them first" in refused(bare, out, "--to", "st-triplet")
    assert "mr has no queries" in refused(bare, out, "--to", "beir", "--langs", "mr")
    assert export(bare, tmp_path / "two", "--to", "beir")["scopes"][-1]["name"] == "hi", (
        "a language without queries is no set"
    )
    assert "no candidates" in refused(bare, out, "--to", "st-distil", "--langs", "en", "--n", "1")
    assert "Did you mean 'hi'" in refused(mined, out, "--to", "beir", "--langs", "ho")
    assert "no split of en-queries 'dev'" in refused(
        mined, out, "--to", "st-triplet", "--split", "dev", "--langs", "en"
    )
    assert "Did you mean 'st-triplet'" in refused(mined, out, "--to", "st-triple")
    assert "--style: no option of beir, which has --ids" in refused(mined, out, "--to", "beir", "--style", "new")
    assert "no style of tevatron" in refused(mined, out, "--to", "tevatron", "--style", "odl")
    assert "--n 0: at least 1" in refused(mined, out, "--to", "st-triplet", "--n", "0")
    assert "no query can be exported" in refused(mined, out, "--to", "st-ntuple", "--n", "9", "--langs", "en")
    assert "no segment map; --style rows" in refused(mined, out, "--to", "st-parallel")
    assert "is a file" in cli("export", str(mined), "--to", "beir", "--out", str(mined / "README.md"))[2]
    assert "no such folder" in cli("export", str(tmp_path / "none"), "--to", "beir", "--out", str(out))[2]


def test_views_are_listed() -> None:
    names = {row["name"] for row in json.loads(cli("list", "views", "--format", "json")[1])}
    asked = "beir mteb trec mmarco st-triplet st-ntuple st-labeled st-distil tevatron flagembedding pylate colbert"
    assert set(asked.split()) <= names
