"""Drawings: every value in one bar, the threshold where it belongs, well-formed SVG."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from dsbuild.cards.plots import apart, direction, histogram, lengths, percent

RULE: dict[str, Any] = {
    "column": 'ratio <"&', "op": ">", "threshold": 3.0, "histogram": {"counts": [5, 0, 2, 1], "low": 0.0, "high": 4.0},
}  # fmt: skip


def bars(svg: str) -> list[tuple[str, int]]:
    root = ElementTree.fromstring(svg)
    return [(one.get("class", ""), int(re.sub(r".*: |,", "", one[0].text or ""))) for one in root.iter("rect")]


@pytest.mark.parametrize(
    ("op", "kinds"),
    [(">", ["stays", "stays", "falls"]), ("<", ["falls", "falls", "stays"]), ("abs>", ["stays", "stays", "falls"])],
)
def test_bars_hold_all_values_and_tell_the_failing_side(op: str, kinds: list[str]) -> None:
    found = bars(histogram({**RULE, "op": op}))
    assert found == list(zip(kinds, [5, 2, 1], strict=True))


def test_the_threshold_stands_between_the_sides() -> None:
    root = ElementTree.fromstring(histogram(RULE))
    (bound,) = (one for one in root.iter("line") if one.get("class") == "bound")
    falls = [float(one.get("x", "0")) for one in root.iter("rect") if one.get("class") == "falls"]
    stays = [float(one.get("x", "0")) for one in root.iter("rect") if one.get("class") == "stays"]
    assert max(stays) < float(bound.get("x1", "0")) <= min(falls)


def test_lengths_hold_all_texts_and_an_outline() -> None:
    drawn = {"counts": [0, 3, 0, 9], "outline": [0, 0, 0, 0, 4], "a_decade": 2}
    assert sum(number for _, number in bars(lengths(drawn))) == 12
    assert 'class="outline"' in lengths(drawn)
    assert lengths({"counts": [], "outline": None, "a_decade": 2}) == ""


def test_shares_never_say_all_or_nothing_for_almost() -> None:
    assert percent(4_999 / 5_000) == "> 99.9 %"
    assert percent(1 / 50_000) == "< 0.1 %"


def test_a_text_in_another_script_goes_its_own_way() -> None:
    assert direction("ur", "A text (English)") == "ltr"
    assert direction("en", "שלום") == "rtl"
    assert direction("ur", "12:30") == "rtl"


def test_a_rule_that_no_row_failed_has_no_failing_bar() -> None:
    drawn = {"counts": [272, 0, 3], "low": 0.0, "high": 1.0}
    rule = {"column": "url_mismatch", "op": ">", "threshold": 0.0, "histogram": drawn, "scored": 275}
    assert bars(histogram({**rule, "fails": 0})) == [("stays", 272), ("stays", 3)]
    # Values of zero pass a threshold of zero.
    assert bars(histogram({**rule, "fails": 3})) == [("stays", 272), ("falls", 3)]


def test_the_axis_names_round_numbers_and_what_it_counts() -> None:
    svg = histogram({**RULE, "histogram": {"counts": [5, 2], "low": 25.68, "high": 243.9}, "threshold": 50.0}, "words")
    said = [one.text for one in ElementTree.fromstring(svg).iter("text")]
    assert all(tick in said for tick in ("50", "100", "150", "200", "words", "fails > 50"))
    assert "25.68" not in said


def test_one_very_long_text_does_not_press_all_others_into_a_corner() -> None:
    drawn = {"counts": [0] * 40 + [300, 900, 300] + [0] * 40 + [1], "outline": None, "a_decade": 20}
    found = bars(lengths(drawn))
    assert [number for _, number in found] == [300, 900, 300, 1]
    assert "to more characters: 1" in lengths(drawn)


def test_thresholds_of_a_column_are_told_apart() -> None:
    said = apart([0.99981, 0.99983, 0.99984])
    assert len(set(said)) == 3
    assert apart([]) == []
