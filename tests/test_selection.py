"""Quality classifiers that a user trains, shares to retain, and scores that rows came with."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.errors import EngineError, RecipeError, SourceError
from dsbuild.filters.decide import decide
from dsbuild.filters.profiles import rules_for
from dsbuild.filters.retain import with_retained
from dsbuild.filters.selection import (
    ExternalScore,
    QualityClassifier,
    Trained,
    auc,
    retain_threshold,
    train,
)
from dsbuild.stage import Workspace, parameters

pytest.importorskip("fasttext", reason="fastText is not installed")

GOOD = {
    "en": "river water field harvest season farmer village bridge school teacher lesson".split(),
    "ja": list("川水畑収穫季節農村橋学校先生"),
}
BAD = {
    "en": "buy cheap shoes click here discount offer casino bonus free now".split(),
    "ja": list("安靴買得割引券賭博無料今即"),
}


def texts(words: dict[str, list[str]], lang: str, n: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [("" if lang == "ja" else " ").join(draw.choices(words[lang], k=draw.randint(12, 20))) for _ in range(n)]


def small(folder: Path, lang: str = "en", *, shuffle: bool = False) -> Trained:
    good, bad = texts(GOOD, lang, 150, 1), texts(BAD, lang, 150, 2)
    if shuffle:
        good, bad = good[::-1], [text.upper() + " !" for text in bad[::-1]] + bad[:5]
    return train(good, bad, folder / "model.bin", dim=20, holdout=0.2)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_train_and_score(tmp_path: Path, lang: str) -> None:
    trained = small(tmp_path, lang)
    assert (trained.n_positive, trained.n_negative) == (150, 150)
    assert 30 < trained.n_held_out < 90
    assert trained.accuracy == trained.auc == trained.precision == 1
    scorer = QualityClassifier(str(trained.path))
    rows = [*texts(GOOD, lang, 3, 7), *texts(BAD, lang, 3, 8), "", " … "]
    scores = scorer.score(pa.array(rows), [lang] * len(rows))["classifier_score"].to_pylist()
    assert min(scores[:3]) > 0.5 > max(scores[3:6])
    assert scores[6:] == [None, None]
    assert list(
        QualityClassifier(str(trained.path), "negative")
        .score(pa.array(rows[:1]), [lang])["classifier_score"]
        .to_pylist()
    ) == [pytest.approx(1 - scores[0], abs=1e-4)]
    assert len(scorer.score(pa.array([], pa.string()), [])["classifier_score"]) == 0


def test_the_same_texts_make_the_same_file(tmp_path: Path) -> None:
    first = small(tmp_path / "one")
    second = small(tmp_path / "two", shuffle=True)
    assert first.path.read_bytes() == second.path.read_bytes()
    assert [path.name for path in second.path.parent.iterdir()] == ["model.bin"]
    one, two = (parameters(QualityClassifier(str(trained.path))) for trained in (first, second))
    assert one == two
    assert "model" not in one
    assert one["data"]


def test_refusals(tmp_path: Path) -> None:
    good, bad = texts(GOOD, "en", 120, 1), texts(BAD, "en", 120, 2)
    with pytest.raises(RecipeError, match="99 distinct positive texts"):
        train([*good[:99], "…", "", *good[:50]], bad, tmp_path / "m.bin")
    with pytest.raises(RecipeError, match="1 texts are both positive and negative, such as 'river"):
        train(good, [*bad, "river water"], tmp_path / "m.bin") if "river water" in good else train(
            [*good, "River, water!"], [*bad, "river water"], tmp_path / "m.bin"
        )
    with pytest.raises(RecipeError, match="holdout=1"):
        train(good, bad, tmp_path / "m.bin", holdout=1)
    assert list(tmp_path.iterdir()) == []
    trained = train(good, bad, tmp_path / "m.bin", holdout=0, dim=20)
    assert (trained.n_held_out, trained.accuracy, trained.auc, trained.precision) == (0, None, None, None)


def test_labels_in_texts_do_no_harm(tmp_path: Path) -> None:
    good = [f"__label__negative {text}" for text in texts(GOOD, "en", 120, 1)]
    trained = train(good, texts(BAD, "en", 120, 2), tmp_path / "m.bin", dim=20)
    assert trained.accuracy == 1


def test_models_of_the_wrong_kind(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.bin"
    wrong.write_bytes(b"not a model" * 100)
    for path, said in ((tmp_path / "missing.bin", "no such model file"), (wrong, "not a fastText classifier")):
        with pytest.raises(EngineError, match=said) as caught:
            QualityClassifier(str(path))
        assert "\n" not in str(caught.value)
    with pytest.raises(EngineError, match="no label 'good'; its labels are negative, positive"):
        QualityClassifier(str(small(tmp_path).path), "good")
    shipped = Path(__file__).parent.parent / "filters" / "lid.176.ftz"
    with pytest.raises(EngineError, match="no label 'positive'"):
        QualityClassifier(str(shipped))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=30), st.floats(0.01, 1), st.data())
def test_share_and_area(scores: list[int], share: float, data: st.DataObject) -> None:
    threshold = retain_threshold([float(score) for score in scores], share)
    kept = sum(score >= threshold for score in scores)
    assert kept >= max(1, int(share * len(scores)))
    assert sum(score > threshold for score in scores) < max(1, share * len(scores) + 1e-9) or share * len(scores) < 1
    truth = data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)))
    pairs = [(good > bad) + (good == bad) / 2 for good, yes in zip(scores, truth, strict=True) if yes
             for bad, other in zip(scores, truth, strict=True) if not other]  # fmt: skip
    if pairs:
        assert auc(np.array(scores, np.float64), np.array(truth)) == pytest.approx(sum(pairs) / len(pairs))


def test_retain() -> None:
    column = pa.chunked_array([[0.1, None], [0.4, 0.3, 0.2]])
    assert retain_threshold(column, 0.5) == 0.3
    (rule,) = with_retained([], [pa.table({"threshold": [retain_threshold(column, 0.25)], "share": [0.25]})])
    assert (rule.value, rule.source, rule.action) == (0.4, "retained:0.25", "drop")
    assert decide(pa.table({"classifier_score": column}), [rule]).keep.to_pylist() == [False, True, True, False, False]
    for scores, share, said in (
        ([1.0], 0, "share lies"),
        ([1.0], 1.5, "share lies"),
        ([None], 0.5, "no row has a score"),
    ):
        with pytest.raises(RecipeError, match=said):
            retain_threshold(scores, share)


def test_scores_that_rows_came_with(tmp_path: Path) -> None:
    rows = pa.table({"id": ["a", "b", "c"], "rerank": [3, None, -1], "text": ["", "", ""]})
    result = ExternalScore("rerank").run({"rows": rows}, Workspace("key", tmp_path, tmp_path))
    (shard,) = result.outputs["out"]
    assert shard.table["external_score"].to_pylist() == [3.0, None, -1.0]
    odd = pa.table({"score": [1.0, float("nan"), float("inf")]})
    assert ExternalScore("score").score_rows(odd)["external_score"].to_pylist() == [1.0, None, None]
    rules = rules_for(["external"], "document", "en", {"external": {"min_score": 0}}, "default")
    assert decide(shard.table, rules).keep.to_pylist() == [True, True, False]
    with pytest.raises(SourceError, match="no column 'x': the rows have id, rerank, text"):
        ExternalScore("x").score_rows(rows)
    with pytest.raises(SourceError, match="holds string: a score is a number"):
        ExternalScore("text").score_rows(rows)


def test_rules() -> None:
    assert rules_for(["classifier"], "document", "en", {}, "default") == []
    (rule,) = rules_for(["classifier"], "document", "en", {"classifier": {"min_score": 0.7}}, "default")
    assert (rule.column, rule.op, rule.value, rule.source) == ("classifier_score", "<", 0.7, "user")
