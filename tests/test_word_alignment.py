"""Pharaoh files, symmetrisation, span rules, association, units, error rates: what `align` is made of."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.errors import SourceError, UnknownName
from dsbuild.project.alignment import (
    SYMMETRIES,
    on_units,
    parse_links,
    placed,
    read_pharaoh,
    symmetrise,
    units_in,
)
from dsbuild.project.alignment_evaluation import evaluate_files, evaluate_links, parse_gold
from dsbuild.project.association import Association
from dsbuild.project.matching import links
from dsbuild.project.projector import Links
from dsbuild.project.span_model import FEATURES, breaks, posterior, texts, weights
from dsbuild.project.span_rules import choose, tidy
from dsbuild.project.word_pieces import default, forms
from dsbuild.text import word_spans
from tests.small_set import cli

LINKS = st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=20)


@given(LINKS)
def test_pharaoh_lines_come_back(held: set[tuple[int, int]]) -> None:
    assert set(parse_links(" ".join(f"{i}-{j}" for i, j in held), "line")) == held


@pytest.mark.parametrize("line", ["0-", "a-b", "0:1", "-1-2", "1-2-3", "٠-1", "0–0"])
def test_what_is_no_link_is_named(line: str) -> None:
    with pytest.raises(SourceError, match=r"file:3: .* is no link"):
        parse_links(f"0-0 {line}", "file:3")


def test_a_pharaoh_file_with_empty_lines_compressed(tmp_path: Path) -> None:
    path = tmp_path / "links.gz"
    path.write_bytes(gzip.compress(b"0-0 1-1\n\n2-0\n"))
    assert list(read_pharaoh(path)) == [[(0, 0), (1, 1)], [], [(2, 0)]]
    with pytest.raises(SourceError, match="no such file"):
        list(read_pharaoh(tmp_path / "none"))


@given(LINKS, LINKS)
def test_symmetries_lie_between_intersection_and_union(one: set[tuple[int, int]], two: set[tuple[int, int]]) -> None:
    found = {how: set(symmetrise(one, two, how)) for how in SYMMETRIES}
    assert found["intersection"] == one & two
    assert found["union"] == one | two
    assert found["intersection"] <= found["grow-diag"] <= found["grow-diag-final-and"] <= found["union"]
    assert found["grow-diag"] <= found["grow-diag-final"] <= found["union"]
    assert (found["forward"], found["backward"]) == (one, two)
    for how in ("grow-diag-final", "grow-diag-final-and"):
        # What `final` leaves out has an end that is taken.
        sources, targets = {i for i, _ in found[how]}, {j for _, j in found[how]}
        assert all(i in sources or j in targets for i, j in (one | two) - found[how])


def test_growing_needs_a_neighbour() -> None:
    forward, backward = [(0, 0), (1, 1), (4, 0)], [(0, 0), (1, 1), (1, 2)]
    assert symmetrise(forward, backward, "grow-diag") == [(0, 0), (1, 1), (1, 2)]
    assert symmetrise(forward, backward, "grow-diag-final") == [(0, 0), (1, 1), (1, 2), (4, 0)]
    assert symmetrise(forward, backward, "grow-diag-final-and") == [(0, 0), (1, 1), (1, 2)]
    with pytest.raises(UnknownName, match="grow-diag"):
        symmetrise([], [], "growdiag")  # type: ignore[arg-type]


def test_links_outside_the_words_are_refused() -> None:
    with pytest.raises(SourceError, match="link 1-3 is outside the 2 and 3 words"):
        placed([(0, 0), (1, 3)], [(0, 1), (2, 3)], [(0, 1), (2, 3), (4, 5)], "file:1")


def test_tokens_and_words_need_not_agree() -> None:
    # Tokens of the links hold punctuation and hyphens; the words do not.
    text = "well-made, yes"
    units = word_spans(text)
    held = Links(((0, 10), (9, 10)), ((0, 3), (3, 4)), (0.5, 1.0))
    assert on_units(held, units, [(0, 3)]) == {(0, 0): 0.5, (1, 0): 0.5}
    assert units_in([(5, 6)], units) == [1]
    assert units_in([(9, 11)], units) == []


@pytest.mark.parametrize(
    ("rule", "linked", "expected"),
    [
        ("hull", {1: 1.0, 8: 1.0}, (1, 9)), ("strict", {1: 1.0, 2: 1.0}, (1, 3)), ("strict", {1: 1.0, 3: 1.0}, None),
        ("gap0", {1: 1.0, 3: 1.0, 4: 1.0}, (3, 5)), ("gap1", {1: 1.0, 3: 1.0, 6: 1.0}, (1, 4)), ("gap3", {1: 1.0, 5: 1.0}, (1, 6)),
        ("gap0", {1: 1.0, 5: 2.0}, (5, 6)), ("gap0", {1: 1.0, 5: 1.0}, (1, 2)), ("head", {1: 1.0, 2: 1.0, 5: 2.0}, (5, 6)), ("hull", {}, None),
    ],
)  # fmt: skip
def test_plain_rules(rule: str, linked: dict[int, float], expected: tuple[int, int] | None) -> None:
    assert choose(rule, linked) == expected


@pytest.mark.parametrize(
    ("text", "piece", "expected"),
    [
        ("«la casa»,", (0, 10), "la casa"), ("costs €5 now", (7, 8), "€5"), ("5€!", (0, 1), "5€"), ("...", (0, 3), None),
        ("cafe\u0301 noir", (0, 4), "cafe\u0301"), ("हिन्दी में।", (0, 11), "हिन्दी में"), ("हिन्दी", (0, 1), "हिन्दी"[:2]), (" ", (0, 1), None),
        ("క్ష\u200c కి", (0, 3), "క్ష\u200c"),
    ],
)  # fmt: skip
def test_tidy(text: str, piece: tuple[int, int], expected: str | None) -> None:
    found = tidy(text, piece)
    assert (None if found is None else text[found[0] : found[1]]) == expected


@given(st.text(max_size=12), st.integers(0, 12), st.integers(0, 12))
def test_tidy_never_leaves_the_text(text: str, start: int, end: int) -> None:
    start, end = sorted((min(start, len(text)), min(end, len(text))))
    found = tidy(text, (start, end))
    assert found is None or (0 <= found[0] < found[1] <= len(text) and text[found[0] : found[1]].strip())


def test_association_counts_what_goes_together() -> None:
    pairs = [(["the", f"w{number}"], ["el", f"v{number}"], [(0, 0), (1, 1)]) for number in range(6)] * 4
    held = Association(pairs)
    strength = held.strength(["the", "w1", "new"], ["el", "v1", "v2"])
    assert strength[1, 1] > 0.4
    assert strength[0, 0] == strength[1, 2] == strength[2, 0] == 0
    assert held.vague_src(["w1"])[0] < held.vague_src(["new"])[0] == 0.5
    assert Association([]).strength(["a"], ["b"]).tolist() == [[0.0]]


def test_association_of_many_pairs_takes_a_share() -> None:
    assert Association([(["a"], ["b"], [(0, 0)])] * 50, n_most=10).n_pairs == 10


def weighed(source: str, target: str, held: list[tuple[int, int]], span: list[int], more: int = 20) -> str | None:
    src, tgt = word_spans(source), word_spans(target)
    others = [([f"s{n}"], [f"t{n}"], [(0, 0)]) for n in range(more)]
    words = ([source[a:b].casefold() for a, b in src], [target[a:b].casefold() for a, b in tgt], held)
    pair = texts(source, src, target, tgt, dict.fromkeys(held, 1.0), Association([words, *others]))
    ranked = posterior(pair, span, 0, len(tgt))
    assert sum(chance for _, chance in ranked) == pytest.approx(1)
    found = ranked[0][0]
    return None if found is None else target[tgt[found[0]][0] : tgt[found[1] - 1][1]]


def test_the_weighted_rule_fills_gaps_and_leaves_other_spans_alone() -> None:
    assert (
        weighed("red wine was good", "vino de color tinto estaba bueno", [(0, 3), (1, 0), (2, 4), (3, 5)], [0, 1])
        == "vino de color tinto"
    )
    assert weighed("soup and bread", "sopa y pan", [(0, 0), (1, 1), (2, 2)], [2]) == "pan"


def test_the_weighted_rule_crosses_no_punctuation_without_need() -> None:
    source, target = "nice place, staff ok", "lugar bonito, gente bien"
    assert weighed(source, target, [(0, 1), (1, 0), (2, 2), (3, 3), (1, 2)], [1]) == "lugar"


def test_a_long_text_is_weighed_in_little_memory() -> None:
    source = " ".join(f"a{n}" for n in range(400))
    target = " ".join(f"b{n}" for n in range(400))
    found = weighed(source, target, [(n, n) for n in range(400)], list(range(20, 380)))
    assert found is not None
    assert found.split()[0] == "b20"
    assert found.split()[-1] == "b379"


def test_weights_are_shipped_for_every_feature() -> None:
    assert weights().shape == (len(FEATURES),)


def test_breaks() -> None:
    text = "well-known, e.g. (here) and/or there: 'so'"
    units = word_spans(text)
    shown = {text[units[n][0] : units[n + 1][1]] for n in np.flatnonzero(breaks(text, units))}
    assert "known, e" in shown
    assert not any(one.startswith(("well", "and/")) for one in shown)


@pytest.mark.parametrize("units", ["words", "stems", "prefixes", "pieces"])
def test_every_word_has_forms(units: str) -> None:
    words = [
        "evlerimizde",
        "evler",
        "Evlerde",
        "kitaplarda",
        "kitaplar",
        *(f"kök{n}lar" for n in range(8)),
        *(f"kök{n}" for n in range(8)),
    ]
    found = forms(dict.fromkeys(words, 3), units)  # type: ignore[arg-type]
    assert list(found) == words
    assert all(found.values())
    assert (max(map(len, found.values())) == 1) == (units != "pieces")
    with pytest.raises(UnknownName, match="stems"):
        forms({}, "stem")  # type: ignore[arg-type]
    assert forms({}, units) == {}  # type: ignore[arg-type]


def test_stems_meet_where_words_do_not() -> None:
    words = [
        f"{stem}{ending}"
        for stem in ("kitap", "defter", "masalar", "okul", "araba", "sokak")
        for ending in ("", "lar", "da")
    ]
    found = forms(dict.fromkeys(words, 1), "stems")
    assert found["kitap"] == found["kitaplar"] == found["kitapda"] == ("kitap",)
    assert default("ta") == "stems"
    assert default("hi") == "words"


@pytest.mark.parametrize("how", ["argmax", "itermax", "match", "softmax"])
def test_matching_a_permutation(how: str) -> None:
    order = [2, 0, 3, 1]
    table = np.full((4, 4), 0.1)
    table[range(4), order] = 0.9
    found = links(table * (40 if how == "softmax" else 1), how)  # type: ignore[arg-type]
    assert sorted(found) == list(enumerate(order))
    assert links(np.zeros((0, 3)), how) == {}  # type: ignore[arg-type]


def test_itermax_adds_what_argmax_leaves() -> None:
    table = np.array([[0.9, 0.8, 0.1], [0.2, 0.7, 0.1], [0.85, 0.1, 0.3]])
    assert set(links(table, "argmax")) < set(links(table, "itermax"))


def test_error_rates() -> None:
    gold = [parse_gold("1-1 2-2 3p3", "g:1", 1)]
    found = evaluate_links(gold, [[(0, 0), (2, 2), (1, 0)]])
    assert (found["precision"], found["recall"]) == (pytest.approx(2 / 3, abs=1e-6), 0.5)
    assert found["aer"] == pytest.approx(1 - (1 + 2) / (3 + 2))
    assert evaluate_links(gold, [[]])["precision"] is None


def test_gold_that_does_not_fit(tmp_path: Path) -> None:
    gold, pred = tmp_path / "gold", tmp_path / "pred"
    gold.write_text("1-1 2p2\n1-1\n")
    pred.write_text("0-0 1-1\n0-0\n")
    assert evaluate_files(gold, pred, 1)["aer"] == 0
    command = ("evaluate", "alignment", "--gold", gold, "--pred", pred)
    code, out, _ = cli(*command, "--format", "json")
    assert (code, json.loads(out)["sure"]) == (0, 2)
    code, out, _ = cli(*command)
    assert code == 0
    assert "AER" in out
    pred.write_text("0-0 1-1\n")
    with pytest.raises(SourceError, match="1 lines and"):
        evaluate_files(gold, pred, 1)
    gold.write_text("0-0\n")
    with pytest.raises(SourceError, match="before the first word"):
        evaluate_files(gold, pred, 1)
    gold.write_text("1*1\n")
    with pytest.raises(SourceError, match="no gold link"):
        evaluate_files(gold, pred, 1)
    code, _, err = cli(*command)
    assert code == 2
    assert "no gold link" in err
