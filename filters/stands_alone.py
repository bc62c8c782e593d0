"""Whether a query can be understood without its passage: a heuristic that looks for words that point at something outside of it."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import regex

from dsbuild.filters.closed import lists
from dsbuild.filters.funnel_rules import lists_digest
from dsbuild.filters.leaked_words import as_pattern, listed_words

COLUMNS = {
    "alone_dangling": "whether it points at something that it does not name; null for a language without a list",
    "alone_word": "the word that points; null where none does",
}
_FILE = Path(__file__).with_name("dangling_words.tsv")
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+")


@dataclass(frozen=True)
class StandsAlone:
    """A pronoun or pointing word dangles where only closed-class and question words stand before it, a phrase ("the author") anywhere.

    Lists by language in `dangling_words.tsv`: pronoun, phrase, start (scripts without spaces: only at the very start), function (question words
    and auxiliaries that the closed-class list lacks), unless (an expression for what may follow a pronoun that then points at nothing: "is it
    true that"). A heuristic: it misses what a reader would see ("how tall is it"), and it takes some queries that a reader would keep;
    the share of real queries that it takes is in docs/funnel.md.
    """

    data: str = field(default_factory=lists_digest)

    name: ClassVar[str] = "stands_alone"
    version: ClassVar[int] = 1

    def score(self, texts: pa.Array, langs: Sequence[str]) -> dict[str, pa.Array]:
        """The columns of `COLUMNS`, each as long as `texts`."""
        found = [
            words.dangling(unicodedata.normalize("NFC", text))
            if (words := _lists().get(lang.partition("-")[0]))
            else None
            for text, lang in zip(texts.to_pylist(), langs, strict=True)
        ]
        return {
            "alone_dangling": pa.array([None if one is None else bool(one) for one in found], pa.bool_()),
            "alone_word": pa.array([one or None for one in found], pa.string()),
        }


@dataclass(frozen=True, slots=True)
class _Pointing:
    """What points, in one language."""

    pronouns: frozenset[str]
    function: frozenset[str]
    phrases: regex.Pattern[str] | None
    unless: regex.Pattern[str] | None

    def dangling(self, text: str) -> str:
        """The word that dangles, "" if none does."""
        if self.phrases and (found := self.phrases.search(text)):
            return str(found.group())
        for word in _WORD.finditer(text):
            lower = word.group().lower()
            if lower in self.pronouns:
                return "" if self.unless and self.unless.match(text, word.start()) else str(word.group())
            if lower not in self.function:
                return ""
        return ""


@lru_cache(maxsize=1)
def _lists() -> dict[str, _Pointing]:
    said: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for lang, kind, listed in listed_words(_FILE):
        said[lang][kind] += [listed] if kind == "unless" else [one.strip() for one in listed.split("|")]
    closed = lists()
    made = {}
    for lang, kinds in said.items():
        pronouns = frozenset(kinds["pronoun"])
        phrases = [as_pattern(one, lang) for one in kinds["phrase"]]
        phrases += [rf"\A\W*{regex.escape(one)}" for one in kinds["start"]]
        made[lang] = _Pointing(
            pronouns,
            (closed.get(lang, frozenset()) | frozenset(kinds["function"])) - pronouns,
            regex.compile("|".join(phrases), regex.IGNORECASE) if phrases else None,
            regex.compile("|".join(kinds["unless"]), regex.IGNORECASE) if kinds["unless"] else None,
        )
    return made
