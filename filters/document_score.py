"""A score from 0 to 10 for web documents, from their form alone: in the manner of HPLT's Web Docs Scorer, after its description.

`10 * (0.8 language + 0.1 long segments + 0.1 great segment) * penalty`. Segments are lines. `language` is the share of letters in the script of
the row's language (or, with `segments="model"`, in segments that identification takes for it or a neighbour); long segments have 250
letters or more, ten of them are enough; a great segment grows from 625 letters to 1,000. The penalty is the product of seven factors in [0, 1]:
URLs, numbers, punctuation, other signs, repeated segments, informativeness (how far zlib compresses the text), short segments. The description
gives the bounds of the first four and of the segments, for Spanish; the bounds of the last three, and that factors are multiplied,
are this project's own.

The bounds hold for every script because all amounts are taken per letter of an alphabet (`characters.size_table`: an ideograph is 3, kana
and hangul 2): in these units one news set is as long in nineteen languages as in English, within a quarter.
Source: L. Burchell et al. 2025 (HPLT v2/v3 and the scorer's public description). No code of that project was used.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import regex

from dsbuild import languages
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.filters.characters import size_table
from dsbuild.filters.letters import Letters
from dsbuild.text import SCRIPT_CODES, class_ranges, codepoints

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Segments = Literal["script", "model"]

COLUMNS = {
    "document_score": "the score, in [0, 10]; null for a text without letters",
    "document_score_language": "share of letters in the language, in [0, 1]; of the main script where the language is not known",
    "document_score_long": "long segments, in [0, 1]: ten of at least 250 letters are 1",
    "document_score_great": "the longest segment, in [0, 1]: 625 letters are 0, 1,000 are 1",
    "document_score_penalty": "the product of the factors below",
    "document_score_urls": "1 under 3 URLs per 2,400 letters, 0 over 10",
    "document_score_numbers": "1 up to 1 % digits, 0 over 30 %",
    "document_score_punctuation": "1 from 0.9 to 2.5 %, 0 under 0.3 and over 25 %",
    "document_score_signs": "1 under 1 % of characters that are no letter, digit, punctuation or space, 0 over 10 %",
    "document_score_repeated": "share of letters in segments that did not stand before",
    "document_score_informative": "1 where zlib makes of a letter what it makes of prose, 0 for loops and for noise",
    "document_score_short": "1 with at most half of the letters in segments under 60 letters, 0.5 with all",
}

# A factor is 0 at the outer bounds, 1 between the inner ones, straight between them: (outer, inner, inner, outer).
_URLS = (-2.0, -1.0, 3.0, 10.0)
_NUMBERS = (-2.0, -1.0, 0.01, 0.30)
_PUNCTUATION = (0.003, 0.009, 0.025, 0.25)
_SIGNS = (-2.0, -1.0, 0.01, 0.10)
# Compressed bytes per letter. Prose of eleven languages has 0.35 at least; at most it has `_DENSE` after 20,000 letters, and more the fewer
# they are: 0.95 at 200. Loops lie under 0.1, encoded bytes and random letters at 0.8 however long they are.
_THIN = (0.08, 0.35)
_DENSE, _DENSER, _DENSE_START = 0.62, 0.97, 6.0
_MIN_LETTERS = 200
_URL_LETTERS = 2_400
_LONG, _LONG_ENOUGH = 250, 10
_GREAT = (625, 1_000)
_SHORT = 60
_SHORT_SHARE, _SHORT_FLOOR = 0.5, 0.5
# More than this much of a text says nothing new about how it compresses.
_SAMPLE = 20_000
# Code points that are looked at together.
_BLOCK = 4_000_000

_URL = regex.compile(r"(?:[a-z]{2,8}://|www\.)[^\s<>]++", regex.V1)
_NEWLINES = np.array([0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029], np.uint32)
_DIGIT, _PUNCTUATED, _SIGN = 1, 2, 4
_SENTENCE = 25


@dataclass(frozen=True)
class DocumentScore:
    """The score and its parts.

    segments: "script": a letter counts for the language if it is of its script; "model": a segment counts if identification takes it for
    the language or one it is confused with; segments too short to say count by their script.
    """

    segments: Segments = "script"

    name: ClassVar[str] = "document_score"
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if self.segments not in get_args(Segments):
            raise RecipeError(f"document_score.segments={self.segments!r}: there are script and model")

    def score(self, texts: pa.Array | Sequence[str], langs: Sequence[str]) -> dict[str, pa.Array]:
        """The columns of `COLUMNS`, as long as `texts`. Linear in the length of the texts."""
        if len(texts) != len(langs):
            raise ValueError(f"{len(texts)} texts and {len(langs)} languages")
        strings = texts.to_pylist() if isinstance(texts, pa.Array) else list(texts)
        blocks = [self._score(strings[start:end], langs[start:end]) for start, end in _blocks(strings)]
        return {name: pa.concat_arrays([block[name] for block in blocks]) for name in COLUMNS}

    def _score(self, strings: list[str], langs: Sequence[str]) -> dict[str, pa.Array]:
        column = Letters(strings)
        sizes = size_table()[column.codes].astype(np.int64) * (column.scripts > 0)
        letters = column.sums(sizes).astype(np.float64)
        blank, per_letter = letters == 0, np.maximum(letters, 1)
        kinds = _kinds()[column.codes]
        starts, ends, owners = _segments(column)
        total = np.concatenate(([0], np.cumsum(sizes)))
        lengths = total[ends] - total[starts]
        fresh, short = _repeated(strings, column, starts, ends, owners, lengths), lengths < _SHORT
        urls = np.array(
            [len(_URL.findall(text)) if "://" in text or "www." in text else 0 for text in strings], np.float64
        )

        def share(weights: Ints | npt.NDArray[np.bool_]) -> Floats:
            return np.bincount(owners, lengths * weights, len(strings)) / per_letter

        long = np.minimum(np.bincount(owners, lengths >= _LONG, len(strings)) / _LONG_ENOUGH, 1.0)
        longest = np.zeros(len(strings), np.int64)
        np.maximum.at(longest, owners, lengths)
        parts: dict[str, Floats] = {
            "language": self._language(strings, langs, column, (starts, ends, owners, lengths)),
            "long": long,
            "great": np.clip((longest - _GREAT[0]) / (_GREAT[1] - _GREAT[0]), 0.0, 1.0),
            "urls": _factor(urls * _URL_LETTERS / np.maximum(letters, _URL_LETTERS), _URLS),
            "numbers": _factor(column.sums(kinds == _DIGIT) / per_letter, _NUMBERS),
            "punctuation": _factor(column.sums(kinds == _PUNCTUATED) / per_letter, _PUNCTUATION),
            "signs": _factor(column.sums(kinds == _SIGN) / per_letter, _SIGNS),
            "repeated": share(fresh),
            "informative": _informative(strings, letters),
            "short": 1.0
            - (1.0 - _SHORT_FLOOR) * np.clip((share(short) - _SHORT_SHARE) / (1.0 - _SHORT_SHARE), 0.0, 1.0),
        }
        factors = ("urls", "numbers", "punctuation", "signs", "repeated", "informative", "short")
        penalty = np.prod([parts[name] for name in factors], axis=0) if strings else np.zeros(0)
        score = 10 * (0.8 * parts["language"] + 0.1 * parts["long"] + 0.1 * parts["great"]) * penalty
        values = {"document_score": score} | {
            f"document_score_{name}": parts.get(name, penalty)
            for name in ("language", "long", "great", "penalty", *factors)
        }
        return {name: pa.array(np.clip(part, 0.0, 10.0), mask=blank) for name, part in values.items()}

    def _language(
        self, texts: Sequence[str], langs: Sequence[str], column: Letters, segments: tuple[Ints, Ints, Ints, Ints]
    ) -> Floats:
        """The share of each text's letters that are in its language."""
        starts, ends, owners, lengths = segments
        spoken, sizes = np.zeros(len(texts)), size_table()[column.codes].astype(np.int64)
        lettered = np.maximum(column.sums(sizes * (column.scripts > 0)), 1)
        for lang in sorted(set(langs)):
            rows = np.array([one == lang for one in langs], np.bool_)
            scripts = _scripts(lang)
            wanted = np.isin(SCRIPT_CODES, [*scripts, "Zzzz"] if set(scripts) - set(SCRIPT_CODES) else scripts)
            amount = column.sums(sizes * wanted[column.scripts]) if scripts else _main_script(column, sizes)
            spoken[rows] = (amount / lettered)[rows]
        if self.segments == "script":
            return spoken
        from dsbuild.filters.language import LanguageId

        letters = np.maximum(np.bincount(owners, lengths, len(texts)), 1)
        pieces = [texts[owner][start:end] for owner, start, end in zip(
            owners.tolist(), (starts - column.bounds[owners]).tolist(), (ends - column.bounds[owners]).tolist(), strict=True
        )]  # fmt: skip
        right = np.ones(len(pieces), np.bool_)
        for place, found in enumerate(LanguageId().identify(pieces)):
            lang = langs[owners[place]]
            if found.label and _scripts(lang) and lengths[place] >= _SENTENCE:
                right[place] = found.label in _alike(lang)
        result: Floats = spoken * np.bincount(owners, lengths * right, len(texts)) / letters
        return result


def _blocks(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Rows to look at together: some forty bytes are needed for each code point, so not all at once; one block at least."""
    found, start, size = [], 0, 0
    for row, text in enumerate(texts):
        if size and size + len(text) > _BLOCK:
            found.append((start, row))
            start, size = row, 0
        size += len(text)
    return [*found, (start, len(texts))]


def _factor(values: Floats, bounds: tuple[float, float, float, float]) -> Floats:
    low, rise, fall, high = bounds
    result: Floats = np.interp(values, [low, rise, fall, high], [0.0, 1.0, 1.0, 0.0])
    return result


def _segments(column: Letters) -> tuple[Ints, Ints, Ints]:
    """The lines of all texts: where each begins and ends among all code points, and whose it is."""
    breaks = np.flatnonzero(np.isin(column.codes, _NEWLINES)) if len(column.codes) else np.zeros(0, np.int64)
    starts = np.concatenate((column.bounds[:-1], breaks + 1))
    ends = np.concatenate((column.bounds[1:], breaks))
    starts.sort()
    ends.sort()
    # Of an empty text, or after a final line break, nothing is left between the two.
    filled = ends > starts
    starts, ends = starts[filled], ends[filled]
    return starts, ends, np.searchsorted(column.bounds, starts, side="right") - 1


def _repeated(
    texts: Sequence[str], column: Letters, starts: Ints, ends: Ints, owners: Ints, lengths: Ints
) -> npt.NDArray[np.bool_]:
    """Which segments did not stand before in the same text; spaces around them and case do not count, short ones never."""
    fresh = np.ones(len(starts), np.bool_)
    firsts = column.bounds[owners]
    several = np.flatnonzero((np.bincount(owners, minlength=len(texts))[owners] > 1) & (lengths >= _SENTENCE))
    seen: set[str] = set()
    owner = -1
    for place in several.tolist():
        if owners[place] != owner:
            owner, seen = int(owners[place]), set()
        line = texts[owner][starts[place] - firsts[place] : ends[place] - firsts[place]].strip().lower()
        fresh[place] = line not in seen
        seen.add(line)
    return fresh


def _informative(texts: Sequence[str], letters: Floats) -> Floats:
    """How like prose each text compresses, by the bytes that zlib needs per letter; 1 for a text of fewer than 200 letters.

    The code points are compressed as ranks, one byte each where there are up to 256, so that an alphabet costs as much in every script.
    """
    result = np.ones(len(texts))
    for row, text in enumerate(texts):
        if letters[row] < _MIN_LETTERS:
            continue
        cut = text[:_SAMPLE]
        n = letters[row] * len(cut) / len(text)
        ranks = np.unique(codepoints(cut), return_inverse=True)[1].astype(np.uint16)
        data = (ranks & 0xFF).astype(np.uint8).tobytes()
        if ranks.max() > 0xFF:
            data += (ranks >> 8).astype(np.uint8).tobytes()
        density = len(zlib.compress(data, 6)) / max(n, 1.0)
        thin = np.interp(density, _THIN, (0.0, 1.0))
        result[row] = thin * np.interp(density - _DENSE_START / n**0.5, (_DENSE, _DENSER), (1.0, 0.0))
    return result


@lru_cache(maxsize=1)
def _kinds() -> npt.NDArray[np.uint8]:
    """Of every code point whether it is a digit, punctuation or another sign; 0: a letter, mark, space or nothing."""
    table = np.zeros(0x110000, np.uint8)
    for pattern, kind in ((r"[\p{S}\p{C}]", _SIGN), (r"\p{N}", _DIGIT), (r"\p{P}", _PUNCTUATED)):
        for start, end in class_ranges(pattern):
            table[start:end] = kind
    for start, end in class_ranges(r"[\p{White_Space}\p{Cf}]"):
        table[start:end] = 0
    return table


def _main_script(column: Letters, sizes: Ints) -> Ints:
    """How many letters of its most frequent script each text has."""
    owners = np.repeat(np.arange(len(column)), np.diff(column.bounds))
    counts: Any = np.bincount(owners * len(SCRIPT_CODES) + column.scripts, sizes, len(column) * len(SCRIPT_CODES))
    best: Ints = counts.reshape(len(column), len(SCRIPT_CODES))[:, 1:].max(axis=1)
    return best


@lru_cache(maxsize=512)
def _scripts(lang: str) -> tuple[str, ...]:
    try:
        return languages.get(lang).unicode_scripts if lang and lang != "und" else ()
    except UnknownName:
        return ()


@lru_cache(maxsize=512)
def _alike(lang: str) -> frozenset[str]:
    known = languages.get(lang)
    return frozenset({known.code, *known.confusables})
