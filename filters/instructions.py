"""Checkable instructions: what a response must keep, verified by code, in any language.

The names and arguments are those of IFEval (Zhou et al. 2023, "Instruction-Following Evaluation for Large Language Models"). What its English
checks count is counted here by script: words and sentences by `dsbuild.text`, commas of every script, letters without case as having none.
That an instruction can lose its meaning in another language or script, and that its arguments must be carried over together with the prompt, is
what makers of multilingual versions report (Marco-Bench-MIF, Zeng et al. 2025).
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

import regex

from dsbuild import languages
from dsbuild import text as texts

Arguments = Mapping[str, Any]

# Arguments that stand in the prompt as words of its language, and must be carried over with it.
PHRASES: Mapping[str, tuple[str, ...]] = {
    "keywords:existence": ("keywords",),
    "keywords:frequency": ("keyword",),
    "keywords:forbidden_words": ("forbidden_words",),
    "startend:end_checker": ("end_phrase",),
    "length_constraints:nth_paragraph_first_word": ("first_word",),
    "detectable_format:multiple_sections": ("section_spliter",),
    "combination:repeat_prompt": ("prompt_to_repeat",),
}
# Arguments that stand in the prompt as they are, in every language.
MARKS: Mapping[str, tuple[str, ...]] = {"detectable_content:postscript": ("postscript_marker",)}

_CASED = frozenset({"Latn", "Cyrl", "Grek", "Armn"})
_UNSPACED = frozenset({"Hani", "Hira", "Kana", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"})
_COMMAS = regex.compile(r"[,，،、﹐﹑︐︑‚]")
_BULLET = regex.compile(r"^\s*(?:\*(?!\*)|-)\s", regex.M)
_HIGHLIGHT = regex.compile(r"\*\*[^\n*]+\*\*|\*[^\n*]+\*")
_PLACEHOLDER = regex.compile(r"\[[^\[\]\n]+\]")
_TITLE = regex.compile(r"<<[^\n<>]+>>")
_QUOTES = (('"', '"'), ("“", "”"), ("«", "»"), ("「", "」"), ("„", "“"))


def meaningless(name: str, arguments: Arguments, lang: str) -> str:
    """Why an instruction says nothing about texts of a language, "" if it says something.

    >>> meaningless("change_case:english_lowercase", {}, "hi"), meaningless("keywords:letter_frequency", {"letter": "q"}, "hi")
    ('no_case', 'other_script')
    """
    scripts = set(languages.get(lang).unicode_scripts)
    if name.startswith("change_case:") and not scripts & _CASED:
        return "no_case"
    if (
        name == "keywords:letter_frequency"
        and not set(texts.script_counts(str(arguments.get("letter") or ""))) & scripts
    ):
        return "other_script"
    if name in ("length_constraints:number_words", "change_case:capital_word_frequency") and scripts & _UNSPACED:
        return "no_word_borders"
    if name == "detectable_format:constrained_response" and lang != "en":
        return "english_only"
    return ""


def phrases(name: str, arguments: Arguments) -> list[str]:
    """The words of the prompt's language among an instruction's arguments."""
    found: list[str] = []
    for key in PHRASES.get(name, ()):
        value = arguments.get(key)
        found += [value] if isinstance(value, str) else [one for one in value or () if isinstance(one, str)]
    return [one for one in found if one.strip()]


def carried(name: str, arguments: Arguments, said: Mapping[str, str]) -> dict[str, Any]:
    """The arguments with every phrase as `said` has it."""
    keys = PHRASES.get(name, ())

    def one(value: Any) -> Any:
        if isinstance(value, str):
            return said.get(value, value)
        return [one(inner) for inner in value] if isinstance(value, list) else value

    return {key: one(value) if key in keys else value for key, value in arguments.items()}


def holds(name: str, arguments: Arguments, response: str, lang: str) -> bool | None:
    """Whether a response keeps an instruction; None for one that code cannot check, or that lacks its arguments."""
    check = _CHECKS.get(name)
    if check is None or meaningless(name, arguments, lang):
        return None
    try:
        return check(arguments, response, lang)
    except (KeyError, TypeError, ValueError):
        return None


def _compared(count: int, arguments: Arguments, number: str, relation: str = "relation") -> bool:
    least = int(arguments[number])
    return count < least if arguments.get(relation) == "less than" else count >= least


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _times(phrase: str, response: str) -> int:
    """How often a phrase stands in a text as whole words; where words are written together, at all."""
    bounded = rf"(?<![\p{{L}}\p{{M}}\p{{N}}_]){regex.escape(_fold(phrase))}(?![\p{{L}}\p{{M}}\p{{N}}_])"
    unspaced = bool(set(texts.script_counts(phrase)) & _UNSPACED)
    return len(regex.findall(regex.escape(_fold(phrase)) if unspaced else bounded, _fold(response)))


def _paragraphs(response: str) -> list[str]:
    return [one for one in regex.split(r"\s*(?:\*\*\*|\n\n)\s*", response.strip()) if one.strip()]


def _first_word(arguments: Arguments, response: str, lang: str) -> bool:
    found = [one for one in regex.split(r"\n\n", response) if one.strip()]
    place = int(arguments["nth_paragraph"])
    if len(found) != int(arguments["num_paragraphs"]) or not 1 <= place <= len(found):
        return False
    return _fold(" ".join(texts.words(found[place - 1]))).startswith(
        _fold(" ".join(texts.words(arguments["first_word"])))
    )


def _json(arguments: Arguments, response: str, lang: str) -> bool:
    text = response.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _quoted(arguments: Arguments, response: str, lang: str) -> bool:
    text = response.strip()
    return any(len(text) > 1 and text.startswith(first) and text.endswith(last) for first, last in _QUOTES)


def _ends(arguments: Arguments, response: str, lang: str) -> bool:
    return _fold(response.strip().strip("\"'“”»")).endswith(_fold(arguments["end_phrase"].strip()))


def _spoken(arguments: Arguments, response: str, lang: str) -> bool:
    scripts = set(languages.get(str(arguments["language"])).unicode_scripts)
    counts = texts.script_counts(response)
    return sum(counts.get(one, 0) for one in scripts) * 2 > sum(counts.values())


_CHECKS: Mapping[str, Callable[[Arguments, str, str], bool]] = {
    "keywords:existence": lambda a, text, lang: all(_times(one, text) for one in a["keywords"]),
    "keywords:frequency": lambda a, text, lang: _compared(_times(a["keyword"], text), a, "frequency"),
    "keywords:forbidden_words": lambda a, text, lang: not any(_times(one, text) for one in a["forbidden_words"]),
    "keywords:letter_frequency": lambda a, text, lang: _compared(
        _fold(text).count(_fold(a["letter"])), a, "let_frequency", "let_relation"
    ),
    # Script, not language: an identifier would take short or mixed answers for another one.
    "language:response_language": _spoken,
    "length_constraints:number_sentences": lambda a, text, lang: _compared(
        len(texts.sentences(text, lang)), a, "num_sentences"
    ),
    "length_constraints:number_paragraphs": lambda a, text, lang: len(_paragraphs(text)) == int(a["num_paragraphs"]),
    "length_constraints:number_words": lambda a, text, lang: _compared(len(texts.words(text)), a, "num_words"),
    "length_constraints:nth_paragraph_first_word": _first_word,
    "detectable_content:number_placeholders": lambda a, text, lang: len(_PLACEHOLDER.findall(text)) >= int(a["num_placeholders"]),
    "detectable_content:postscript": lambda a, text, lang: _fold(a["postscript_marker"]) in _fold(text),
    "detectable_format:number_bullet_lists": lambda a, text, lang: len(_BULLET.findall(text)) == int(a["num_bullets"]),
    "detectable_format:number_highlighted_sections": lambda a, text, lang: len(_HIGHLIGHT.findall(text)) >= int(a["num_highlights"]),
    "detectable_format:multiple_sections": lambda a, text, lang: _times(a["section_spliter"], text) >= int(a["num_sections"]),
    "detectable_format:json_format": _json,
    "detectable_format:title": lambda a, text, lang: bool(_TITLE.search(text)),
    "combination:two_responses": lambda a, text, lang: len([one for one in text.split("******") if one.strip()]) == 2,
    "startend:end_checker": _ends,
    "startend:quotation": _quoted,
    "change_case:english_capital": lambda a, text, lang: text.isupper(),
    "change_case:english_lowercase": lambda a, text, lang: text.islower(),
    "change_case:capital_word_frequency": lambda a, text, lang: _compared(
        sum(word.isupper() for word in texts.words(text)), a, "capital_frequency", "capital_relation"
    ),
    "punctuation:no_comma": lambda a, text, lang: not _COMMAS.search(text),
}  # fmt: skip
KNOWN = (*_CHECKS, "combination:repeat_prompt", "detectable_format:constrained_response")


def marks(name: str, arguments: Arguments) -> list[str]:
    """What an instruction's check looks for that is the same in every language."""
    return [str(arguments[key]) for key in MARKS.get(name, ()) if arguments.get(key)]


def in_prompt(phrase: str, prompt: str) -> bool:
    """Whether a phrase stands in a prompt, in any case."""
    return _fold(phrase) in _fold(prompt)
