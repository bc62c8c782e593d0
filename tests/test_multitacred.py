"""The MultiTACRED builder from split files to a release: marks, the way back, errors by name, the files that it ships, sheets for people."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dsbuild.builders.labelled.multitacred import Multitacred
from dsbuild.builders.projection import relation_files
from dsbuild.builders.releases.verification import verify
from dsbuild.registry import Registry
from dsbuild.release import read_manifest
from dsbuild.translate import engines
from tests.marked_engine import turned
from tests.small_set import cli, rows

PEOPLE = ["Anna", "Bo Lin", "Carla Ruiz", "Dev"]
YEARS = {"train": 1900, "dev": 1950, "test": 1990}
FIRMS = ["Ravel", "Nordwind Group", "Teal"]


def row(number: int, split: str, word: str = "", *, pronoun: bool = False) -> dict[str, Any]:
    """A row in TACRED's own form."""
    person, firm = PEOPLE[number % 4].split(), FIRMS[number % 3].split()
    person = ["He"] if pronoun else person
    tokens = [
        *person,
        "runs",
        "-LRB-",
        *firm,
        "-RRB-",
        *([word] if word else []),
        "since",
        str(YEARS[split] + number),
        ".",
    ]
    start = len(person) + 2
    return {
        "id": f"{split}{number}", "docid": f"doc{number}", "relation": "per:employee_of" if number % 4 else "no_relation", "token": tokens,
        "subj_start": 0, "subj_end": len(person) - 1, "subj_type": "PERSON",
        "obj_start": start, "obj_end": start + len(firm) - 1, "obj_type": "ORGANIZATION",
    }  # fmt: skip


# What the engine does to a row, and what the row is lost for: the words are the engine's, the errors ours.
LOST = {
    "losthead": ("marker_missing", "head"), "losttail": ("marker_missing", "tail"), "lostboth": ("marker_missing", "both"),
    "twice": ("markers_doubled", "head"), "behind": ("markers_swapped", "tail"), "emptied": ("marker_empty", "head"),
    "inside": ("markers_overlap", "both"), "half": ("markers_broken", "both"), "nothing": ("not_translated", "both"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def turning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "ENGINES", Registry("engine", {"turn": "tests.marked_engine:Turn"}))


@pytest.fixture
def tacred(tmp_path: Path) -> Path:
    folder = tmp_path / "tacred"
    folder.mkdir()
    back = turned("losttail")
    splits = {
        "train": [*(row(n, "train") for n in range(12)), *(row(20 + n, "train", word) for n, word in enumerate(LOST))],
        "dev": [row(0, "dev"), row(1, "dev", "split"), row(2, "dev", "losthead", pronoun=True)],
        "test": [*(row(n, "test") for n in range(5)), row(6, "test", back), row(7, "test", "losthead")],
    }
    for split, those in splits.items():
        (folder / f"{split}.json").write_text(json.dumps(those), "utf-8")
    return folder


def build(folder: Path, *more: str, out: str = "out") -> dict[str, Any]:
    code, said, err = cli(
        "project", "--recipe", "multitacred", "--src", f"tacred:{folder}", "--langs", "de,hi", "--engine", "turn", "--set", "engine={name: turn}",
        "--set", "review.rows=8", "--out", folder.parent / out, "--store", folder.parent / "store", "--format", "json", *more,
    )  # fmt: skip
    assert code == 0, err
    found: dict[str, Any] = json.loads(said)
    return found


def command(source: Path) -> list[object]:
    return ["project", "--recipe", "multitacred", "--src", f"tacred:{source}", "--set", "engine={name: turn}", "--out", source.parent / "o",
            "--store", source.parent / "s"]  # fmt: skip


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_splits_ids_and_relations_stay_and_every_row_is_accounted_for(tacred: Path) -> None:
    build(tacred)
    out = tacred.parent / "out"
    assert verify(out)["problems"] == []
    manifest = read_manifest(out)
    sizes = {
        name: {split: one["rows"] for split, one in config["splits"].items()}
        for name, config in manifest["configs"].items()
    }
    assert sizes == {
        "en-labelled": {"train": 21, "dev": 3, "test": 7}, "de-labelled": {"train": 12, "dev": 2, "test": 6},
        "hi-labelled": {"train": 12, "dev": 2, "test": 6}, "en-t-de-labelled": {"test": 5}, "en-t-hi-labelled": {"test": 5},
    }  # fmt: skip
    ids = [one["id"] for one in rows(out, "de-labelled/test-*")]
    assert ids == ["test0", "test1", "test2", "test3", "test4", "test6"]
    first = rows(out, "de-labelled/test-*")[1]
    assert first["text"] == turned("Bo Lin runs ( Nordwind Group ) since 1991 .")
    assert [first["text"][one["start"] : one["end"]] for one in first["spans"]] == [
        turned("Bo Lin"),
        turned("Nordwind Group"),
    ]
    assert first["relations"] == [{"head": "SUBJ", "tail": "OBJ", "label": "per:employee_of"}]
    back = rows(out, "en-t-de-labelled/test-*")
    assert [one["text"] for one in back] == [one["text"] for one in rows(out, "en-labelled/test-*")][:5]
    assert {one["lang"] for one in back} == {"en"}


def test_errors_are_verdicts_and_the_card_counts_them(tacred: Path) -> None:
    build(tacred)
    out = tacred.parent / "out"
    said = [one for one in rows(out, "dropped/verdicts-*") if one["table"] == "labelled" and one["lang"] == "de"]
    told = {one["id"]: (one["rule"], one["detail"]) for one in said}
    for number, (word, (error, entities)) in enumerate(LOST.items()):
        failed = word == "nothing"
        assert told[f"train{20 + number}"] == (("no_translation", "") if failed else (error, entities)), word
    assert told["dev2"] == ("pronoun_dropped", "head")
    assert told["test7"] == ("marker_missing", "head")
    back = [one for one in rows(out, "dropped/verdicts-*") if one["table"] == "labelled" and one["lang"] == "en-t-de"]
    assert [(one["id"], one["rule"], one["detail"]) for one in back] == [("test6", "marker_missing", "tail")]
    sections = {one["title"]: one["table"] for one in read_manifest(out)["sections"]}
    counted = {(line[0], line[1]): line[2:6] for line in sections["Errors of the marked entities"]["rows"]}
    assert counted["de", "marker_missing"] == [2, 1, 1, 4]
    assert counted["de", "pronoun_dropped"] == [1, 0, 0, 1]
    assert counted["de", "not_translated"] == [0, 0, 1, 1]
    assert counted["en-t-de", "marker_missing"] == [0, 1, 0, 1]
    assert ["de", "test", 7, 6, 1, 14.29] in sections["Rows by split"]["rows"]
    assert ["en-t-de", "all", 6, 5, 1, 16.67] in sections["Rows by split"]["rows"]
    assert ["no_relation", "train", 6, 3, 3, 0, 0] in sections["Kept rows by relation"]["rows"]
    assert ["de", 35.48, 1.35, 2.3] in sections["Beside the published set"]["rows"]
    assert "Kept rows by relation" in (out / "README.md").read_text("utf-8")


def test_marks_that_came_back_around_each_others_names_are_rejected(tacred: Path) -> None:
    build(tacred, "--set", "engine.swap='1990'")
    told = [one for one in rows(tacred.parent / "out", "dropped/verdicts-*") if one["rule"] == "markers_swapped"]
    assert ("de", "test0") in {(one["lang"], one["id"]) for one in told}


def test_the_files_are_those_of_multitacred(tacred: Path) -> None:
    folder = tacred.parent / "files"
    found = build(tacred, "--write", f"multitacred:{folder}", "--write", f"tacred:{tacred.parent / 'json'}")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jsonl"))
    assert names == sorted(f"{lang}/{name}" for lang in ("de", "hi") for name in
                           (f"train_{lang}.jsonl", f"dev_{lang}.jsonl", f"test_{lang}.jsonl", f"test_en_{lang}_bt.jsonl"))  # fmt: skip
    assert found["written"][str(folder / "de" / "train_de.jsonl")] == 12
    one = lines(folder / "de" / "test_de.jsonl")[1]
    assert one["text_raw"] == "<H>Bo Lin</H> runs ( <T>Nordwind Group</T> ) since 1991 ."
    assert one["translation_raw"] == turned(one["text_raw"])
    assert (one["language"], one["language_translated"]) == ("EN", "DE")
    for ending in ("", "_translated"):
        assert [one[f"tokens{ending}"][slice(*place)] for place in one[f"entities{ending}"]] == [
            [turned(word) if ending else word for word in words.split()] for words in ("Bo Lin", "Nordwind Group")
        ]
    back = lines(folder / "de" / "test_en_de_bt.jsonl")
    assert [row["id"] for row in back] == ["test0", "test1", "test2", "test3", "test4"]
    assert (back[1]["text_raw"], back[1]["translation_raw"]) == (one["translation_raw"], one["text_raw"])
    assert back[1]["tokens_backtranslated"] == one["tokens"]
    assert (back[1]["language"], back[1]["language_translated"], back[1]["language_backtranslated"]) == (
        "EN",
        "DE",
        "EN",
    )
    # TACRED's own form names brackets as TACRED does.
    told = json.loads((tacred.parent / "json" / "de" / "test_en_de_bt.json").read_text("utf-8"))
    assert "".join(told[1]["token"]).count("-LRB-") == 1
    code, said, err = cli(
        "project", "--src", f"multitacred:{folder / 'de'}", "--src-lang", "de", "--langs", "es", "--method", "markers", "--set",
        "engine.name=turn", "--out", tacred.parent / "again", "--store", tacred.parent / "store", "--format", "json",
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(said)["accounting"]["es"]["labelled"]["in"] == 20


def test_one_file_for_a_language_holds_source_and_translation(tacred: Path) -> None:
    path = tacred.parent / "de.jsonl"
    build(tacred, "--write", f"de=multitacred:{path}")
    assert Counter("tokens" in one and "tokens_translated" in one for one in lines(path)) == {True: 20}


def test_the_same_files_make_the_same_release_and_sheets_are_left_alone(tacred: Path) -> None:
    found = build(tacred)
    before = (tacred.parent / "out" / "manifest.json").read_bytes()
    sheet = Path(next(iter(found["sheets"])))
    sheet.write_text(sheet.read_text("utf-8") + "filled", "utf-8")
    build(tacred)
    assert (tacred.parent / "out" / "manifest.json").read_bytes() == before
    assert sheet.read_text("utf-8").endswith("filled")


def test_sheets_are_filled_and_summed(tacred: Path, tmp_path: Path) -> None:
    found = build(tacred)
    assert set(found["sheets"].values()) == {8}
    sheet = tacred.parent / "review-out" / "sheet-de.tsv"
    with sheet.open(encoding="utf-8", newline="") as stream:
        told = list(csv.DictReader(stream, delimiter="\t"))
    assert Counter(one["relation"] for one in told) == {"no_relation": 2, "per:employee_of": 6}
    assert sum(float(one["stands_for"]) for one in told) == pytest.approx(20)
    assert told[0]["translation"].count("<H>") == 1
    for name, wrong in (("anna", 2), ("bo", 3)):
        for number, one in enumerate(told):
            bad = number < wrong
            one |= {
                "adequate": "no" if bad else "yes",
                "fluent": "yes",
                "label_holds": "Yes",
                "error": "term" if bad else "",
            }
        with (tmp_path / f"{name}.tsv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(told[0]), delimiter="\t")
            writer.writeheader()
            writer.writerows(told)
    answers = tmp_path / "answers.jsonl"
    code, said, err = cli(
        "review", "sum", tmp_path / "anna.tsv", tmp_path / "bo.tsv", "--out", answers, "--format", "json"
    )
    assert code == 0, err
    sums = json.loads(said)
    by = {one["question"]: one for one in sums["questions"]}
    assert (by["adequate"]["yes"], by["adequate"]["no"], by["acceptable"]["no"]) == (11, 5, 5)
    assert by["adequate"]["rate"] == 11 / 16
    weights = [float(one["stands_for"]) for one in told]
    assert by["adequate"]["weighted"] == pytest.approx(1 - (sum(weights[:2]) + sum(weights[:3])) / 40, abs=1e-4)
    assert sums["errors"] == {"de": {"term": 5}}
    agreed = next(one for one in sums["agreement"] if one["question"] == "adequate")
    assert (agreed["rows"], agreed["raw"]) == (8, 7 / 8)
    assert json.loads((tmp_path / "review.json").read_text("utf-8"))["tables"][0]["categories"] == {"term": 5}
    assert len(lines(answers)) == 16
    assert "adequate" in cli("review", "sum", tmp_path / "anna.tsv")[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("\tadequate", "\tadequat"), "no column 'adequate'"),
        (("\t\t\t\t\t\n", "\tperhaps\t\t\t\t\n"), "adequate is 'perhaps'"),
        (("\t\t\t\t\t\n", "\tyes\t\t\tbad\t\n"), "error is 'bad'"),
        (("", ""), "nobody has answered"),
    ],
)
def test_what_is_no_answer_is_told_with_its_line(tacred: Path, change: tuple[str, str], said: str) -> None:
    build(tacred)
    sheet = tacred.parent / "review-out" / "sheet-de.tsv"
    sheet.write_text(sheet.read_text("utf-8").replace(*change, 1), "utf-8")
    code, _, err = cli("review", "sum", sheet)
    assert (code, said in err) == (2, True), err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--set", "back_translation.splits=[tets]"), "no split 'tets' in the set; it has train, dev, test"),
        (("--src", "tacred:nowhere=missing.json"), "missing.json: no such file"),
        (("--set", "source.options.brackets=round"), "treebank"),
        (("--set", "release.source_tables=false"), "review: people need the source"),
        (("--set", "markers.scheme=multitacrd"), "multitacred"),
    ],
)
def test_what_cannot_be_meant_is_one_line(tacred: Path, more: tuple[str, ...], said: str) -> None:
    code, _, err = cli(*command(tacred), *more)
    assert (code, said in err, err.count("\n")) == (2, True, 1), err


def test_a_single_file_without_a_split_cannot_be_translated_back_by_split(tacred: Path) -> None:
    code, _, err = cli(*command(tacred / "test.json"))
    assert (code, "the set has no splits" in err) == (2, True), err


def test_another_engine_translates_back_and_is_named(tacred: Path) -> None:
    build(tacred, "--set", "back_translation.engine={name: turn, swap: zzz}")
    assert set(read_manifest(tacred.parent / "out")["engines"]) == {"turn", "turn (back-translation)"}


def test_sheets_are_of_relations_alone(tmp_path: Path) -> None:
    row = {"id": "1", "text": "Ada runs", "spans": [{"id": "a", "start": 0, "end": 3, "label": "PER"}]}
    (tmp_path / "en.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    wanted = ("project", "--src", f"spans:{tmp_path / 'en.jsonl'}", "--src-lang", "en", "--langs", "de", "--method", "markers", "--set",
              "engine.name=turn", "--out", tmp_path / "out", "--store", tmp_path / "store")  # fmt: skip
    code, _, err = cli(*wanted, "--set", "review.rows=5")
    assert (code, "sheets are of relations" in err) == (2, True), err
    assert cli(*wanted)[0] == 0
    code, _, err = cli("review", "sheet", tmp_path / "out", "--langs", "de")
    assert (code, "not a release of relations" in err) == (2, True), err


def test_a_source_that_is_explained_shows_no_spans_of_what_was_translated_back(tacred: Path) -> None:
    build(tacred)
    out = tacred.parent / "out"
    story = json.loads(cli("explain", out, "--id", "test0", "--lang", "en", "--format", "json")[1])["rows"][0]
    assert story["spans"] == []
    story = json.loads(cli("explain", out, "--id", "test0", "--lang", "en-t-de", "--format", "json")[1])["rows"][0]
    assert [one["src_text"] for one in story["spans"]] == [turned("Anna"), turned("Ravel")]


def test_files_of_a_language_that_kept_no_row_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relation_files.release, "read_manifest", lambda folder: {"source": {"lang": "en"}})
    monkeypatch.setattr(relation_files, "check_source", lambda folder, manifest: None)
    monkeypatch.setattr(relation_files, "splits_of", lambda manifest, code: [])
    out = tmp_path / "files"
    assert relation_files.write_set(tmp_path, ["de"], out, Multitacred(out)) == {str(out): 0}
    assert not out.exists()
