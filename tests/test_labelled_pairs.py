"""Source and target texts come together by id or by order, and what is missing is named."""

from __future__ import annotations

import itertools
import json

import pytest

from dsbuild.builders.labelled.formats import open_labelled
from dsbuild.builders.labelled.pairs import paired, pairs
from dsbuild.errors import SourceError
from dsbuild.spans import Labelled, Span


def texts(*ids, mark=False, prefix=""):
    return [Labelled(str(one), f"{prefix}{one}", "en", extra={"numbered": True} if mark else {}) for one in ids]


def names(found):
    return [(one.id, other.id, other.text) for one, other in found]


def test_by_id_in_the_order_of_the_source():
    found = paired(texts("a", "b", "c"), texts("c", "a", "b", prefix="t"))
    assert names(found) == [("a", "a", "ta"), ("b", "b", "tb"), ("c", "c", "tc")]


def test_files_in_one_order_are_read_in_step():
    """A pair is there before the next row of either side was read."""
    read = []

    def rows(side):
        for number in itertools.count():
            read.append((side, number))
            yield Labelled(str(number), "x", "en")

    found = paired(rows("s"), rows("t"))
    for number in range(50):
        assert next(found)[0].id == str(number)
        assert len(read) == 2 * (number + 1)


@pytest.mark.parametrize("marked", [(True, False), (False, True), (True, True)])
def test_by_order_where_one_side_has_no_ids(marked):
    found = paired(texts(0, 1, mark=marked[0]), texts(7, 8, mark=marked[1], prefix="t"))
    assert names(found) == [("0", "0", "t7"), ("1", "1", "t8")]


def test_order_can_be_asked_for_and_so_can_ids():
    assert names(paired(texts("a"), texts("b"), by="order")) == [("a", "a", "b")]
    with pytest.raises(SourceError, match="no text with the id"):
        list(paired(texts(0, mark=True), texts(1, mark=True), by="id"))


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        (texts("a", "b"), texts("a"), "T: has no text with the id 'b', which S has"),
        (texts("a"), texts("a", "b"), "S: has no text with the id 'b', which T has"),
        (texts(*"abcdef"), texts("f"), "T: has no text with the id 'a', 'b', 'c' and 2 more"),
        (texts("a", "a"), texts("a", "b"), "S: the id 'a' comes twice"),
        (texts("a", "b"), texts("a", "a"), "T: the id 'a' comes twice"),
        (texts(0, 1, 2, mark=True), texts("a"), "T: has 1 texts and S has 3"),
        (texts(0, mark=True), texts(*"abcd"), "T: has 4 texts and S has 1"),
        ([], texts("a"), "S: has no text with the id 'a'"),
    ],
)
def test_what_does_not_belong_together_is_named(source, target, said):
    with pytest.raises(SourceError, match=said) as error:
        list(paired(source, target, names=("S", "T")))
    assert "\n" not in str(error.value)


def test_a_source_that_was_cut_leaves_the_rest_of_the_target():
    assert len(list(paired(texts("a"), texts("b", "c", "a", "d"), limited=True))) == 1
    assert len(list(paired(texts(0, mark=True), texts("b", "c"), limited=True))) == 1
    with pytest.raises(SourceError, match="no text with the id 'z'"):
        list(paired(texts("z"), texts("a"), limited=True))


def test_labels_of_a_target_go_even_if_they_were_read():
    labelled = Labelled("a", "text", "en", (Span("0", "X", ((0, 4),)),))
    ((_, target),) = paired([labelled], [labelled])
    assert target.spans == ()


def test_files_of_different_kinds(tmp_path):
    (tmp_path / "en").write_text("Asha\tB-PER\n\nPune\tB-LOC\n\n")
    (tmp_path / "de").write_text("".join(json.dumps({"id": i, "text": f"Satz {i}", "spans": "?"}) + "\n" for i in "xy"))
    found = list(pairs(open_labelled(f"conll:{tmp_path / 'en'}"), open_labelled(f"spans:{tmp_path / 'de'}")))
    assert names(found) == [("0", "0", "Satz x"), ("1", "1", "Satz y")]
    assert [one.spans[0].label for one, _ in found] == ["PER", "LOC"]


def test_by_order_a_target_that_names_another_english_text_is_refused():
    source = texts("Wake me", "Stop it", mark=True)
    said = [Labelled(name, "x", "de", extra={"text_en": text}) for name, text in (("1", "wake me!"), ("2", "Go on"))]
    found = paired(source, said, names=("S", "T"))
    assert next(found)[1].id == "Wake me"
    with pytest.raises(
        SourceError, match="T: text 1 .from 0. says that it translates 'Go on', and 'Stop it' stands there in S"
    ):
        next(found)
