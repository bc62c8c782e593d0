"""One Latin spelling for letters of every script, made from their Unicode names: enough to see that two names are the same name.

No table of languages and no library: DEVANAGARI LETTER KA says "ka", its vowel sign I replaces the "a" by "i", CYRILLIC SMALL LETTER SHA
says "sh", GREEK SMALL LETTER ALPHA "a". What follows is not a transliteration that a reader would like; it is a key for comparing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from dsbuild.text import fold_digits

# Names of letters that do not begin with their sound, or say it otherwise than by their first letters.
_SOUNDS = {
    "ALEF": "a", "AIN": "a", "HAMZA": "", "BEH": "b", "BET": "b", "GIMEL": "g", "GAF": "g", "DALET": "d", "DAL": "d", "THAL": "d", "HE":
    "h", "HEH": "h", "HAH": "h", "HET": "h", "KHAH": "kh", "VAV": "v", "WAW": "w", "ZAYIN": "z", "ZAIN": "z", "TET": "t", "TAV": "t", "TEH":
    "t", "TEH MARBUTA": "a", "TAH": "t", "ZAH": "z", "THEH": "th", "YOD": "y", "YEH": "y", "FARSI YEH": "y", "KAF": "k", "KEHEH": "k",
    "QAF": "k", "QOF": "k", "LAMED": "l", "LAM": "l", "MEM": "m", "MEEM": "m", "NUN": "n", "NOON": "n", "SAMEKH": "s", "SEEN": "s", "SHEEN":
    "sh", "SHIN": "sh", "SAD": "s", "TSADI": "ts", "DAD": "d", "AYIN": "a", "PE": "p", "PEH": "p", "FEH": "f", "GHAIN": "g", "RESH": "r",
    "REH": "r", "JEEM": "j", "TCHEH": "ch", "JEH": "zh", "HAH GOAL": "h", "HEH GOAL": "h", "ALEF MAKSURA": "a", "ALEF WITH MADDA ABOVE":
    "a", "ALEF WITH HAMZA ABOVE": "a", "ALEF WITH HAMZA BELOW": "i", "ALPHA": "a", "BETA": "v", "GAMMA": "g", "DELTA": "d", "EPSILON": "e",
    "ZETA": "z", "ETA": "i", "THETA": "th", "IOTA": "i", "KAPPA": "k", "LAMDA": "l", "MU": "m", "NU": "n", "XI": "x", "OMICRON": "o", "PI":
    "p", "RHO": "r", "SIGMA": "s", "FINAL SIGMA": "s", "TAU": "t", "UPSILON": "i", "PHI": "f", "CHI": "h", "PSI": "ps", "OMEGA": "o", "EF":
    "f", "EL": "l", "EM": "m", "EN": "n", "ER": "r", "ES": "s", "SHORT I": "i", "YERU": "i", "SOFT SIGN": "", "HARD SIGN": "", "HA": "kh",
    "KHA": "kh", "SHCHA": "shch", "TSE": "ts", "CHE": "ch", "ZHE": "zh", "VE": "v", "IO": "yo", "E": "e", "IE": "e", "UKRAINIAN IE": "e",
    "BYELORUSSIAN-UKRAINIAN I": "i", "YI": "yi", "AYB": "a", "BEN": "b", "GIM": "g", "DA": "d", "ECH": "e", "ZA": "z", "EH": "e", "ET": "e",
    "TO": "t", "INI": "i", "LIWN": "l", "XEH": "kh", "CA": "ts", "KEN": "k", "HO": "h", "JA": "dz", "GHAD": "gh", "CHEH": "ch", "MEN": "m",
    "YI ": "y", "NOW": "n", "VO": "o", "KA": "k", "GA": "g", "BA": "b", "MA": "m", "NA": "n", "LA": "l", "RA": "r", "SA": "s", "TA": "t",
    "PA": "p", "YA": "ya", "YU": "yu", "SHA": "sh",
}  # fmt: skip
# Scripts whose letters have names of their own, which begin with the sound.
_ALPHABETS = {"GREEK", "CYRILLIC", "HEBREW", "ARABIC", "ARMENIAN", "COPTIC", "GEORGIAN", "THAI", "LAO", "SYRIAC"}
_TWO = ("zh", "sh", "ch", "kh", "ts", "dz", "gh", "th", "ph", "yo", "yu", "ya", "ng")
# Letters of Latin script that decompose to nothing plainer.
_LATIN = {
    "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ı": "i", "ħ": "h", "ŋ": "ng", "ə": "e",
}  # fmt: skip
_VOWELS = {
    "AA": "a", "II": "i", "UU": "u", "EE": "e", "OO": "o", "AI": "ai", "AU": "au", "CANDRA E": "e", "CANDRA O": "o", "SHORT E": "e",
    "SHORT O": "o"
}  # fmt: skip
_SIGNS = {
    "ANUSVARA": "n", "CANDRABINDU": "n", "VISARGA": "h", "BINDI": "n", "TIPPI": "n", "CHANDRABINDU": "n"
}  # fmt: skip


def romanise(text: str) -> str:
    """The text in small Latin letters, digits and spaces; what has no letter's name (signs, ideographs) stays as it is.

    >>> romanise("Владимир"), romanise("दिल्ली"), romanise("Αθήνα"), romanise("Müller 42"), romanise("서울")
    ('vladimir', 'dilli', 'athina', 'muller 42', 'seoul')
    """
    made: list[str] = []
    for char in _plain(text):
        kind, sound = _sound(char)
        if kind in ("vowel", "virama") and made and made[-1].endswith("a") and len(made[-1]) > 1:
            made[-1] = made[-1][:-1]  # the vowel that an Indic consonant holds gives way
        if kind == "sign" and not made:
            continue
        made.append(sound)
    return "".join(made)


def _plain(text: str) -> Iterator[str]:
    """Small letters apart from their marks; Korean syllables stay whole, because their names are how they sound."""
    for char in unicodedata.normalize("NFC", fold_digits(text).casefold()):
        yield from char if "가" <= char <= "힣" else unicodedata.normalize("NFD", char)


def key(text: str) -> str:
    """The romanised text as what sounds alike looks alike: long and short vowels, doubled letters and spellings of one sound are one.

    >>> key("Philip") == key("फिलिप"), key("Boris") == key("Борис")
    (True, True)
    """
    plain = romanise(text)
    for spelling, sound in _ALIKE:
        plain = plain.replace(spelling, sound)
    kept = [char for place, char in enumerate(plain) if place == 0 or char != plain[place - 1]]
    joined = "".join(kept)
    return " ".join(word[:-1] if len(word) > 3 and word.endswith("a") else word for word in joined.split())


_ALIKE = (
    ("sch", "s"), ("shch", "s"), ("tsch", "c"), ("ph", "f"), ("th", "t"), ("kh", "k"), ("gh", "g"), ("bh", "b"), ("dh", "d"),
    ("ch", "c"), ("sh", "s"), ("zh", "z"), ("ck", "k"), ("qu", "kv"), ("q", "k"), ("x", "ks"), ("w", "v"), ("y", "i"),
    ("ee", "i"), ("oo", "u"), ("ou", "u"), ("c", "k"), ("j", "z"), ("e", "i"), ("o", "u"),
)  # fmt: skip


@lru_cache(maxsize=8192)
def _sound(char: str) -> tuple[str, str]:
    """What a character is in a word (letter, vowel, virama, sign, mark, other) and how it is written."""
    if char.isascii():
        return "letter", char
    if char in _LATIN:
        return "letter", _LATIN[char]
    name = unicodedata.name(char, "")
    if "VIRAMA" in name or name.endswith(("SIGN PULLI", "AL-LAKUNA")):
        return "virama", ""
    script, _, rest = name.partition(" ")
    if " VOWEL SIGN " in name:
        said = name.partition(" VOWEL SIGN ")[2]
        return "vowel", _VOWELS.get(said, said.split()[-1].lower())
    if (sign := rest.removeprefix("SIGN ")) in _SIGNS:
        return "sign", _SIGNS[sign]
    if unicodedata.category(char).startswith("M"):
        return "mark", ""
    for before in (
        "SMALL LETTER ",
        "CAPITAL LETTER ",
        "LETTER ",
        "SYLLABLE ",
        "CHARACTER SARA ",
        "VOWEL ",
        "CHARACTER ",
    ):
        if rest.startswith(before):
            return "letter", _named(script, rest.removeprefix(before))
    return "other", char


def _named(script: str, said: str) -> str:
    if script in _ALPHABETS:
        plain = said.partition(" WITH ")[0]
        sound = plain.split()[0 if script in ("THAI", "LAO") else -1].lower()
        return _SOUNDS.get(said, _SOUNDS.get(plain, sound[:2] if sound.startswith(_TWO) else sound[:1]))
    said = said.removeprefix("SMALL ")
    if said in _VOWELS:
        return _VOWELS[said]
    sound = said.split()[-1].lower()
    # Retroflex and aspirated letters are named by doubled letters (TTA, DDHA): one is enough to compare.
    return sound[1:] if len(sound) > 2 and sound[0] == sound[1] and sound[0] not in "aeiou" else sound
