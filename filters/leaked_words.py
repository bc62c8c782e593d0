"""Words by which a query speaks of the passage that it was made from ("according to the text"), by language."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import regex

from dsbuild.filters.funnel_rules import lists_digest

COLUMNS = {
    "leaked_words": "how many such phrases it holds; null for a language without a list",
    "leaked_phrase": "the first of them as the query has it, in NFC; null where there is none",
}
_FILE = Path(__file__).with_name("leaked_words.tsv")
_LETTER = r"[\p{L}\p{M}\p{N}]"
# Scripts without spaces between words: a phrase is found wherever its characters stand.
_UNSPACED = ("zh", "ja", "yue", "th")


@dataclass(frozen=True)
class LeakedWords:
    """Looks for the phrases of the row's language in `leaked_words.tsv`, whole words, whatever their case.

    A phrase that ends in `*` stands for every word that begins so; a label ("question") is one only before a colon at the start.
    """

    data: str = field(default_factory=lists_digest)

    name: ClassVar[str] = "leaked_words"
    version: ClassVar[int] = 1

    def score(self, texts: pa.Array, langs: Sequence[str]) -> dict[str, pa.Array]:
        """The columns of `COLUMNS`, each as long as `texts`."""
        spoken = np.array([lang.partition("-")[0] for lang in langs], object)
        counts = np.zeros(len(texts), np.int32)
        phrases: list[str | None] = [None] * len(texts)
        texts = pc.utf8_normalize(texts, "NFC")
        for lang, words in leaked().items():
            places = np.flatnonzero(spoken == lang)
            maybe = pc.match_substring_regex(texts.take(pa.array(places)), words.rough, ignore_case=True)
            for place in places[np.asarray(maybe.to_numpy(zero_copy_only=False), np.bool_)].tolist():
                found = [one.group().strip() for one in words.exact.finditer(texts[place].as_py())]
                counts[place], phrases[place] = len(found), found[0] if found else None
        unknown = ~np.isin(spoken, list(leaked()))
        return {"leaked_words": pa.array(counts, mask=unknown), "leaked_phrase": pa.array(phrases, pa.string())}


@dataclass(frozen=True, slots=True)
class Phrases:
    """The phrases of a language as two expressions: rough finds more than they are and is fast (RE2), exact finds them."""

    rough: str
    exact: regex.Pattern[str]


@lru_cache(maxsize=1)
def leaked() -> dict[str, Phrases]:
    """The phrases of each language."""
    exact: dict[str, list[str]] = defaultdict(list)
    rough: dict[str, list[str]] = defaultdict(list)
    for lang, kind, listed in listed_words(_FILE):
        for phrase in listed.split("|"):
            exact[lang].append(as_pattern(phrase.strip(), lang, label=kind == "label"))
            body = r"\s+".join(map(_plain, phrase.strip().removesuffix("*").split()))
            rough[lang].append(rf"^\s*{body}\s*[:：]" if kind == "label" else body)
    return {
        lang: Phrases("|".join(rough[lang]), regex.compile("|".join(exact[lang]), regex.IGNORECASE)) for lang in exact
    }


def _plain(word: str) -> str:
    """A word as an expression of RE2."""
    return "".join(letter if letter.isalnum() or ord(letter) > 127 else f"\\{letter}" for letter in word)


def listed_words(path: Path) -> Iterator[tuple[str, str, str]]:
    """The lines of a list below its head: language, kind, entries joined by `|`; in NFC, as texts are when they are looked through."""
    for line in path.read_text("utf-8").splitlines()[1:]:
        lang, kind, listed = unicodedata.normalize("NFC", line).split("\t")
        yield lang, kind, listed


def as_pattern(phrase: str, lang: str, *, label: bool = False) -> str:
    """A phrase of a list as an expression: any white space between its words, no letter at its ends."""
    body = r"\s+".join(regex.escape(word) for word in phrase.removesuffix("*").split())
    if label:
        return rf"\A\s*{body}\s*[:：]"
    if lang in _UNSPACED:
        return body
    return rf"(?<!{_LETTER}){body}" + (rf"{_LETTER}*+" if phrase.endswith("*") else rf"(?!{_LETTER})")
