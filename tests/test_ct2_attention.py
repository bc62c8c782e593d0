"""Attention of a CTranslate2 model for translations that are given: places, rows, what it cannot read, and links from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsbuild.attention import Attending
from dsbuild.errors import EngineError
from dsbuild.project.align_projector import AlignProjector
from dsbuild.project.projector import Parallel
from dsbuild.spans import Labelled, Span
from dsbuild.translate.ct2_scorer import CTranslate2Scorer

MODEL = Path(__file__).resolve().parents[2] / "shared/data/models/ctranslate2_aren-transliteration"
pytestmark = pytest.mark.skipif(not MODEL.is_dir(), reason="../shared/data/models is not here")


@pytest.fixture(scope="module")
def scorer() -> Any:
    with CTranslate2Scorer(str(MODEL), device="cpu", compute_type="float32", tokenizer="chars", pair="ar-en") as made:
        yield made


def test_a_row_for_each_target_piece_and_a_column_for_each_source_piece(scorer: CTranslate2Scorer) -> None:
    assert isinstance(scorer, Attending)
    source, target = "آتزمون", "atzmon"
    (one,) = scorer.attend([source], [target], "ar", "en")
    assert one.weights.shape == (6, 6)
    assert np.allclose(one.weights.sum(1), 1, atol=1e-4)
    assert [source[start:end] for start, end in one.src] == list(source)
    assert [target[start:end] for start, end in one.tgt] == list(target)
    # What was asked of the library by hand, for the model's own output.
    import ctranslate2

    told = ctranslate2.Translator(str(MODEL), device="cpu", compute_type="float32").translate_batch(
        [list(source)], beam_size=1, return_attention=True
    )[0]
    assert told.hypotheses[0] == list(target)
    assert np.allclose(one.weights, np.array(told.attention[0]), atol=1e-4)


def test_a_translation_that_the_model_would_not_say_is_forced_whatever_it_stands_beside(
    scorer: CTranslate2Scorer,
) -> None:
    sources, targets = ["آتزمون", "سلام", "محمد", "آتزمون"], ["zzz", "salam", "", "a" * 40]
    found = scorer.attend(sources, targets, "ar", "en")
    assert [one.weights.shape for one in found] == [(3, 6), (5, 4), (0, 0), (40, 6)]
    for source, target, one in zip(sources, targets, found, strict=True):
        (alone,) = scorer.attend([source], [target], "ar", "en")
        assert np.allclose(one.weights, alone.weights, atol=1e-3)


def test_letters_that_the_model_lacks_and_another_direction(scorer: CTranslate2Scorer) -> None:
    (one,) = scorer.attend(["سلام"], ["s😀m"], "ar", "en")
    assert one.weights.shape == (3, 4)
    with pytest.raises(EngineError, match="ar-en"):
        scorer.attend(["a"], ["b"], "en", "ar")
    assert scorer.attend([], [], "ar", "en") == []


def test_links_from_it_and_a_span_along_them(scorer: CTranslate2Scorer) -> None:
    made = AlignProjector(rule="hull", aligner="attention", scorer=scorer)
    source, target = "سلام", "salam"
    pair = Parallel(Labelled("1", source, "ar", (Span("s", "X", ((0, 4),)),)), target, "en")
    made.fit([pair])
    ((said,),) = made.project([pair])
    assert said.pieces == ((0, 5),)
    assert made.facts() == {"links": "attention"}
    assert made.fingerprint()["aligner.engine.model_sha256"]
