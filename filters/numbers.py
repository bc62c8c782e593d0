"""Numbers of a text by their value, whatever script, grouping or word they are written in.

A number may be read in more than one way ("1.234" is 1,234 or 1.234), so each is a set of values; two numbers agree
when their sets meet. Digits must have a partner on the other side; number words, month names, Roman numerals and the
like can be a partner but need none, because languages use them for other things ("one", "May", "I").
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import regex

from dsbuild.text import fold_digits

_NUMBER = regex.compile(r"\p{Nd}++(?:[.,'’٬٫·\u00a0\u202f]\p{Nd}++|:\p{Nd}{2}(?!\p{Nd}))*+")
# Translators convert these on purpose, so a number before one of them need not come back.
_IMPERIAL = regex.compile(
    r"\d[\s-]*+(?:inch|foot\b|feet\b|ft\b|mile|mph\b|yard|acre|pound|lbs?\b|ounce|oz\b|gallon|degree|°\s?F|fahrenheit|\d0s\b)",
    regex.IGNORECASE,
)
_VULGAR = {"½": 0.5, "⅓": 1 / 3, "⅔": 2 / 3, "¼": 0.25, "¾": 0.75, "⅛": 0.125}
_WORD = regex.compile(r"[\p{L}\p{M}\u200c\u200d]++(?:['’-][\p{L}\p{M}]++)*+")
_ROMAN = regex.compile(r"\b(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})\b")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_CJK_NUMERAL = regex.compile(r"[〇一二三四五六七八九十百千零两兩]++")
_CJK_DIGITS = {character: value for value, character in enumerate("〇一二三四五六七八九")} | {"零": 0, "两": 2, "兩": 2}
_CJK_SCALES = "億亿万萬"
_CJK_UNITS = {"十": 10, "百": 100, "千": 1000}
_TIME = regex.compile(r"([01]?\d|2[0-4])[:.]([0-5]\d)")
_NOON = regex.compile(r"\s?[ap]\.?m\b", regex.IGNORECASE)
_MARK = regex.compile(r"[^0-9]")
_LONGEST = 40
_GAP = regex.compile(r"[\s\u00a0-]*+")


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of a text.

    written: those in digits, each with its possible values; said: values that words could mean; converted: some stand
    before units that translators convert; wordy: the number words of the language are known.
    """

    written: tuple[frozenset[float], ...]
    said: frozenset[float]
    converted: bool = False
    wordy: bool = True


def numbers(text: str, lang: str) -> Numbers:
    """Find the numbers of a text in language `lang` (BCP-47).

    >>> found = numbers("1,00,000 rupees, 2.5 million, twenty-one", "en")
    >>> [sorted(values) for values in found.written], 21.0 in found.said
    ([[100000.0], [2.5, 2500000.0]], True)
    """
    folded = fold_digits(text)
    # The day begins at sunrise: saa 1 is seven o'clock.
    swahili = lang.split("-")[0] == "sw"
    scales, words = _table(lang)
    written: list[frozenset[float]] = []
    said: set[float] = set()
    joined = -1
    for found in _NUMBER.finditer(folded):
        values = _readings(found.group())
        if not values:
            written += [frozenset((float(part),)) for part in regex.findall(r"[0-9]++", found.group()[:_LONGEST])]
            continue
        after = _GAP.match(folded, found.end())
        end = after.end() if after else found.end()
        scale = _scale_at(folded, end, scales)
        if scale:
            values |= {round(value * scale, 6) for value in values}
        if folded.startswith(("s", "'s", "’s"), found.end()):
            values |= {value % 100 for value in values if value >= 100}  # the 1980s, the eighties
        if found.group().isdigit() and 1900 <= float(found.group()) < 2100:
            values.add(float(found.group()[2:]))  # SS19, 1950-53
        if ":" in found.group():
            parts = [float(part) for part in found.group().split(":") if part.isdigit()]
            values.update(parts[:1])  # half past two
            said.update(parts)  # 38:17 and 38 - 17
        if time := _TIME.fullmatch(found.group()):
            if _NOON.match(folded, found.end()):
                values.add(float(time.group(1)))
            said.update(float(part) for part in time.groups())  # 4時40分
        if swahili and folded[max(0, found.start() - 4) : found.start()].lower() == "saa ":
            values |= {round(value + shift, 6) for value in values for shift in (-6, 6, 18) if 0 <= value + shift <= 24}
        if scale and found.start() == joined:
            # 1億2,500万 is one number.
            values = {round(max(written.pop()) + max(values), 6)}
        joined = end + 1 if scale and folded[end] in _CJK_SCALES else -1
        written.append(frozenset(values))
        hour = min(values)
        if hour <= 24:
            said.add(hour + 12 if hour <= 12 else hour - 12)  # 3 p.m. and 15:00
    said.update(value for character, value in _VULGAR.items() if character in folded)
    said.update(_said(folded, words, scales))
    said.update(_roman(found.group()) for found in _ROMAN.finditer(folded))
    said.update(_cjk(found.group()) for found in _CJK_NUMERAL.finditer(folded))
    return Numbers(tuple(written), frozenset(said), _IMPERIAL.search(folded) is not None, bool(words))


def mismatch(source: Numbers, target: Numbers) -> float | None:
    """The share of numbers in digits, of both sides together, that have no partner on the other; None where silent.

    Order does not count; a number repeated on one side may share a partner. It is silent without digits, and when
    something does not match but one side has units that translators convert (feet, miles, Fahrenheit). Numbers up to
    a hundred without partner do not count against a language whose number words are not known.
    """
    ours, theirs = _values(source), _values(target)
    lost = [number for number in source.written if number.isdisjoint(theirs)]
    gained = [number for number in target.written if number.isdisjoint(ours)]
    total = len(source.written) + len(target.written)
    if (lost or gained) and (source.converted or target.converted):
        return None
    missing = 0
    for unmatched, other in ((lost, target), (gained, source)):
        for number in unmatched:
            if other.wordy or min(number) > 100:
                missing += 1
            else:
                total -= 1
    return missing / total if total else None


def _values(numbers_: Numbers) -> frozenset[float]:
    """All values that the numbers of a text may have: one set, so that long texts take linear time."""
    return numbers_.said.union(*numbers_.written)


def _readings(text: str) -> set[float]:
    """The values that a number in digits may have, by the grouping and decimal conventions in use.

    None for dates and versions ("10.06.2010"): their parts are numbers of their own.

    >>> sorted(_readings("1.234")), sorted(_readings("1,00,000.5")), sorted(_readings("12,5"))
    ([1.234, 1234.0], [100000.5], [12.5])
    """
    parts = _MARK.split(text)
    marks = _MARK.findall(text)
    if len(text) > _LONGEST:
        # A table or a serial number: equal only to itself.
        return {float(zlib.crc32(text.encode()))}
    if not marks:
        return {float(text)}
    values = set()
    grouped = all(len(part) in (2, 3) for part in parts[1:]) and len(parts[-1]) == 3 and len(parts[0]) <= 3
    if grouped and len(set(marks)) == 1:
        values.add(float("".join(parts)))
    if len(marks) == 1 or (marks[-1] != marks[-2] and len(set(marks[:-1])) == 1):
        values.add(float("".join(parts[:-1]) + "." + parts[-1]))
    return values


def _scale_at(text: str, start: int, scales: dict[str, float]) -> float | None:
    found = _WORD.match(text, start)
    if not found:
        return None
    word = found.group().lower()
    if word in scales:
        return scales[word]
    # Inflected or joined forms: лошадей, करोड़ों, 万人. The longest scale that begins the word.
    for length in range(min(len(word), 8), 0, -1):
        if word[:length] in scales and (length >= 4 or not word[:1].isascii()):
            return scales[word[:length]]
    return None


def _said(text: str, words: dict[str, float], scales: dict[str, float]) -> set[float]:
    """Values of number words; tens and units, and scales, that stand together are also taken together."""
    said: set[float] = set()
    run: float | None = None
    end = 0
    for found in _WORD.finditer(text.lower()):
        value = words.get(found.group())
        if value is None and "-" in found.group():
            pieces = [words.get(piece) for piece in found.group().split("-")]
            known = [piece for piece in pieces if piece is not None]
            if len(known) == len(pieces):
                value = float(sum(known))
            else:
                said.update(known)  # four-day, half-hour
        scale = scales.get(found.group())
        near = found.start() - end <= 3
        if scale is not None and text[max(0, found.start() - 2) : found.start()].strip()[-1:].isdigit():
            continue  # part of a number in digits
        if value is not None:
            said.add(value)
            run = run + value if run is not None and near and run % 10 == 0 and value < 100 else value
            said.add(run)
        elif scale is not None and run is not None and near:
            run = run * scale
            said.add(run)
        elif scale is not None:
            said.add(scale)
            run = scale
        elif not near or len(found.group()) > 3:
            run = None
        end = found.end()
    return said


def _roman(text: str) -> float:
    values = [_ROMAN_VALUES[character] for character in text]
    return float(
        sum(
            -value if any(after > value for after in values[index + 1 : index + 2]) else value
            for index, value in enumerate(values)
        )
    )


def _cjk(text: str) -> float:
    """Chinese numerals up to 9,999, or read digit by digit when they name no unit.

    >>> _cjk("二十三"), _cjk("一九九〇")
    (23.0, 1990.0)
    """
    text = text[:16]
    if not any(character in _CJK_UNITS for character in text):
        return float("".join(str(_CJK_DIGITS[character]) for character in text))
    total, digit = 0, 0
    for character in text:
        if character in _CJK_UNITS:
            total += (digit or 1) * _CJK_UNITS[character]
            digit = 0
        else:
            digit = _CJK_DIGITS[character]
    return float(total + digit)


@lru_cache(maxsize=256)
def _table(lang: str) -> tuple[dict[str, float], dict[str, float]]:
    """Scales (thousand, lakh, million) and words (one to hundred, months, fractions) of a language, and those of all."""
    scales: dict[str, float] = {}
    words: dict[str, float] = {}
    base = lang.split("-")[0]
    for line in Path(__file__).with_name("number_words.tsv").read_text("utf-8").splitlines()[1:]:
        name, kind, value, listed = line.split("\t")
        if name not in ("*", base):
            continue
        if kind == "scale":
            scales.update((word.replace("_", " "), float(value)) for word in listed.split())
        elif kind == "from":
            # One column of words for consecutive values; a slash parts spellings of the same value.
            for offset, entry in enumerate(listed.split()):
                words.update((word, float(value) + offset) for word in entry.split("/") if word != "-")
        else:
            words.update((word, float(value)) for word in listed.split())
    return scales, words
