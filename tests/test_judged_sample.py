"""A judge's sample: strata, coverage of the interval, answers that do not fit, and the way through the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dsbuild.builders.judged_sample import Answered, allocated, interval, judgements_for, strata_of
from tests.small_set import cli, rows
from tests.test_mined import made, mine, write


def test_strata_have_equal_sums_and_equal_samples() -> None:
    draw = np.random.default_rng(0)
    chances = draw.beta(0.5, 8, 900)
    stratum = strata_of(chances, np.arange(900, dtype=np.uint64))
    spread = np.sqrt(np.clip(chances, 0.005, 0.995) * (1 - np.clip(chances, 0.005, 0.995)))
    sums = np.bincount(stratum, spread)
    assert sums.max() - sums.min() < 1.5
    assert chances[stratum == 0].min() >= chances[stratum == 1].max()
    assert allocated(np.bincount(stratum), 100).tolist() == [20] * 5
    assert allocated(np.array([3, 50, 50]), 43).tolist() == [3, 20, 20]
    assert allocated(np.array([2, 1]), 10).tolist() == [2, 1]


@pytest.mark.parametrize(("rate", "informed"), [(0.02, True), (0.1, True), (0.1, False), (0.3, True)])
def test_the_interval_covers_the_truth(rate: float, informed: bool) -> None:
    """800 negatives, 100 judged, 300 samples; also where the chances that make the strata say nothing."""
    draw = np.random.default_rng(3)
    chance = np.clip(draw.beta(0.5, 0.5 / rate - 0.5, 800), 0, 1)
    truth = draw.random(800) < chance
    stratum = strata_of(chance if informed else draw.random(800), np.arange(800, dtype=np.uint64))
    sizes = np.bincount(stratum)
    taken = allocated(sizes, 100)
    inside, widths = 0, []
    for _ in range(300):
        hits = [
            int(truth[draw.choice(np.flatnonzero(stratum == one), n, replace=False)].sum())
            for one, n in enumerate(taken)
        ]
        _, low, high = interval(Answered(sizes.tolist(), taken.tolist(), hits))
        inside += low <= truth.mean() <= high
        widths.append((high - low) / 2)
    assert inside / 300 >= 0.93
    assert np.mean(widths) < 0.1


def test_intervals_at_the_edges() -> None:
    assert interval(Answered([10, 20], [0, 0], [0, 0])) == (0.0, 0.0, 1.0)
    assert interval(Answered([5, 5], [5, 5], [1, 0])) == (0.1, 0.1, 0.1)
    share, low, high = interval(Answered([100, 700], [20, 80], [0, 0]))
    assert (share, low) == (0.0, 0.0)
    assert 0.01 < high < 0.1
    # A stratum that nobody judged joins its neighbour.
    assert interval(Answered([100, 100], [10, 0], [5, 0]))[0] == 0.5


def test_the_sample_goes_out_and_the_answers_come_back(tmp_path: Path) -> None:
    docs, queries, judged = made()
    source = write(tmp_path / "set", docs, queries, judged)
    sample = tmp_path / "sample.jsonl"
    base = ["evaluate", "negatives", "--src", f"beir:{source}", "--lang", "en", "--retriever", "bm25", "--rule", "naive",
            "--store", tmp_path / "store", "--format", "json", "--judge-budget", 30]  # fmt: skip
    code, out, err = cli(*base, "--judge-out", sample)
    assert code == 0, err
    assert json.loads(out)["judged"]["sampled"] == 30
    drawn = [json.loads(line) for line in sample.read_text("utf-8").splitlines()]
    mine(tmp_path, source, retriever="bm25")
    mined = {(row["query_id"], row["doc_id"]) for row in rows(tmp_path / "out", "en-negatives/*")}
    known = {(query, doc) for query, doc, _ in judged}
    assert {(one["query_id"], one["doc_id"]) for one in drawn} <= mined - known
    for one in drawn:
        assert one["query"] == queries[one["query_id"]]
        assert (one["candidate"], one["positive"]) == (docs[one["doc_id"]]["text"], docs[one["positive_id"]]["text"])
        assert one["relevant"] is None
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(json.dumps({**one, "relevant": one["stratum"] == 0}) + "\n" for one in drawn), "utf-8")
    code, out, err = cli(*base, "--judged", answers)
    assert code == 0, err
    said = json.loads(out)["judged"]["languages"]["en"]
    size = next(one["stratum_size"] for one in drawn if one["stratum"] == 0)
    assert said["judged"] == 30
    assert said["fn"] == pytest.approx(size / len(mined))
    assert said["fn_low"] <= said["fn"] <= said["fn_high"]
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
        return Answered(sizes.tolist(), taken.tolist(), relevant)

    told = [judgements_for(answered(100)) for _ in range(200)]
    typical = int(np.median([one for one in told if one]))
    assert 110 < typical < 220
    halves = [(high - low) / 2 for _, low, high in (interval(answered(typical)) for _ in range(200))]
    assert abs(float(np.mean(halves)) - 0.05) < 0.006
    assert judgements_for(Answered([1000], [400], [2])) == 0
    assert judgements_for(Answered([50], [10], [5])) == 50  # nothing less than all of them
    assert judgements_for(Answered([50], [0], [0])) == 0
