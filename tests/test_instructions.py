"""Checkable instructions in several languages, and what of them has a meaning where."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsbuild.filters.instructions import KNOWN, carried, holds, in_prompt, marks, meaningless, phrases


@pytest.mark.parametrize(
    ("name", "arguments", "lang", "good", "bad"),
    [
        ("keywords:existence", {"keywords": ["नदी", "नाव"]}, "hi", "नदी में नाव है।", "नदियाँ और नाव"),
        ("keywords:existence", {"keywords": ["北京"]}, "zh-Hans", "我在北京住", "我在南京住"),
        ("keywords:frequency", {"keyword": "tea", "frequency": 2, "relation": "at least"}, "en", "Tea, tea.", "Tea in a team."),
        ("keywords:frequency", {"keyword": "tea", "frequency": 2, "relation": "less than"}, "en", "Tea.", "Tea and tea."),
        ("keywords:forbidden_words", {"forbidden_words": ["चाय"]}, "hi", "चायवाला आया", "चाय लाओ"),
        ("keywords:letter_frequency", {"letter": "q", "let_frequency": 2, "let_relation": "at least"}, "en", "Queue q", "queue"),
        ("language:response_language", {"language": "hi"}, "en", "यह हिंदी है", "This is not हिंदी"),
        ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "at least"}, "hi", "एक आया। दो गए।", "एक आया और दो गए।"),
        ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "en", "One.\n***\nTwo.", "One. Two."),
        ("length_constraints:number_words", {"num_words": 3, "relation": "less than"}, "hi", "दो शब्द", "यहाँ तीन शब्द"),
        (
            "length_constraints:nth_paragraph_first_word", {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "नदी"}, "hi",
            "एक।\n\n“नदी बहती है।", "नदी।\n\nएक।",
        ),
        ("detectable_content:number_placeholders", {"num_placeholders": 2}, "hi", "[नाम] और [पता]", "[नाम]"),
        ("detectable_content:postscript", {"postscript_marker": "P.S."}, "hi", "पत्र\nP.S. और", "पत्र"),
        ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "hi", "* एक\n- दो", "**एक** * दो"),
        ("detectable_format:number_highlighted_sections", {"num_highlights": 1}, "hi", "*एक* दो", "* एक"),
        ("detectable_format:multiple_sections", {"section_spliter": "भाग", "num_sections": 2}, "hi", "भाग 1\nक\nभाग 2\nख", "भाग 1"),
        ("detectable_format:json_format", {}, "hi", '```json\n{"क": 1}\n```', "{क: 1}"),
        ("detectable_format:title", {}, "hi", "<<नदी>>\nबहती है", "<नदी>"),
        ("combination:two_responses", {}, "hi", "एक\n******\nदो", "एक"),
        ("startend:end_checker", {"end_phrase": "बस इतना।"}, "hi", "नदी। बस इतना।", "बस इतना। नदी"),
        ("startend:quotation", {}, "ja", "「川」", "川"),
        ("change_case:english_capital", {}, "en", "ALL OF IT", "All of it"),
        ("change_case:english_lowercase", {}, "ru", "все так", "Все так"),
        ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"}, "en", "TWO WORDS here", "ONE word"),
        ("punctuation:no_comma", {}, "ar", "نهر كبير", "نهر، كبير"),
    ],
)  # fmt: skip
def test_a_response_that_keeps_an_instruction_and_one_that_does_not(name, arguments, lang, good, bad) -> None:
    assert name in KNOWN
    assert holds(name, arguments, good, lang) is True
    assert holds(name, arguments, bad, lang) is False


@pytest.mark.parametrize(
    ("name", "arguments", "lang", "why"),
    [
        ("change_case:english_lowercase", {}, "hi", "no_case"),
        ("change_case:english_lowercase", {}, "de", ""),
        ("keywords:letter_frequency", {"letter": "q"}, "ta", "other_script"),
        ("keywords:letter_frequency", {"letter": "q"}, "sw", ""),
        ("length_constraints:number_words", {"num_words": 3}, "th", "no_word_borders"),
        ("length_constraints:number_words", {"num_words": 3}, "hi", ""),
        ("detectable_format:constrained_response", {}, "hi", "english_only"),
    ],
)
def test_what_an_instruction_means_in_a_language(name, arguments, lang, why) -> None:
    assert meaningless(name, arguments, lang) == why
    if why:
        assert holds(name, arguments, "x", lang) is None


def test_what_cannot_be_checked_is_neither_kept_nor_broken() -> None:
    assert holds("combination:repeat_prompt", {"prompt_to_repeat": "a"}, "a", "en") is None
    assert holds("keywords:existence", {}, "a", "en") is None
    assert holds("length_constraints:number_words", {"num_words": "many"}, "a", "en") is None


def test_what_is_checked_on_responses_is_what_the_documentation_says() -> None:
    arguments = {
        "keywords": ["a"], "keyword": "a", "frequency": 1, "relation": "at least", "forbidden_words": ["b"], "letter": "a", "let_frequency": 1,
        "let_relation": "at least", "language": "en", "num_sentences": 1, "num_paragraphs": 1, "num_words": 1, "nth_paragraph": 1,
        "first_word": "a", "num_placeholders": 1, "postscript_marker": "P.S.", "num_bullets": 1, "num_highlights": 1, "section_spliter": "a",
        "num_sections": 1, "end_phrase": "a", "capital_frequency": 1, "capital_relation": "at least", "prompt_to_repeat": "a",
    }  # fmt: skip
    unchecked = {name.partition(":")[2] for name in KNOWN if holds(name, arguments, "a", "en") is None}
    assert unchecked == {"constrained_response", "repeat_prompt"}
    page = (Path(__file__).parent.parent / "docs" / "translate.md").read_text("utf-8")
    assert f"checked for {len(KNOWN) - len(unchecked)} of IFEval's {len(KNOWN)} instructions" in page


def test_phrases_and_marks_of_arguments() -> None:
    arguments = {"keywords": ["river", "boat"], "other": "river"}
    assert phrases("keywords:existence", arguments) == ["river", "boat"]
    assert carried("keywords:existence", arguments, {"river": "नदी"}) == {"keywords": ["नदी", "boat"], "other": "river"}
    assert phrases("keywords:frequency", {"keyword": " ", "frequency": 1}) == []
    assert marks("detectable_content:postscript", {"postscript_marker": "P.P.S"}) == ["P.P.S"]
    assert in_prompt("River", "the river")
