"""Marks through a translation that changes nothing, and through every known way of spoiling them."""

import gzip
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.spoiled_marks import SPOILED
from dsbuild.errors import UnknownName
from dsbuild.project.marker_parser import REASONS, read
from dsbuild.project.markers import SCHEMES, encode, scheme_named
from dsbuild.spans import Labelled, Span, problems

XQUAD = Path(__file__).parents[2] / "shared/data/projection/xquad"
LETTERS = SCHEMES["letters"]
CHARACTERS = "abcd éßक़्षि語 \U0001f469\u200d\U0001f4bb ,.;$€()[]{}<>&/＜＞《》&lt;<a></a>⟦"
PLACED = [scheme_named("placeholder", "zqx{n}"), scheme_named("placeholder", "<ID{n}>")]
schemes = st.sampled_from([*SCHEMES.values(), *PLACED])


@st.composite
def labelled(draw, characters=CHARACTERS, most=6, pieces=3):
    text = draw(st.text(characters, min_size=1, max_size=50))
    places = st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).map(sorted).map(tuple)
    spans = []
    for number in range(draw(st.integers(0, most))):
        found = sorted(draw(st.lists(places, min_size=1, max_size=pieces)))
        span = Span(str(number), draw(st.sampled_from(["PER", "LOC"])), tuple(found))
        if not problems(Labelled("x", text, "en", (span,))):
            spans.append(span)
    return text, spans


@settings(max_examples=400)
@given(labelled(), schemes)
def test_what_an_identical_translation_gives_back(item, scheme):
    text, spans = item
    marked = encode(text, spans, scheme)
    found = read(marked, marked.text)
    assert found.text == text
    assert [(one.outcome, one.pieces) for one in found.answers] == [("kept", span.pieces) for span in spans]


@pytest.mark.parametrize("lang", ["en", "hi", "es", "de"])
def test_every_xquad_span_comes_back(lang):
    file = XQUAD / f"xquad.{lang}.json.gz"
    if not file.exists():
        pytest.skip(f"{file.name} is not beside the project")
    for article in json.loads(gzip.decompress(file.read_bytes()))["data"]:
        for paragraph in article["paragraphs"]:
            answers = [one["answers"][0] for one in paragraph["qas"]]
            spans = [
                Span(str(n), "A", ((one["answer_start"], one["answer_start"] + len(one["text"])),))
                for n, one in enumerate(answers)
            ]
            marked = encode(paragraph["context"], spans, LETTERS)
            found = read(marked, marked.text)
            assert found.text == paragraph["context"]
            assert [one.pieces for one in found.answers] == [span.pieces for span in spans]


@settings(max_examples=600)
@given(st.data(), st.sampled_from(sorted(SPOILED)), st.integers(0, 6))
def test_a_spoiled_mark_is_repaired_or_rejected_and_never_misleads(data, how, n):
    words = data.draw(st.lists(st.sampled_from("moon river stone house bread".split()), min_size=3, max_size=9))
    words = [f"{word}{place}" for place, word in enumerate(words)]
    text, starts = " ".join(words), []
    for place in range(len(words)):
        starts.append(len(" ".join([*words[:place], ""])))
    ranges = data.draw(
        st.lists(
            st.tuples(st.integers(0, len(words) - 1), st.integers(0, len(words) - 1)).map(sorted),
            min_size=1,
            max_size=5,
        )
    )
    spans = [
        Span(str(k), "X", ((starts[low], starts[high] + len(words[high])),)) for k, (low, high) in enumerate(ranges)
    ]
    found = read(encode(text, spans, LETTERS), SPOILED[how](encode(text, spans, LETTERS).text, n))
    for span, answer in zip(spans, found.answers, strict=True):
        if answer.outcome == "kept":
            got = Span("", "X", answer.pieces).surface(found.text)
            # Words that the engine swallowed stand nowhere.
            there = re.findall(r"\w+", found.text.lower())
            assert re.findall(r"\w+", got.lower()) == [word for word in span.surface(text).split() if word in there]
        else:
            assert answer.outcome == "rejected"
            assert answer.reason in REASONS
            assert not answer.pieces


def _read(text, *spans, back, scheme="letters"):
    made = [Span(str(n), "X", (place,)) for n, place in enumerate(spans)]
    found = read(encode(text, made, SCHEMES[scheme]), back)
    return found.text, [
        found.text[one.pieces[0][0] : one.pieces[-1][1]] or one.reason if one.pieces else one.reason
        for one in found.answers
    ]


@pytest.mark.parametrize(
    ("back", "text", "answers"),
    [
        ("<a>la</a> <a>casa</a> de <b>Ada</b>", "la casa de Ada", ["casa", "Ada"]),
        ("<a>gran</a> <a>casa</a> de <b>Ada</b>", "gran casa de Ada", ["gran casa", "Ada"]),
        ("<a>casa</a> de <b>Ada</b> y <a>casa</a>", "casa de Ada y casa", ["doubled", "Ada"]),
        ("<a>, casa</a> de <b> Ada </b>.", ", casa de Ada.", ["casa", "Ada"]),
        ("de <b>Ada</b> la <a>casa</a>", "de Ada la casa", ["casa", "Ada"]),
        ("<a>casa <b>de</a> Ada</b>", "casa de Ada", ["overlap", "overlap"]),
        ("<a>casa de <b>Ada</b></a>", "casa de Ada", ["nested", "nested"]),
        ("<a>casa</a> de Ada", "casa de Ada", ["casa", "missing"]),
        ("<a>casa</a> de <b></b>Ada", "casa de Ada", ["casa", "empty"]),
        ("<a>casa</a> de </b>Ada<b>", "casa de Ada", ["casa", "order"]),
        ("【a】casa【/a】 de Ada", "【a】casa【/a】 de Ada", ["missing", "missing"]),
    ],
)
def test_marks_as_engines_return_them(back, text, answers):
    assert _read(
        "Ada house", (4, 9), (0, 3), back=back.replace("a>", "Q>").replace("b>", "a>").replace("Q>", "b>")
    ) == (text, answers)


def test_bracket_kinds_have_identity_and_may_change_width():
    assert _read("Ada house", (4, 9), (0, 3), back="{ casa } de 【 Ada】", scheme="brackets") == (
        "casa de Ada",
        ["casa", "Ada"],
    )


def test_a_text_with_marks_of_its_own_takes_another_scheme_or_is_escaped():
    span = [Span("1", "X", ((0, 1),))]
    assert encode("x < y", span, LETTERS).text == "[a]x[/a] < y"
    escaped = encode("x < [y] {z} & q", span, LETTERS)
    assert escaped.text == "<a>x</a> &lt; [y] {z} &amp; q"
    assert escaped.escaped == 2
    lost = read(escaped, "<a>x</a> < [y] {z} & q")
    assert [one.reason for one in lost.answers] == ["escape_lost"]


def test_crossing_spans_are_marked_in_parts_that_must_stay_together():
    spans = [Span("1", "X", ((0, 7),)), Span("2", "X", ((4, 11),))]
    marked = encode("one two six", spans, LETTERS)
    assert marked.text == "<a>one <b>two</b></a><c> six</c>"
    assert [one.reason for one in read(marked, "va <a>uno <b>dos</b></a><c> seis</c>").answers] == ["", ""]
    apart = read(marked, "<a>uno <b>dos</b></a> mira <c> seis</c>")
    assert [one.reason for one in apart.answers] == ["", "parted"]


def test_an_unknown_scheme_is_named():
    with pytest.raises(UnknownName, match="letters"):
        scheme_named("letter")


def test_placeholders_of_an_engine_are_marks_too():
    marked = encode("Ada likes soup", [Span("1", "X", ((0, 3),)), Span("2", "X", ((10, 14),))], PLACED[0])
    assert marked.text == "zqx1 Ada zqx2 likes zqx3 soup zqx4"
    found = read(marked, "la zqx3 sopa zqx4, a Zqx1 Ada zqx 2")
    assert found.text == "la sopa, a Ada"
    assert [one.pieces for one in found.answers] == [((11, 14),), ((3, 7),)]


@pytest.mark.parametrize("scheme", PLACED)
@pytest.mark.parametrize(
    "spoiled", [lambda mark: mark[1:], lambda mark: mark[:-1].rstrip("0123456789"), lambda mark: mark[0] + mark[2:]]
)
def test_a_torn_placeholder_is_left_in_no_text(scheme, spoiled):
    text, spans = (
        "Ada Bell likes soup",
        [Span("1", "X", ((0, 8),)), Span("2", "X", ((0, 3),)), Span("3", "X", ((15, 19),))],
    )
    marked = encode(text, spans, scheme)
    for mark in re.findall(r"zqx\d|<ID\d>", marked.text):
        found = read(marked, marked.text.replace(mark, spoiled(mark)))
        assert {one.reason for one in found.answers} == {"debris"}
        assert found.spoiled


def test_words_like_a_placeholder_are_the_text_itself():
    marked = encode("ID 3 of Ada", [Span("1", "X", ((8, 11),))], PLACED[1])
    assert [one.pieces for one in read(marked, marked.text).answers] == [((8, 11),)]


def test_a_placeholder_before_a_digit_does_not_swallow_it():
    text, spans = "it has 2,700,000 of them", [Span("1", "N", ((7, 11),))]
    marked = encode(text, spans, PLACED[0])
    assert marked.scheme.name == "letters"
    assert [one.pieces for one in read(marked, marked.text).answers] == [((7, 11),)]
