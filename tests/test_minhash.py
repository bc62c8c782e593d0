from __future__ import annotations

import numpy as np
import pytest

from dsbuild.errors import RecipeError
from dsbuild.filters.minhash import Bands, candidate_probability, plan_bands, sign
from dsbuild.filters.shingles import Shingling
from dsbuild.filters.utf8 import encode

WORDS = Shingling("words", 1)


def texts_of(jaccard: float, count: int, size: int = 300) -> list[tuple[str, str]]:
    """Pairs of texts whose sets of words have exactly that Jaccard index."""
    common = round(2 * size * jaccard / (1 + jaccard))
    found = []
    for number in range(count):
        names = [f"w{number}x{index}" for index in range(2 * size - common)]
        found.append((" ".join(names[:size]), " ".join(names[size - common :])))
    return found


@pytest.mark.parametrize(("jaccard", "bands", "rows"), [(0.8, 13, 6), (0.7, 14, 8), (0.5, 20, 3)])
def test_pairs_agree_in_a_band_as_often_as_they_should(jaccard: float, bands: int, rows: int) -> None:
    pairs = texts_of(jaccard, 600)
    plan = Bands(bands, rows, 0.0)
    left, right = (sign(*encode([pair[side] for pair in pairs]), WORDS, plan) for side in (0, 1))
    share = float(np.mean((left == right).any(axis=1)))
    wanted = candidate_probability(jaccard, bands, rows)
    assert abs(share - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / len(pairs)) + 0.005


def test_signatures_do_not_depend_on_the_batch() -> None:
    texts = ["one two three four five six", "", "हिंदी में लिखा हुआ वाक्य", "漢字" * 40, "!!"]
    plan = Bands(4, 3, 0.0)
    whole = sign(*encode(texts), Shingling(), plan)
    assert whole.shape == (5, 4)
    for row, text in enumerate(texts):
        assert (sign(*encode([text]), Shingling(), plan)[0] == whole[row]).all()
    assert (sign(*encode([texts[0].upper()]), Shingling(), plan)[0] == whole[0]).all()
    assert len(np.unique(whole)) == whole.size
    assert sign(*encode([]), Shingling(), plan).shape == (0, 4)


@pytest.mark.parametrize("jaccard", [0.5, 0.7, 0.8, 0.9, 1.0])
@pytest.mark.parametrize("recall", [0.9, 0.98, 0.995])
def test_a_plan_keeps_its_word(jaccard: float, recall: float) -> None:
    plan = plan_bands(jaccard, recall, max_permutations=8192)
    assert plan.expected_miss <= 1 - recall + 1e-12
    assert plan.expected_miss == pytest.approx(1 - candidate_probability(jaccard, plan.bands, plan.rows))
    assert candidate_probability(jaccard, plan.bands - 1, plan.rows) < recall or plan.bands == 1


def test_more_texts_take_longer_rows() -> None:
    assert plan_bands(0.8, 0.98, texts=10**8).rows > plan_bands(0.8, 0.98, texts=1_000).rows


@pytest.mark.parametrize(("jaccard", "recall"), [(0.0, 0.9), (1.1, 0.9), (0.8, 1.0), (0.8, 0.0), (float("nan"), 0.9)])
def test_what_is_no_share(jaccard: float, recall: float) -> None:
    with pytest.raises(RecipeError, match="between 0 and 1"):
        plan_bands(jaccard, recall)


def test_out_of_reach() -> None:
    with pytest.raises(RecipeError, match="more than 2048 permutations"):
        plan_bands(0.1, 0.999, texts=10**9)
