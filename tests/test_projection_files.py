"""Files that `dsbuild project` reads and writes: none that is read is lost, and every kind of place that may be read can be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsbuild import project_console
from dsbuild.builders import build
from tests.small_set import cli

EN = {"id": "a", "text": "Ada Bell met Bo Finch.", "lang": "en", "spans": [{"start": 0, "end": 8, "label": "PER"}]}
DE = {"id": "a", "text": "Bo Finch traf Ada Bell.", "lang": "de", "spans": [{"start": 14, "end": 22, "label": "PER"}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, row in (("en", EN), ("de", DE), ("de2", DE | {"lang": "nl"})):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    return tmp_path


def project(folder: Path, *more: str, src: str = "spans:en.jsonl") -> tuple[int, str, str]:
    kind, _, file = src.partition(":")
    said = [one.replace("DIR", str(folder)) for one in more]
    source = f"{kind}:{folder / file}"
    return cli("project", "--src", source, "--method", "fuzzy", *said, "--store", str(folder / "store"))


@pytest.mark.parametrize("file", ["en.jsonl", "de.jsonl", "./sub/../en.jsonl"])
def test_a_file_that_is_read_is_never_written_over(folder: Path, file: str) -> None:
    (folder / "sub").mkdir()
    before = {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}
    code, _, err = project(
        folder, "--target", "spans:DIR/de.jsonl", "--langs", "de", "--out", "DIR/o", "--write", f"spans:DIR/{file}"
    )
    assert code == 2
    assert "would be lost" in err
    assert {path.name: path.read_bytes() for path in folder.glob("*.jsonl")} == before
    assert not (folder / "o").exists()


def test_two_files_of_one_name_are_not_written(folder: Path) -> None:
    code, _, err = project(
        folder, "--target", "spans:DIR/de.jsonl", "--langs", "de", "--out", "DIR/o", "--write", "spans:DIR/x",
        "--write", "conll:DIR/x",
    )  # fmt: skip
    assert code == 2
    assert "another --write" in err
    assert not (folder / "x").exists()


def test_a_calibration_is_not_written_over_gold(folder: Path) -> None:
    gold = folder / "de.jsonl"
    said = ["--src", f"spans:{folder / 'en.jsonl'}", "--gold", f"spans:{gold}", "--langs", "de"]
    code, _, err = cli("calibrate-projection", *said, "--out", str(gold))
    assert code == 2
    assert "would be lost" in err
    assert json.loads(gold.read_text("utf-8")) == DE


def test_named_targets_say_the_languages(folder: Path) -> None:
    both = ["--target", "de=spans:DIR/de.jsonl", "--target", "nl=spans:DIR/de2.jsonl"]
    code, out, err = project(folder, *both, "--out", "DIR/o", "--format", "json")
    assert code == 0, err
    assert {lang: one["spans"]["kept"] for lang, one in json.loads(out)["languages"].items()} == {"de": 1, "nl": 1}
    code, _, err = project(folder, *both, "--out", "DIR/o", "--write", "spans:DIR/x")
    assert code == 2
    assert "of which of de, nl" in err


def test_a_target_in_a_language_that_is_none_is_told_so(folder: Path) -> None:
    code, _, err = project(folder, "--target", "dee=spans:DIR/de.jsonl")
    assert code == 2
    assert "no language 'dee'" in err


def test_a_release_and_a_folder_of_tables_are_sources(folder: Path) -> None:
    code, _, err = project(folder, "--target", "spans:DIR/de.jsonl", "--langs", "de", "--out", "DIR/o")
    assert code == 0, err
    for src, more in (("parquet:o", ["--src-lang", "de"]), ("parquet:o/de-labelled", [])):
        code, out, err = project(
            folder,
            *more,
            "--target",
            "spans:DIR/en.jsonl",
            "--langs",
            "en",
            "--out",
            f"DIR/back-{src[-4:]}",
            "--format",
            "json",
            src=src,
        )
        assert code == 0, err
        assert json.loads(out)["languages"]["en"]["spans"]["kept"] == 1


def test_what_is_missing_is_said_in_words_of_the_command(folder: Path) -> None:
    (folder / "none.jsonl").write_text("", "utf-8")
    en, de = f"spans:{folder / 'en.jsonl'}", f"spans:{folder / 'de.jsonl'}"
    for said, wanted in (
        (("project", "--langs", "de"), "--src KIND:FILE"),
        (("project", "--src", "en.jsonl", "--langs", "de"), "Say KIND:en.jsonl"),
        (("project", "--src", en, "--target", de, "--langs", "de", "--method", "markers"), "--engine NAME"),
        (
            ("project", "--src", f"spans:{folder / 'none.jsonl'}", "--target", de, "--src-lang", "en"),
            "none.jsonl: no text in it",
        ),
        (("evaluate", "projection", "--gold", de, "--pred", "nowhere"), "nowhere: no such folder"),
    ):
        store = ("--store", str(folder / "store")) if said[0] == "project" else ()
        code, _, err = cli(*said, *store)
        assert code == 2, err
        assert wanted in err


def test_another_engine_than_the_recipes_leaves_its_model_behind() -> None:
    given = {"source.src": "tacred:DIR", "engine.name": "mini"}
    made = build.compose(Path("multitacred"), given, [], "project").model_dump(mode="json", exclude_none=True)
    assert made["engine"] == {"name": "mini"}
    same = build.compose(Path("multitacred"), given | {"engine.name": "ctranslate2"}, [], "project").model_dump(
        mode="json"
    )
    assert same["engine"]["model"] == "facebook/nllb-200-distilled-600M"


def test_a_console_says_where_no_row_was_kept(capsys: pytest.CaptureFixture[str]) -> None:
    spans = {"in": 2, "kept": 0, "null": 0, "low_confidence": 0, "rejected": 2}
    rows = {"in": 1, "kept": 0, "reasons": {"no_translation": 1}}
    found = {
        "languages": {"de": {"spans": spans, "labels": {}, "reasons": {"no_translation": 2}}}, "accounting": {"de": {"labelled": rows}},
        "sheets": {"sheet-de.tsv": 0}, "release": "out",
    }  # fmt: skip
    project_console.print_projected(found)
    out = capsys.readouterr().out
    assert "de: 0 of 1 rows are kept; not kept: no_translation 1" in out
    assert "no sheet sheet-de.tsv: no row was kept" in out
