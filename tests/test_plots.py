"""Drawings: every value in one bar, the threshold where it belongs, well-formed SVG."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from dsbuild.cards.plots import direction, histogram, lengths, percent

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
