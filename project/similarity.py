"""How alike two words are, whatever their scripts: as written, by the value of a number, or as they sound.

The costs of edits are those of names that crossed a script: a vowel is cheap to lose or to change, a consonant is not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from dsbuild.project.romanise import key
from dsbuild.text import fold_digits

_VOWELS = set("aeiou")
_VOWEL_COST = 0.35
_LENGTH_OF_A_NAME = 3
_NUMBER = re.compile(r"\d[\d.,٫٬'’\u00a0\u202f]*")
_SEPARATORS = re.compile(r"[.,٫٬'’\u00a0\u202f]")


@lru_cache(maxsize=1 << 18)
def alike(one: str, other: str) -> float:
    """How alike two words are, in [0, 1]: 1 for the same word in any case or a number of the same value, else by the sounds of both.

    >>> alike("1,500", "1.500"), alike("Martin", "मार्टिन") > 0.9, alike("1999", "2000")
    (1.0, True, 0.0)
    """
    if one.casefold() == other.casefold():
        return 1.0
    ours, theirs = values(one), values(other)
    if ours or theirs:
        return float(ours == theirs)
    left, right = key(one), key(other)
    if min(len(left), len(right)) < _LENGTH_OF_A_NAME or not (left.isascii() and right.isascii()):
        return float(left == right and bool(left))
    return max(0.0, 1 - edit_cost(left, right) / max(_weight(left), _weight(right)))


def alike_words(words: Sequence[str], mine: Sequence[str]) -> float:
    """Mean over the words of both sides of the most alike word of the other, weighed by their lengths; 0 where a side has none."""
    if not words or not mine:
        return 0.0
    table = [[alike(word, other) for other in mine] for word in words]
    ours = sum(len(word) * max(row) for word, row in zip(words, table, strict=True))
    theirs = sum(len(other) * max(row[place] for row in table) for place, other in enumerate(mine))
    return (ours + theirs) / (sum(map(len, words)) + sum(map(len, mine)))


def values(text: str) -> tuple[str, ...]:
    """The numbers in a text as digits alone, sorted: grouping and decimal marks differ between languages, digits do not.

    A group of three digits after a mark may be thousands or decimals; both have the same digits. Zeros behind a decimal mark count.

    >>> values("May 5, 2020"), values("१२,३४५ 1.5")
    (('2020', '5'), ('12345', '15'))
    """
    return tuple(sorted(_SEPARATORS.sub("", found) for found in _NUMBER.findall(fold_digits(text))))


def edit_cost(one: str, other: str) -> float:
    """The cheapest way from one key to the other by insertions, deletions and changes; vowels cost less (Wagner and Fischer 1974).

    >>> edit_cost("martin", "martina"), edit_cost("bat", "kat")
    (0.35, 1.0)
    """
    before = [0.0]
    for char in other:
        before.append(before[-1] + _cost(char))
    for char in one:
        row = [before[0] + _cost(char)]
        for place, theirs in enumerate(other, 1):
            change = 0.0 if char == theirs else _VOWEL_COST if char in _VOWELS and theirs in _VOWELS else 1.0
            row.append(min(before[place] + _cost(char), row[-1] + _cost(theirs), before[place - 1] + change))
        before = row
    return before[-1]


def _cost(char: str) -> float:
    return _VOWEL_COST if char in _VOWELS else 1.0


def _weight(word: str) -> float:
    return sum(map(_cost, word))
