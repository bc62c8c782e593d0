"""The document score and its parts."""

from __future__ import annotations

import base64
import gzip
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.errors import RecipeError
from dsbuild.filters import document_score
from dsbuild.filters.decide import decide
from dsbuild.filters.document_score import COLUMNS, DocumentScore
from dsbuild.filters.profiles import rules_for

SHARED = Path(__file__).parent.parent / "../shared/data/parallel/ntrex"
EN = (
    "The river rose slowly after the long rain, and people along the banks carried their belongings to higher ground before night came. "
    "Nobody had expected so much water in early summer, when fields are usually dry and farmers wait for clouds that never arrive."
)
HI = "लंबी बारिश के बाद नदी धीरे धीरे बढ़ने लगी और किनारे पर रहने वाले लोग रात होने से पहले अपना सामान ऊँची जगह पर ले गए, जहाँ पानी नहीं पहुँचता था।"


def parts(text: str, lang: str = "en", **options: str) -> dict[str, float]:
    columns = DocumentScore(**options).score(pa.array([text]), [lang])  # type: ignore[arg-type]
    return {
        name.removeprefix("document_score").strip("_") or "score": column[0].as_py() for name, column in columns.items()
    }


def test_prose_and_the_formula() -> None:
    for text, lang in ((EN, "en"), (HI, "hi")):
        found = parts(text, lang)
        assert found["language"] == 1
        assert found["penalty"] > 0.8
        assert found["score"] == pytest.approx(
            10 * (0.8 * found["language"] + 0.1 * found["long"] + 0.1 * found["great"]) * found["penalty"]
        )
        assert found["penalty"] == pytest.approx(
            np.prod(
                [
                    found[name]
                    for name in ("urls", "numbers", "punctuation", "signs", "repeated", "informative", "short")
                ]
            )
        )


def test_segments() -> None:
    draw = random.Random(2)
    words = sorted(set(EN.replace(",", "").replace(".", "").split()))
    lines = [" ".join(draw.choices(words, k=70)) + ", so it was." for _ in range(10)]
    assert all(250 <= sum(map(str.isalpha, line)) <= 625 for line in lines)
    assert parts("\n".join(lines))["long"] == 1
    assert parts("\n".join(lines[:5]))["long"] == 0.5
    assert parts("\r\n\n".join(lines[:5]))["long"] == 0.5
    assert parts("\n".join(lines))["great"] == 0
    one = " ".join(lines)
    assert sum(map(str.isalpha, one)) > 1000
    assert parts(one)["great"] == 1
    assert parts(" ".join(lines[:3])[:1000])["great"] == pytest.approx(
        (sum(map(str.isalpha, " ".join(lines[:3])[:1000])) - 625) / 375
    )


def test_each_factor() -> None:
    assert parts(EN, "hi")["language"] == 0
    assert parts(EN + HI, "hi")["language"] == pytest.approx(0.28, abs=0.1)
    assert parts(EN, "")["language"] == parts(EN, "und")["language"] == parts(EN, "xx-unknown")["language"] == 1
    assert parts(EN + " https://a.example/b www.c.example" * 20)["urls"] == 0
    letters = sum(map(str.isalpha, EN))
    assert parts(EN + "7" * round(letters * 0.155))["numbers"] == pytest.approx(0.5, abs=0.01)
    assert parts(EN + "९" * letters)["numbers"] == 0
    assert parts(EN.replace(".", "").replace(",", ""))["punctuation"] == 0
    assert parts(EN + "!" * letters)["punctuation"] == 0
    assert parts(EN + "★" * round(letters * 0.055))["signs"] == pytest.approx(0.5, abs=0.03)
    assert parts(f"{EN}\n {EN.upper()}\n{EN}")["repeated"] == pytest.approx(1 / 3)
    assert parts("Buy cheap shoes online here now.\n" * 3)["repeated"] == pytest.approx(1 / 3)
    assert parts("buy cheap shoes online here now " * 100)["informative"] == 0
    noise = base64.b64encode(random.Random(1).randbytes(30_000)).decode()
    assert parts(noise)["informative"] < 0.8
    assert parts(HI * 2 + EN, "hi")["informative"] > 0.9
    assert parts("Home\nNews\nAbout us\nContact")["short"] == 0.5
    assert parts(EN + "\nHome")["short"] == 1


def test_segments_that_are_identified() -> None:
    pytest.importorskip("fasttext", reason="fastText is not installed")
    pytest.importorskip("dsbuild.filters.language")
    german = "Der Fluss stieg nach dem langen Regen langsam an, und die Leute am Ufer brachten ihre Sachen vor der Nacht in Sicherheit."
    mixed = f"{EN}\n{german}"
    assert parts(mixed)["language"] == 1
    assert parts(mixed, segments="model")["language"] == pytest.approx(0.68, abs=0.05)
    assert parts(EN, segments="model")["language"] == 1
    with pytest.raises(RecipeError, match="script and model"):
        DocumentScore(segments="lines")  # type: ignore[arg-type]


def test_odd_texts_and_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["", " \n", "…", "1234", EN, "\x00\x01", HI, "\n" * 50, "𐌰𐌱" * 30, "\U000e0041", "a"]
    langs = ["en"] * len(texts)
    whole = DocumentScore().score(pa.array(["cut off", *texts])[1:], langs)
    assert set(whole) == set(COLUMNS)
    assert whole["document_score"].is_null().to_pylist() == [text not in (EN, HI, "𐌰𐌱" * 30, "a") for text in texts]
    monkeypatch.setattr(document_score, "_BLOCK", 40)
    assert DocumentScore().score(texts, langs) == whole
    assert len(DocumentScore().score(pa.array([], pa.string()), [])["document_score"]) == 0
    assert len(DocumentScore().score(["\ud800 lone"], [""])["document_score"]) == 1
    with pytest.raises(ValueError, match="1 texts and 2 languages"):
        DocumentScore().score([""], ["", ""])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.sampled_from("ab क\u094d中あ1.!\n★€ "), max_size=40), max_size=6))
def test_bounds(texts: list[str]) -> None:
    columns = DocumentScore().score(texts, ["hi"] * len(texts))
    alone = [DocumentScore().score([text], ["hi"])["document_score"][0].as_py() for text in texts]
    assert columns["document_score"].to_pylist() == pytest.approx(alone)
    for name, column in columns.items():
        assert all(
            value is None or 0 <= value <= (10 if name == "document_score" else 1) for value in column.to_pylist()
        )


def test_rule() -> None:
    columns = DocumentScore().score(pa.array([EN, "buy cheap shoes online here now " * 100]), ["en"] * 2)
    decision = decide(pa.table(columns), rules_for(["document_score"], "document", "en", {}, "default"))
    assert decision.keep.to_pylist() == [True, False]


@pytest.mark.skipif(not SHARED.is_dir(), reason="NTREX is beside the project")
def test_one_news_set_has_one_score_in_every_script() -> None:
    medians = []
    for name in ("src.eng", "ref.hin", "ref.tam", "ref.zho-CN", "ref.jpn", "ref.arb", "ref.rus"):
        lang = {"eng": "en", "hin": "hi", "tam": "ta", "zho-CN": "zh-Hans", "jpn": "ja", "arb": "ar", "rus": "ru"}[
            name[4:]
        ]
        with gzip.open(SHARED / f"newstest2019-{name}.txt.gz", "rt", encoding="utf-8") as handle:
            lines = handle.read().splitlines()
        texts = ["\n".join(lines[start : start + 12]) for start in range(0, 600, 12)]
        medians.append(float(np.median(DocumentScore().score(texts, [lang] * len(texts))["document_score"].to_numpy())))
    assert max(medians) - min(medians) < 1
    assert min(medians) > 7
