"""Each rule against a slow version that knows nothing of the code."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dsbuild.builders import RULES
from dsbuild.builders.mining.rules import open_rule
from dsbuild.builders.retrieval.candidates import Candidates
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.tables import CANDIDATES

NAMES = ("x", "y")
QUERIES = [f"q{i}" for i in range(12)]


def made(
    seed: int = 1, retrievers: tuple[str, ...] = NAMES, shift: float = 0.0
) -> tuple[Candidates, np.ndarray, np.ndarray]:
    draw = random.Random(seed)
    tables = {}
    for name in retrievers:
        rows = []
        for query in QUERIES:
            docs = draw.sample([f"d{i:03d}" for i in range(80)], 50)
            scores = sorted((draw.gauss(shift, 1) for _ in docs), reverse=True)
            rows += [
                {"query_id": query, "doc_id": doc, "retriever": name, "rank": rank, "score": score}
                for rank, (doc, score) in enumerate(zip(docs, scores, strict=True), 1)
            ]
        tables[name] = pa.Table.from_pylist(rows, CANDIDATES)
    block = Candidates.of(tables, QUERIES)
    anchors = np.array([[draw.gauss(shift + 1, 0.5) for _ in QUERIES] for _ in retrievers])
    anchors[0, 3] = np.nan
    allowed = np.array([draw.random() < 0.9 for _ in range(len(block))])
    return block, anchors, allowed


def chosen(name: str, options: dict[str, Any], n: int = 4, seed: int = 0, **more: Any) -> list[list[int]]:
    block, anchors, allowed = made(**more)
    found = open_rule(name, options).choose(block, anchors, allowed, n, seed)
    assert (found.counts <= n).all()
    assert allowed[found.rows].all()
    return [found.rows[found.starts[i] : found.starts[i + 1]].tolist() for i in range(len(QUERIES))]


def slow(condition: Any, first: int = 0, last: int = 10**9, skip: int = 0, n: int = 4, **more: Any) -> list[list[int]]:
    block, anchors, allowed = made(**more)
    found = []
    for query in range(len(QUERIES)):
        rows = [
            row
            for row in range(block.starts[query], block.starts[query + 1])
            if allowed[row] and first < block.place[row] <= last and condition(block, anchors[:, query], row)
        ]
        rows.sort(key=lambda row: block.place[row])
        found.append(rows[skip : skip + n])
    return found


def scored(test: Any) -> Any:
    def condition(block: Candidates, anchor: np.ndarray, row: int) -> bool:
        return all(
            test(block.scores[r, row], anchor[r]) for r in range(len(block.retrievers)) if block.ranks[r, row] > 0
        )

    return condition


def anything(*_: Any) -> bool:
    return True


@pytest.mark.parametrize("shift", [0.0, -5.0], ids=["mixed", "negative"])
@pytest.mark.parametrize("retrievers", [("x",), NAMES])
def test_rules_that_take_the_hardest(retrievers: tuple[str, ...], shift: float) -> None:
    more: dict[str, Any] = {"retrievers": retrievers, "shift": shift}
    assert chosen("naive", {}, **more) == slow(anything, **more)
    assert chosen("shifted", {}, **more) == slow(anything, first=10, **more)
    assert chosen("shifted", {"by": 3, "window": "0-6"}, **more) == slow(anything, first=3, last=6, **more)
    under = scored(lambda score, anchor: score < shift + 0.5)
    assert chosen("absolute", {"max_score": shift + 0.5}, **more) == slow(under, **more)
    margin = scored(lambda score, anchor: score < anchor - 0.3)
    assert chosen("marginpos", {"margin": 0.3}, **more) == slow(margin, **more)
    # Under the positive by a tenth of its size, whatever its sign; NaN compares as no.
    percent = scored(lambda score, anchor: anchor - score > 0.1 * abs(anchor))
    assert chosen("percpos", {"percent": 0.9}, **more) == slow(percent, **more)
    assert chosen("percpos", {"percent": 0.9, "skip": 5}, **more) == slow(percent, skip=5, **more)


def test_no_score_rule_takes_a_candidate_above_a_negative_positive() -> None:
    block, anchors, allowed = made(shift=-5.0)
    found = open_rule("percpos", {"percent": 0.95}).choose(block, anchors, allowed, 10, 0)
    query = block.query_of[found.rows]
    returned = block.ranks[:, found.rows] > 0
    assert (block.scores[:, found.rows] < anchors[:, query])[returned].all()
    unknown = query == 3
    assert not (block.ranks[0, found.rows[unknown]] > 0).any(), "of a positive whose score x does not know"


def test_agreement_wants_enough_retrievers_and_all_scores_below() -> None:
    def agreed(block: Candidates, anchor: np.ndarray, row: int) -> bool:
        ranks = block.ranks[:, row]
        return int(((ranks > 0) & (ranks <= 30)).sum()) >= 2

    assert chosen("agreement", {"percent": None}) == slow(agreed)
    below = scored(lambda score, anchor: anchor - score > 0.05 * abs(anchor))
    assert chosen("agreement", {}) == slow(lambda *given: agreed(*given) and below(*given))
    with pytest.raises(RecipeError, match="only 1 retriever"):
        chosen("agreement", {}, retrievers=("x",))


def test_draws_stay_in_their_window_and_follow_the_seed() -> None:
    block, *_ = made()
    found = chosen("random", {"window": "10-40"})
    assert {int(block.place[row]) for rows in found for row in rows} <= set(range(11, 41))
    assert all(len(rows) == 4 for rows in found)
    assert found == chosen("random", {"window": "10-40"})
    assert found != chosen("random", {"window": "10-40"}, seed=1)
    pool = chosen("naive", {"sampling": "random", "pool": 10})
    assert all(set(rows) <= set(hard) for rows, hard in zip(pool, slow(anything, n=10), strict=True))
    assert all([block.place[row] for row in rows] == sorted(block.place[row] for row in rows) for rows in found)


def test_draws_are_even_over_the_window() -> None:
    block, anchors, _ = made(retrievers=("x",))
    rule = open_rule("random", {"window": "10-30"})
    counts = np.zeros(60)
    for seed in range(400):
        found = rule.choose(block, anchors, np.ones(len(block), bool), 4, seed)
        counts += np.bincount(block.place[found.rows], minlength=60)
    inside = counts[11:31] / (400 * len(QUERIES))
    assert abs(inside - 0.2).max() < 0.03


def test_simans_draws_the_ambiguous_most() -> None:
    block, anchors, _ = made(retrievers=("x",))
    everything = np.ones(len(block), bool)
    anchors[0, 3] = 1.0
    rule = open_rule("simans", {"a": 2.0, "b": -0.5})
    mean = []
    for seed in range(50):
        found = rule.choose(block, anchors, everything, 4, seed)
        mean.append(np.abs(block.scores[0, found.rows] - anchors[0, block.query_of[found.rows]] + 0.5).mean())
    rest = np.abs(block.scores[0] - anchors[0, block.query_of] + 0.5).mean()
    assert np.mean(mean) < 0.5 * rest
    # The first draw of one has the weights of the formula.
    block, anchors, _ = made(retrievers=("x",))
    rows = np.arange(block.starts[0], block.starts[1])
    weights = np.exp(-2.0 * (block.scores[0, rows] - anchors[0, 0] + 0.5) ** 2)
    counts = np.zeros(len(rows))
    for seed in range(3000):
        found = rule.choose(block, anchors, everything, 1, seed)
        counts[found.rows[found.starts[0]]] += 1
    assert abs(counts / 3000 - weights / weights.sum()).max() < 0.03


def test_a_query_is_decided_by_its_own_rows() -> None:
    block, anchors, allowed = made()
    for name, options in (("random", {}), ("simans", {}), ("percpos", {})):
        rule = open_rule(name, options)
        whole = rule.choose(block, anchors, allowed, 4, 3)
        tables = {
            name: pa.table(
                {
                    "query_id": ["q5"] * int((block.ranks[r, rows] > 0).sum()),
                    "doc_id": block.doc_ids.take(pa.array(block.docs[rows][block.ranks[r, rows] > 0])),
                    "rank": pa.array(block.ranks[r, rows][block.ranks[r, rows] > 0]),
                    "score": block.scores[r, rows][block.ranks[r, rows] > 0],
                }
            )
            for r, name in enumerate(NAMES)
            for rows in [np.arange(block.starts[5], block.starts[6])]
        }
        alone = Candidates.of(tables, ["q5"])
        mine = slice(block.starts[5], block.starts[6])
        found = rule.choose(alone, anchors[:, 5:6], allowed[mine], 4, 3)
        assert (found.rows + block.starts[5]).tolist() == whole.rows[whole.starts[5] : whole.starts[6]].tolist()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("percpos", {"percent": 95}, "a share above 0"),
        ("percpos", {"percent": "most"}, "a number"),
        ("percpos", {"percnt": 0.9}, "Did you mean 'percent'"),
        ("absolute", {}, "needs a bound"),
        ("random", {"window": "110-10"}, "the smaller first"),
        ("random", {"window": 10}, "two ranks"),
        ("naive", {"skip": -1}, "0 or more"),
        ("naive", {"sampling": "best"}, "Known: random, top"),
        ("simans", {"sampling": "top"}, "draws"),
        ("marginpos", {"margin": float("nan")}, "a finite number"),
        ("absolute", {"max_score": float("nan")}, "a finite number"),
        ("simans", {"b": float("inf")}, "a finite number"),
        ("calibrated", {"rank": float("nan")}, "a finite number"),
    ],
)
def test_options_that_cannot_be(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises((RecipeError, UnknownName), match=said):
        open_rule(name, options)


def test_names() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'percpos'"):
        open_rule("percpo", {})
    assert {"naive", "random", "shifted", "absolute", "marginpos", "percpos", "simans", "agreement"} <= set(
        RULES.names()
    )


def test_a_margin_never_moves_a_window_and_a_rule_looks_on_below_the_first_ten() -> None:
    """Peers cut to the first candidates before the rule, or count a window in what the rule leaves."""
    percent = scored(lambda score, anchor: anchor - score > 0.1 * abs(anchor))
    found = chosen("percpos", {"percent": 0.9, "window": "10-30"})
    assert found == slow(percent, first=10, last=30)
    block, anchors, _ = made(retrievers=("x",))
    anchors[:] = block.scores[
        0, [np.flatnonzero((block.query_of == q) & (block.place == 25))[0] for q in range(len(QUERIES))]
    ]
    deep = open_rule("marginpos", {"margin": 0.0}).choose(block, anchors, np.ones(len(block), bool), 4, 0)
    assert block.place[deep.rows].tolist() == [26, 27, 28, 29] * len(QUERIES)
