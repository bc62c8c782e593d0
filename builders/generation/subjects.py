"""What a model is told to write about: a passage, or subjects that are drawn where there is no source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsbuild.builders.generation.generation import drawn
from dsbuild.builders.generation.queries import passage_data
from dsbuild.builders.generation.query_personas import personas
from dsbuild.stage import digest

# How many people's subjects are mixed: with about two hundred people that makes more than a million mixtures.
_MIXED = 3
_WORDS = 3


def told_of(row: Mapping[str, Any], lang: str, number: int, seed: int) -> dict[str, str]:
    """The passage of a row, with its title where it has one; of a row without a text, subjects."""
    return passage_data(row) if row["text"] else {"subjects": subjects(row["doc_id"], lang, number, seed)}


def subjects(name: str, lang: str, number: int, seed: int) -> str:
    """English words for subjects of three people of `personas.tsv`, drawn by what names the row."""
    found = []
    for place in range(_MIXED):
        _, known = personas()[drawn(seed, "person", name, lang, number, place) % len(personas())]
        words = known.split()
        start = drawn(seed, "words", name, lang, number, place) % max(1, len(words) - _WORDS + 1)
        found.append(" ".join(words[start : start + _WORDS]))
    return "; ".join(found)


def subjects_digest() -> str:
    """What decides which subjects can be drawn."""
    return digest(*(part for person in personas() for part in person))


def one_of(choices: tuple[str, ...], what: str, item: tuple[str, str, int], seed: int) -> str:
    """One of some settings for an item (key, language, number), drawn by what the setting is called."""
    return choices[drawn(seed, what, *item) % len(choices)]
