"""Forms of a term in a sentence."""

from __future__ import annotations

import pytest

from dsbuild.translate.term_forms import stands


@pytest.mark.parametrize(
    ("term", "translation", "there"),
    [
        ("लड़का", "लड़के ने कहा", True),
        ("किताब", "किताबों में", True),
        ("लाल किला", "लाल किले के पास", True),
        ("लाल किला", "लाल रंग का घर", False),
        ("चाय", "चाय लाओ", True),
        ("चाय", "कॉफ़ी लाओ", False),
        ("kitabu", "vitabu vyake", True),
        ("kitap", "kitaplarımızdan", True),
        ("كتاب", "والكتاب هنا", True),
        ("Haus", "die Häuser", False),
        ("Häuser", "DIE HÄUSERN", True),
        ("tea", "full steam", False),
        ("tea", "two teas", True),
        ("北京", "我在北京", True),
        ("北京", "我在南京", False),
        ("C++", "in C++ and C", True),
        ("C++", "in C", False),
        ("é", "cafe\u0301 e\u0301", True),
        ("", "any", True),
    ],
)
def test_a_form_of_the_term_is_found(term: str, translation: str, there: bool) -> None:
    assert stands(term, translation) is there
