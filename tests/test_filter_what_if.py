"""What other thresholds would keep, from a filtered release, against builds with these thresholds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dsbuild.builders.releases.report_facts import report_facts
from dsbuild.filters.calibration import Calibration, Entry
from dsbuild.release import read_manifest
from tests.small_set import DOCS, QUERIES, cli, rows, write_set

LINES = [
    "The mill stands where the stream leaves the valley, and its wheel has turned there for two hundred years.",
    "Bakers rise at three in the morning so that bread is ready when the first workers of the day walk past.",
    "Short words here.",
    "Write to the keeper at anna.berg@example.org before the end of the month and she will send you an answer.",
]


def asked(release: Path, *settings: str) -> dict[tuple[str, str], dict[str, Any]]:
    code, out, err = cli("what-if", release, *(word for one in settings for word in ("--set", one)), "--format", "json")
    assert code == 0, err
    return {(row["lang"], row["table"]): row for row in json.loads(out)["tables"]}


def build(tmp_path: Path, source: str, out: str, *more: str, profile: str = "sentence") -> Path:
    code, _, err = cli(
        "filter", "--src", source, "--lang", "en", "--profile", profile, "--out", tmp_path / out, "--store", tmp_path / "store",
        *(word for one in more for word in ("--set", one)),
    )  # fmt: skip
    assert code == 0, err
    return tmp_path / out


def documents(tmp_path: Path, *splits: str) -> str:
    path = tmp_path / "docs.jsonl"
    rows = [
        {"id": f"r{n}", "text": text, "split": split} for n, (text, split) in enumerate(zip(LINES, splits, strict=True))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return f"jsonl:{path}"


def test_rows_of_protected_splits_stay(tmp_path: Path) -> None:
    source = documents(tmp_path, "train", "test", "test", "train")
    filters = "filters=[language,length,exact]"
    out = build(tmp_path, source, "out", filters)
    then = asked(out, "length.min_letters=1000")["en", "documents"]
    strict = build(tmp_path, source, "strict", filters, "length.min_letters=1000")
    assert {row["doc_id"] for row in rows(strict, "en-documents/*")} == {"r1", "r2"}
    assert (then["kept_then"], then["newly_dropped"]) == (2, 2)


def test_a_flag_protects_from_nothing(tmp_path: Path) -> None:
    source = documents(tmp_path, *["train"] * 4)
    out = build(tmp_path, source, "out", "filters=[language,length,pii]")
    assert {row["doc_id"]: row["flag"] for row in rows(out, "en-documents/*")}["r3"] == "pii.personal_data"
    assert asked(out, "length.min_letters=1000")["en", "documents"]["kept_then"] == 0


def test_what_a_policy_dropped_stays_dropped(tmp_path: Path) -> None:
    source = documents(tmp_path, *["train"] * 4)
    out = build(tmp_path, source, "out", "filters=[language,length,pii]", "pii.policy=drop")
    then = asked(out, "length.min_letters=1")["en", "documents"]
    assert (then["kept"], then["kept_then"], then["reasons"]) == (3, 3, {"pii.personal_data_dropped": 1})


@pytest.mark.parametrize("bound", [1, 19])
def test_queries_without_a_positive_go_as_in_a_build(tmp_path: Path, bound: int) -> None:
    first, second = list(QUERIES)[:2]
    docs = [*DOCS[:3], ("tiny", "", "Eleven letters.")]
    qrels = {"train": [(first, "tiny", 1), (second, DOCS[0][0], 1)]}
    source = f"beir:{write_set(tmp_path / 'set', docs, qrels=qrels)}"
    filters = "filters=[language,length,exact]"
    out = build(tmp_path, source, "out", filters, "length.min_letters=15")
    assert first not in {row["query_id"] for row in rows(out, "en-queries/*")}
    then = asked(out, f"length.min_letters={bound}")
    other = build(tmp_path, source, "other", filters, f"length.min_letters={bound}")
    accounting = json.loads((other / "manifest.json").read_text("utf-8"))["accounting"]["en"]
    for table in ("corpus", "queries"):
        assert then["en", table]["kept_then"] == accounting[table]["kept"]
        assert then["en", table]["reasons"] == accounting[table]["reasons"]


def test_a_threshold_of_one_table_may_be_asked_of_a_set(tmp_path: Path) -> None:
    source = f"beir:{write_set(tmp_path / 'set')}"
    out = build(tmp_path, source, "out", "gopher.min_words=1", "force=true", profile="document")
    assert asked(out, "gopher.min_words=1")["en", "queries"]["newly_dropped"] == 0
    code, _, err = cli("what-if", out, "--set", "c4.min_sentences=1")
    assert code == 2
    assert "filter of this release" in err


def test_a_calibration_goes_with_the_release(tmp_path: Path) -> None:
    """Its file may be gone: the report has every rule, with and without rows that failed it, and other thresholds can be asked for."""
    entry = {"n": 600, "low": None, "high": None}
    calibration = Calibration(
        "mine", "en", 0.05, 600, 1000, 1, {
            "gopher.min_words": Entry(15.0, "calibrated:mine", **entry), "gopher.max_words": Entry(900.0, "calibrated:mine", **entry),
        },
    )  # fmt: skip
    calibration.write(tmp_path / "mine.json")
    source = documents(tmp_path, *["train"] * 4)
    out = build(
        tmp_path,
        source,
        "out",
        "filters=[language,gopher]",
        f"thresholds={tmp_path}/mine.json",
        "gopher.min_alpha_words=0",
    )
    (tmp_path / "mine.json").unlink()
    manifest = read_manifest(out)
    assert manifest["recipe"]["thresholds"] == "mine.json"
    (table,) = report_facts(out, manifest)["langs"][0]["tables"]
    rules = {one["rule"]: (one["threshold"], one["source"], one["fails"]) for one in table["rules"]}
    assert rules["gopher.too_short"] == (15.0, "calibrated:mine", 1)
    assert rules["gopher.too_long"] == (900.0, "calibrated:mine", 0)
    assert rules["gopher.wordless"] == (0.0, "user", 0)
    assert rules["gopher.words_long"][1] == "profile:sentence"
    then = asked(out, "gopher.max_words=10")["en", "documents"]
    assert then["kept_then"] == 0
    assert asked(out, "gopher.min_words=2")["en", "documents"]["kept_then"] == 4


def test_a_release_of_an_earlier_version_holds_no_calibration(tmp_path: Path) -> None:
    out = build(
        tmp_path, documents(tmp_path, *["train"] * 4), "out", "filters=[language,gopher]", "gopher.min_words=15"
    )
    manifest = read_manifest(out)
    manifest["recipe"] |= {"thresholds": "mine.json"}
    (out / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    (table,) = report_facts(out, manifest)["langs"][0]["tables"]
    assert "gopher.too_short" in {one["rule"] for one in table["rules"]}
    code, _, err = cli("what-if", out, "--set", "gopher.min_words=2")
    assert (code, err.count("\n")) == (2, 1)
    assert "decided with the calibration 'mine.json', which it does not hold" in err
