"""What a translation model makes of a span's marks, as evidence of the method `auto`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from dsbuild.errors import RecipeError
from dsbuild.project import calibration
from dsbuild.project.cascade import CascadeProjector
from dsbuild.project.gold_options import gold_options
from dsbuild.project.projector import Parallel
from dsbuild.project.span_evidence import FEATURES, SetEvidence
from dsbuild.spans import Labelled, Span
from tests.test_marked_search import Dictionary

SOURCES = {
    "the red wine": "el vino rojo", "the old house": "la casa vieja", "the dog": "el perro", "red wine dog": "perro vino rojo"
}  # fmt: skip


def pairs() -> tuple[list[Parallel], list[Labelled]]:
    """Every text many times, with a word or two labelled; the right places are told by the dictionary's order."""
    made, gold = [], []
    places = {
        "the red wine": ((4, 12), (3, 12)),
        "the old house": ((8, 13), (3, 7)),
        "the dog": ((4, 7), (3, 8)),
        "red wine dog": ((9, 12), (0, 5)),
    }
    for number in range(80):
        source, target = list(SOURCES.items())[number % 4]
        ours, theirs = places[source]
        made.append(Parallel(Labelled(str(number), source, "en", (Span("s", "X", (ours,)),)), target, "es"))
        gold.append(Labelled(str(number), target, "es", (Span("s", "X", (theirs,)),)))
    return made, gold


def test_the_posterior_is_a_vote_and_a_feature() -> None:
    made = CascadeProjector(aligner="built-in", scorer=Dictionary())
    units = made.units(pairs()[0][:4])
    assert made.setup(units) == "built-in+marks"
    evidence = SetEvidence(units)
    column = FEATURES.index("marked")
    for unit in units:
        (span,) = unit.pair.source.spans
        options = evidence.options(unit, span)
        (best,) = [one for one in options if "marked.best" in one.votes]
        assert 0 < best.features[column] <= 1
        assert best.features[column] == max(one.features[column] for one in options)
    plain = CascadeProjector(aligner="built-in").units(pairs()[0][:4])
    assert all(
        one.features[column] == 0 and "marked.best" not in one.votes
        for unit in plain for one in SetEvidence(plain).options(unit, unit.pair.source.spans[0])
    )  # fmt: skip


def test_it_asks_for_a_calibration_of_its_own_and_uses_it(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no part for built-in\+marks.*calibrate-projection"):
        CascadeProjector(aligner="built-in", scorer=Dictionary()).fit(pairs()[0])
    known, gold = pairs()
    gold = [dataclasses.replace(one, spans=()) if number % 9 == 0 else one for number, one in enumerate(gold)]
    made = CascadeProjector(aligner="built-in", scorer=Dictionary())
    units = made.units(known)
    fitted = calibration.fit(made.setup(units), calibration.Gold("made up", ("es",)), gold_options(units, gold))
    (tmp_path / "c.json").write_text(json.dumps({"built-in+marks": fitted.plain()}), "utf-8")
    used = CascadeProjector(aligner="built-in", scorer=Dictionary(), calibration=str(tmp_path / "c.json"))
    used.fit(known)
    assert used.facts()["setup"] == "built-in+marks"
    assert used.fingerprint()["marking.scorer.scorer"] == "dictionary"
    assert used.facts()["coverage"] == 1
    used.close()
