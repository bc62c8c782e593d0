"""Placeholders `<1>` to `<9>` for what the model is not to translate: names, numbers, addresses, unknown words.

The same rules prepare the training text and any input, so that the model meets a placeholder where it learned one. A
placeholder stands for a number with what is written on to it (5%, $20, COVID-19), for an address or code, for a
placeholder that was already in the text, and for a run of words that the model was not trained on.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dsbuild.translate.protect import Item, find, restore

TEMPLATE = "<{n}>"
SYMBOLS = tuple(TEMPLATE.format(n=number) for number in range(1, 10))
# Kinds that `protect` finds and that no rule below would keep whole.
_KINDS = ("url", "email", "code", "placeholder")

_LIKE = {"‘": "'", "’": "'", "ʼ": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "–": "-", "—": "-", "―": "-",
         "‐": "-", "‑": "-", "−": "-", "…": "...", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u00ad": "", "\u200b": "",
         "\ufeff": "", "`": "'", "´": "'"}  # fmt: skip
_ALIKE = str.maketrans(_LIKE)

_NUMBER = r"(?:<\d+>|\d)"
_TOKEN = re.compile(
    # A number with its sign, currency, unit or letters; a word hangs on by a hyphen only if it is not a plain word.
    rf"(?P<number>(?:[^\W\d_]+-?|[-+$€£₹¥#~±.]+)?{_NUMBER}(?:[.,:/'-]?(?:<\d+>|\d|[^\s\w.,;:!?\"'()\[\]{{}}<>/|-]|[^\W\d_](?<!-.)))*)"
    r"|(?P<word>[^\W\d_](?:[^\W\d_]|[\u0300-\u036f\u0900-\u0d7f])*(?:'(?:t|re|ve|ll|d|m)\b)?)"
    r"|(?P<symbol>[^\s\w.,;:!?'\"()/%&-]+|_+)",
    re.IGNORECASE,
)
_POSSESSIVE = re.compile(r"(?<=\w)'(?=s\b)", re.IGNORECASE)
_ASIDE = re.compile(r"(?<=[(\[])\s+|\s+(?=[.,;:!?)\]])")


@dataclass(frozen=True, slots=True)
class Masked:
    """A text in lower case with placeholders. items: what they stand for, in order; n_unknown: words that nobody taught."""

    text: str
    items: tuple[str, ...]
    n_unknown: int

    @property
    def is_bare(self) -> bool:
        """Whether no word is left to translate."""
        return not any(character.isalpha() for character in self.text)


def tidy(text: str) -> str:
    """Composed characters, plain quotes and dashes, single spaces.

    >>> tidy("It’s  5 – 6")
    "It's 5 - 6"
    """
    return " ".join(unicodedata.normalize("NFC", text).translate(_ALIKE).split())


def words(text: str) -> list[str]:
    """The words of an English text in lower case, as the lexicon lists them; numbers and signs are none.

    >>> words("Rama's well-known dogs don't eat 5% of <1>.")
    ['rama', 's', 'well', 'known', 'dogs', "don't", 'eat', 'of']
    """
    return [
        found.group().lower()
        for found in _TOKEN.finditer(_POSSESSIVE.sub(" ", tidy(text)))
        if found.lastgroup == "word"
    ]


def mask(text: str, known: Collection[str]) -> Masked:
    """Write a placeholder for every item of a text; `known` holds the words that may stay, in lower case.

    >>> mask("Dr. Rao of Zorgon City paid $20 in 1954.", {"of", "city", "paid", "in", "dr"})
    Masked(text='dr. <1> of <2> city paid <3> in <4>.', items=('Rao', 'Zorgon', '$20', '1954'), n_unknown=2)
    """
    text = tidy(text)
    spans: list[tuple[int, int, bool]] = []  # start, end, whether words
    n_unknown = 0
    fixed = [(item.start, item.end) for item in find(text, _KINDS) if not re.fullmatch(r"<\d+>", item.text)]
    position = 0
    for start, end in [*fixed, (len(text), len(text))]:
        for found in _TOKEN.finditer(text, position, start):
            if found.lastgroup == "word":
                if found.group().lower() in known or _is_possessive(text, found):
                    continue
                n_unknown += 1
            spans.append((found.start(), found.end(), found.lastgroup == "word"))
        if end > start:
            spans.append((start, end, False))
        position = end
    merged: list[tuple[int, int, bool]] = []
    for span in spans:
        # Names of several words travel together, and so does what is written without a space between.
        if merged and (
            span[0] == merged[-1][1]
            or (span[2] and merged[-1][2] and text[merged[-1][1] : span[0]] in (" ", "-", ". ", "'", " - "))
        ):
            merged[-1] = (merged[-1][0], span[1], span[2] and merged[-1][2])
        else:
            merged.append(span)
    pieces: list[str] = []
    position = 0
    for number, (start, end, _) in enumerate(merged, 1):
        pieces += (text[position:start].lower(), TEMPLATE.format(n=number))
        # "5-year-old" reads "<1> year-old": the hyphen would hide the words behind it.
        position = end + (text[end : end + 1] == "-" and text[end + 1 : end + 2].isalpha())
        if position > end:
            pieces.append(" ")
    pieces.append(text[position:].lower())
    return Masked("".join(pieces), tuple(text[start:end] for start, end, _ in merged), n_unknown)


def unmask(output: str, items: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """An output with the items in the place of their placeholders, and the items that it lost, doubled or made up.

    >>> unmask("<2> में <1>", ("Zorgon", "1954"))
    ('1954 में Zorgon', ())
    """
    if not items:
        return output, tuple(re.findall(r"<\s*\d+\s*>", output))
    restored = restore(output, [Item(0, 0, "word", item, item) for item in items], TEMPLATE)
    return _ASIDE.sub("", restored.text), (*restored.lost, *SYMBOLS[: restored.extra])


def _is_possessive(text: str, found: re.Match[str]) -> bool:
    return found.group().lower() == "s" and text[max(0, found.start() - 1) : found.start()] == "'"
