"""Gopher, repetition and FineWeb rules as columns of values; which value is too much is a rule in `filters/rules/`.

Two variants. `peer`: datatrove's definitions over white-space tokens, decision for decision. `unicode`, the default, differs so
that a rule means the same in every script:

- words are those of `dsbuild.text.words`, with marks, without punctuation; signs that stand alone count as tokens without letters;
- lengths are letters of an alphabet (`dsbuild.filters.characters.size_table`): an ideograph is 3, kana and hangul 2, a sign that
  only joins or silences 0. A text has as many words as stand between spaces or, if that is more, a fifth of its letters: so
  neither scripts without spaces nor languages with long words look shorter or longer than they are;
- the mean word length abstains where most of a text is written without spaces;
- lines and paragraphs count without the space around them, empty ones not at all; a line may end in any script's full stop,
  followed by quotes and brackets, and a line in Thai or Lao, which write none, is not asked for one;
- words are compared without case; stop words are those of the row's language, and a language without any abstains (there is no
  default language);
- an n-gram is as much text as n words; its characters are letters of words, over all letters of the text: spaces are not counted;
  only what occurs more than once counts, and the letters of n words (five each) are free, so that an n-gram that recurs once does not
  fail a short text; texts of fewer than `min_words` words and `min_lines` lines abstain.

Sources: Rae et al. 2021, tables A1 and section A1.1 (Gopher); Penedo et al. 2024 (FineWeb); datatrove 0.10 (their exact form).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsbuild.filters.characters import kind_table, peer_bits, size_table, unicode_bits
from dsbuild.filters.quality_kernel import NAMES, measure
from dsbuild.filters.utf8 import CODES, buffers, encode, lower_table
from dsbuild.filters.word_kernel import hash_word
from dsbuild.text import words

Variant = Literal["unicode", "peer"]

GROUPS = ("gopher", "repetition", "fineweb")
COLUMNS = {
    "gopher_words": "words, or a fifth of the letters where that is more (peer: white-space tokens that are not only punctuation)",
    "gopher_mean_word_length": "letters per word; null where most of the text is written without spaces",
    "gopher_hash_ratio": "number signs per word",
    "gopher_ellipsis_ratio": "ellipses per word",
    "gopher_bullet_lines": "share of lines that begin with a bullet",
    "gopher_ellipsis_lines": "share of lines that end in an ellipsis",
    "gopher_alpha_words": "share of words and lone signs that have a letter",
    "gopher_stop_words": "distinct stop words of the row's language; null where it has none here",
    "repetition_dup_paragraphs": "share of paragraphs that stood before",
    "repetition_dup_paragraph_chars": "share of letters in paragraphs that stood before",
    "repetition_dup_lines": "share of lines that stood before",
    "repetition_dup_line_chars": "share of letters in lines that stood before",
    **{f"repetition_top_{n}gram": f"share of letters in the {n}-gram that takes up most" for n in (2, 3, 4)},
    **{f"repetition_dup_{n}gram": f"share of letters in {n}-grams that stood before" for n in range(5, 11)},
    "fineweb_terminal_lines": "share of lines that end like a sentence; null where no line could",
    "fineweb_short_lines": "share of lines of at most 30 characters",
    "fineweb_dup_line_chars": "share of letters in lines that stood before, whatever their number",
    "fineweb_newline_ratio": "line ends per word",
}
# Gopher's stop words, which datatrove asks every language for.
PEER_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")

_HERE = Path(__file__).parent
_LISTS = ("closed_words.tsv", "stopwords.tsv")
# Languages whose closed words tell them from a neighbour and are no function words.
_NOT_FUNCTION_WORDS = frozenset(["zh-Hans", "zh-Hant", "yue", "ja"])


@dataclass(frozen=True)
class Quality:
    """The columns of the named groups, one pass over the texts for all of them.

    groups: of `GROUPS`; variant: "unicode" or "peer"; min_words, min_lines: below which n-grams and repeated lines abstain (`unicode` only).
    """

    groups: tuple[str, ...] = GROUPS
    variant: Variant = "unicode"
    min_words: int = 50
    min_lines: int = 4

    name: ClassVar[str] = "quality"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.variant not in ("unicode", "peer"):
            raise ValueError(f"variant {self.variant!r}: there are unicode and peer")
        for name in ("min_words", "min_lines"):
            least = getattr(self, name)
            if isinstance(least, bool) or not isinstance(least, int) or least < 0:
                raise ValueError(f"{name}={least!r}: a whole number, 0 or more")
        unknown = set(self.groups) - set(GROUPS)
        if unknown:
            raise ValueError(f"no group {', '.join(sorted(unknown))}: there are {', '.join(GROUPS)}")

    def score(self, texts: pa.Array | Sequence[str], langs: Sequence[str]) -> dict[str, pa.Array]:
        """The columns, as long as `texts`. langs: the BCP-47 code of each row, "" or "und" where it is not known.

        Lone surrogates in Python strings count as signs. Linear in the length of the texts.
        """
        data, offsets = buffers(texts) if isinstance(texts, pa.Array | pa.ChunkedArray) else encode(texts)
        if len(langs) != len(offsets) - 1:
            raise ValueError(f"{len(offsets) - 1} texts and {len(langs)} languages")
        peer = self.variant == "peer"
        found = sorted(set(langs))
        stops, spans = _stop_tables(("",) if peer else tuple(found), peer)
        places = {lang: 0 if peer else place for place, lang in enumerate(found)}
        rows = np.fromiter((places[lang] for lang in langs), np.int64, len(langs))
        values = np.full((len(rows), len(NAMES)), np.nan)
        repetition = bool({"repetition", "fineweb"} & set(self.groups))
        measure(
            data, offsets, _tables(peer), peer, stops, spans, rows, self.min_words, self.min_lines, repetition, values
        )
        return {
            name: pa.array(values[:, place], mask=np.isnan(values[:, place]))
            for place, name in enumerate(NAMES)
            if name.split("_", 1)[0] in self.groups
        }


@lru_cache(maxsize=1)
def stop_words() -> dict[str, tuple[str, ...]]:
    """The stop words of each language that has some: frequent function words of one word each, in lower case.

    >>> "the" in stop_words()["en"], "और" in stop_words()["hi"], "xx" in stop_words()
    (True, True, False)
    """
    lists: dict[str, tuple[str, ...]] = {}
    for name in _LISTS:
        for line in (_HERE / name).read_text("utf-8").splitlines()[1:]:
            lang, _, text = line.partition("\t")
            if name == "stopwords.tsv" or lang not in _NOT_FUNCTION_WORDS:
                kept = dict.fromkeys(word.lower() for word in text.split() if words(word) == [word])
                lists[lang] = tuple(kept)
    return lists


@lru_cache(maxsize=2)
def _tables(peer: bool) -> tuple[npt.NDArray[Any], ...]:
    identity = np.arange(CODES, dtype=np.int32)
    identity.flags.writeable = False
    bits = peer_bits() if peer else unicode_bits()
    return kind_table(), bits, size_table(), identity if peer else lower_table()


@lru_cache(maxsize=64)
def _stop_tables(langs: tuple[str, ...], peer: bool) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """One hash table of stop words per language, end to end, and where each begins; one free place marks a language without."""
    fold = _tables(peer)[3]
    tables, bounds = [], [0]
    for lang in langs:
        listed = PEER_STOP_WORDS if peer else stop_words().get(lang, ())
        size = 1
        while listed and size < 4 * len(listed):
            size *= 2
        table = np.zeros(size, np.uint64)
        for word in listed:
            key = hash_word(encode([word])[0], fold)
            place = (int(key) >> 16) & (size - 1)
            while table[place] and table[place] != key:
                place = (place + 1) & (size - 1)
            table[place] = key
        tables.append(table)
        bounds.append(bounds[-1] + size)
    return np.concatenate([*tables, np.zeros(1, np.uint64)]), np.array(bounds, np.int64)
