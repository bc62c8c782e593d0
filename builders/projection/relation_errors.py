"""What goes wrong with the two marked entities of a relation when its text is translated: one word for each row that is lost.

MultiTACRED (Hennig et al. 2023) discards a translation whose head or tail tags are missing or not well formed; its code asks for two marks of
each entity, in order, around something, apart from each other's. Those are the first words here, told apart as the marker parser does. What the
paper finds by hand and structure cannot show is looked for where it can be told safely: a pronoun that the translation drops, and marks that
came back around each other's words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from dsbuild.project.projector import Projected
from dsbuild.spans import Labelled, Span

# The error of a row by the reasons of its spans, the first that fits: what the row suffers from most comes first.
ERRORS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "not_translated": frozenset({"no_translation", "not_translated", "empty_target"}),
        "markers_broken": frozenset({"debris", "escape_lost", "parted", "cuts_a_character", "unsound"}),
        "markers_swapped": frozenset({"order", "swapped"}),
        "markers_doubled": frozenset({"doubled"}),
        "markers_overlap": frozenset({"nested", "overlap", "overlaps_another"}),
        "marker_empty": frozenset({"empty"}),
        "marker_grown": frozenset({"grown"}),
        "text_changed_by_markers": frozenset({"marks_changed"}),
        "pronoun_dropped": frozenset(),
        "marker_missing": frozenset({"missing"}),
        "span_not_placed": frozenset(),
    }
)
SWAPPED = "swapped"
# Words that stand for an entity and that many languages leave unsaid or say by an ending.
_PRONOUNS: Mapping[str, frozenset[str]] = {
    "en": frozenset(
        {
            *(
                "i",
                "me",
                "my",
                "mine",
                "myself",
                "we",
                "us",
                "our",
                "ours",
                "ourselves",
                "you",
                "your",
                "yours",
                "yourself",
            ),
            *("he", "him", "his", "himself", "she", "her", "hers", "herself", "it", "its", "itself"),
            *("they", "them", "their", "theirs", "themselves", "who", "whom", "whose"),
        }
    )
}
# How MultiTACRED calls subject and object.
_ENTITIES = {"SUBJ": "head", "OBJ": "tail"}


def error_of(source: Labelled, answers: Sequence[Projected]) -> str:
    """Which of `ERRORS` a row has whose spans these answers are; "" where every span has a place."""
    lost = {one.span_id: one.reason for one in answers if one.outcome != "kept"}
    if not lost:
        return ""
    reasons = set(lost.values())
    for error, those in ERRORS.items():
        if reasons & those and error != "marker_missing":
            return error
    by_id = source.by_id()
    gone = [by_id[span_id] for span_id in lost]
    if any(is_pronoun(span.surface(source.text), source.lang) for span in gone):
        return "pronoun_dropped"
    return "marker_missing" if reasons & ERRORS["marker_missing"] else "span_not_placed"


def entities_lost(answers: Iterable[Projected]) -> str:
    """Whether `head`, `tail` or `both` have no place; other spans are called by their ids."""
    names = sorted(_ENTITIES.get(one.span_id, one.span_id) for one in answers if one.outcome != "kept")
    return "both" if names == ["head", "tail"] else " ".join(names)


def is_pronoun(words: str, lang: str) -> bool:
    """Whether the words are a pronoun of the language; never where its pronouns are not known here.

    >>> is_pronoun("His", "en"), is_pronoun("Hisako", "en")
    (True, False)
    """
    return words.casefold() in _PRONOUNS.get(lang.split("-")[0], ())


def without_swapped(source: Labelled, answers: Sequence[Projected], text: str) -> list[Projected]:
    """The answers, both rejected where each of the two spans came back around the other's own words.

    text: the translation. Told only where both are copied letter for letter, as names are, and differ.
    """
    if len(answers) != 2 or len(source.spans) != 2 or any(one.outcome != "kept" for one in answers):
        return list(answers)
    by_id = source.by_id()
    were = [by_id[one.span_id].surface(source.text).casefold() for one in answers]
    are = [Span(one.span_id, "", one.pieces).surface(text).casefold() for one in answers]
    if were[0] == were[1] or were != are[::-1]:
        return list(answers)
    return [replace(one, pieces=(), score=None, outcome="rejected", reason=SWAPPED) for one in answers]
