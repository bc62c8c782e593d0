"""C4's rules: the lines that datatrove keeps, and full stops of every script."""

from __future__ import annotations

import importlib
import random
from typing import Any

import pytest

from dsbuild.filters.c4 import COLUMNS, C4Quality

LINES = [
    "Lorem IPSUM dolor sit amet.", "We use Cookies on this page.", "Please enable JavaScript now.", "Have a {b} of c.", "Two words.",
    "One two three[12]", "One two three.[12]", "One two three. [12]", "See this.[edit]", "See this thing.[citation needed][3]",
    f"{'x' * 1001} a b.", "One two three...", 'One two three"', "So it is'", "  A padded line here.  ", "A b c.\u00a0", "यह एक वाक्य है।",
    "One two three.[a]", "One two three.]", "", " ", "One\x0btwo three four.", "One two three!",
]  # fmt: skip


def _score(text: str, **options: Any) -> dict[str, Any]:
    return {name: column[0].as_py() for name, column in C4Quality(**options).score([text], [""]).items()}


def test_the_peer_variant_keeps_the_lines_that_datatrove_keeps() -> None:
    filters = importlib.import_module("datatrove.pipeline.filters")
    document = importlib.import_module("datatrove.data").Document
    judge = filters.C4QualityFilter(min_num_sentences=-1)
    rng = random.Random(3)
    for _ in range(400):
        text = "\n".join(rng.choices(LINES, k=rng.randint(0, 8)))
        found = _score(text, variant="peer")
        given = document(text=text, id="")
        verdict = judge.filter(given)
        lines = [line for line in text.splitlines() if line.strip()]
        if verdict is not True:
            assert found["c4_lorem"] + found["c4_braces"] > 0, text
        elif not lines:
            assert found["c4_kept_lines"] is None
        else:
            kept = [line for line in given.text.split("\n") if line.strip()]
            assert found["c4_lorem"] == 0, text
            assert found["c4_kept_lines"] == pytest.approx(len(kept) / len(lines)), text


@pytest.mark.parametrize(
    "line",
    ["यह एक अच्छा वाक्य है।", "这是一个很好的句子。", "“This is a sentence.”", "This is a sentence. [12]", "นี่คือช่วงเวลาที่ดีที่สุด",
     "کیا یہ جملہ ہے؟", "ይህ ጥሩ ዓረፍተ ነገር ነው።"],
    ids=["hi", "zh", "quoted", "cited", "th", "ur", "am"],
)  # fmt: skip
def test_lines_of_every_script_are_kept(line: str) -> None:
    assert _score(line)["c4_kept_lines"] == 1
    assert _score(line)["c4_sentences"] == 1
    assert _score(f"{line}\nHome\nThis line breaks off...\nयह")["c4_kept_lines"] == 0.25


def test_sentences_phrases_and_braces() -> None:
    found = _score("One is here. Two is here! “Three.” So?\n第一句。第二句！\nThis site uses cookies.\nlorem ipsum {")
    assert found == {
        "c4_kept_lines": 0.5, "c4_sentences": 6, "c4_lorem": 1, "c4_braces": 1, "c4_boilerplate_lines": 0.25,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "\n", "\x00", "\ud800 a b.", "]", "[", "[12]", ".", "…", "a" * 2000, "\u0301."])
@pytest.mark.parametrize("variant", ["unicode", "peer"])
def test_strange_texts(text: str, variant: str) -> None:
    found = _score(text, variant=variant)
    assert set(found) == set(COLUMNS)
    assert all(value is None or value >= 0 for value in found.values())
