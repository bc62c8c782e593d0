from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.translate.protect import KINDS, find, mask, restore

TEMPLATE = "<ID{n}>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mail a.b@c.org, or see http://x.org/a?b=1.", [("email", "a.b@c.org"), ("url", "http://x.org/a?b=1")]),
        ("Visit www.example.com, today.", [("url", "www.example.com")]),
        (
            "Use `pip install x` and {name}, %s or ${HOME}.",
            [("code", "`pip install x`"), ("placeholder", "{name}"), ("placeholder", "%s"), ("placeholder", "${HOME}")],
        ),
        ("It is 1,234.5 km in 1954.", [("number", "1,234.5"), ("number", "1954")]),
        ("A <b>bold</b> &amp; true word", [("code", "<b>"), ("code", "</b>"), ("code", "&amp;")]),
        ("The end. Then more.", []),
    ],
)
def test_items(text, expected) -> None:
    assert [(item.kind, item.text) for item in find(text, KINDS)] == expected


def test_a_term_is_found_whole_and_longest_first() -> None:
    items = find("New York and York, not Yorkshire", (), terms={"York": "यॉर्क", "New York": "न्यूयॉर्क"})
    assert [(item.text, item.replacement) for item in items] == [("New York", "न्यूयॉर्क"), ("York", "यॉर्क")]


@pytest.mark.parametrize("spoiled", ["<ID1>", "< ID1 >", "<id 1>", "＜ID1＞", "< I D 1 >", "<ID१>"])
def test_placeholders_come_back_in_any_dress(spoiled) -> None:
    items = find("see https://b.org", ("url",))
    assert restore(f"देखें {spoiled}।", items, TEMPLATE).text == "देखें https://b.org।"


def test_lost_and_doubled_placeholders_are_told() -> None:
    items = find("https://a.org and https://b.org", ("url",))
    restored = restore("<ID1> और <ID1>", items, TEMPLATE)
    assert restored.lost == ("https://b.org",)
    assert restored.extra == 1


@given(st.text(alphabet="ab .,@/:<>{}0123456789htpsw%क", max_size=60), st.sets(st.sampled_from(KINDS)))
def test_masking_and_restoring_is_the_identity(text, kinds) -> None:
    items = find(text, tuple(kinds))
    assert all(text[item.start : item.end] == item.text for item in items)
    if "<" in text and len(kinds) < len(KINDS):
        return  # a text that holds something like the placeholder itself is only safe when placeholders are protected
    restored = restore(mask(text, items, TEMPLATE), items, TEMPLATE)
    assert (restored.text, restored.lost, restored.extra) == (text, (), 0)
