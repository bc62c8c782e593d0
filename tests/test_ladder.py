from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.engine import Capabilities, Output
from dsbuild.translate.ladder import RUNGS, Attempt, Ladder


def words(texts: Sequence[str], src: str) -> list[int]:
    return [len(text.split()) for text in texts]


def never(source: str, target: str, tgt: str) -> tuple[str, ...]:
    return ()


def ladder(limit: int | None = None, placeholder: str = "<ID{n}>", **more) -> Ladder:
    capabilities = Capabilities(max_tokens=limit, placeholder=placeholder, **more)
    return Ladder(
        src="en", tgt="hi", capabilities=capabilities, count=words, hard=never, protects=capabilities.protects, terms={}
    )


def echo(attempt: Attempt) -> list[Output]:
    return [Output(query.request.text, n_tgt_tokens=1) for query in attempt.queries()]


@pytest.mark.parametrize("rung", RUNGS)
@given(
    text=st.lists(
        st.sampled_from(["word", "a,", "b;", "https://x.org/y", "c.", "d (e)", "अ।", "line\nbreak", "-", "1,000"]),
        min_size=1,
        max_size=30,
    ).map(" ".join),
    limit=st.integers(1, 9),
)
def test_an_engine_that_echoes_gives_every_text_back_whole(rung, text, limit) -> None:
    """Splitting loses nothing: with the identity as translation each rung is the identity."""
    steps = ladder(limit, beams=(4,))
    attempt = steps.attempts(rung, [text])[0]
    if attempt is None:
        return
    assert all(words([query.request.text], "en")[0] <= limit for query in attempt.queries())
    outcome = steps.judge(text, attempt, echo(attempt))
    assert (outcome.text, outcome.rule) == (text, "")


def test_one_endless_word_is_split_between_letters_and_marks() -> None:
    steps = Ladder(
        src="hi", tgt="en", capabilities=Capabilities(max_tokens=5), count=lambda texts, src: [len(text) for text in texts],
        hard=never, protects=(), terms={},
    )  # fmt: skip
    text = "किकिकिकिकिकि"
    attempt = steps.attempts("first", [text])[0]
    assert attempt is not None
    pieces = [query.request.text for query in attempt.queries()]
    assert "".join(pieces) == text
    assert all(len(piece) <= 5 and not piece.startswith("ि") for piece in pieces)


def test_a_lost_placeholder_is_a_hard_failure_and_splitting_mends_it() -> None:
    steps = ladder()
    text = "Read https://x.org before you go"
    attempt = steps.attempts("first", [text])[0]
    assert attempt is not None
    assert attempt.queries()[0].request.text == "Read <ID1> before you go"
    assert steps.judge(text, attempt, [Output("जाने से पहले पढ़ें")]).rule == "protected_lost"
    attempt = steps.attempts("split", [text])[0]
    assert attempt is not None
    outcome = steps.judge(text, attempt, [Output("पढ़ें"), Output("जाने से पहले")])
    assert (outcome.text, outcome.rule) == ("पढ़ें https://x.org जाने से पहले", "")


def test_an_output_cut_by_a_limit_is_never_kept() -> None:
    steps = ladder()
    attempt = steps.attempts("first", ["some words"])[0]
    assert attempt is not None
    assert steps.judge("some words", attempt, [Output("कुछ", "length")]).rule == "length"
    assert steps.judge("some words", attempt, [Output("", "error", error="missing: x")]).rule == "missing: x"


@pytest.mark.parametrize(
    ("error", "rule"),
    [
        ("", "engine_error"),
        ("timeout: no answer in 3 s", "timeout: no answer in 3 s"),
        ("crash: signal 11", "crash: signal 11"),
        ("3 things went wrong: all", "engine_error: 3 things went wrong: all"),
    ],
)
def test_what_engines_say_freely_is_the_detail_of_an_engine_error(error: str, rule: str) -> None:
    steps = ladder()
    attempt = steps.attempts("first", ["some words"])[0]
    assert attempt is not None
    assert steps.judge("some words", attempt, [Output("", "error", error=error)]).rule == rule


def test_rungs_that_would_ask_the_same_again_are_left_out() -> None:
    steps = ladder()
    assert steps.attempts("beam", ["short text"]) == [None]
    assert steps.attempts("split", ["short text"]) == [None]
    assert steps.attempts("split", ["one clause, and another one, and a third"], [True]) == [None]
    assert steps.attempts("split", ["one clause, and another one, and a third"], [False]) != [None]
    assert steps.attempts("plain", ["short text"]) == [None]


def test_fixed_terms_are_put_in_and_counted() -> None:
    steps = Ladder(
        src="en",
        tgt="hi",
        capabilities=Capabilities(placeholder="<ID{n}>"),
        count=words,
        hard=never,
        protects=(),
        terms={"heart": "हृदय"},
    )
    attempt = steps.attempts("first", ["the heart beats"])[0]
    assert attempt is not None
    outcome = steps.judge("the heart beats", attempt, [Output("<ID1> धड़कता है")])
    assert outcome.text == "हृदय धड़कता है"
    assert steps.terms_missing("the heart beats", outcome.text) == []
    assert steps.terms_missing("the heart beats", "दिल धड़कता है") == ["हृदय"]


def test_an_engine_that_writes_terms_is_told_them_and_what_stays_as_it_is_is_masked() -> None:
    terms = {"heart": "हृदय", "Ganga": "Ganga"}
    steps = Ladder(
        src="en", tgt="hi", capabilities=Capabilities(placeholder="<ID{n}>", terms=True), count=words, hard=never, protects=("url",), terms=terms,
    )  # fmt: skip
    text = "the heart of the Ganga, https://b.org"
    for rung, asked in (("first", "the heart of the <ID1>, <ID2>"), ("plain", text)):
        (attempt,) = steps.attempts(rung, [text])
        assert attempt is not None
        (query,) = attempt.told({"missing": ["हृदय"]}).queries()
        assert query.request.text == asked
        assert query.request.context["terms"]["heart"] == "हृदय"
        assert query.request.context["missing"] == ["हृदय"]
    split = steps.attempts("split", [text])[0]
    assert split is not None
    assert [query.request.text for query in split.queries()] == ["the heart of the"]
    assert split.queries()[0].request.context == {"terms": {"heart": "हृदय"}}
    assert steps.terms_missing(text, "Ganga के हृदयों की बात") == []
    assert steps.terms_missing(text, "Ganga का दिल") == ["हृदय"]


def test_terms_of_an_engine_without_placeholders_go_with_the_request() -> None:
    terms = {"heart": "हृदय", "Ganga": "Ganga", "rice": "चावल"}
    steps = Ladder(src="en", tgt="hi", capabilities=Capabilities(), count=words, hard=never, protects=(), terms=terms)
    text = "the heart of the Ganga"
    attempt = steps.attempts("first", [text])[0]
    assert attempt is not None
    assert attempt.queries()[0].request.text == text
    assert attempt.queries()[0].request.context == {"terms": {"heart": "हृदय", "Ganga": "Ganga"}}
    assert steps.judge(text, attempt, [Output("Ganga का दिल")]).rule == "", (
        "a fixed translation may be inflected: a flag"
    )
    assert steps.judge(text, attempt, [Output("गंगा का हृदय")]).rule == "protected_lost"
    attempt = steps.attempts("split", ["see the Ganga"])[0]
    assert attempt is not None
    assert steps.judge("see the Ganga", attempt, [Output("देखो")]).text == "देखो Ganga"
