"""`dsbuild filter` from a file to a release: every number counted again without dsbuild."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.small_set import DOCS, QUERIES, cli, digests, rows, write_set

EN = [
    "The mill stands where the stream leaves the valley, and its wheel has turned there for two hundred years without a stop.",
    "Bakers rise at three in the morning so that bread is ready when the first workers of the day walk past the shop.",
    "A lighthouse keeper writes down the wind, the sea and every ship that passes, four times a day and twice at night.",
    "Bees tell each other where flowers are by a dance whose angle and length give the direction and the distance.",
]
HI = [
    "नदी के किनारे बसा यह गाँव हर साल बाढ़ से बचने के लिए अपने घर ऊँची ज़मीन पर बनाता है और नावें तैयार रखता है।",
    "सुबह होते ही मंडी में सब्ज़ियों की गाड़ियाँ आने लगती हैं और शहर के दुकानदार अपने लिए ताज़ा माल चुन लेते हैं।",
]
ROWS: list[dict[str, Any]] = [
    *({"id": f"en{n}", "text": text, "site": "a"} for n, text in enumerate(EN)),
    *({"id": f"hi{n}", "text": text, "site": "b"} for n, text in enumerate(HI)),
    {"id": "twin", "text": EN[0], "site": "c"},
    {"id": "near", "text": EN[1].replace("three in", "four in"), "site": "c"},
    {"id": "digits", "text": "12 34 56 78 90 12 34", "site": "c"},
    {"id": "blank", "text": "", "site": "c"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filtered")
    (folder / "docs.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), "utf-8")
    return folder


def arguments(folder: Path, *more: object, out: str = "out") -> list[object]:
    return [
        "filter", "--src", f"jsonl:{folder / 'docs.jsonl'}", "--profile", "sentence", "--lang", "auto", "--out", folder / out,
        "--store", folder / "store", *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def release(folder: Path) -> Path:
    code, out, err = cli(*arguments(folder))
    assert (code, "release:" in out) == (0, True), err
    return folder / "out"


def test_every_row_ends_once_and_where_it_should(release: Path) -> None:
    kept = {
        row["doc_id"]: row
        for path in ("en-documents/*", "hi-documents/*", "und-documents/*")
        for row in rows(release, path)
    }
    lost = {row["doc_id"]: row for row in rows(release, "dropped/*-documents-*")}
    assert kept.keys() == {"en0", "en1", "en2", "en3", "hi0", "hi1"}
    assert lost.keys() == {"twin", "near", "digits", "blank"}
    assert len(kept) + len(lost) == len(ROWS)
    texts = {row["id"]: (row["text"], row["site"]) for row in ROWS}
    assert {key: (row["text"], row["site"]) for key, row in {**kept, **lost}.items()} == texts
    assert (lost["twin"]["duplicate_of"], lost["twin"]["duplicate_jaccard"]) == ("en0", 1.0)
    assert lost["near"]["duplicate_of"] == "en1"
    assert 0.8 <= lost["near"]["duplicate_jaccard"] < 1


def test_the_accounting_is_what_the_files_hold(release: Path) -> None:
    manifest = json.loads((release / "manifest.json").read_text("utf-8"))
    for lang, tables in manifest["accounting"].items():
        row = tables["documents"]
        assert row["kept"] == len(rows(release, f"{lang}-documents/*"))
        assert row["dropped"] == len(rows(release, f"dropped/{lang}-documents-*"))
        assert row["in"] == row["kept"] + row["dropped"] + row["failed"]
        assert sum(row["reasons"].values()) == row["dropped"]
    assert sum(tables["documents"]["in"] for tables in manifest["accounting"].values()) == len(ROWS)


def test_every_dropped_row_has_its_rules(release: Path) -> None:
    verdicts = rows(release, "dropped/verdicts-*")
    by_row: dict[str, Counter[str]] = {}
    for row in verdicts:
        assert row["value"] is not None
        assert row["threshold"] is not None
        assert row["threshold_source"]
        by_row.setdefault(row["id"], Counter())[row["rule"]] += 1
    assert set(by_row) == {"twin", "near", "digits", "blank"}
    assert {"length.too_short", "length.many_digits"} <= set(by_row["digits"])


def test_a_release_is_in_order_and_opens(release: Path) -> None:
    from datasets import load_dataset

    assert cli("verify", release)[0] == 0
    code, out, _ = cli("explain", release, "--id", "near")
    assert code == 0
    assert "near_duplicate" in out
    assert "en1" in out
    found = load_dataset(str(release), "hi-documents", split="documents", cache_dir=str(release.parent / "cache"))
    assert sorted(found["doc_id"]) == ["hi0", "hi1"]


def test_the_same_bytes_wherever_and_however_often_it_runs(folder: Path, release: Path) -> None:
    before = digests(release)
    assert cli(*arguments(folder))[0] == 0
    assert digests(release) == before
    other = folder / "other-store"
    for executor in ("in-process", "datatrove"):
        code, _, err = cli(*arguments(folder, "--executor", executor, "--store", other / executor, out=executor))
        assert code == 0, err
        assert digests(folder / executor) == before


def test_json_names_reasons(folder: Path) -> None:
    code, out, _ = cli(*arguments(folder, "--format", "json", "--set", "neardup.jaccard=0.99", out="strict"))
    found = json.loads(out)
    assert code == 0
    assert found["languages"]["en"] == {
        "in": 6,
        "kept": 5,
        "dropped": 1,
        "failed": 0,
        "reasons": {"exact_duplicate": 1},
    }


def test_a_dry_run_answers_and_writes_no_release(folder: Path, release: Path) -> None:
    code, out, err = cli(*arguments(folder, "--dry-run", "--format", "json", out="dry"))
    assert code == 0, err
    assert sorted(path.name for path in (folder / "dry").iterdir()) == ["report.html", "report.json"]
    (table,) = json.loads(out)["tables"]
    assert {lang: row["kept"] for lang, row in table["languages"].items()} == {"en": 4, "hi": 2, "und": 0}
    digits = next(rule for rule in table["rules"] if rule["rule"] == "length.many_digits")
    share = {
        row["id"]: sum(c.isdigit() for c in row["text"]) / max(1, len(row["text"].replace(" ", ""))) for row in ROWS
    }
    assert digits["fails"] == sum(value > 0.5 for value in share.values())
    assert digits["above"][0]["id"] == "digits"
    page = (folder / "dry/report.html").read_text("utf-8")
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_texts_of_strangers_stay_text_in_the_report(tmp_path: Path) -> None:
    evil = {"id": "x", "text": "<script>alert(1)</script> " + EN[0]}
    (tmp_path / "docs.jsonl").write_text(json.dumps(evil) + "\n", "utf-8")
    assert cli(*arguments(tmp_path, "--dry-run", out="dry"))[0] == 0
    page = (tmp_path / "dry/report.html").read_text("utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_what_if_decides_again_from_stored_scores(release: Path) -> None:
    code, out, err = cli("what-if", release, "--set", "neardup.jaccard=0.99", "--format", "json")
    assert code == 0, err
    english = next(row for row in json.loads(out)["tables"] if row["lang"] == "en")
    assert (english["kept"], english["kept_then"], english["newly_kept"]) == (4, 5, 1)
    code, out, _ = cli(
        "what-if", release, "--set", "length.min_letters=0", "--set", "length.max_digit_share=1", "--set", "length.min_letter_share=0",
        "--format", "json",
    )  # fmt: skip
    found = json.loads(out)
    assert next(row for row in found["tables"] if row["lang"] == "und")["kept_then"] == 2
    assert any("not scored downstream" in note for note in found["notes"])
    assert cli("what-if", release, "--set", "neardup.jaccard=0.5")[0] == 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--set", "gophr.min_words=3"], "Did you mean 'gopher'"),
        (["--set", "gopher.min_words=3"], "not among the filters"),
        (["--set", "length.min_leters=3"], "Did you mean 'length.min_letters'"),
        (["--set", "length.min_letters=many"], "a threshold is a number"),
        (["--set", "neardup.unit=graphs"], "Did you mean 'graphemes'"),
        (["--set", "neardup.jaccard=1.5"], "at most 1"),
        (["--set", "exact.keeper=longst"], "Did you mean 'longest'"),
        (["--lang", "hindi"], "Did you mean 'hi'"),
        (["--profile", "documents"], "Did you mean 'document'"),
        (["--thresholds", "finewob"], "neither default, fineweb2 nor a file"),
        (["--set", "language.model=README.md"], "README.md"),
        (["--set", "filters=[classifier]"], "classifier: needs model; say --set classifier.model="),
        (
            ["--set", "length.min_letters=100000"],
            "every one of the 10 rows would be dropped, 10 of them first by length.too_short",
        ),
    ],
)
def test_bad_settings_are_one_line(folder: Path, more: list[str], words: str) -> None:
    code, _, err = cli(*arguments(folder, *more, out="bad"))
    assert (code, err.count("\n")) == (2, 1), err
    assert words in err
    assert not (folder / "bad").exists()


def test_no_language_is_assumed(folder: Path) -> None:
    code, _, err = cli(
        "filter", "--src", f"jsonl:{folder / 'docs.jsonl'}", "--profile", "sentence", "--out", folder / "bad"
    )
    assert code == 2
    assert "--lang auto" in err


def test_ids_stand_once(tmp_path: Path) -> None:
    twice = [{"id": "a", "text": EN[0]}, {"id": "a", "text": EN[1]}]
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in twice), "utf-8")
    code, _, err = cli(*arguments(tmp_path))
    assert code == 2
    assert "'a' is there twice, rows 1 and 2" in err


def test_judgements_of_a_duplicate_go_to_its_keeper(tmp_path: Path) -> None:
    copies = [*DOCS, ("copy", DOCS[0][1], DOCS[0][2])]
    first, query = DOCS[0][0], next(iter(QUERIES))
    source = write_set(tmp_path / "set", copies, qrels={"train": [(query, first, 1), (query, "copy", 2)]})
    code, _, err = cli(
        "filter", "--src", f"beir:{source}", "--profile", "sentence", "--lang", "en", "--out", tmp_path / "out", "--store", tmp_path / "store",
        "--set", "filters=[exact]",
    )  # fmt: skip
    assert code == 0, err
    assert "copy" not in {row["doc_id"] for row in rows(tmp_path / "out", "en-corpus/*")}
    assert [(row["query_id"], row["doc_id"], row["relevance"]) for row in rows(tmp_path / "out", "en-qrels/*")] == [
        (query, first, 2)
    ]
    merged = [row for row in rows(tmp_path / "out", "dropped/verdicts-*") if row["outcome"] == "merged"]
    assert [(row["id"], row["detail"]) for row in merged] == [(f"{query}\tcopy", first)]
    assert cli("verify", tmp_path / "out")[0] == 0


def test_judged_rows_of_an_evaluation_set_are_never_dropped(tmp_path: Path) -> None:
    copies = [*DOCS, ("copy", DOCS[0][1], DOCS[0][2])]
    query = next(iter(QUERIES))
    source = write_set(tmp_path / "set", copies, qrels={"test": [(query, DOCS[0][0], 1), (query, "copy", 2)]})
    code, _, err = cli(
        "filter", "--src", f"beir:{source}", "--profile", "document", "--lang", "en", "--out", tmp_path / "out", "--store", tmp_path / "store",
    )  # fmt: skip
    assert code == 0, err
    kept = {row["doc_id"]: row for row in rows(tmp_path / "out", "en-corpus/*")}
    assert kept.keys() == {DOCS[0][0], "copy"}
    assert kept["copy"]["flag"] == "gopher.too_short"


def test_personal_data_is_masked_flagged_or_dropped(tmp_path: Path) -> None:
    texts = [
        *EN,
        "Write to the keeper of the mill at anna.berg@example.org before the end of the month, she answers every letter.",
    ]
    (tmp_path / "docs.jsonl").write_text(
        "".join(json.dumps({"id": f"r{n}", "text": text}) + "\n" for n, text in enumerate(texts)), "utf-8"
    )
    found = {}
    for policy in ("mask", "flag", "drop"):
        code, _, err = cli(
            *arguments(tmp_path, "--set", "filters=[language,pii]", "--set", f"pii.policy={policy}", out=policy)
        )
        assert code == 0, err
        found[policy] = {row["doc_id"]: row["text"] for row in rows(tmp_path / policy, "en-documents/*")}
        assert cli("verify", tmp_path / policy)[0] == 0
    assert found["flag"] == {f"r{n}": text for n, text in enumerate(texts)}
    assert found["drop"] == {f"r{n}": text for n, text in enumerate(EN)}
    assert found["mask"]["r4"] == texts[4].replace("anna.berg@example.org", "<EMAIL>")
    manifest = json.loads((tmp_path / "mask/manifest.json").read_text("utf-8"))
    assert manifest["accounting"]["en"]["documents"]["repaired"] == 1
    everything = "".join(
        path.read_text("utf-8", errors="ignore")
        for path in (tmp_path / "mask").rglob("*")
        if path.suffix in (".json", ".md", ".html", ".yaml")
    )
    assert "anna.berg" not in everything
    assert not [row for row in rows(tmp_path / "mask", "dropped/verdicts-*") if "anna" in row["detail"]]


def test_a_classifier_retains_a_share(tmp_path: Path) -> None:
    good = [f"{EN[n % 4]} Chapter {n} of the book tells how stream {n} was found." for n in range(120)]
    bad = [f"cheap offer {n} click now best price {n} buy buy sale {n * 7} discount" for n in range(120)]
    for name, texts in (("good", good), ("bad", bad), ("docs", [*good[:10], *bad[:30]])):
        lines = (json.dumps({"id": f"{name}{n}", "text": text}) + "\n" for n, text in enumerate(texts))
        (tmp_path / f"{name}.jsonl").write_text("".join(lines), "utf-8")
    model = tmp_path / "model.bin"
    code, out, err = cli(
        "train-classifier", "--positives", f"jsonl:{tmp_path / 'good.jsonl'}", "--negatives", f"jsonl:{tmp_path / 'bad.jsonl'}", "--out", model,
        "--format", "json",
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(out)["accuracy"] > 0.9
    code, _, err = cli(
        *arguments(tmp_path, "--set", "filters=[language,classifier]", "--set", f"classifier.model={model}"), "--set", "classifier.retain=0.25",
        "--lang", "en",
    )  # fmt: skip
    assert code == 0, err
    assert {row["doc_id"] for row in rows(tmp_path / "out", "en-documents/*")} == {f"docs{n}" for n in range(10)}
    assert {row["threshold_source"] for row in rows(tmp_path / "out", "dropped/verdicts-*")} == {"retained:0.25"}
    assert cli("what-if", tmp_path / "out", "--set", "classifier.min_score=2")[0] == 0


def test_pairs_are_checked_as_translations(tmp_path: Path) -> None:
    pairs = [
        ("a", EN[0], "जहाँ से धारा घाटी छोड़ती है वहाँ चक्की खड़ी है, और उसका पहिया दो सौ साल से बिना रुके घूम रहा है।"),
        ("copied", EN[1], EN[1]),
        ("loop", EN[3], "मधुमक्खियाँ " * 12),
        ("again", EN[0], "जहाँ से धारा घाटी छोड़ती है वहाँ चक्की खड़ी है, और उसका पहिया दो सौ साल से बिना रुके घूम रहा है।"),
    ]
    lines = ["id\tsrc\ttgt", *("\t".join(pair) for pair in pairs)]
    (tmp_path / "pairs.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    out, store = tmp_path / "out", tmp_path / "store"
    code, _, err = cli(
        "filter", "--src", f"tsv:{tmp_path / 'pairs.tsv'}", "--profile", "pair", "--lang", "en,hi", "--out", out, "--store", store,
        "--set", "filters=[language,bitext,pairs,exact]",
    )  # fmt: skip
    assert code == 0, err
    assert [row["pair_id"] for row in rows(out, "en-hi-pairs/*")] == ["a"]
    lost = {row["pair_id"]: row for row in rows(out, "dropped/en-hi-pairs-*")}
    assert lost.keys() == {"copied", "loop", "again"}
    assert lost["again"]["duplicate_of"] == "a"
    rules = {(row["id"], row["rule"]) for row in rows(out, "dropped/verdicts-*")}
    assert {("copied", "bitext.wrong_script"), ("loop", "bitext.loop"), ("again", "exact_duplicate")} <= rules
    assert cli("verify", out)[0] == 0
    assert cli("what-if", out, "--set", "bitext.max_loop=1")[0] == 0


def test_a_release_tells_no_place_of_a_model_and_counts_all_that_was_masked(tmp_path: Path) -> None:
    from dsbuild.builders.sources import readflat
    from dsbuild.filters.language import MODEL

    mails = [{"id": f"m{n}", "text": f"{EN[n % 4]} Write to anna{n}@example.org."} for n in range(5)]
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in mails), "utf-8")
    manifests = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readflat, "UNIT_ROWS", 2)
        for place in ("here", "there"):
            (tmp_path / place).mkdir()
            (tmp_path / place / "lid.ftz").write_bytes(MODEL.read_bytes())
            more = ["filters=[language,pii]", "pii.policy=mask", f"language.model={tmp_path / place / 'lid.ftz'}"]
            code, _, err = cli(
                *arguments(tmp_path, *(word for one in more for word in ("--set", one)), out=f"out-{place}")
            )
            assert code == 0, err
            manifests.append((tmp_path / f"out-{place}" / "manifest.json").read_text("utf-8"))
    assert manifests[0] == manifests[1]
    assert str(tmp_path) not in manifests[0]
    found = json.loads(manifests[0])
    assert found["recipe"]["language"]["model"] == "lid.ftz"
    assert found["findings"]["mask.documents"] == {"masked": 5}
    assert found["accounting"]["en"]["documents"]["repaired"] == 5


def test_filters_of_single_texts_look_at_both_sides_of_a_pair(tmp_path: Path) -> None:
    pairs = [
        {"id": "good", "src": EN[0], "tgt": HI[0]},
        {"id": "mail", "src": f"{EN[1]} Ask anna@example.org.", "tgt": HI[1]},
        {"id": "short", "src": EN[2], "tgt": "हाँ"},
    ]
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs), "utf-8")
    more = [
        "--profile",
        "pair",
        "--lang",
        "en,hi",
        "--set",
        "filters=[language,length,pii,gopher]",
        "--set",
        "length.min_letters=10",
    ]
    gopher = ["--set", "gopher.min_words=1", "--set", "pii.policy=mask"]
    code, _, err = cli(*arguments(tmp_path, *more, *gopher))
    assert code == 0, err
    kept = {row["pair_id"]: row for row in rows(tmp_path / "out", "en-hi-pairs/*")}
    assert kept.keys() == {"good", "mail"}
    assert (kept["mail"]["text_a"], kept["mail"]["pii_count_a"]) == (f"{EN[1]} Ask <EMAIL>.", 0)
    assert (kept["good"]["language_label_a"], kept["good"]["language_label_b"]) == ("en", "hi")
    assert kept["good"]["gopher_words_a"] > 0 < kept["good"]["gopher_words_b"]
    dropped = [row for row in rows(tmp_path / "out", "dropped/verdicts-*") if row["outcome"] == "dropped"]
    assert {(row["id"], row["rule"]) for row in dropped} == {("short", "length.too_short_b")}
    code, out, err = cli("what-if", tmp_path / "out", "--set", "length.min_letters=1", "--format", "json")
    assert (code, json.loads(out)["tables"][0]["kept_then"]) == (0, 3), err
    assert cli(*arguments(tmp_path, *more, *gopher, "--dry-run", out="dry"))[0] == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--set", "filters=[bitext]"], "filter bitext compares the two texts of a pair"),
        (["--set", "filters=[mojibake]"], "filter mojibake mends the texts of a set that is translated"),
        (["--profile", "pair", "--lang", "en,hi", "--set", "filters=[classifier]", "--set", "classifier.retain=0.5"], "a pair has two scores"),
    ],
)  # fmt: skip
def test_filters_for_another_kind_of_table_are_refused(
    folder: Path, tmp_path: Path, more: list[str], words: str
) -> None:
    (tmp_path / "docs.jsonl").write_text(
        json.dumps({"id": "a", "text": EN[0], "src": EN[0], "tgt": HI[0]}) + "\n", "utf-8"
    )
    code, _, err = cli(*arguments(tmp_path, *more))
    assert (code, err.count("\n")) == (2, 1), err
    assert words in err


def test_rows_that_were_filtered_before_are_scored_anew(release: Path, tmp_path: Path) -> None:
    code, _, err = cli(
        "filter", "--src", f"parquet:{release / 'en-documents'}", "--profile", "sentence", "--lang", "hi", "--set", "force=true",
        "--out", tmp_path / "out", "--store", tmp_path / "store",
    )  # fmt: skip
    assert code == 0, err
    assert "note: documents: --lang hi takes the place of column 'lang'" in err
    lost = rows(tmp_path / "out", "dropped/hi-documents-*")
    assert {row["doc_id"] for row in lost} == {"en0", "en1", "en2", "en3"}
    assert {(row["lang"], row["language_label"], row["language_fit"], row["site"]) for row in lost} == {
        ("hi", "en", 0.0, "a")
    }


@pytest.mark.parametrize(
    ("said", "config"), [("en-hi", "en-hi"), ("en, hi", "en-hi"), ("zh-Hans", "zh-Hans-zh-Hans"), ("hi", "hi-hi")]
)
def test_languages_of_pairs(tmp_path: Path, said: str, config: str) -> None:
    (tmp_path / "docs.jsonl").write_text(json.dumps({"id": "a", "src": EN[0], "tgt": HI[0]}) + "\n", "utf-8")
    code, _, err = cli(
        *arguments(tmp_path, "--profile", "pair", "--lang", said, "--set", "filters=[exact,length,length]")
    )
    assert code == 0, err
    assert [row["pair_id"] for row in rows(tmp_path / "out", f"{config}-pairs/*")] == ["a"]


def test_the_table_that_is_left_alone_is_in_the_release(tmp_path: Path) -> None:
    source = write_set(tmp_path / "set")
    code, _, err = cli(
        "filter", "--src", f"beir:{source}", "--profile", "sentence", "--lang", "en", "--set", "only=corpus", "--out", tmp_path / "out",
        "--store", tmp_path / "store",
    )  # fmt: skip
    assert code == 0, err
    assert {row["query_id"] for row in rows(tmp_path / "out", "en-queries/*")} == set(QUERIES)
    assert cli("verify", tmp_path / "out")[0] == 0
