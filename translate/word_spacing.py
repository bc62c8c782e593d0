"""Put spaces around punctuation and take them away again, as the training data of IndicTrans2 has them.

English follows the conventions of the Moses tokenizer, the Indic languages those of the Indic NLP Library.
"""

from __future__ import annotations

import re

_PUNCTUATION = str.maketrans(
    {
        "„": '"',
        "“": '"',
        "”": '"',
        "«": '"',
        "»": '"',
        "‘": "'",
        "’": "'",
        "‚": "'",
        "´": "'",
        "`": "'",
        "–": "-",
        "—": " - ",
        "…": "...",
        "\r": "",
    }
)
_SPACED = re.compile(r"([^\w\s.',\-])|(_)")
_ELLIPSIS = re.compile(r"\.{2,}")
_COMMA = re.compile(r"(?<!\d),|,(?!\d)")
_ABBREVIATIONS = re.compile(
    r"mrs?|ms|dr|prof|[sj]r|st|nos?|vs|etc|e\.g|i\.e|rs|gen|col|lt|capt|sgt|rev|hon|gov|sen|rep|inc|ltd|co|corp|figs?|vol|"
    r"pp|art|dept|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec",
    re.IGNORECASE,
)

_INDIC_MARKS = re.compile(r"([!-/:-@\[-`{-~।॥\uaaf0\uaaf1\uabeb-\uabef\u1c7e\u1c7f])")
_ARABIC_MARKS = re.compile(r"([!-/:-@\[-`{-~\u0609\u060a\u060c\u061b\u061e\u061f\u066a-\u066d\u06d4])")
_NUMBER = re.compile(r"(?:\d+ [,.:/] )+\d+")

_LEFT = re.compile(r" ([!%)\]},.:;>?।॥،؛؟۔])")
_RIGHT = re.compile(r"([#$(\[{<@]) ")
_BOTH = re.compile(r" ([-/\\]) ")
_ENGLISH_LEFT = re.compile(r" ([!%)\]},.:;?]|\.\.\.|'(?:s|re|ve|ll|d|m|t)\b)")


def plain_punctuation(text: str) -> str:
    """Typographic quotes, dashes and dots as their plain forms, white space as single spaces."""
    return " ".join(text.translate(_PUNCTUATION).replace("''", '"').replace(" %", "%").split())


def space_english(text: str) -> str:
    """Separate punctuation from words, apostrophes before the ending; periods of abbreviations stay."""
    text = _SPACED.sub(lambda match: f" {match[0]} ", f" {text} ")
    text = _ELLIPSIS.sub(lambda match: f" {match[0]} ", text)
    text = _COMMA.sub(" , ", text)
    text = re.sub(r"(?<![^\W\d_])'(?![^\W\d_])|(?<=[^\W\d_])'(?![^\W\d_])", " ' ", text)
    text = re.sub(r"(?<![^\W_])'(?=[^\W\d_])", " ' ", text)
    text = re.sub(r"(?<=[^\W_])'(?=[^\W\d_])", " '", text)
    words = text.split()
    spaced = []
    for number, word in enumerate(words):
        stem = word[:-1]
        following = words[number + 1] if number + 1 < len(words) else ""
        if not word.endswith(".") or not stem or word.endswith("..") or _keeps_period(stem, following):
            spaced.append(word)
        else:
            spaced += [stem, "."]
    return " ".join(spaced)


def _keeps_period(stem: str, following: str) -> bool:
    if not following:
        return False
    inner_dots = "." in stem and any(letter.isalpha() for letter in stem)
    single_letter = len(stem) == 1 and stem.isalpha()
    return inner_dots or single_letter or _ABBREVIATIONS.fullmatch(stem) is not None or following[0].islower()


def join_english(text: str) -> str:
    """Take away the spaces of `space_english` from an English output."""
    text = _RIGHT.sub(r"\1", _ENGLISH_LEFT.sub(r"\1", text))
    return _quotes(text)


def space_indic(text: str, *, arabic: bool = False) -> str:
    """Separate every punctuation mark; numbers, dates and times stay in one piece."""
    spaced = " ".join((_ARABIC_MARKS if arabic else _INDIC_MARKS).sub(r" \1 ", text).split())
    return _NUMBER.sub(lambda match: match[0].replace(" ", ""), spaced)


def join_indic(text: str) -> str:
    """Take away the spaces of `space_indic` from an output."""
    text = _NUMBER.sub(lambda match: match[0].replace(" ", ""), text)
    return _quotes(_RIGHT.sub(r"\1", _LEFT.sub(r"\1", _BOTH.sub(r"\1", text))))


def _quotes(text: str) -> str:
    """Odd quotes open and attach to the right, even ones close and attach to the left."""
    for quote in "\"'":
        parts = re.split(rf"(?<!\w){quote}|{quote}(?!\w)", text)
        joined = parts[0]
        for number, part in enumerate(parts[1:]):
            joined = f"{joined}{quote}{part.lstrip(' ')}" if number % 2 == 0 else f"{joined.rstrip(' ')}{quote}{part}"
        text = joined
    return text
