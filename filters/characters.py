"""Tables over all code points that the kernels of the quality rules look characters up in.

`kind_table` says what part a code point plays in a word (the classes of the pattern in `dsbuild.text`), `size_table` how many letters
of an alphabet it stands for, and the bit tables whether it is a space, ends a line or a sentence, and so on.
Sources: Unicode Standard Annex 44 (properties), Annex 29 (words).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dsbuild.filters.utf8 import CODES, Bytes, class_bits
from dsbuild.text import class_ranges

# What part a code point plays in a word; 0: none. The order lets kernels ask for several by one comparison.
(LETTER, BASE_DIGIT, BASE_OTHER, TIBETAN, MARK, HAN, HIRAGANA, KATAKANA, CONSONANT, FOLLOWING, LEADING, KHMER, MYANMAR, SEA_DIGIT,
 APOSTROPHE, POINT) = range(1, 17)  # fmt: skip

# Bits of `peer_bits` and `unicode_bits`.
SPACE, BREAK, PUNCTUATION, ALPHA, TERMINAL, NUMERAL = 1, 2, 4, 8, 16, 32
# Bits that mean one thing in each table: BULLET stands where PUNCTUATION does, which only the peer's has.
BULLET, CLOSER, DOTS = 4, 64, 128

_DENSE = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_LEADING = r"[เ-ไເ-ໄ]"
# Later lines take precedence.
_KINDS = (
    (rf"[\p{{N}}_--{_DENSE}]", BASE_OTHER),
    (rf"[\p{{L}}--{_DENSE}]", LETTER),
    (r"[\p{Tibetan}&&\p{L}]", TIBETAN),
    (rf"[\p{{Nd}}--{_DENSE}]", BASE_DIGIT),
    (r"[\p{M}\u200c\u200d]", MARK),
    (r"\p{Katakana}", KATAKANA),
    (r"\p{Hiragana}", HIRAGANA),
    (r"\p{Han}", HAN),
    (rf"[[\p{{Thai}}\p{{Lao}}]&&[\p{{L}}--{_LEADING}]]", CONSONANT),
    (_LEADING, LEADING),
    (r"[ะาำๅະາຳ]", FOLLOWING),
    (r"[\p{Khmer}&&\p{L}]", KHMER),
    (r"[\p{Myanmar}&&\p{L}]", MYANMAR),
    (r"[[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]&&\p{Nd}]", SEA_DIGIT),
    (r"[\u30fc]", KATAKANA),
    (r"['’״׳]", APOSTROPHE),
    (r"[.,٫٬]", POINT),
)
_BREAKS = r"[\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]"
_SPACES = r"[\s\x1c-\x1f]"
# Signs that only join or colour a letter are no letters themselves; vowel signs, nasals and visargas are.
_SOUNDING = r"[[\p{InSC=Vowel_Dependent}\p{InSC=Bindu}\p{InSC=Visarga}]&&\p{M}]"
_SYLLABLES = r"[[\p{Hiragana}\p{Katakana}\p{Hangul}\p{Ethiopic}\p{Canadian_Aboriginal}\p{Cherokee}\p{Yi}\u30fc]&&\p{L}]"

# Every full stop, question mark and the like of Unicode (property Sentence_Terminal) ends a line, and so do these.
_ENDS = r"[\p{Sentence_Terminal}…⋯།༎༏༐༑၊።፧፨᠂᠃։؟۔\u037e]"
_BULLETS = r"[•‣⁃◦∙▪▫●○■□◆◇►▸➢➤✓✔❖・*\-]"
_CLOSERS = r"[\p{Pe}\p{Pf}\p{Pi}\"'`*＂＇\u200b\u200c\u200d\u200e\u200f\ufe0f」』》】〉]"
_DOT_SIGNS = r"[…⋯]"


# The signs that datatrove 0.10 calls punctuation (with its control characters), and those that it lets a line end with: the
# property Sentence_Terminal of Unicode 15 and three Khmer signs.
_PEER_SIGNS = r"""[!/—”:％１〈&\(、━\\【#%「」，】；+\^\]~“《„';’\{|∶´\[=\-`*．（–？！：$～«〉,><》?）。…@_."\}►»)\x00-\x08\x0b-\x1f\x7f-\x9f]"""
_PEER_ENDS = (
    r"[[\p{Sentence_Terminal}--[\u1b4e\u1b4f\u1b7f\u2024\u2cf9-\u2cfb\u2e60\u2e61\ufe12\ufe15\ufe16\U000113d4\U000113d5\U00016d6e\U00016d6f]]"
    r"\u17d6\u17d9\u17da]"
)


@lru_cache(maxsize=1)
def kind_table() -> Bytes:
    """For every code point the part that it plays in a word."""
    table = np.zeros(CODES, np.uint8)
    for pattern, kind in _KINDS:
        for start, end in class_ranges(pattern):
            table[start:end] = kind
    table.flags.writeable = False
    return table


@lru_cache(maxsize=1)
def size_table() -> Bytes:
    """How many letters of an alphabet each code point stands for.

    A letter, digit, vowel sign or nasal sign is 1; a sign that joins, doubles, silences or accents is 0; kana, hangul and other
    signs for a syllable are 2; an ideograph is 3 (the weights of `dsbuild.filters.letters`). So lengths mean nearly the same in
    most scripts: the 956 sentences of one news set have 97,000 letters in English and 90,000 to 120,000 in eighteen other languages.
    Scripts that leave vowels out, and hangul, stay up to a third shorter in other texts (Universal Declaration of Human Rights).
    """
    table = np.zeros(CODES, np.uint8)
    for pattern, size in ((r"[\p{L}\p{N}]", 1), (_SOUNDING, 1), (_SYLLABLES, 2), (r"[\p{Han}&&[\p{L}\p{N}]]", 3)):
        for start, end in class_ranges(pattern):
            table[start:end] = size
    table.flags.writeable = False
    return table


@lru_cache(maxsize=1)
def unicode_bits() -> Bytes:
    """The bits of the `unicode` variant."""
    return class_bits(
        {
            _SPACES: SPACE, _BREAKS: BREAK, r"\p{L}": ALPHA, r"\p{Nd}": NUMERAL, _ENDS: TERMINAL, _BULLETS: BULLET, _CLOSERS: CLOSER,
            _DOT_SIGNS: DOTS,
        }
    )  # fmt: skip


@lru_cache(maxsize=1)
def peer_bits() -> Bytes:
    """The bits of the `peer` variant: Python's `str.isspace`, `isalpha` and `splitlines`, and datatrove's two sets of signs."""
    # Not class_bits: Python's tables and those of `regex` may be of different versions of Unicode.
    table = np.zeros(CODES, np.uint8)
    for code in range(CODES):
        character = chr(code)
        if character.isspace():
            table[code] |= SPACE
        if character.isalpha():
            table[code] |= ALPHA
    for pattern, bit in ((_BREAKS, BREAK), (_PEER_SIGNS, PUNCTUATION), (_PEER_ENDS, TERMINAL | PUNCTUATION)):
        for start, end in class_ranges(pattern):
            table[start:end] |= bit
    table.flags.writeable = False
    return table
