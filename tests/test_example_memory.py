"""Similar segments: the index finds what comparing with every segment finds, in the same order."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from dsbuild.errors import UnknownName
from dsbuild.translate.example_memory import ExampleMemory


def distance(one: Sequence[str], other: Sequence[str]) -> int:
    """The edit distance of two sequences, by the table."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, right in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (left != right))
    return row[-1]


def by_hand(memory: Sequence[str], text: str, k: int, threshold: float) -> list[tuple[str, float]]:
    mine = text.split()
    scored = []
    for place, source in enumerate(dict.fromkeys(memory)):
        theirs = source.split()
        score = 1 - distance(mine, theirs) / max(len(mine), len(theirs))
        if score >= threshold and theirs != mine:
            scored.append((-score, place, source))
    return [(source, -score) for score, _, source in sorted(scored)[:k]]


@pytest.mark.parametrize("threshold", [0.34, 0.5, 0.75, 1.0])
def test_the_index_finds_what_a_look_at_every_segment_finds(threshold: float) -> None:
    chance = random.Random(7)
    common = [f"w{number}" for number in range(6)]
    rare = [f"r{number}" for number in range(60)]
    memory = []
    for _ in range(200):
        if memory and chance.random() < 0.5:
            changed = chance.choice(memory).split()
            changed[chance.randrange(len(changed))] = chance.choice(common + rare)
            memory.append(" ".join(changed))
        else:
            words = (chance.choice(common if chance.random() < 0.6 else rare) for _ in range(chance.randint(1, 18)))
            memory.append(" ".join(words))
    n_found = 0
    with ExampleMemory(((source, f"target of {source}") for source in memory), threshold) as index:
        assert len(index) == len(set(memory))
        for text in [chance.choice(memory) for _ in range(40)] + ["w1 w1 w1 w1 r5", "unseen words alone"]:
            said = [(one.source, one.score) for one in index.similar(text, 5)]
            wanted = by_hand(memory, text, 5, threshold)
            assert [source for source, _ in said] == [source for source, _ in wanted]
            assert [score for _, score in said] == pytest.approx([score for _, score in wanted])
            assert all(one.target == f"target of {one.source}" for one in index.similar(text, 5))
            n_found += len(said)
    assert n_found > 20 or threshold == 1.0


def test_a_segment_of_the_same_words_is_left_out_unless_it_is_asked_for() -> None:
    pairs = [
        ("The river is wide.", "नदी चौड़ी है।"),
        ("the RIVER is wide", "दूसरा"),
        ("The river is deep.", "नदी गहरी है।"),
        ("…", "…"),
    ]
    with ExampleMemory(pairs, 0.5) as index:
        assert [(one.source, one.score) for one in index.similar("The river is wide!", 5)] == [
            ("The river is deep.", 0.75)
        ]
        assert [one.score for one in index.similar("The river is wide!", 5, "use")] == [1.0, 1.0, 0.75]
        assert index.similar("?!", 5) == []
        assert index.similar("The river is wide!", 0) == []
        with pytest.raises(UnknownName, match="use"):
            index.similar("a", 1, "us")  # type: ignore[arg-type]


def test_the_first_translation_of_a_source_counts_and_scripts_without_spaces_have_words_too() -> None:
    with ExampleMemory([("我在北京", "first"), ("我在北京", "second"), ("我在上海", "third")], 0.5) as index:
        assert [(one.target, one.score) for one in index.similar("我在南京", 2)] == [("first", 0.75), ("third", 0.5)]


def test_segments_of_more_words_than_a_machine_word_has_bits() -> None:
    long = [f"w{number}" for number in range(150)]
    other = ["new", *long[:70], "x", *long[72:140]]
    with ExampleMemory([(" ".join(other), "t")], 0.5) as index:
        (found,) = index.similar(" ".join(long), 5)
    assert found.score == pytest.approx(1 - distance(long, other) / 150)
