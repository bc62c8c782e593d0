"""Match keys: what a text is compared as, with the way back to the text as it came.

A form is a list of declared steps (`STEPS`). Nothing here changes a stored text, and no step but the optional "arabic" takes a
vowel sign, accent, nukta or dakuten away: がぎ, ไม่ and ไม้, tới and tối stay apart.
"canonical": canonically equivalent texts are equal. "match", the default: besides, what differs only in how it was typed is equal:
typeface and width, joiners and other invisible characters, tatweel, sequences of older Unicode versions, letter case, digits of any
script, white space. "loose": besides, homorganic nasals equal the anusvara (हिन्दी, हिंदी) and spelling variants of Arabic letters are one.

Every form is idempotent, and of texts joined by white space the key is the texts' keys joined by one space. Linear time.
`dsbuild.filters.folding`, which finds duplicates, makes coarser classes: it also drops punctuation, and with chillus and joiners some
distinctions that are kept here. Sources: Unicode Standard Annexes 15 and 44; Unicode Standard, sections 3.13 and 12.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import regex

from dsbuild.errors import UnknownName
from dsbuild.text import class_ranges, fold_digits

Places = npt.NDArray[np.int64]
Form = Literal["canonical", "match", "loose"]

STEPS: Mapping[str, str] = {
    "typefaces": "full-width, half-width and presentation forms are ordinary letters; Latin and Armenian ligatures are taken apart",
    "composed": "Unicode normalisation form C: letter + nukta, accent or vowel sign in one way; Hangul syllables from jamo",
    "sequences": "atomic Malayalam chillus and Bengali khanda ta for letter + virama + ZWJ, ന്റ for ൻ്റ, Marathi ऱ् for र + virama + ZWJ",
    "invisible": "no joiners, direction marks, soft hyphens, variation selectors or tatweel; ZWJ stays in emoji and in Bengali র‍্য",
    "case": "Unicode case folding, full (ß is ss)",
    "arabic": "alef with hamza, madda or wasla is alef, Persian and Urdu yeh and alef maksura are yeh, Persian kaf is kaf",
    "nasals": "nasal + virama before a stop of its own place is the anusvara; in Bengali the velar nasal only",
    "digits": "decimal digits of every script are 0-9",
    "spaces": "a run of white space is one space, none at either end",
}
FORMS: Mapping[str, tuple[str, ...]] = {
    "canonical": ("composed",),
    "match": ("typefaces", "composed", "sequences", "invisible", "composed", "case", "composed", "digits", "spaces"),
    "loose": (
        "typefaces", "composed", "sequences", "invisible", "composed", "case", "composed", "arabic", "composed", "nasals", "digits", "spaces",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Key:
    """What a text is compared as. Character k of `text` stands for the code points `starts[k]` to `ends[k]` of the original.

    starts, ends: never fall. Of one original character the key may have several, and the other way round; characters that the key
    leaves out belong to the one before them. Keys with the same text are equal.
    """

    text: str
    starts: Places = field(compare=False, repr=False)
    ends: Places = field(compare=False, repr=False)

    def to_original(self, start: int, end: int) -> tuple[int, int]:
        r"""The half-open range of the original's code points that `text[start:end]` stands for.

        >>> found = key("Ｒｓ.\u200d  ५००")
        >>> found.text, found.to_original(4, 7)
        ('rs. 500', (6, 9))
        """
        if not 0 <= start <= end <= len(self.text):
            raise IndexError(f"{start}:{end} of a key of {len(self.text)} characters")
        if start == end:
            place = int(self.starts[start] if start < len(self.text) else self.ends[-1] if len(self.text) else 0)
            return place, place
        return int(self.starts[start]), int(self.ends[end - 1])

    def to_key(self, start: int, end: int) -> tuple[int, int]:
        """The half-open range of the key's characters that stand for anything of the original's `start` to `end`.

        >>> key("Straße").to_key(4, 5)
        (4, 6)
        """
        if not 0 <= start <= end:
            raise IndexError(f"{start}:{end} of a text")
        first = int(np.searchsorted(self.ends, start, "right"))
        return first, max(first, int(np.searchsorted(self.starts, end, "left")))


def key(text: str, *, form: Form = "match") -> Key:
    r"""The match key of a text, with the map back to it; an unknown form raises `UnknownName`.

    >>> key("\u0958लम") == key("\u0915\u093cलम"), key("അവന്\u200d") == key("അവൻ"), key("അവന്") == key("അവൻ")
    (True, True, False)
    >>> key("हिन्दी", form="loose") == key("हिंदी", form="loose")
    True
    """
    if form not in FORMS:
        raise UnknownName("form", form, FORMS)
    places = np.arange(len(text), dtype=np.int64)
    found = Key(text, places, places + 1)
    for step in FORMS[form]:
        found = _DO[step](found)
    return found


def _rewritten(old: Key, pattern: regex.Pattern[str], change: Callable[[str], str]) -> Key:
    """A key with every match of a pattern replaced; each new character stands for all that the match stood for."""
    spans: list[tuple[int, int]] = []
    pieces: list[str] = []
    position = 0
    for match in pattern.finditer(old.text):
        before = match.group()
        if (after := change(before)) != before:
            # What is the same at both ends of a match keeps its own place.
            limit = min(len(before), len(after)) if len(before) > 1 else 0
            head = next((at for at in range(limit) if before[at] != after[at]), limit)
            tail = next((at for at in range(limit - head) if before[-1 - at] != after[-1 - at]), limit - head)
            spans.append((match.start() + head, match.end() - tail))
            pieces += [old.text[position : match.start() + head], after[head : len(after) - tail]]
            position = match.end() - tail
    if not spans:
        return old
    pieces.append(old.text[position:])
    # Alternately what stays and what is new: where each begins and ends in the old key, and its length in the new one.
    bounds = np.concatenate(([0], np.array(spans, np.int64).ravel(), [len(old.text)]))
    sizes = np.fromiter(map(len, pieces), np.int64, len(pieces))
    first_of = np.concatenate(([0], np.cumsum(sizes)))
    piece = np.repeat(np.arange(len(pieces)), sizes)
    stays = piece % 2 == 0
    first = bounds[piece] + np.where(stays, np.arange(len(piece)) - first_of[piece], 0)
    last = np.where(stays, first, np.maximum(bounds[piece + 1] - 1, first))
    starts, ends = old.starts[first], old.ends[last]
    gone = np.flatnonzero((sizes == 0) & (np.diff(bounds) > 0) & (first_of[:-1] > 0))
    np.maximum.at(ends, first_of[gone] - 1, old.ends[bounds[gone + 1] - 1])
    return Key("".join(pieces), starts, ends)


def _typefaces(old: Key) -> Key:
    table = _typeface_table()
    return _rewritten(old, _TYPEFACE, lambda found: table.get(found, found)) if not old.text.isascii() else old


def _composed(old: Key) -> Key:
    if unicodedata.is_normalized("NFC", old.text):
        return old
    return _rewritten(old, _cluster(), lambda found: unicodedata.normalize("NFC", found))


def _sequences(old: Key) -> Key:
    # The second pass sees the chillus that the first has made.
    for pattern in (_LEGACY, _NTA):
        old = _rewritten(old, pattern, lambda found: _SEQUENCES[found])
    return old


def _case(old: Key) -> Key:
    if len(old.text.casefold()) != len(old.text):
        old = _rewritten(old, _long_when_folded(), str.casefold)
    return Key(old.text.casefold(), old.starts, old.ends)


def _spaces(old: Key) -> Key:
    old = _rewritten(old, _SPACES, lambda _: " ")
    start, end = old.text.startswith(" "), len(old.text) - old.text.endswith(" ")
    return Key(old.text[start:end], old.starts[start:end], old.ends[start:end])


def _without(old: Key) -> Key:
    return _rewritten(old, _INVISIBLE, lambda _: "")


def _arabic(old: Key) -> Key:
    old = _rewritten(old, _ALEF, lambda found: "ا" + _HAMZAS.sub("", found[1:]))
    return Key(old.text.translate(_ARABIC), old.starts, old.ends)


def _nasals(old: Key) -> Key:
    return _rewritten(old, _NASAL, lambda found: chr(ord(found[0]) & ~0x7F | 0x02))


def _digits(old: Key) -> Key:
    return Key(fold_digits(old.text), old.starts, old.ends)


_DO: Mapping[str, Callable[[Key], Key]] = {
    "typefaces": _typefaces, "composed": _composed, "sequences": _sequences, "invisible": _without, "case": _case, "arabic": _arabic,
    "nasals": _nasals, "digits": _digits, "spaces": _spaces,
}  # fmt: skip

_TYPEFACE = regex.compile(r"[\uff01-\uffee\ufb00-\ufb06\ufb13-\ufb17\ufb20-\ufb28\ufb4f-\ufdfb\ufe70-\ufefc]")
_VIRAMA_ZWJ = {
    "ണ്": "ൺ", "ന്": "ൻ", "ര്": "ർ", "ല്": "ൽ", "ള്": "ൾ", "ക്": "ൿ", "ত্": "ৎ", "र्": "ऱ्",
}  # fmt: skip
_SEQUENCES = {old + "\u200d": new for old, new in _VIRAMA_ZWJ.items()} | {"ൻ്റ": "ന്റ"}
_LEGACY = regex.compile("|".join(sorted(set(_SEQUENCES) - {"ൻ്റ"})))
_NTA = regex.compile("ൻ്റ")
# Numbers' and other visible format signs (؀ ۝ ܏) stay, so do the tags of flags. A ZWJ before a pictograph makes one emoji; between
# Bengali ra and virama it tells র‍্য from র্য.
_INVISIBLE = regex.compile(
    r"[[\p{Cf}&&\p{Default_Ignorable_Code_Point}]\p{Variation_Selector}\u034fـ--[\u200d\U000e0000-\U000e007f]]++"
    r"|\u200d(?!\p{Extended_Pictographic}|(?<=র\u200d)\u09cd)",
    regex.V1,
)
_SPACES = regex.compile(r"[\s\x1c-\x1f]++")
_ALEF = regex.compile(r"[اآأإٱ]\p{M}*+")
_HAMZAS = regex.compile("[\u0653-\u0655]")
_ARABIC = str.maketrans({"ى": "ي", "ی": "ي", "ک": "ك"})
# ISCII's layout, the same in each block: five rows of four stops and their nasal, with gaps where Tamil has no letter.
_ROWS = ((0x15, 0x19), (0x1A, 0x1E), (0x1F, 0x23), (0x24, 0x28), (0x2A, 0x2E))
_NASAL_BLOCKS = {0x0900: 5, 0x0980: 1, 0x0A80: 5, 0x0B00: 5, 0x0C00: 5, 0x0C80: 5, 0x0D00: 5}  # block: rows
_NASAL = regex.compile(
    "|".join(
        f"{chr(block + nasal)}{chr(block + 0x4D)}(?=[{chr(block + first)}-{chr(block + nasal - 1)}])"
        for block, rows in _NASAL_BLOCKS.items()
        for first, nasal in _ROWS[:rows]
    )
)


@lru_cache(maxsize=1)
def _typeface_table() -> dict[str, str]:
    """What each presentation form is a form of; those with a space in them, such as single marks and ﷺ, are left alone."""
    found = {}
    for start, end in class_ranges(_TYPEFACE.pattern):
        for code in range(start, end):
            kind, *parts = unicodedata.decomposition(chr(code)).split() or [""]
            if kind.startswith("<") and "0020" not in parts:
                found[chr(code)] = "".join(chr(int(part, 16)) for part in parts)
    return found


@lru_cache(maxsize=1)
def _cluster() -> regex.Pattern[str]:
    """A character with all that may be composed with it or change places after it."""
    seconds = set()
    for code in range(0x30000):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            seconds.add(parts[1])
    # The jamo of vowels and final consonants, of which Hangul syllables are made.
    listed = "".join(f"\\U{int(code, 16):08x}" for code in sorted(seconds)) + r"\u1161-\u1175\u11a8-\u11c2"
    follows = rf"[\p{{M}}{listed}]"
    return regex.compile(rf"(?s:.){follows}++|[\p{{NFC_Quick_Check=No}}]")


@lru_cache(maxsize=1)
def _long_when_folded() -> regex.Pattern[str]:
    return regex.compile("[" + "".join(chr(code) for code in range(0x30000) if len(chr(code).casefold()) > 1) + "]")
