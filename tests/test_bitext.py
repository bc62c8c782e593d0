"""The checks of translations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.errors import SourceError
from dsbuild.filters import FILTERS
from dsbuild.filters.bitext import COLUMNS, BitextChecks, hard_failures
from dsbuild.filters.letters import Letters
from dsbuild.filters.loops import repeated_share
from dsbuild.filters.names import found_share, names
from dsbuild.filters.priors import Priors

pytest.importorskip("fasttext", reason="fastText is not installed")

EN = "The teacher gave the children 12 books about the river in Washington last week."
HI = "शिक्षक ने पिछले हफ़्ते बच्चों को वाशिंगटन की नदी के बारे में 12 किताबें दीं।"
OTHER = "सरकार ने कहा कि अगले साल बिजली के दाम नहीं बढ़ेंगे।"


def one(source: str, target: str, *, src: str = "en", tgt: str = "hi", **extra: Any) -> dict[str, Any]:
    columns = BitextChecks(src, tgt).score([source], [target], **extra)
    return {name: column.to_pylist()[0] for name, column in columns.items()}


def test_a_good_translation_is_clean() -> None:
    score = one(EN, HI)
    assert set(score) == set(COLUMNS)
    assert not score["empty"]
    assert score["copy_share"] == 0
    assert score["wrong_script"] == 0
    assert score["language_score"] > 0.5
    assert score["loop"] == 0
    assert abs(score["length_z"]) < 2
    assert 1 <= score["length_ratio"] < 1.5
    assert score["number_mismatch"] == 0
    assert score["url_mismatch"] == 0
    assert score["terminal_mismatch"] is False
    assert score["name_share"] == 1
    assert score["sentence_delta"] == 0
    assert score["unrelated"] < 0


def test_each_fault_shows() -> None:
    assert one(EN, " … ")["empty"]
    assert one(EN, EN)["copy_share"] == 1
    assert one(EN, EN)["wrong_script"] > 0.5
    assert one(EN, EN)["language_score"] == 0
    assert one(EN, "शिक्षक ने " + "नदी के बारे में " * 12)["loop"] > 0.5
    assert one(EN, "शिक्षक")["length_z"] < -3
    assert one(EN, HI * 4)["length_ratio"] > 3
    assert one(EN, HI.replace("12", "21"))["number_mismatch"] == 1
    assert one(f"{EN} https://a.org/x", HI)["url_mismatch"] == 1
    assert one(EN, HI.replace("।", "?"))["terminal_mismatch"]
    assert one(EN, OTHER)["name_share"] == 0
    assert one(EN, f"{HI} {OTHER}")["sentence_delta"] == 1
    assert one(EN, OTHER)["unrelated"] > 2.5


def test_names_numbers_and_links_may_stay() -> None:
    source = "Read about COVID-19 and NASA at https://nasa.gov today with your good friends"
    target = "COVID-19 और NASA के बारे में आज अपने अच्छे दोस्तों के साथ https://nasa.gov पर पढ़ें"
    score = one(source, target)
    assert score["url_mismatch"] == 0
    assert score["copy_share"] == 0
    assert score["wrong_script"] < 0.4
    assert one("I met Muriel and Tom here", "我在这里见到了Muriel和Tom", tgt="zh-Hans")["wrong_script"] == 0


def test_an_address_that_came_back_is_no_wrong_script() -> None:
    url = "https://www.gardening-for-everyone.org/tomatoes/how-to-water"
    assert one(f"See {url} and ask help@gardening.org.", f"देखें {url} और help@gardening.org से पूछें।")["wrong_script"] == 0
    assert one(url, url)["wrong_script"] == 0
    assert one(f"See {url} for more.", f"see {url} for more.")["wrong_script"] > 0.05


def test_it_abstains() -> None:
    score = one("Go", "जाओ")
    assert score["copy_share"] is None
    assert score["language_score"] is None
    assert score["number_mismatch"] is None
    assert score["name_share"] is None
    nothing = one("", "")
    assert not nothing["empty"]
    assert nothing["length_z"] is None
    assert nothing["wrong_script"] is None
    assert one("Is it so?", "そうですか。", tgt="ja")["terminal_mismatch"] is None


def test_columns_keep_their_order_types_and_length() -> None:
    checks = BitextChecks("en", "hi")
    sources = pa.array([EN, None, "It is so.", EN])
    targets = pa.array([HI, "कुछ", "", OTHER])
    together = checks.score(sources, targets, protected_lost=[0, 0, 1, 0], finish=["stop", "stop", "length", "stop"])
    assert {len(column) for column in together.values()} == {4}
    assert together["empty"].to_pylist() == [False, False, True, False]
    assert together["truncated"].to_pylist() == [False, False, True, False]
    assert together["protected_lost"].to_pylist() == [0, 0, 1, 0]
    for index, (source, target) in enumerate(zip(sources.to_pylist(), targets.to_pylist(), strict=True)):
        alone = checks.score([source or ""], [target])
        for name in COLUMNS:
            first, second = together[name].to_pylist()[index], alone[name].to_pylist()[0]
            assert first == second or math.isclose(first, second, rel_tol=1e-5), name
    assert all(len(column) == 0 for column in checks.score([], []).values())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.text(max_size=40), st.text(max_size=40)), max_size=4),
    st.sampled_from(["hi", "es", "ja", "ur"]),
)
def test_any_text_is_scored(pairs: list[tuple[str, str]], tgt: str) -> None:
    columns = BitextChecks("en", tgt).score([source for source, _ in pairs], [target for _, target in pairs])
    assert all(len(column) == len(pairs) for column in columns.values())
    for name in ("copy_share", "wrong_script", "language_score", "loop", "number_mismatch", "name_share"):
        assert all(value is None or 0 <= value <= 1 for value in columns[name].to_pylist()), name
    for source, target in pairs:
        hard_failures(source, target, tgt)


def test_surrogates_and_long_rubbish() -> None:
    texts = [
        "\ud800 bad \udfff text here now",
        "a" * 30_000,
        "!" * 30_000,
        "ab " * 10_000,
        "1," * 10_000,
        "@" * 10_000,
        "'" * 20_000,
        "Aa " * 10_000,
    ]
    columns = BitextChecks("en", "hi").score(texts, texts[::-1])
    assert len(columns["loop"]) == len(texts)


class TestHardFailures:
    """Only what cannot be anything else."""

    def test_good_and_odd_translations_pass(self) -> None:
        for source, target, tgt in [
            (EN, HI, "hi"),
            ("Microsoft Windows XP", "Microsoft Windows XP", "hi"),
            ("Go!", "जाओ!", "hi"),
            ("No no no no no no no no", "नहीं नहीं नहीं नहीं नहीं नहीं नहीं नहीं", "hi"),
            ("1990", "1990", "hi"),
            ("???", "", "hi"),
            ("What is the meaning of this word?", "这个词是什么意思？", "zh-Hans"),
            ("https://a.org", "https://a.org", "ta"),
            ("very slowly", "धीरे धीरे", "hi"),
        ]:
            assert hard_failures(source, target, tgt) == (), target

    def test_hard_ones(self) -> None:
        assert hard_failures(EN, "", "hi") == ("empty",)
        assert hard_failures(EN, "......", "hi") == ("empty",)
        assert hard_failures(EN, EN, "hi") == ("wrong_script",)
        assert hard_failures(EN, "शि", "hi") == ("length",)
        assert "loop" in hard_failures(EN, "शिक्षक ने " + "के बारे में " * 15, "hi")
        assert "loop" in hard_failures(EN, "hahahahahahahahahahahahahahahahahaha", "es")
        assert "loop" in hard_failures(EN, "我们的书我们的书我们的书我们的书我们的书我们的书", "zh-Hans")
        assert "length" in hard_failures("Short words here now.", HI * 12, "hi")


def test_loops() -> None:
    texts = [
        "a b c a b c a b c",
        "very very good",
        "one two three four",
        "the more the merrier",
        "......",
        "go go go go go",
        "",
    ]
    share = repeated_share(Letters(texts))
    assert share[0] == pytest.approx(6 / 9)
    assert share[[1, 2, 3, 6]].tolist() == [0, 0, 0, 0]
    assert share[5] == pytest.approx(4 / 5)
    assert repeated_share(Letters(["x y", "x y"])).tolist() == [0, 0], "texts do not run into each other"


def test_names() -> None:
    found = names("On Monday the actress Madonna met Wilson in Barcelona.")
    assert found == ["Madonna", "Wilson", "Barcelona"]
    assert found_share(found, "सोमवार को मैडोना बार्सिलोना में विल्सन से मिलीं") == 1
    assert found_share(found, "в понедельник Мадонна встретила Уилсона в Барселоне") == 1
    assert found_share(found, "कल मैडोना लंदन में थीं") == pytest.approx(1 / 3)
    assert found_share([], "x") is None


def test_priors() -> None:
    priors = Priors()
    sizes = np.array([10, 200])
    shipped = priors.pair("en", "hi")
    assert shipped.n_pairs > 1000
    assert np.abs(shipped.standardised(sizes, sizes)).max() < 1.5
    assert shipped.ratio(sizes, sizes * 9).min() > 3
    assert priors.pair("hi", "ta").source.startswith("composed")
    fallback = priors.pair("en", "brx")
    assert fallback.source.startswith("fallback")
    assert fallback.variance[0] > shipped.variance[0]
    assert "flores" not in Priors().path.read_text("utf-8").lower()
    with pytest.raises(SourceError, match="not a file of priors"):
        Priors(Priors().path.with_name("thresholds.yaml"))


def test_filters_are_listed_and_load() -> None:
    for name in FILTERS.names():
        assert FILTERS.get(name)
