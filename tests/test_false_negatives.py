"""Measured false negatives: counts made again without dsbuild, intervals, few queries, and the rule that learns."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsbuild.builders.mining.false_negatives import shares
from dsbuild.builders.mining.logistic import Logistic
from dsbuild.errors import RecipeError, SourceError
from tests.small_set import cli, digests, rows, translate, write_memory, write_set
from tests.test_mined import made, mine, negatives, write


def evaluated(folder: Path, source: Path, *more: object) -> dict[str, Any]:
    code, out, err = cli(
        "evaluate",
        "negatives",
        "--src",
        f"beir:{source}",
        "--lang",
        "en",
        "--store",
        folder / "store",
        "--format",
        "json",
        *more,
    )
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty queries, each with exactly two or three positives."""
    folder = tmp_path_factory.mktemp("measured")
    docs, queries, judged = made(240, 40)
    return write(folder / "set", docs, queries, judged)


def test_counts_are_those_of_hiding_by_hand(tmp_path: Path) -> None:
    """Top 3 without the known positive: with two positives a query's count is k of one label's and 20 - k of the other's."""
    docs, queries, judged = made(120, 20)
    two: dict[str, list[str]] = defaultdict(list)
    for query, doc, grade in judged:
        if grade > 0 and len(two[query]) < 2:
            two[query].append(doc)
    source = write(tmp_path / "set", docs, queries, [(query, doc, 1) for query, own in two.items() for doc in own])
    found = evaluated(tmp_path, source, "--retriever", "bm25", "--rule", "naive", "--negatives", 3, "--draws", 20)
    mine(tmp_path, source, retriever="bm25", negatives=3)
    ranked: dict[str, list[str]] = defaultdict(list)
    for row in sorted(rows(tmp_path / "out", "en-candidates/*"), key=lambda one: (one["query_id"], one["rank"])):
        if row["retriever"] == "bm25":
            ranked[row["query_id"]].append(row["doc_id"])
    low = high = 0
    for query, (one, other) in two.items():
        each = [
            len({hidden} & set([doc for doc in ranked[query] if doc != label][:3])) for label, hidden in ((one, other), (other, one))
        ]  # fmt: skip
        low, high = low + 20 * min(each), high + 20 * max(each)
    assert found["negatives"] == 20 * 20 * 3
    assert low <= found["false_negatives"] <= high
    assert high > 0
    assert found["fn"] == found["false_negatives"] / found["negatives"]
    assert found["fn_low"] <= found["fn"] <= found["fn_high"]
    assert (found["fill"], found["n_queries"], found["identifiable"]) == (1.0, 20, False)
    assert any("not identifiable" in note for note in found["notes"])


def test_a_copy_of_the_known_positive_is_refused_and_other_hidden_ones_are_not(tmp_path: Path) -> None:
    docs = {str(i): {"text": f"filler {i} words about nothing"} for i in range(30)}
    docs |= {
        "a": {"text": "mill stream wheel"},
        "b": {"text": "Mill stream wheel!"},
        "c": {"text": "mill stream valley bread"},
    }
    judged = [("q", "a", 1), ("q", "b", 1), ("q", "c", 1)]
    source = write(
        tmp_path / "set", docs, {"q": "mill stream", "r": "filler words"}, [*judged, ("r", "3", 1), ("r", "4", 1)]
    )
    found = evaluated(
        tmp_path, source, "--retriever", "bm25", "--rule", "naive", "--negatives", 1, "--draws", 20, "--depth", 3
    )
    # a known: b is its copy, c is taken; c known: a or b is taken.
    assert found["false_negatives"] >= 20


def test_few_queries_give_wide_intervals_and_none_gives_all() -> None:
    assert shares(np.zeros(0), np.zeros(0), 0) == {"fn": None, "fn_low": 0.0, "fn_high": 1.0}
    nothing = shares(np.full(10, 80), np.zeros(10, np.int64), 0)
    assert nothing["fn"] == 0
    assert nothing["fn_high"] == pytest.approx(1 - 0.025**0.1)
    assert shares(np.array([80]), np.array([8]), 0)["fn_high"] > 0.9
    draw = np.random.default_rng(1)
    hits = draw.binomial(80, 0.1, 400)
    few, many = shares(np.full(20, 80), hits[:20], 0), shares(np.full(400, 80), hits, 0)
    assert few["fn_high"] - few["fn_low"] > many["fn_high"] - many["fn_low"]
    assert many["fn_low"] < 0.1 < many["fn_high"]


def test_intervals_cover_the_truth() -> None:
    """Queries whose own share is drawn: 95 % intervals of the mean, also with twelve queries."""
    draw = np.random.default_rng(2)
    for n in (12, 60):
        inside = 0
        for _ in range(150):
            hits = draw.binomial(40, draw.beta(0.5, 4.5, n))
            found = shares(np.full(n, 40), hits, 0)
            inside += found["fn_low"] <= 0.1 <= found["fn_high"]
        assert inside / 150 >= 0.9, (n, inside)


def test_the_calibrated_rule_beats_the_hardest_and_keeps_to_a_rank(tmp_path: Path, source: Path) -> None:
    naive = evaluated(tmp_path, source, "--retriever", "bm25", "--rule", "naive")
    ours = evaluated(tmp_path, source, "--retriever", "bm25", "--rule", "calibrated", "--set", "rule.rank=12")
    shifted = evaluated(tmp_path, source, "--retriever", "bm25", "--rule", "shifted", "--set", "rule.by=10")
    assert ours["fn"] < naive["fn"]
    assert ours["fn"] <= shifted["fn"]
    assert ours["median_rank"] <= 14
    assert ours["fill"] == 1.0
    assert ours["evidence"] == ["bm25", "lsa"]
    assert ours["hardness_by"] == ["ngrams"]


def test_a_target_is_reported_however_few_queries_there_are(tmp_path: Path) -> None:
    docs, queries, judged = made(60, 5)
    source = write(tmp_path / "set", docs, queries, judged)
    found = evaluated(tmp_path, source, "--retriever", "lsa", "--rule", "calibrated", "--target-fn", "0.05")
    assert found["n_queries"] == 5
    assert not found["identifiable"]
    assert found["fn"] is not None
    assert 0 <= found["fn_low"] <= found["fn"] <= found["fn_high"] <= 1


def test_one_positive_each_measures_fill_and_says_so(tmp_path: Path) -> None:
    docs, queries, _ = made(60, 5)
    source = write(tmp_path / "set", docs, queries, [(query, str(i), 1) for i, query in enumerate(queries)])
    found = evaluated(tmp_path, source, "--retriever", "bm25", "--rule", "random", "--set", "rule.window=2-40")
    assert (found["fn"], found["fn_low"], found["fn_high"], found["n_queries"]) == (None, 0.0, 1.0, 0)
    assert found["fill"] == 1.0
    assert found["median_rank"] > 2
    found = evaluated(tmp_path, source, "--retriever", "bm25", "--rule", "calibrated", "--target-fn", "5%")
    assert found["fn"] is None
    assert any("could learn nothing" in note for note in found["notes"])
    with pytest.raises(SourceError, match="two or more positives; this set has 0"):
        mine(tmp_path, source, retriever="bm25", target_fn=0.05)


def test_mining_with_a_target_says_what_was_measured(tmp_path: Path, source: Path) -> None:
    found = mine(tmp_path, source, rule="percpos", retriever="bm25", target_fn=0.05)
    assert found["rule"] == "calibrated"
    assert found["false_negatives"]["n_queries"] == 40
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    assert manifest["findings"]["false_negatives"]["fn"] == found["false_negatives"]["fn"]
    (said,) = [one for one in manifest["sections"] if one["title"] == "Measured false negatives"]
    assert "Not identifiable" in said["text"]
    assert said["table"]["rows"][0][3] == "not identifiable"
    assert {row["rule"] for own in negatives(tmp_path / "out").values() for row in own} == {"calibrated"}


def test_any_worker_count_writes_the_same_bytes(tmp_path: Path, source: Path) -> None:
    for workers in (1, 2):
        mine(tmp_path / str(workers), source, retriever="bm25", target_fn=0.05, workers=workers)
    assert digests(tmp_path / "1" / "out") == digests(tmp_path / "2" / "out")


def test_goals_are_checked_before_work_starts(tmp_path: Path, source: Path) -> None:
    for settings in ([], ["rule.rank=0.5"], ["rule.rank=9", "rule.target_fn=0.1"], ["rule.target_fn=2"]):
        with pytest.raises(RecipeError):
            mine(tmp_path, source, *settings, rule="calibrated")


def test_a_logistic_regression_ends_where_its_slope_is_nothing() -> None:
    draw = np.random.default_rng(0)
    columns = draw.normal(3.0, 2.0, (3, 500))
    columns[2] = 7.0
    answers = draw.random(500) < 1 / (1 + np.exp(-(columns[0] - 3)))
    columns[1, ::7] = np.nan
    model = Logistic.fit(columns, answers, 2.0)
    assert model.weights[2] == 0.0
    assert model.weights[0] > 1
    residual = answers - model.chances(columns)
    assert abs(residual.sum()) < 1e-3
    scaled = np.nan_to_num((columns[0] - model.means[0]) / model.scales[0])
    assert (residual * scaled).sum() == pytest.approx(2.0 * model.weights[0], abs=1e-3)
    assert Logistic.of(model.facts()) == model


def test_fewer_queries_than_folds_still_learn(tmp_path: Path) -> None:
    docs, queries, judged = made(40, 2)
    source = write(tmp_path / "set", docs, queries, judged)
    found = evaluated(tmp_path, source, "--retriever", "bm25", "--rule", "calibrated", "--target-fn", "0.5")
    assert found["n_queries"] == 2
    assert found["fn"] is not None


def test_each_language_is_measured_and_all_are_one_number(tmp_path: Path) -> None:
    source = write_set(tmp_path / "source")
    assert cli(*translate(tmp_path, source, write_memory(tmp_path / "memory.tsv")))[0] == 0
    code, out, err = cli(
        "evaluate", "negatives", "--src", f"release:{tmp_path / 'out'}", "--retriever", "bm25", "--rule", "naive", "--negatives", 1,
        "--store", tmp_path / "store", "--format", "json",
    )  # fmt: skip
    assert code == 0, err
    found = json.loads(out)
    assert list(found["languages"]) == ["en", "hi", "ta"]
    assert found["negatives"] == sum(one["negatives"] for one in found["languages"].values())
    assert found["n_queries"] == max(one["n_queries"] for one in found["languages"].values())


def test_a_regression_ends_also_where_a_full_step_goes_too_far() -> None:
    """Few answers, nearly separated by a column with a long tail, where Newton's method alone runs away: chances add up to the answers."""
    draw = np.random.default_rng(0)
    tail = draw.exponential(1.0, 4_000) ** 2
    answers = draw.random(4_000) < 1 / (1 + np.exp(-6 * (tail / tail.std() - 4)))
    columns = np.stack([tail, tail + draw.normal(0, 0.3, 4_000)])
    chances = Logistic.fit(columns, answers, 1.0).chances(columns)
    assert chances.sum() == pytest.approx(answers.sum(), rel=1e-3)
    assert chances[answers].min() > np.median(chances)
