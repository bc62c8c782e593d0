"""What is told of a funnel: counts that add up, samples, distances; the same from a finished build and from a release."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dsbuild import release
from dsbuild.builders.funnel.report import facts_of_release
from dsbuild.builders.funnel.sections import funnel_sections
from dsbuild.builders.funnel.what_if import what_if_funnel
from dsbuild.builders.releases.report_sections import section
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.filters.query_shapes import Shapes, distance
from tests.generated_rows import Given, ran, released
from tests.small_set import cli
from tests.test_funnel import PASSAGES, QUERIES

SETTINGS: dict[str, Any] = {"round_trip": {"k": 1}}
REAL = ["who built the harbour", "what is a sextant used for", "lark nest", "when was the storm"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tmp = tmp_path_factory.mktemp("funnel")
    part, progress = ran(Given(QUERIES, PASSAGES, height=5), tmp / "store", SETTINGS)
    real = Shapes()
    real.add(REAL, "en")
    return released(tmp / "out", part, progress, SETTINGS, real)


def test_steps_add_up_and_a_release_says_what_its_build_said(folder: Path) -> None:
    told = release.read_manifest(folder)["funnel"]
    assert facts_of_release(folder) == told
    left = told["en"]["in"]
    assert left == len(QUERIES)
    for one in told["en"]["steps"]:
        assert one["in"] == left
        left -= one["lost"]
        assert one["left"] == left
        assert sum(rule["lost"] for rule in one["rules"]) == one["lost"]
        assert len(one["samples"]) == min(3, one["lost"])
    assert left == told["en"]["kept"] == pq.read_table(folder / "en-queries").num_rows
    # Counted from the files, by nothing of ours.
    gone = Counter(pq.read_table(next((folder / "dropped").glob("en-queries-*")))["lost_at"].to_pylist())
    assert gone == Counter({one["name"]: one["lost"] for one in told["en"]["steps"] if one["lost"]})


def test_samples_say_why(folder: Path) -> None:
    steps = {one["name"]: one for one in facts_of_release(folder, samples=1)["en"]["steps"]}
    (sample,) = steps["leaked"]["samples"]
    assert (sample["id"], sample["rule"], sample["value"]) == ("leaked", "leaked.leaked_words", 1.0)
    (twin,) = steps["duplicates"]["samples"]
    assert {twin["id"], twin["detail"]} == {"good2", "twin"}
    assert steps["form"]["lost"] == 3
    assert len(steps["form"]["samples"]) == 1
    assert all(not one["samples"] for one in facts_of_release(folder, samples=0)["en"]["steps"])


def test_sections_can_be_shown(folder: Path) -> None:
    for number, one in enumerate(funnel_sections(release.read_manifest(folder)["funnel"])):
        shown = section(one, f"section {number}")
        assert shown["table"]["rows"]


def test_the_command(folder: Path, tmp_path: Path) -> None:
    code, out, err = cli("funnel", str(folder), "--samples", "2", "--format", "json")
    assert code == 0, err
    found = json.loads(out)["languages"]["en"]
    assert found["in"] == len(QUERIES)
    assert 0 <= found["distance"]["kinds"]["low"] <= found["distance"]["kinds"]["high"] <= 1
    code, out, err = cli("funnel", str(folder))
    assert code == 0, err
    assert "round_trip" in out
    assert "according to the passage" in out
    assert "against 4 real queries" in out
    code, out, err = cli("funnel", str(folder), "--real", "msmarco-sample")
    assert code == 0, err
    assert "real queries" in out
    code, _, err = cli("funnel", str(tmp_path))
    assert code == 2
    assert err.count("\n") == 1


def test_what_cannot_be_compared(folder: Path, tmp_path: Path) -> None:
    assert "no queries of people" in cli("funnel", str(folder), "--real", str(folder))[2]
    (tmp_path / "set" / "qrels").mkdir(parents=True)
    (tmp_path / "set" / "corpus.jsonl").write_text('{"_id": "d", "title": "", "text": "ein Text"}\n')
    (tmp_path / "set" / "queries.jsonl").write_text('{"_id": "q", "text": "wer schrieb das"}\n')
    (tmp_path / "set" / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    code, _, err = cli("funnel", str(folder), "--real", f"beir:{tmp_path / 'set'}")
    assert code == 2
    assert "--lang en" in err
    code, _, err = cli("funnel", str(folder), "--real", f"beir:{tmp_path / 'set'}", "--lang", "de")
    assert code == 2
    assert "no language of this release (--real) 'de'" in err
    code, out, _ = cli("funnel", str(folder), "--real", f"beir:{tmp_path / 'set'}", "--lang", "en")
    assert code == 0
    assert "against 1 real queries" in out


def test_other_thresholds(folder: Path) -> None:
    manifest = release.read_manifest(folder)
    (table,) = what_if_funnel(folder, manifest, ["funnel.round_trip.k=10"])["tables"]
    assert table["kept_then"] == table["kept"] + 1
    found = what_if_funnel(folder, manifest, ["funnel.leaked.max_count=1"])
    assert found["tables"][0]["newly_kept"] == 1
    assert "1 rows that would be kept were lost before a later step" in found["notes"][1]
    (table,) = what_if_funnel(folder, manifest, ["funnel.form.max_words=7"])["tables"]
    long = {row["query_id"] for row in pq.read_table(folder / "en-queries").to_pylist() if len(row["text"].split()) > 7}
    assert table["newly_dropped"] == len(long) > 0
    (table,) = what_if_funnel(folder, manifest, ["funnel.round_trip.k=1"])["tables"]
    assert (table["newly_kept"], table["newly_dropped"]) == (0, 0)


def test_duplicates_of_a_row_that_would_be_lost_are_told(tmp_path: Path) -> None:
    text = "which bird feeds its young for twelve days in a domed nest"
    settings = {"round_trip": {"k": 9}}
    found = {}
    # A draw says which of the two stays; once it is the one whose passage is found second.
    for right, wrong in (("a", "b"), ("b", "a")):
        queries = ((right, "p3", text), (wrong, "p4", f"{text}?"))
        part, progress = ran(Given(queries, PASSAGES), tmp_path / right / "store", settings)
        folder = released(tmp_path / right / "set", part, progress, settings)
        (kept,) = pq.read_table(folder / "en-queries")["query_id"].to_pylist()
        said = what_if_funnel(folder, release.read_manifest(folder), ["funnel.round_trip.k=1"])
        found[kept == right] = said["tables"][0]["kept_then"], said["notes"][1:]
    told = "1 rows that would be lost have duplicates that would pass: a build keeps one of these in their place."
    assert found == {True: (1, []), False: (0, [told])}


@pytest.mark.parametrize(
    ("setting", "error"),
    [("bitext.max_loop=1", UnknownName), ("funnel.rerank.min_score=1", UnknownName), ("funnel.round_trip.retriever=lsa", RecipeError),
     ("funnel.duplicates.jaccard=0.5", RecipeError), ("funnel.round_trip.kk=1", UnknownName), ("funnel.copied=1", RecipeError)],
)  # fmt: skip
def test_what_cannot_be_asked(folder: Path, setting: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        what_if_funnel(folder, release.read_manifest(folder), [setting])


def test_distance_of_distributions() -> None:
    one = Counter({"who": 60, "what": 40})
    same = distance(one, one)
    assert same is not None
    assert same["value"] == 0
    apart = distance(one, Counter({"why": 10}))
    assert apart is not None
    assert apart["value"] == pytest.approx(1)
    # By hand: p = (3/4, 1/4), q = (1/4, 3/4), m = (1/2, 1/2): 3/4 log2(3/2) + 1/4 log2(1/2).
    half = distance(Counter({"a": 3, "b": 1}), Counter({"a": 1, "b": 3}))
    assert half is not None
    assert half["value"] == pytest.approx(0.1887218755)
    assert half["chance"] > 0
    assert distance(one, Counter()) is None


def test_a_cut_without_scores_says_so(tmp_path: Path) -> None:
    settings = {"stages": ["form", "likelihood"], "likelihood": {"top_k": 2}}
    part, progress = ran(Given(QUERIES, PASSAGES), tmp_path / "store", settings)
    told = release.read_manifest(released(tmp_path / "out", part, progress, settings))["funnel"]["en"]["steps"]
    assert [(one["name"], one["ran"]) for one in told] == [("form", True), ("likelihood", False)]
    assert told[1]["why"] == "no row has the score logprob"
    assert told[1]["in"] == told[1]["left"]


def test_a_cut_that_no_row_reaches_says_so(tmp_path: Path) -> None:
    settings = {"stages": ["form", "likelihood"], "form": {"min_words": 40}, "likelihood": {"top_k": 2}}
    part, progress = ran(Given(QUERIES, PASSAGES), tmp_path / "store", settings)
    told = release.read_manifest(released(tmp_path / "out", part, progress, settings))["funnel"]["en"]["steps"]
    assert told[1]["why"] == "no row was left"
