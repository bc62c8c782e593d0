"""Named entities of instruction data: whether those of a source stand in its translation, as a list has them, copied or by their sound."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from dsbuild.filters.names import found_share, names
from dsbuild.filters.priors import Priors
from dsbuild.translate.protect import find
from dsbuild.translate.term_forms import stands

# Names are told to be lost only in languages where they are found by their sound in so many of people's own translations.
_FOUND_BY_PEOPLE = 0.65


@dataclass(frozen=True)
class NamedEntities:
    """Look for the entities of a text in its translation.

    local: entities of the source's language and what must stand for each: a local equivalent, its spelling in the language, or itself. Other
    names are guessed (capitalised words inside English sentences) and looked for as they are, or by their sound (`filters.names`);
    that is evidence and no proof, and nothing is said of languages in which it is wrong too often, or of sources in other languages.
    """

    src: str
    lang: str
    local: Mapping[str, str] = field(default_factory=dict)

    def listed_lost(self, source: str, translation: str) -> list[str]:
        """Listed entities of a source whose equivalent stands in its translation in no form, as "entity -> equivalent"."""
        found = dict.fromkeys((item.text, item.replacement) for item in find(source, (), terms=self.local))
        return [f"{entity} -> {wanted}" for entity, wanted in found if not stands(wanted, translation)]

    def names_lost(self, source: str, translation: str, known: Sequence[str] = ()) -> list[str]:
        """Names of a source that are neither listed nor part of one of `known` (texts that are looked for otherwise), and not found."""
        if self.src != "en" or not _told_by_sound(self.lang):
            return []
        for one in sorted((*self.local, *known), key=len, reverse=True):
            source = re.sub(rf"(?<!\w){re.escape(one)}(?!\w)", "x" * len(one), source)
        folded = translation.casefold()
        return [
            name for name in names(source) if name.casefold() not in folded and found_share([name], translation) == 0.0
        ]

    def lost(self, source: str, translation: str, known: Sequence[str] = ()) -> Iterator[tuple[bool, str]]:
        """All that is lost: whether it is listed, and what it is."""
        yield from ((True, one) for one in self.listed_lost(source, translation))
        yield from ((False, one) for one in self.names_lost(source, translation, known))


@lru_cache(maxsize=64)
def _told_by_sound(lang: str) -> bool:
    return Priors().name_rates(lang)[0] >= _FOUND_BY_PEOPLE
