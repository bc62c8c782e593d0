"""The method `align`: links that came with the pairs, every rule, segments, and what cannot be said."""

from __future__ import annotations

import importlib.util

import pytest

from dsbuild.errors import RecipeError, UnknownName
from dsbuild.project.align_projector import AlignProjector
from dsbuild.project.projector import Links, Parallel, Projected
from dsbuild.spans import Labelled, Span
from dsbuild.text import word_spans

EN, ES = "the big red wine was good .", "el gran vino tinto estaba bueno ."


def pair(links: str | None, surface: str = "red wine", target: str = ES, name: str = "a") -> Parallel:
    start = EN.index(surface)
    source = Labelled(name, EN, "en", (Span("s", "X", ((start, start + len(surface)),)),))
    if links is None:
        return Parallel(source, target, "es")
    src, tgt = word_spans(EN), word_spans(target)
    ends = [tuple(map(int, one.split("-"))) for one in links.split()]
    return Parallel(source, target, "es", (), Links(tuple(src[i] for i, _ in ends), tuple(tgt[j] for _, j in ends)))


def said(one: Parallel, rule: str = "hull", aligner: str = "auto") -> Projected:
    projector = AlignProjector(rule=rule, aligner=aligner)
    projector.fit([one])
    ((answer,),) = projector.project([one])
    assert projector.deterministic
    return answer


@pytest.mark.parametrize("rule", ["hull", "strict", "gap0", "gap3", "head", "weighted"])
def test_links_that_cross_inside_a_span(rule: str) -> None:
    answer = said(pair("0-0 1-1 2-3 3-2 4-4 5-5"), rule)
    expected = "vino" if rule == "head" else "vino tinto"
    assert answer.outcome == "kept"
    assert ES[answer.pieces[0][0] : answer.pieces[0][1]].startswith(expected.split()[0])
    if rule != "head":
        assert ES[slice(*answer.pieces[0])] == expected
    assert answer.score is not None
    assert 0 < answer.score <= 1


def test_no_links_are_a_null_projection() -> None:
    answer = said(pair("0-0 1-1 4-4"))
    assert (answer.outcome, answer.reason, answer.pieces) == ("null", "no_links", ())


def test_strict_refuses_a_gap() -> None:
    answer = said(pair("0-0 2-1 3-3"), "strict")
    assert (answer.outcome, answer.reason) == ("rejected", "not_contiguous")


def test_the_score_falls_with_words_that_have_no_link() -> None:
    whole, half = said(pair("2-3 3-2")), said(pair("3-2"))
    assert whole.score is not None
    assert half.score is not None
    assert half.score < whole.score


def test_a_span_of_punctuation_has_no_words() -> None:
    assert said(pair("0-0", surface=".")).reason == "no_words"


def test_options() -> None:
    with pytest.raises(UnknownName, match="hull"):
        AlignProjector(rule="hul")
    with pytest.raises(UnknownName, match="eflomal"):
        AlignProjector(aligner="eflomol")
    with pytest.raises(RecipeError, match="--alignments"):
        AlignProjector(aligner="links").fit([pair(None)])


@pytest.mark.skipif(importlib.util.find_spec("eflomal") is None, reason="eflomal is not installed")
def test_without_links_eflomal_learns_them_on_the_set() -> None:
    pairs = [pair(None, name=str(number)) for number in range(30)]
    projector = AlignProjector(rule="hull")
    projector.fit(pairs)
    answers = list(projector.project(pairs))
    assert len(answers) == 30
    assert not projector.deterministic
    assert projector.facts() == {"links": "eflomal"}
    assert all(len(one) == 1 and one[0].outcome in ("kept", "null") for one in answers)
