"""The cheap rules of pairs of texts as columns: lengths, words, tags, letters, scripts, full stops, digits, and likeness.

They are OpusFilter's rules. Two variants. `peer`: its definitions, score for score. `unicode`, the default, differs so that a rule
means the same in every script:

- words are those of `dsbuild.text.words`; a text has as many as stand between spaces or, if that is more, a fifth of its letters;
- lengths are letters of an alphabet (`dsbuild.filters.characters.size_table`), and so is the length ratio;
- the longest word and the mean are of words written apart, and abstain where most of a text is written without spaces;
- letters include their marks and are shares of all characters but spaces; a language has one script or several, and one that is
  not known, or a text without letters, abstains;
- a full stop is any sentence-ending sign of any script, a run of them is one, and a point inside a number is none;
- digits are those of every script; copies of a repeated stretch may be parted by any white space.

In both, the longest common substring is the real one (difflib, which OpusFilter asks, leaves out frequent characters of texts of 200 and
more), and more than 199 digits on a side are compared by their counts.
Sources: Aulamo et al. 2020 (OpusFilter); Vázquez et al. 2019 (terminal punctuation, non-zero numerals).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsbuild import languages
from dsbuild.errors import UnknownName
from dsbuild.filters import pair_kernel as kernel
from dsbuild.filters import pair_strings
from dsbuild.filters.characters import SPACE, TERMINAL, kind_table, peer_bits, size_table, unicode_bits
from dsbuild.filters.utf8 import CODES, Bytes, buffers, class_bits, digit_table
from dsbuild.text import SCRIPT_CODES, SCRIPTS, class_ranges, script_table

Floats = npt.NDArray[np.float64]
Variant = Literal["unicode", "peer"]

PARTS = ("counts", "substring", "similarity", "repetition")
COLUMNS = {
    "pairs_words_a": "words of the first side",
    "pairs_words_b": "words of the second side",
    "pairs_length_ratio": "letters (peer: words) of the longer side over the shorter; infinite where only one has any, null (peer: 0) where none",
    "pairs_longest_word": "letters (peer: code points) of the longest word of both sides; null without words written apart",
    "pairs_mean_word_a": "letters per word of the first side; null (peer: 0) without words written apart",
    "pairs_mean_word_b": "letters per word of the second side; null (peer: 0) without words written apart",
    "pairs_tags": "bool: a side has an HTML tag",
    "pairs_alphabet": "share of letters among the characters of the side that has fewer; null without characters",
    "pairs_script": "share of letters in its language's scripts, of the side that has fewer; null where no language is known",
    "pairs_terminal": "-ln(|s - t| + max(s - 1, 0) + max(t - 1, 0) + 1) over full stops s and t of the two sides, <= 0",
    "pairs_numerals": "likeness of the digits of both sides, zeros left out, in [0, 1]; 1 without digits",
    "pairs_common_substring": "the longest common substring over the shorter side, in [0, 1]; null for over a million characters",
    "pairs_similarity": "one less the edit distance over the longer side, in [0, 1]; null where the sides differ over 20,000 characters",
    "pairs_repetition": "how often a stretch of 3 to 101 characters comes again in a row, of the side with more; 0 if less than twice",
}
# The bit of letters of no known script, which is in no language, and that of letters and marks that go with any script.
_ELSE, _ANY = len(SCRIPT_CODES) - 1, 63


@dataclass(frozen=True)
class PairRules:
    """The columns of the named parts, one pass for the counts and one for each other part.

    parts: of `PARTS`; variant: "unicode" or "peer".
    """

    parts: tuple[str, ...] = PARTS
    variant: Variant = "unicode"

    name: ClassVar[str] = "pairs"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.variant not in get_args(Variant):
            raise ValueError(f"variant {self.variant!r}: there are unicode and peer")
        # One name is a list of one.
        object.__setattr__(self, "parts", (self.parts,) if isinstance(self.parts, str) else tuple(self.parts))
        for part in self.parts:
            if part not in PARTS:
                raise UnknownName("part of pairs", str(part), PARTS)

    def score(self, a: pa.Array, b: pa.Array, lang_a: Sequence[str], lang_b: Sequence[str]) -> dict[str, pa.Array]:
        """The columns of `COLUMNS` of these parts, each as long as `a` and `b`."""
        one, two = buffers(a), buffers(b)
        columns: dict[str, pa.Array] = {}
        if "counts" in self.parts:
            columns |= self._counts(one, two, lang_a, lang_b)
        if "substring" in self.parts:
            columns["pairs_common_substring"] = _nullable(pair_strings.common_substring(*one, *two))
        if "similarity" in self.parts:
            columns["pairs_similarity"] = _nullable(pair_strings.similarity(*one, *two))
        if "repetition" in self.parts:
            bits = _bits(self.variant)
            found = [pair_strings.repetitions(*side, bits, self.variant == "peer") for side in (one, two)]
            columns["pairs_repetition"] = pa.array(np.maximum(*found))
        return columns

    def _counts(self, one: Any, two: Any, lang_a: Sequence[str], lang_b: Sequence[str]) -> dict[str, pa.Array]:
        peer = self.variant == "peer"
        packed, kinds, word_bits = _tables(self.variant)
        left, digits, bounds = kernel.count(one[0], one[1], _allowed(lang_a), packed, kinds, word_bits, peer)
        right, other_digits, other_bounds = kernel.count(
            two[0], two[1], _allowed(lang_b), packed, kinds, word_bits, peer
        )
        stops, ends = left[:, kernel.STOPS], right[:, kernel.STOPS]
        penalty = np.abs(stops - ends) + np.maximum(stops - 1, 0) + np.maximum(ends - 1, 0)
        tags = (left[:, kernel.TAGS] + right[:, kernel.TAGS]) > 0
        return {
            "pairs_words_a": pa.array(left[:, kernel.WORDS]),
            "pairs_words_b": pa.array(right[:, kernel.WORDS]),
            "pairs_length_ratio": _ratio(left[:, kernel.SIZE], right[:, kernel.SIZE], peer),
            "pairs_longest_word": _nullable(np.fmax(left[:, kernel.LONGEST], right[:, kernel.LONGEST])),
            "pairs_mean_word_a": _nullable(left[:, kernel.MEAN]),
            "pairs_mean_word_b": _nullable(right[:, kernel.MEAN]),
            "pairs_tags": pa.array(tags),
            "pairs_alphabet": _nullable(np.fmin(left[:, kernel.ALPHABET], right[:, kernel.ALPHABET])),
            "pairs_script": _nullable(np.fmin(left[:, kernel.SCRIPT], right[:, kernel.SCRIPT])),
            "pairs_terminal": pa.array(0.0 - np.log(penalty + 1)),
            "pairs_numerals": pa.array(kernel.numerals(digits, bounds, other_digits, other_bounds)),
        }


def _ratio(one: Floats, two: Floats, peer: bool) -> pa.Array:
    shorter, longer = np.minimum(one, two), np.maximum(one, two)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = longer / shorter
    if peer:
        return pa.array(np.where(longer == 0, 0.0, ratio))
    return pa.array(ratio, mask=longer == 0)


def _nullable(values: Floats) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))


def _allowed(langs: Sequence[str]) -> npt.NDArray[np.uint64]:
    """For each row the scripts of its language, bit by bit; 0 where it is not known."""
    known = {lang: _scripts_of(lang) for lang in set(langs)}
    return np.array([known[lang] for lang in langs], np.uint64)


@lru_cache(maxsize=1024)
def _scripts_of(lang: str) -> int:
    try:
        codes = languages.get(lang).unicode_scripts
    except UnknownName:
        return 0
    return sum(1 << (SCRIPT_CODES.index(code) if code in SCRIPT_CODES else _ELSE) for code in codes) | 1 << _ANY


@lru_cache(maxsize=2)
def _bits(variant: Variant) -> Bytes:
    if variant == "peer":
        table = (peer_bits() & np.uint8(SPACE)) | class_bits(
            {r"[.?!…]": TERMINAL, r"\p{Alphabetic}": kernel.ALPHABETIC}
        )
    else:
        letters, ink = r"[\p{L}\p{M}\p{Alphabetic}\u200c\u200d]", r"[^\s\x1c-\x1f]"
        table = (unicode_bits() & np.uint8(SPACE | TERMINAL)) | class_bits(
            {letters: kernel.ALPHABETIC, ink: kernel.INK}
        )
    table.flags.writeable = False
    return table


@lru_cache(maxsize=2)
def _tables(variant: Variant) -> tuple[Any, ...]:
    if variant == "peer":
        values = np.full(CODES, -1, np.int8)
        values[ord("0") : ord("9") + 1] = np.arange(10)
        scripts = np.full(CODES, _ELSE, np.uint8)
        for index, name in enumerate(SCRIPTS.values(), start=1):
            for start, end in class_ranges(rf"[\p{{Script={name}}}&&\p{{Alphabetic}}]"):
                scripts[start:end] = index
    else:
        values = np.array(digit_table())
        scripts = script_table().copy()
        scripts[scripts == 0] = _ANY
    return kernel.pack(kind_table(), _bits(variant), size_table(), scripts, values), kind_table(), unicode_bits()
