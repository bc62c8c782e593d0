"""Checks of tables of pairs, and the columns that a run may bring along."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from dsbuild.errors import RecipeError
from dsbuild.filters.bitext import BitextChecks
from dsbuild.filters.bitext_pairs import COLUMNS, OPTIONAL, BitextPairs
from dsbuild.filters.chrf import round_trip_chrf
from dsbuild.filters.decide import load_thresholds
from dsbuild.filters.margin import ratio_margin
from dsbuild.filters.profiles import group_rules, rules_for

EN = "The teacher gave the children 12 books about the river in Washington last week."
HI = "शिक्षक ने पिछले हफ़्ते बच्चों को वाशिंगटन की नदी के बारे में 12 किताबें दीं।"
DE = "Der Lehrer gab den Kindern letzte Woche in Washington 12 Bücher über den Fluss."


def test_rows_of_several_languages() -> None:
    pytest.importorskip("fasttext", reason="fastText is not installed")
    sources, targets = [EN, "x", EN, DE, EN], [HI, "y", DE, EN, EN]
    langs = ["en", "en", "en", "de", "en"], ["hi", "und", "de", "en", "hi"]
    found = BitextPairs().score(pa.array(sources), pa.array(targets), *langs)
    assert found.keys() == COLUMNS.keys()
    assert all(len(column) == 5 for column in found.values())
    assert all(column[1].as_py() is None for column in found.values())
    alone = BitextChecks("en", "hi").score([EN, EN], [HI, EN])
    for name, values in alone.items():
        assert found[f"bitext_{name}"].take([0, 4]).to_pylist() == values.to_pylist()
    assert found["bitext_language_score_a"][2].as_py() > 0.5
    assert BitextPairs().score(pa.array([], pa.string()), pa.array([], pa.string()), [], []).keys() == COLUMNS.keys()


def test_rules_are_those_of_translations() -> None:
    shared = {rule.column: rule for rule in load_thresholds()}
    ours = {rule.column.removeprefix("bitext_"): rule for rule in rules_for(["bitext"], "pair", "xx", {}, "default")}
    assert shared.keys() <= ours.keys()
    for column, rule in shared.items():
        assert (ours[column].op, ours[column].value, ours[column].action) == (rule.op, rule.value, rule.action)
    assert {one.rule.column for one in group_rules("bitext")} >= set(OPTIONAL)
    hindi = {rule.column: rule.value for rule in rules_for(["bitext"], "pair", "hi", {}, "default")}
    assert hindi["bitext_unrelated"] == 1.8


def test_a_run_may_narrow_a_prior_only() -> None:
    settings = {"bitext": {"max_length_ratio": 2.0, "min_qe": 0.3}}
    rules = {rule.column: rule.value for rule in rules_for(["bitext"], "pair", "hi", settings, "default")}
    assert rules["bitext_length_ratio"] == 2
    assert rules["bitext_qe"] == 0.3
    with pytest.raises(RecipeError, match="narrow"):
        rules_for(["bitext"], "pair", "hi", {"bitext": {"max_length_ratio": 9}}, "default")


def test_chrf_is_that_of_sacrebleu() -> None:
    sacrebleu = pytest.importorskip("sacrebleu", reason="sacreBLEU is not installed")
    rng = random.Random(1)
    vocabulary = "the cat sat on a mat नदी आज चौड़ी और これは 日本 a.b ?! x".split()
    sources = [" ".join(rng.choices(vocabulary, k=rng.randint(0, 12))) for _ in range(300)]
    back = [
        " ".join(word for word in text.split() if rng.random() < 0.7) + rng.choice(["", " ", " z", "\u3000q"])
        for text in sources
    ]
    expected = [sacrebleu.sentence_chrf(two, [one]).score for one, two in zip(sources, back, strict=True)]
    assert round_trip_chrf(sources, back).to_pylist() == pytest.approx(expected, abs=1e-9)
    assert round_trip_chrf(pa.array(["a", None]), pa.array([None, "a"])).to_pylist() == [None, None]
    assert round_trip_chrf(["\ud800 lone"], ["\ud800 lone"]).to_pylist() == [100.0]


def test_margin_is_what_the_formula_says() -> None:
    rng = np.random.default_rng(0)
    sources, targets = rng.normal(size=(30, 8)), rng.normal(size=(30, 8))
    targets[:20] = sources[:20] + 0.1 * targets[:20]
    found = ratio_margin(sources, targets, k=4).to_pylist()
    one, two = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (sources, targets))
    likeness = one @ two.T
    for row in range(30):
        around = np.sort(likeness[row])[-4:].sum() + np.sort(likeness[:, row])[-4:].sum()
        assert found[row] == pytest.approx(8 * likeness[row, row] / around)
    assert min(found[:20]) > 1 > max(found[20:])
    sources[3] = 0
    sources[4, 0] = np.nan
    assert [row for row, value in enumerate(ratio_margin(sources, targets).to_pylist()) if value is None] == [3, 4]
    with pytest.raises(ValueError, match="same|shape|pairs"):
        ratio_margin(sources, targets[:5])


@pytest.mark.parametrize(("unit", "read"), [("7 ", False), ("It is 7. ", True), ("a" * 80 + " ", True)])
def test_long_sides_are_scored_but_for_tables_of_numbers(unit: str, read: bool) -> None:
    sides = pa.array([unit * (450_000 // len(unit))]), pa.array([unit * (450_000 // len(unit)) + "9"])
    found = BitextPairs().score(*sides, ["en"], ["de"])
    assert (found["bitext_number_mismatch"][0].as_py() is not None) == read
    assert all(len(column) == 1 for column in found.values())
