"""The benches of the checks of translations: what they inject, choose and count."""

from __future__ import annotations

import random
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The folder of benches as a place to import from."""
    monkeypatch.syspath_prepend(str(BENCH))
    import checks

    return checks


def kit(injections: ModuleType) -> object:
    names = [("Berlin", "Berlin"), ("Warsaw", "Warschau")]
    return injections.Kit(
        random.Random(0), "de", "Der nächste Satz.", "Ein ganz anderer Satz, weit weg von hier.", names
    )


def test_each_injection_does_what_it_says(bench: ModuleType) -> None:
    import injections

    sources = ("Headline of the day", "The mayor of Berlin did not come, he said, because of 12 storms.")
    targets = ("Schlagzeile des Tages", "Der Bürgermeister von Berlin kam nicht, sagte er, wegen 12 Stürmen.")
    one = injections.Segment(sources, targets, ("Titre", "Le maire."), "d", " ")
    assert one.target == "\n".join(targets)
    made = {name: spoil(one, kit(injections)) for name, spoil in injections.SPOILS.items()}
    assert len(made) == 10
    assert made["dropped_sentence"] in targets
    assert len(made["dropped_clause"]) < len(one.target)
    assert made["neighbour_swap"] == "Der nächste Satz."
    assert "12" not in made["wrong_number"]
    assert made["untranslated"] == one.source
    assert made["wrong_language"] == "Titre\nLe maire."
    assert len(made["loop"]) > len(one.target) + 10
    assert made["invented_tail"].startswith("Schlagzeile")
    assert "nicht" not in made["lost_negation"]
    assert "Warschau" in made["entity_swap"]
    assert injections.dropped_sentence(injections.Segment(("A.",), ("B.",), ("C.",), "d", " "), kit(injections)) is None


def test_bounds_keep_what_they_should(bench: ModuleType) -> None:
    rng = np.random.default_rng(0)
    scores = {name: rng.normal(size=4000) for name in ("unrelated", "length_z", "missing")}
    scores["missing"][:3000] = np.nan
    bounds = bench.choose([scores])
    assert bench.CHOSEN <= bench.kept(scores, bounds) < 1
    assert bounds["missing"] >= bench.LEAST["missing"]
    assert bench.bound(np.array([3.0, 1.0, np.nan, 2.0]), 0.25) == 2


def test_partial_correlation(bench: ModuleType) -> None:
    import ranking

    rng = np.random.default_rng(1)
    length = rng.normal(size=3000)
    human = -length + rng.normal(size=3000)
    assert abs(ranking.partial(length + 0.01 * rng.normal(size=3000), human, length)) < 0.06
    assert ranking.partial(-human, human, length) == pytest.approx(1, abs=1e-6)
    assert ranking.ranks(np.array([5.0, 1.0, 5.0])).tolist() == [0.5, -1, 0.5]
    worst = human <= np.quantile(human, 0.05)
    assert ranking.recall(-human, worst) == 1
    assert ranking.recall(np.zeros(3000), worst) == 0


def test_the_rules_compared_with_a_peer(bench: ModuleType) -> None:
    import bitext

    pairs = bitext.invented(54, nagari=True, spoiled=True)
    assert len({tuple(pair) for pair in pairs}) > 50
    scores = bitext.score(bitext.PairRules(variant="peer"), pairs, "hi")
    columns = {name: column.to_pylist() for name, column in scores.items()}
    theirs = [([columns["pairs_alphabet"][row], 1.0], columns["pairs_alphabet"][row] >= 0.75) for row in range(54)]
    assert bitext.unlike("alphabet", columns, theirs)[:2] == (0, 0)
    theirs[7] = ([0.123, 1.0], not theirs[7][1])
    assert bitext.unlike("alphabet", columns, theirs) == (1, 1, [7])
    assert [*bitext.NINE, *bitext.THREE] == list(bitext.ACCEPTS)
