"""What a filter build is told: settings that turn rules off, name columns or tables, and those that mean nothing where they stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dsbuild.errors import UnknownName
from dsbuild.filters.pair_rules import PairRules
from dsbuild.filters.pii import Pii
from tests.small_set import cli, rows

ROWS = [
    {"id": "long", "text": "The mill stands where the stream leaves the valley, and its wheel still turns.", "rank": 2},
    {
        "id": "twin",
        "text": "The mill stands where the stream  leaves the valley, and its wheel still turns.",
        "rank": 3,
    },
    {"id": "tiny", "text": "Go", "rank": 1},
]


def table(folder: Path, form: str = "jsonl") -> str:
    path = folder / f"docs.{form}"
    if form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    else:
        path.write_text(
            "\n".join(["id\ttext\trank", *("\t".join(map(str, row.values())) for row in ROWS), ""]), "utf-8"
        )
    return f"{form}:{path}"


def build(folder: Path, src: str, *settings: str, out: str = "out") -> tuple[int, str, str]:
    return cli(
        "filter", "--src", src, "--lang", "en", "--profile", "sentence", "--out", folder / out, "--store", folder / "store",
        *(word for one in settings for word in ("--set", one)),
    )  # fmt: skip


def kept(release: Path) -> list[Any]:
    return sorted(row["doc_id"] for row in rows(release, "en-documents/*"))


def test_null_turns_a_rule_off_and_what_if_may_ask_for_it(tmp_path: Path) -> None:
    src = table(tmp_path)
    assert build(tmp_path, src, "filters=length", out="on")[0] == 0
    assert kept(tmp_path / "on") == ["long", "twin"]
    assert build(tmp_path, src, "filters=length", "length.min_letters=null", out="off")[0] == 0
    assert kept(tmp_path / "off") == ["long", "tiny", "twin"]
    code, out, err = cli("what-if", tmp_path / "on", "--set", "length.min_letters=null", "--format", "json")
    assert code == 0, err
    assert json.loads(out)["tables"][0]["kept_then"] == 3


@pytest.mark.parametrize(
    ("form", "setting", "said"),
    [
        ("jsonl", "length.min_letters=1e999", "a threshold is a number, or null to turn the rule off"),
        ("jsonl", "only=queries", "only names a table of a retrieval set"),
        (
            "jsonl",
            "exact.score=rnak",
            "no column 'rnak' to keep the best row by: the rows have doc_id, text, lang, rank",
        ),
        ("tsv", "exact.score=rnak", "Did you mean 'rank'"),
        ("jsonl", "c4.variant=per", "variant 'per': there are unicode and peer"),
        ("jsonl", "repetition.min_words=many", "min_words='many': a whole number"),
        ("jsonl", "repetition.min_lines=-1", "min_lines=-1: a whole number"),
        ("jsonl", "pii.regions=[IN,XY]", "no region of phones (ISO 3166) 'XY'"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path: Path, form: str, setting: str, said: str) -> None:
    code, _, err = build(tmp_path, table(tmp_path, form), "filters=[length,exact,c4,repetition,pii]", setting)
    assert code == 2
    assert said in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"variant": "per"}, "there are unicode and peer"), ({"parts": ["count"]}, "Did you mean 'counts'")],
)
def test_the_rules_of_pairs_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, UnknownName), match=said):
        PairRules(**options)
    assert PairRules(parts="counts") == PairRules(parts=("counts",))


def test_regions_of_phones_are_a_list_or_a_text() -> None:
    assert Pii(regions=["in", "US"]) == Pii(regions="IN, us") == Pii(regions="IN,US")


def test_splits_that_no_row_has_are_told(tmp_path: Path) -> None:
    code, _, err = build(tmp_path, table(tmp_path), "protected=gold")
    assert code == 0
    assert "note: documents: no column 'split', so protected=[gold] protects no row" in err


def test_a_release_is_filtered_by_its_table(tmp_path: Path) -> None:
    assert build(tmp_path, table(tmp_path))[0] == 0
    for src in (str(tmp_path / "out"), f"parquet:{tmp_path / 'out'}"):
        code, _, err = build(tmp_path, src, out="again")
        assert (code, err) == (
            2,
            f"dsbuild: {tmp_path / 'out'}: a release; name the table to filter: --src parquet:{tmp_path / 'out'}/en-documents\n",
        )
    assert build(tmp_path, f"parquet:{tmp_path / 'out'}/en-documents", out="again")[0] == 0
    assert kept(tmp_path / "again") == kept(tmp_path / "out")


def test_a_path_without_a_kind_is_a_file_or_the_release_of_a_retrieval_set(tmp_path: Path) -> None:
    assert build(tmp_path, table(tmp_path).partition(":")[2])[0] == 0
    assert kept(tmp_path / "out") == ["twin"]
    code, _, err = cli(
        "filter",
        "--src",
        "msmarco-sample",
        "--profile",
        "sentence",
        "--limit",
        40,
        "--out",
        tmp_path / "set",
        "--store",
        tmp_path / "store",
    )
    assert code == 0, err
    code, _, err = build(tmp_path, str(tmp_path / "set"), "filters=[exact]", out="again")
    assert code == 0, err
    assert len(rows(tmp_path / "again", "en-corpus/*")) == len(rows(tmp_path / "set", "en-corpus/*"))


def test_a_dry_run_writes_over_no_release(tmp_path: Path) -> None:
    src = table(tmp_path)
    assert build(tmp_path, src)[0] == 0
    page = (tmp_path / "out/report.html").read_bytes()
    asked = [
        "filter",
        "--dry-run",
        "--src",
        src,
        "--lang",
        "en",
        "--profile",
        "sentence",
        "--store",
        tmp_path / "store",
        "--out",
    ]
    code, _, err = cli(*asked, tmp_path / "out")
    assert code == 2
    assert "out: holds README.md, which is no report of a dry run" in err
    assert (tmp_path / "out/report.html").read_bytes() == page
    for _ in range(2):
        assert cli(*asked, tmp_path / "dry")[0] == 0


def test_thresholds_of_another_language_are_refused(tmp_path: Path) -> None:
    src = table(tmp_path)
    code, _, err = cli("calibrate", "--src", src, "--lang", "hi", "--out", tmp_path / "hi.json")
    assert code == 0, err
    code, _, err = build(tmp_path, src, f"thresholds={tmp_path / 'hi.json'}")
    assert code == 2
    assert "hi.json was learned for hi, and the texts are in en; calibrate with texts of that language" in err
    code, _, err = build(tmp_path, src, f"thresholds={tmp_path / 'hi.json'}", "source.lang=auto")
    assert code == 0
    assert "note: thresholds of documents: hi.json has none for en, und; the defaults decide there" in err


def test_languages_that_fineweb2_has_not_are_told(tmp_path: Path) -> None:
    code, _, err = build(tmp_path, table(tmp_path), "thresholds=fineweb2")
    assert code == 0
    assert "note: thresholds of documents: fineweb2 has none for en; the defaults decide there" in err
    code, _, err = build(tmp_path, table(tmp_path), "thresholds=fineweb2", "source.lang=de", "filters=length", out="de")
    assert (code, "the defaults decide" in err) == (0, False)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_report_holds_no_infinite_number(tmp_path: Path) -> None:
    pairs = [
        {"id": "a", "text_a": "One side says this.", "text_b": ""},
        {"id": "b", "text_a": "The mill stands.", "text_b": "Die Mühle steht."},
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs), "utf-8")
    code, out, err = cli(
        "filter", "--dry-run", "--src", f"jsonl:{tmp_path / 'pairs.jsonl'}", "--lang", "en,de", "--profile", "pair", "--set", "filters=[pairs]",
        "--executor", "in-process", "--out", tmp_path / "dry", "--store", tmp_path / "store", "--format", "json",
    )  # fmt: skip
    assert code == 0, err
    found = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    ratio = next(rule for rule in found["tables"][0]["rules"] if rule["rule"] == "pairs.unlike_lengths")
    assert (ratio["scored"], ratio["fails"]) == (2, 1)
    assert [row["id"] for row in ratio["below"] + ratio["above"]] == ["b"]
