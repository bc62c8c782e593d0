"""The span model, tokens and tag schemes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.errors import SourceError, UnknownName
from dsbuild.spans import Labelled, Relation, Span, check, from_row, merged, problems, to_row, trimmed
from dsbuild.tokens import SCHEMES, decode_tags, encode_tags, joined, located, spans_of, tokens_of

TEXT = "Anna Li ने दिल्ली में 你好吗 कहा 👩‍🔬"
WORD = st.text(st.sampled_from("aé您你कि்๑🙂'."), min_size=1, max_size=5)


def spans_in(text):
    """Any spans: nested, overlapping, discontinuous."""
    pair = st.tuples(st.integers(0, len(text) - 1), st.integers(1, 6))
    piece = pair.map(lambda p: (p[0], min(len(text), p[0] + p[1]))).filter(lambda p: text[slice(*p)].strip())
    pieces = st.lists(piece, min_size=1, max_size=3).map(merged)
    return st.lists(st.tuples(st.sampled_from(["PER", "LOC"]), pieces), max_size=5).map(
        lambda found: tuple(Span(str(n), label, places) for n, (label, places) in enumerate(found))
    )


@given(spans_in(TEXT))
def test_rows_hold_every_span(spans):
    relations = (Relation("0", "0", "self"),) if spans else ()
    item = Labelled("7", TEXT, "hi", spans, relations, {"split": "train"})
    assert [said for said in problems(item) if "white space" not in said] == []
    assert from_row(to_row(item)) == item


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (Span("1", "PER", ((0, 99),)), "not inside the text"),
        (Span("1", "PER", ((3, 3),)), "not inside the text"),
        (Span("1", "PER", ((-1, 3),)), "not inside the text"),
        (Span("1", "PER", ((0, 4), (2, 6))), "overlap or are out of order"),
        (Span("1", "PER", ((4, 5),)), "white space only"),
        (Span("1", "", ((0, 4),)), "no label"),
        (Span("", "PER", ((0, 4),)), "no id"),
        (Span("1", "PER", ()), "no piece"),
    ],
)
def test_a_bad_span_is_one_line(span, said):
    with pytest.raises(SourceError, match=said) as found:
        check(Labelled("row-3", "Anna Li spoke", "en", (span,)), "set.jsonl line 3")
    assert "set.jsonl line 3" in str(found.value)
    assert "row-3" in str(found.value)
    assert "\n" not in str(found.value)


def test_a_span_that_comes_twice_and_a_relation_to_nothing():
    spans = (Span("1", "A", ((0, 1),)), Span("1", "B", ((1, 2),)))
    found = problems(Labelled("x", "abc", "en", spans, (Relation("1", "9", "r"),)))
    assert any("twice" in said for said in found)
    assert any("'9'" in said for said in found)


def test_overlap_is_between_pieces():
    assert Span("a", "X", ((0, 9),)).overlaps(Span("c", "X", ((4, 12),)))
    assert not Span("a", "X", ((0, 2), (5, 7))).overlaps(Span("b", "X", ((2, 5),)))


def test_trimming_keeps_marks():
    assert trimmed("«हिंदी»।", (0, 8), "«»।") == (1, 6)
    assert trimmed(" . ", (0, 3), ".") is None


@given(st.lists(WORD, min_size=1, max_size=8), st.data())
def test_tokens_are_found_where_they_were_put(tokens, data):
    spaces = data.draw(st.lists(st.booleans(), min_size=len(tokens), max_size=len(tokens)))
    text, places = joined(tokens, spaces)
    assert [text[start:end] for start, end in places] == tokens
    assert located(text, tokens) == places
    for number, place in enumerate(places):
        assert tokens_of(place, places) == (number, number + 1)


def test_a_normalised_token_is_named():
    with pytest.raises(SourceError, match="token 1"):
        located("ein cafe\u0301", ["ein", "caf\u00e9"])
    with pytest.raises(SourceError, match="goes on"):
        located("a b c", ["a", "b"])


RANGES = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), st.sampled_from(["A", "B-C"])), max_size=5)


@given(RANGES, st.sampled_from(SCHEMES))
def test_tags_round_trip(steps, scheme):
    ranges, at = [], 0
    for gap, length, label in steps:
        ranges.append((at + gap, at + gap + length, label))
        at += gap + length
    tags = encode_tags(ranges, at + 1, scheme)
    assert decode_tags(tags, scheme) == ranges
    places = [(2 * n, 2 * n + 1) for n in range(at + 1)]
    assert [span.label for span in spans_of(ranges, places)] == [label for _, _, label in ranges]


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        (["I-PER"], "iob2"),
        (["B-PER", "I-LOC"], "iob2"),
        (["B-PER", "O"], "bioes"),
        (["E-PER"], "bioes"),
        (["S-PER"], "iob2"),
        (["B"], "iob2"),
        (["X-PER"], "iob2"),
    ],
)
def test_a_tag_out_of_place_is_an_error(tags, scheme):
    with pytest.raises(SourceError, match="tag"):
        decode_tags(tags, scheme)


def test_overlapping_ranges_and_unknown_schemes():
    with pytest.raises(SourceError, match="overlap"):
        encode_tags([(0, 2, "A"), (1, 3, "B")], 4)
    with pytest.raises(UnknownName, match="iob2"):
        decode_tags(["O"], "iob3")
