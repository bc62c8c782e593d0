"""Words, sentences, graphemes, scripts and digits of text in any script.

Lengths and positions are code points of the text as it came; nothing here changes or normalises a text except
`fold_digits`. Every function is linear in the length of the text.
Sources: Unicode Standard Annexes 24 (scripts), 29 (grapheme clusters, words, sentences) and 44 (properties).
"""

from __future__ import annotations

import sys
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import regex

# Scripts that are told apart (ISO 15924 code: Unicode name); a letter of any other script counts as Zzzz.
SCRIPTS = {
    "Latn": "Latin", "Cyrl": "Cyrillic", "Grek": "Greek", "Arab": "Arabic", "Hebr": "Hebrew", "Deva": "Devanagari",
    "Beng": "Bengali", "Guru": "Gurmukhi", "Gujr": "Gujarati", "Orya": "Oriya", "Taml": "Tamil", "Telu": "Telugu",
    "Knda": "Kannada", "Mlym": "Malayalam", "Sinh": "Sinhala", "Thai": "Thai", "Laoo": "Lao", "Khmr": "Khmer",
    "Mymr": "Myanmar", "Tibt": "Tibetan", "Hani": "Han", "Hira": "Hiragana", "Kana": "Katakana", "Hang": "Hangul",
    "Bopo": "Bopomofo", "Ethi": "Ethiopic", "Geor": "Georgian", "Armn": "Armenian", "Thaa": "Thaana",
    "Olck": "Ol_Chiki", "Mtei": "Meetei_Mayek", "Tfng": "Tifinagh", "Cher": "Cherokee", "Mong": "Mongolian",
    "Cans": "Canadian_Aboriginal",
}  # fmt: skip
SCRIPT_CODES = ("Zyyy", *SCRIPTS, "Zzzz")

# Letters whose Unicode script is Common or Inherited although people read them as one script's own.
_COMMON_LETTERS = "\u30fc\uff70\uff9e\uff9f"

_MARKS = r"[\p{M}\u200c\u200d]"
_BASE = r"[\p{L}\p{N}_--[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]]"
_RUN = rf"[{_BASE}{_MARKS}]"
_MYANMAR = r"[\p{Myanmar}&&\p{L}]"
_WORD = regex.compile(
    rf"""
      \p{{Han}}{_MARKS}*+
    | [\p{{Katakana}}ー]++{_MARKS}*+
    | \p{{Hiragana}}{_MARKS}*+
    # Thai and Lao: a leading vowel belongs to the consonant after it, a following vowel sign to the one before.
    | [เ-ไເ-ໄ]?[[\p{{Thai}}\p{{Lao}}]&&[\p{{L}}--[เ-ไເ-ໄ]]]{_MARKS}*+[ะาำๅະາຳ]?+ | [เ-ไເ-ໄ]
    # Khmer: subscripts follow the coeng, which is a mark; Burmese: stacked and final consonants close the syllable.
    | [\p{{Khmer}}&&\p{{L}}](?:\u17d2\p{{L}}|{_MARKS})*+
    | {_MYANMAR}(?:\u1039\p{{L}}|{_MARKS}|{_MYANMAR}(?=\u103a|\u1037\u103a){_MARKS}++)*+
    | [[\p{{Thai}}\p{{Lao}}\p{{Khmer}}\p{{Myanmar}}]&&\p{{Nd}}]++
    # By runs, and with a bound: a repeat of millions of turns takes more memory than `regex` allows itself.
    | {_BASE}{_RUN}*+(?:(?:['’ʼ״׳](?=\p{{L}})|[.,٫٬](?=\p{{Nd}})(?<=\p{{Nd}}.)){_RUN}*+){{0,1000000}}+
    """,
    regex.VERBOSE | regex.V1,
)
_GRAPHEME = regex.compile(r"\X")


def words(text: str, lang: str | None = None) -> list[str]:
    """The words of a text, in order, without punctuation.

    Combining marks, ZWJ and ZWNJ stay inside words, so do apostrophes between letters and the points and commas of
    numbers. In scripts that are written without spaces the unit is what can be told without a dictionary: one
    ideograph, one kana (a run of katakana), one syllable of Thai, Lao, Khmer or Burmese.
    `lang` is accepted so that callers need not change when a language gets a rule of its own.

    >>> words("It's 3.5 km — हिन्दी में")
    ["It's", '3.5', 'km', 'हिन्दी', 'में']
    """
    return [found.group() for found in _WORD.finditer(text)]


def word_spans(text: str, lang: str | None = None) -> list[tuple[int, int]]:
    """Where the `words` of a text stand: half-open code-point ranges."""
    return [found.span() for found in _WORD.finditer(text)]


def graphemes(text: str) -> list[str]:
    """What a reader sees as single characters (extended grapheme clusters, UAX 29).

    >>> graphemes("हिंदी")
    ['हिं', 'दी']
    """
    return [found.group() for found in _GRAPHEME.finditer(text)]


def sentences(text: str, lang: str) -> list[tuple[int, int]]:
    """The sentences of a text as half-open code-point ranges, see `dsbuild.sentences`."""
    from dsbuild.sentences import split

    return split(text, lang)


def script_counts(text: str) -> dict[str, int]:
    """How many letters and marks of each script a text holds, ISO 15924; digits, signs and spaces are not counted.

    >>> script_counts("COVID-19 हुआ")
    {'Latn': 5, 'Deva': 3}
    """
    counts = np.bincount(script_table()[codepoints(text)], minlength=len(SCRIPT_CODES))
    return {SCRIPT_CODES[index]: int(counts[index]) for index in np.flatnonzero(counts) if index}


def fold_digits(text: str) -> str:
    """A text with the decimal digits of every script as 0-9; its length does not change.

    >>> fold_digits("१,००,००० रुपये, ٣٫٥")
    '1,00,000 रुपये, 3٫5'
    """
    return text if text.isascii() else text.translate(_digits())


def codepoints(text: str) -> npt.NDArray[np.uint32]:
    """The code points of a text as an array; lone surrogates are kept."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def class_ranges(pattern: str) -> list[tuple[int, int]]:
    r"""The half-open ranges of code points that a character class such as `[\p{L}\p{M}]` matches."""
    # Planes 0 to 3: above them are only tags, variation selectors and private use.
    return [found.span() for found in regex.compile(f"{pattern}+", regex.V1).finditer(_planes())]


@lru_cache(maxsize=1)
def _planes() -> str:
    return "".join(map(chr, range(0x40000)))


@lru_cache(maxsize=1)
def _digits() -> dict[int, str]:
    # Decimal digits stand in runs of ten that begin with zero (Unicode Standard, section 4.6).
    return {code: str((code - start) % 10) for start, end in class_ranges(r"\p{Nd}") for code in range(start, end)}


@lru_cache(maxsize=1)
def script_table() -> npt.NDArray[np.uint8]:
    """For every code point the index in `SCRIPT_CODES` of the script that it is a letter or mark of; 0 for the rest."""
    table = np.zeros(sys.maxunicode + 1, np.uint8)
    for start, end in class_ranges(r"[[\p{L}\p{M}]--[\p{Script=Common}\p{Script=Inherited}]]"):
        table[start:end] = len(SCRIPT_CODES) - 1
    for index, name in enumerate(SCRIPTS.values(), start=1):
        for start, end in class_ranges(rf"[\p{{Script={name}}}&&[\p{{L}}\p{{M}}\u3007]]"):
            table[start:end] = index
    table[[ord(letter) for letter in _COMMON_LETTERS]] = SCRIPT_CODES.index("Kana")
    return table
