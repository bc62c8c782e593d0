"""From links to a place in the target: the rules that need nothing but links.

A rule looks at the target units (words) that a span's words are linked to and answers with one range of units, or with none.
hull: from the first to the last. strict: only if nothing else stands between. gapN: groups of linked units with at most N others between
are one; the largest group. head: the group without gaps that holds the most strongly linked unit. Sources: UKPLab coling2018 (hull),
Easy-Label-Projection (groups), García-Ferrero et al. 2022. The rule `weighted` is in `project/span_model.py`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

import regex

from dsbuild.errors import UnknownName
from dsbuild.spans import Piece, trimmed

PLAIN_RULES = ("hull", "strict", "head", "gap0", "gap1", "gap3")
RULES = ("weighted", *PLAIN_RULES)
DEFAULT_RULE = "weighted"
_GAP = re.compile(r"gap(\d{1,3})")
_EDGE = regex.compile(r"[\p{P}\p{Z}\p{C}--[\u200c\u200d]]", regex.V1)
_MARK = regex.compile(r"[\p{M}\u200c\u200d]")


def tidy(text: str, piece: Piece) -> Piece | None:
    """The piece without white space and punctuation at its ends, never ending inside what a reader sees as one character.

    A currency sign that touches the piece belongs to it. None where nothing is left.

    >>> tidy("¿un café, 5€?", (0, 9)), tidy("¿un café, 5€?", (9, 13))
    ((1, 8), (10, 12))
    """
    start, end = piece
    while start > 0 and start < len(text) and _MARK.match(text[start]):
        start -= 1
    while 0 < end < len(text) and _MARK.match(text[end]):
        end += 1
    found = trimmed(text, (start, end), "".join({char for char in text[start:end] if _EDGE.match(char)}))
    if found is None:
        return None
    start, end = found
    while start > 0 and unicodedata.category(text[start - 1]) == "Sc":
        start -= 1
    while end < len(text) and unicodedata.category(text[end]) == "Sc":
        end += 1
    return start, end


def check_rule(rule: str) -> None:
    """`UnknownName` unless there is such a rule (`gapN` for any N from 0 to 999)."""
    if rule not in RULES and not _GAP.fullmatch(rule):
        raise UnknownName("span rule", rule, RULES)


def choose(rule: str, linked: Mapping[int, float]) -> tuple[int, int] | None:
    """The half-open range of target units that a plain rule picks; None where it picks none.

    linked: the target units that the span's words are linked to, each with the score of its links (summed). Of equal groups the more
    strongly linked one is taken, then the first.

    >>> choose("gap1", {2: 1.0, 4: 1.0, 9: 1.0}), choose("strict", {2: 1.0, 4: 1.0})
    ((2, 5), None)
    """
    if not linked:
        return None
    units = sorted(linked)
    first, last = units[0], units[-1] + 1
    if rule == "hull":
        return first, last
    if rule == "strict":
        return (first, last) if last - first == len(units) else None
    if rule == "head":
        top = max(units, key=lambda unit: (linked[unit], -unit))
        group = next(group for group in _groups(units, 0) if top in group)
        return group[0], group[-1] + 1
    found = _GAP.fullmatch(rule)
    if not found:
        raise UnknownName("span rule", rule, RULES)
    group = max(
        _groups(units, int(found.group(1))),
        key=lambda group: (len(group), sum(linked[unit] for unit in group), -group[0]),
    )
    return group[0], group[-1] + 1


def _groups(units: Sequence[int], gap: int) -> list[list[int]]:
    found: list[list[int]] = []
    for unit in units:
        if found and unit - found[-1][-1] - 1 <= gap:
            found[-1].append(unit)
        else:
            found.append([unit])
    return found
