"""Missing and added sentences, look-alikes, and names in katakana."""

from __future__ import annotations

import numpy as np
import pytest

from dsbuild.filters.alignment import MOST_CELLS, gaps
from dsbuild.filters.bitext import BitextChecks
from dsbuild.filters.cognates import cognate_odds, cognates
from dsbuild.filters.names import found_share
from dsbuild.filters.numbers import mismatch, numbers
from dsbuild.filters.priors import Priors

ONE = "The old bridge across the river was closed on Tuesday after the storm."
TWO = "Engineers said that repairs would take at least six weeks and cost a lot of money."
THREE = "Residents now have to drive around the lake to reach the hospital in the next valley."
EIN = "Die alte Brücke über den Fluss wurde am Dienstag nach dem Sturm gesperrt."
ZWEI = "Ingenieure sagten, dass die Reparatur mindestens sechs Wochen dauern und viel Geld kosten werde."
DREI = "Die Anwohner müssen nun um den See fahren, um das Krankenhaus im nächsten Tal zu erreichen."


def find(source: list[int], target: list[int]) -> tuple[float, float]:
    arrays = [np.array(side, np.int64) for side in (source, target)]
    bounds = [np.array([0, len(side)], np.int64) for side in arrays]
    missing, added = gaps(arrays[0], bounds[0], arrays[1], bounds[1], Priors().pair("en", "de"))
    return float(missing[0]), float(added[0])


def test_a_missing_sentence_shows() -> None:
    checks = BitextChecks("en", "de")
    source = " ".join((ONE, TWO, THREE))
    for target, missing, added in (
        ((EIN, ZWEI, DREI), False, False),
        ((EIN, DREI), True, False),
        ((ZWEI, DREI), True, False),
        ((EIN, ZWEI), True, False),
    ):
        scores = {name: column[0].as_py() for name, column in checks.score([source], [" ".join(target)]).items()}
        assert (scores["missing"] > 1) is missing
        assert (scores["added"] > 1) is added
    scores = checks.score([f"{ONE} {THREE}", ONE], [f"{EIN} {ZWEI} {DREI}", EIN])
    assert scores["added"][0].as_py() > 1
    assert scores["missing"].to_pylist()[1] is None


def test_merged_and_split_sentences_are_no_gap() -> None:
    assert max(find([80, 90, 100], [200, 115])) < 0
    assert max(find([80, 190], [90, 95, 115])) < 0
    assert find([80, 90, 100], [92, 115])[0] > 2
    assert find([80, 100], [92, 100, 115])[1] > 2


def test_it_abstains() -> None:
    assert np.isnan(find([80], [90])).all()
    assert np.isnan(find([], [90])).all()
    many = [50] * (int(MOST_CELLS**0.5) + 1)
    assert np.isnan(find(many, many)).all()
    assert np.isfinite(find([0, 0, 50], [0, 50])[0])


def test_cognates() -> None:
    assert cognates("The Information commission publishes its information") == ["komi", "publ", "info"]
    rates = (0.3, 0.001)
    related = cognate_odds(["a modern computer organisation"], ["eine moderne Organisation für Computer"], rates)
    other = cognate_odds(["a modern computer organisation"], ["sie gingen gestern langsam nach Hause"], rates)
    assert related[0] < -3 < 0 < other[0]
    assert np.isnan(cognate_odds(["It is"], ["Es ist"], rates)[0])


@pytest.mark.parametrize(
    ("name", "target"),
    [("London", "彼はロンドンで生まれた"), ("Washington", "昨日ワシントンに着いた"), ("Macedonia", "北マケドニア共和国"), ("Chelsea", "チェルシーが"),
     ("Smith", "スミス氏は言った"), ("Muriel", "我在这里见到了Muriel和Tom")],
)  # fmt: skip
def test_names_inside_unspaced_text(name: str, target: str) -> None:
    assert found_share([name], target) == 1
    assert found_share(["Gutenberg"], target) == 0


@pytest.mark.parametrize(
    ("source", "target", "lang"),
    [
        ("a four-day week", "週4日制", "ja"),
        ("at 4.40 am", "午前4時40分", "ja"),
        ("half an inch", "0.5インチ", "ja"),
        ("£125m", "1億2,500万ポンド", "ja"),
        ("2:30 pm", "14時30分", "ja"),
        ("at 7.55am", "saa 1.55 asubuhi", "sw"),
        ("the SS19 show", "der Show 2019", "de"),
        ("Ayr 38 - 17 Melrose", "Ayr 38:17", "de"),
    ],
)
def test_numbers_said_otherwise(source: str, target: str, lang: str) -> None:
    assert not mismatch(numbers(source, "en"), numbers(target, lang))
