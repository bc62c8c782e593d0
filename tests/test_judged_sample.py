"""A judge's sample: strata, coverage of the interval, answers that do not fit, and the way through the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dsbuild.builders.mining.judged_interval import Answered, interval, judgements_for, planned
from dsbuild.builders.mining.judged_sample import STRATA, allocated, strata_of
from tests.small_set import cli, rows
from tests.test_mined import made, mine, write


def test_strata_have_equal_sums_and_equal_samples() -> None:
    draw = np.random.default_rng(0)
    chances = draw.beta(0.5, 8, 900)
    stratum = strata_of(chances, np.arange(900, dtype=np.uint64))
    spread = np.sqrt(chances * (1 - chances))
    sums = np.bincount(stratum, spread + spread.mean() / 4)
    assert sums.max() - sums.min() < 1.5
    # Also where the guess says nothing of a negative it may be drawn often enough.
    assert np.bincount(stratum).max() < 5 * 900 / STRATA
    assert chances[stratum == 0].min() >= chances[stratum == 1].max()
    assert allocated(np.bincount(stratum), 100).tolist() == [13] * 4 + [12] * 4
    assert not len(strata_of(np.empty(0), np.empty(0, np.uint64)))
    assert allocated(np.array([3, 50, 50]), 43).tolist() == [3, 20, 20]
    assert allocated(np.array([2, 1]), 10).tolist() == [2, 1]


@pytest.mark.parametrize(
    ("rate", "guess"),
    [
        (0.02, "true"),
        (0.1, "true"),
        (0.3, "true"),
        (0.1, "nothing"),
        (0.1, "opposite"),
        (0.3, "opposite"),
        (0.1, "sure"),
    ],
)
def test_the_interval_covers_the_truth(rate: float, guess: str) -> None:
    """800 negatives, 100 judged, 300 samples; also where the chances that make the strata say nothing, the opposite, or too much."""
    draw = np.random.default_rng(3)
    chance = np.clip(draw.beta(0.5, 0.5 / rate - 0.5, 800), 0, 1)
    truth = draw.random(800) < chance
    said = {"true": chance, "nothing": draw.random(800), "opposite": 1 - chance, "sure": np.round(chance)}[guess]
    said = np.clip(said, 0.005, 0.995)
    stratum = strata_of(said, np.arange(800, dtype=np.uint64))
    sizes = np.bincount(stratum)
    guesses = (np.bincount(stratum, said) / sizes).tolist()
    taken = allocated(sizes, 100)
    inside, widths = 0, []
    for _ in range(300):
        hits = [
            int(truth[draw.choice(np.flatnonzero(stratum == one), n, replace=False)].sum())
            for one, n in enumerate(taken)
        ]
        _, low, high = interval(Answered(sizes.tolist(), taken.tolist(), hits, guesses))
        inside += low <= truth.mean() <= high
        widths.append((high - low) / 2)
    assert inside / 300 >= 0.93
    assert np.mean(widths) < 0.1


def test_intervals_at_the_edges() -> None:
    assert interval(Answered([10, 20], [0, 0], [0, 0], [0.2, 0.1])) == (0.0, 0.0, 1.0)
    assert interval(Answered([5, 5], [5, 5], [1, 0], [0.2, 0.1])) == (0.1, 0.1, 0.1)
    share, low, high = interval(Answered([100, 700], [20, 80], [0, 0], [0.2, 0.1]))
    assert (share, low) == (0.0, 0.0)
    assert 0.01 < high < 0.1
    # A stratum that nobody judged joins its neighbour.
    assert interval(Answered([100, 100], [10, 0], [5, 0], [0.2, 0.1]))[0] == 0.5


def test_the_sample_goes_out_and_the_answers_come_back(tmp_path: Path) -> None:
    docs, queries, judged = made()
    source = write(tmp_path / "set", docs, queries, judged)
    sample = tmp_path / "sample.jsonl"
    base = ["evaluate", "negatives", "--src", f"beir:{source}", "--lang", "en", "--retriever", "bm25", "--rule", "naive",
            "--store", tmp_path / "store", "--format", "json", "--judge-budget", 30]  # fmt: skip
    code, out, err = cli(*base, "--judge-out", sample)
    assert code == 0, err
    told = json.loads(out)["judged"]
    assert told["sampled"] == 30
    assert [one["fn"] for one in told["plan"]["en"]] == [0.03, 0.1, 0.3]
    assert "points at 10% false negatives" in cli(*base[:-4], "--judge-budget", 30, "--judge-out", sample)[1]
    drawn = [json.loads(line) for line in sample.read_text("utf-8").splitlines()]
    # What was guessed of a pair is not shown to its judge.
    assert set(drawn[0]) == {"lang", "query_id", "doc_id", "positive_id", "query", "positive", "candidate", "relevant"}
    mine(tmp_path, source, retriever="bm25")
    mined = {(row["query_id"], row["doc_id"]) for row in rows(tmp_path / "out", "en-negatives/*")}
    known = {(query, doc) for query, doc, _ in judged}
    assert {(one["query_id"], one["doc_id"]) for one in drawn} <= mined - known
    for one in drawn:
        assert one["query"] == queries[one["query_id"]]
        assert (one["candidate"], one["positive"]) == (docs[one["doc_id"]]["text"], docs[one["positive_id"]]["text"])
        assert one["relevant"] is None
    answers = tmp_path / "answers.jsonl"
    answers.write_text(
        "".join(json.dumps({**one, "relevant": number < 5}) + "\n" for number, one in enumerate(drawn)), "utf-8"
    )
    code, out, err = cli(*base, "--judged", answers)
    assert code == 0, err
    said = json.loads(out)["judged"]["languages"]["en"]
    assert said["judged"] == 30
    assert 0 < said["fn_low"] <= said["fn"] <= said["fn_high"] < 1
    for answer in (False, True):
        answers.write_text("".join(json.dumps({**one, "relevant": answer}) + "\n" for one in drawn), "utf-8")
        said = json.loads(cli(*base, "--judged", answers)[1])["judged"]["languages"]["en"]
        assert said["fn"] == pytest.approx(float(answer))
    for line, words in (
        ("{", "line 1: not an answer"),
        (json.dumps({**drawn[0], "relevant": "yes"}), "write true or false"),
        (json.dumps({**drawn[0], "doc_id": "nothing"}), "not in the sample"),
    ):
        answers.write_text(line + "\n", "utf-8")
        code, _, err = cli(*base, "--judged", answers)
        assert code == 2
        assert words in err
    assert cli(*base)[0] == 2


def test_how_many_judgements_five_points_take() -> None:
    draw = np.random.default_rng(4)
    sizes, rates = np.array([60, 80, 120, 200, 440]), [0.4, 0.25, 0.15, 0.1, 0.05]

    def answered(budget: int) -> Answered:
        taken = allocated(sizes, budget)
        relevant = [
            draw.hypergeometric(int(n * rate), n - int(n * rate), k)
            for n, rate, k in zip(sizes, rates, taken, strict=True)
        ]
        return Answered(sizes.tolist(), taken.tolist(), relevant, rates)

    told = [judgements_for(answered(100)) for _ in range(200)]
    typical = int(np.median(told))
    assert 110 < typical < 220
    halves = [(high - low) / 2 for _, low, high in (interval(answered(typical)) for _ in range(200))]
    assert abs(float(np.mean(halves)) - 0.05) < 0.006
    assert judgements_for(Answered([1000], [400], [2], [0.1])) == 0
    assert judgements_for(Answered([50], [10], [5], [0.1])) == 50  # nothing less than all of them
    assert judgements_for(Answered([50], [0], [0], [0.1])) == 0


def test_a_plan_before_anybody_judged() -> None:
    """What is expected is what comes, where the guesses are right but for their level."""
    draw = np.random.default_rng(5)
    chance = np.clip(draw.beta(0.5, 4.5, 900), 0.005, 0.995)
    stratum = strata_of(chance, np.arange(900, dtype=np.uint64))
    truth = draw.random(900) < chance
    sizes, relevant = np.bincount(stratum), np.bincount(stratum, truth).astype(int)
    low = chance / 3
    guesses = (np.bincount(stratum, low) / sizes).tolist()
    taken = allocated(sizes, 100)
    half, wanted = planned(sizes.tolist(), taken.tolist(), guesses, float(truth.mean()))
    found = []
    for _ in range(200):
        hits = draw.hypergeometric(relevant, sizes - relevant, taken)
        _, below, above = interval(Answered(sizes.tolist(), taken.tolist(), hits.tolist(), guesses))
        found.append((above - below) / 2)
    assert half == pytest.approx(float(np.mean(found)), rel=0.15)
    assert (wanted <= 100) == (half <= 0.05)
    halves = [planned([900], [100], [0.1], share)[0] for share in (0.01, 0.1, 0.5)]
    assert halves == sorted(halves)
    assert planned([900], [100], [0.1], 0.12)[0] == pytest.approx(0.064, abs=0.004)
    assert planned([30], [30], [0.1], 0.1) == (0.0, 30)
    assert planned([0], [0], [0.0], 0.1) == (0.0, 0)
