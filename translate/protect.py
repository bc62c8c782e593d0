"""Protect what must not be translated: addresses, code, placeholders, numbers, fixed terms.

An item is written into the source as a placeholder of the engine's own kind, and looked for in the output with
tolerance for what engines do to it (spaces, case, full-width brackets, native digits). What is lost or doubled is told,
never patched over. The idea of numbered placeholders is that of IndicTrans2; its defects (a short match rewritten inside a
longer one, a lost placeholder unnoticed) are what the ranges and the count here are for.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

KINDS = ("url", "email", "code", "placeholder", "number")

_PATTERNS = {
    "url": r"(?:https?|ftp)://[^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]}।]|\bwww\.[^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]}।]"
    r"|\b[a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)*\.(?:com|org|net|edu|gov|int|info|io|in|co|uk|de|eu)(?:/[^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]}।])?(?![\w@])",
    "email": r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "code": r"`[^`\n]+`|</?[a-zA-Z][^<>\n]{0,200}>|&(?:[a-z]{2,8}|#\d{1,6});",
    "placeholder": r"\{\{[^{}\n]{1,60}\}\}|\{[A-Za-z_0-9.]{0,40}\}|%\([A-Za-z_]+\)[sd]|%[sd]\b|\$\{?[A-Z_][A-Z0-9_]*\}?|<\s*[A-Z]{1,4}\d{1,4}\s*>",
    "number": r"(?<![\w])\d+(?:[.,:/\u2009\u00a0]\d+)*(?![\w])",
}
_TRIGGER = re.compile(r"[@`{<%$&\d]|\w\.\w|://")


@dataclass(frozen=True, slots=True)
class Item:
    """A range of the source that must come out as `replacement` (for a term, its fixed translation)."""

    start: int
    end: int
    kind: str
    text: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Restored:
    """An output with its items put back; `lost`: items without a placeholder; `extra`: placeholders too many."""

    text: str
    lost: tuple[str, ...]
    extra: int


@functools.lru_cache(maxsize=64)
def _matcher(kinds: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?P<{kind}>{_PATTERNS[kind]})" for kind in KINDS if kind in kinds), re.IGNORECASE)


@functools.lru_cache(maxsize=64)
def _terms(terms: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(terms, key=lambda term: (-len(term), term))
    return re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, longest_first)) + r")(?!\w)")


def find(text: str, kinds: Sequence[str], *, terms: Mapping[str, str] | None = None) -> list[Item]:
    """The protected items of a text, in order, not overlapping: of two that overlap the earlier, then the longer.

    >>> [(item.kind, item.text) for item in find("Mail a@b.org or see https://b.org/x.", ("url", "email"))]
    [('email', 'a@b.org'), ('url', 'https://b.org/x')]
    """
    found: list[Item] = []
    if kinds and _TRIGGER.search(text):
        found += [
            Item(match.start(), match.end(), match.lastgroup or "", match.group(), match.group())
            for match in _matcher(tuple(sorted(kinds))).finditer(text)
        ]
    if terms:
        found += [
            Item(match.start(), match.end(), "term", match.group(), terms[match.group()])
            for match in _terms(tuple(terms)).finditer(text)
        ]
        found.sort(key=lambda item: (item.start, -item.end))
    items: list[Item] = []
    for item in found:
        if not items or item.start >= items[-1].end:
            items.append(item)
    return items


def mask(text: str, items: Sequence[Item], template: str) -> str:
    """The text with each item written as `template` with its number, from 1.

    >>> mask("See https://b.org now", find("See https://b.org now", ("url",)), "<ID{n}>")
    'See <ID1> now'
    """
    pieces: list[str] = []
    position = 0
    for number, item in enumerate(items, 1):
        pieces += (text[position : item.start], template.format(n=number))
        position = item.end
    return "".join([*pieces, text[position:]])


@functools.lru_cache(maxsize=16)
def _finder(template: str) -> re.Pattern[str]:
    """Placeholders as engines bring them back: with spaces inside, in full width, with digits of any script."""
    before, after = template.split("{n}")
    wide = {"<": "[<＜〈《]", ">": "[>＞〉》]", "[": r"[\[［【]", "]": r"[\]］】]"}

    def loose(literal: str) -> str:
        return r"\s*".join(wide.get(character, re.escape(character)) for character in literal)

    tail = rf"\s*{loose(after)}" if after else r"(?!\d)"
    return re.compile(rf"{loose(before)}\s*(\d+){tail}" if before else rf"(\d+){tail}", re.IGNORECASE)


def restore(output: str, items: Sequence[Item], template: str) -> Restored:
    """Put the items back where their placeholders stand.

    >>> restore("अब < ID1 > देखें", find("See https://b.org now", ("url",)), "<ID{n}>").text
    'अब https://b.org देखें'
    """
    if not items:
        return Restored(output, (), 0)
    seen: set[int] = set()
    extra = 0
    pieces: list[str] = []
    position = 0
    for match in _finder(template).finditer(output):
        number = int("".join(str(unicodedata.digit(digit)) for digit in match.group(1)))
        pieces.append(output[position : match.start()])
        position = match.end()
        if 1 <= number <= len(items) and number not in seen:
            seen.add(number)
            pieces.append(items[number - 1].replacement)
        else:
            extra += 1
            pieces.append(match.group())
    lost = tuple(item.text for number, item in enumerate(items, 1) if number not in seen)
    return Restored("".join([*pieces, output[position:]]), lost, extra)
