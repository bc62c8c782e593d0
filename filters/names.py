"""Do the names of the source come back? Names are copied or transcribed, so their consonants survive translation.

A capitalised word of a Latin-script source is reduced to classes of consonants ("Washington" -> V C N G T N), and so
is every word of the target, whatever its script. A name counts as found when a word of the target begins with the same
three classes. Translated names ("Germany" -> "Alemania") are not found: the score is evidence, not proof.
Source of the idea: phonetic keys of the Soundex family, with classes coarse enough to hold across scripts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import regex

# Consonant classes: K (k g), C (palatals and sibilants), T, P, V, N, M, L, R. Vowels, h and y are silent.
_LATIN = {
    "k": "K", "q": "K", "g": "K", "x": "KC", "j": "C", "s": "C", "z": "C", "t": "T", "d": "T", "þ": "T", "ð": "T", "đ": "T",
    "p": "P", "b": "P", "f": "P", "v": "V", "w": "V", "n": "N", "ñ": "N", "m": "M", "l": "L", "ł": "L", "r": "R",
    "ş": "C", "š": "C", "ž": "C", "č": "C", "ć": "C", "ç": "C", "ś": "C", "ź": "C", "ż": "C", "ğ": "K", "ř": "R", "ß": "C",
}  # fmt: skip
_CYRILLIC = dict(zip("кгґхчцшщжзсћђџјтдпбфвнмлр", "KKKKCCCCCCCCCC-TTPPPVNMLR", strict=True)) | {
    "љ": "L",
    "њ": "N",
    "ќ": "K",
    "ѓ": "K",
    "ў": "V",
}
_GREEK = dict(zip("κγχξτδθσςζψπβφνμλρ", "KKKKTTTCCCPPVPNMLR", strict=True))
_ARABIC = dict(zip("كکقگغخجچشسصزژذظثتطدضٹڈپبفوونملر", "KKKKKKCCCCCCCCCCTTTTTTPPPVVNMLR", strict=True)) | {
    "ڑ": "R",
    "ں": "N",
}
_HEBREW = dict(zip("קכךגחצץשסזטתדפףבונןמםלר", "KKKKKCCCCCTTTPPPVNNMMLR", strict=True))
# The Brahmic blocks of ISCII order share their layout: consonants stand at the same places from 0x15 on.
_BRAHMIC_ROW = "KKKKNCCCCNTTTTNTTTTNNPPPPM-RRLLLVCCC-"
_BRAHMIC_BLOCKS = (0x0900, 0x0980, 0x0A00, 0x0A80, 0x0B00, 0x0B80, 0x0C00, 0x0C80, 0x0D00)
_CHILLU = dict(zip("ൺൻർൽൾൿ", "NNRLLK", strict=True))
_NASAL = "~"  # the dot that writes a nasal
_KATAKANA = {
    "K": "カキクケコガギグゲゴ", "C": "サシスセソザジズゼゾチヂツヅ", "T": "タテトダデド", "N": "ナニヌネノン",
    "P": "パピプペポバビブベボフ", "M": "マミムメモ", "R": "ラリルレロ", "V": "ワヴウ",
}  # fmt: skip

# English spellings that do not sound as their letters say, before the letters are looked up.
_SPELLINGS = [(regex.compile(pattern), sound) for pattern, sound in (
    (r"sch|sh|ch|tch", "s"), (r"ph", "f"), (r"gh(?![aeiou])", ""), (r"ck", "k"), (r"c(?=[eiyéí])", "s"), (r"c", "k"),
    (r"(?<=[a-z])ti(?=[oa])", "s"), (r"(?<=[aeiou])w(?![aeiou])", ""), (r"wh", "w"), (r"\bkn", "n"), (r"\bwr", "r"), (r"dg", "j"),
)]  # fmt: skip
_NAME = regex.compile(
    r"(?<=[\p{Ll},;:)’'\"”\d-]\s)\p{Lu}[\p{Ll}]{3,}+(?![\p{L}])|(?<=\p{Lu}[\p{Ll}]{2,20}\s)\p{Lu}[\p{Ll}]{3,}+(?!\p{L})"
)
_DOUBLED = regex.compile(r"(.)\1+")
_KANA = regex.compile(r"\p{Katakana}")
_FINAL_R = regex.compile(r"r(?![aeiouy])")
_HAN = regex.compile(r"[\p{Han}\p{Hiragana}]++")
# Capitalised in English, but translated everywhere.
_NOT_NAMES = frozenset(
    ["january", "february", "march", "april", "june", "july", "august", "september", "october", "november", "december", "monday",
     "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "north", "south", "east", "west", "northern", "southern",
     "eastern", "western", "united", "states", "kingdom", "union", "nations", "president", "minister", "prime", "king", "queen",
     "prince", "princess", "church", "city", "state", "university", "river", "lake", "mount", "island", "islands", "ocean", "world",
     "war", "court", "supreme", "house", "white", "senate", "national", "international", "department", "government", "german",
     "germany", "greek", "greece", "egypt", "china", "chinese", "india", "indian", "spain", "spanish", "french", "france", "english",
     "england", "british", "russian", "russia", "dutch", "american", "america", "republic", "ministry", "secretary", "general",
     "party", "council", "christmas", "internet", "god", "earth", "moon", "christian", "jewish", "muslim", "bible", "street",
     "road", "company", "bank", "museum", "european", "europe", "african", "africa", "asian", "asia", "pacific", "atlantic",
     "mediterranean", "that", "this", "they", "there", "when", "what", "where", "with", "from", "have", "which", "their", "your"]
)  # fmt: skip


def names(text: str) -> list[str]:
    """Capitalised words inside the sentences of a Latin-script text that are likely to be copied or transcribed.

    >>> names("Yesterday the Guinness brewery of Dublin, owned by Arthur, closed on Monday.")
    ['Guinness', 'Dublin', 'Arthur']
    """
    return [found for found in dict.fromkeys(_NAME.findall(text)) if found.lower() not in _NOT_NAMES]


def found_share(sources: Sequence[str], target: str) -> float | None:
    """The share of names whose sound begins some word of the target; None where fewer than one has three consonants."""
    keys = [key for name in sources if len(min(key := _keys(name), key=len)) == 3]
    if not keys:
        return None
    heads = _heads(target)
    if _KANA.search(target):
        written = [_kana_keys(name) for name in sources if len(min(_keys(name), key=len)) == 3]
        keys = [(*key, *more) for key, more in zip(keys, written, strict=True)]
    return sum(not heads.isdisjoint(key) for key in keys) / len(keys)


@lru_cache(maxsize=65536)
def _keys(name: str) -> tuple[str, ...]:
    """The class strings that a name may have; "g" is K or C."""
    sound = name.lower()
    for pattern, replacement in _SPELLINGS:
        sound = pattern.sub(replacement, sound)
    plain = _DOUBLED.sub(r"\1", sound.translate(_table()))[:3]
    if "g" not in sound and "j" not in sound and "w" not in sound and "v" not in sound:
        return (plain,)
    others = {sound, sound.replace("g", "j"), sound.replace("j", ""), sound.replace("w", ""), sound.replace("v", "b")}
    return tuple({plain, *(_DOUBLED.sub(r"\1", other.translate(_table()))[:3] for other in others)})


@lru_cache(maxsize=65536)
def _kana_keys(name: str) -> tuple[str, ...]:
    """The class strings that a name may have in katakana: no l, v or th, and no r but before a vowel.

    >>> _kana_keys("London"), _kana_keys("Macedonia")
    (('RNT',), ('MCT', 'MKT'))
    """
    found: dict[str, None] = {}
    lower = name.lower()
    for text in (lower, _FINAL_R.sub("", lower), lower.replace("c", "k")):
        for spelling, sound in (("th", "s"), ("l", "r"), ("v", "b")):
            text = text.replace(spelling, sound)
        found |= dict.fromkeys(key for key in _keys(text) if len(key) == 3)
    return tuple(found)


def _heads(text: str) -> frozenset[str]:
    """The first three consonant classes of every word of a text."""
    if _HAN.search(text):
        # No spaces part a name from the words around it, but it is in katakana or in Latin letters.
        text = _HAN.sub(" ", text)
    skeletons = text.lower().translate(_table()).split()
    if any(_NASAL in word for word in skeletons):
        # The dot is N, M before a labial (where English often writes one M only), or a nasal vowel.
        skeletons = [
            word.replace(_NASAL, sound) for word in skeletons for sound in (("", "N") if _NASAL in word else ("",))
        ]
    return frozenset(_DOUBLED.sub(r"\1", word)[:3] for word in skeletons)


@lru_cache(maxsize=1)
def _table() -> dict[int, str]:
    """Every letter or mark of a known script as its class, "" for silent ones; other signs as a space."""
    from dsbuild.text import class_ranges

    table: dict[int, str] = {
        code: "" for start, end in class_ranges(r"[\p{L}\p{M}\p{Cf}]") for code in range(start, end) if code < 0x3100
    }
    table |= {
        code: " " for start, end in class_ranges(r"[\p{P}\p{S}\p{N}]") for code in range(start, end) if code < 0x3100
    }
    for letters in (_LATIN, _CYRILLIC, _GREEK, _ARABIC, _HEBREW):
        table |= {ord(letter): sound.replace("-", "") for letter, sound in letters.items()}
    for block in _BRAHMIC_BLOCKS:
        table |= {block + 0x15 + place: sound.replace("-", "") for place, sound in enumerate(_BRAHMIC_ROW)}
        table[block + 0x02] = _NASAL
    table |= {ord(letter): sound for letter, sound in _CHILLU.items()}
    table |= {ord(letter): sound for sound, letters in _KATAKANA.items() for letter in letters}
    return table
