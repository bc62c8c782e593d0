"""Licences of sources, what each asks of those who use the texts, and whether several can stand over one set.

What a licence asks is in `licences.tsv`: a table of facts, not legal advice. Three things are kept apart everywhere: the licence of
the source's texts, the terms of the model that translated them, and the licence that a row of the release carries.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

_NOTHING_SAID = ("", "unknown", "none", "not stated", "other")
# How licences that are no name say what they forbid: MS MARCO's "non-commercial research purposes only", NIST's agreement.
_NON_COMMERCIAL = re.compile(r"\bnon[- ]?commercial|\bresearch (purposes )?only|\bNC\b", re.IGNORECASE)
_NO_DERIVATIVES = re.compile(r"\bno[- ]?deriv|\bND\b", re.IGNORECASE)
_SHARE_ALIKE = re.compile(r"\bshare[- ]?alike|\bSA\b", re.IGNORECASE)
_SPELLINGS = {
    "apache2.0": "apache-2.0", "apache": "apache-2.0", "apache-2": "apache-2.0", "cc0": "cc0-1.0", "publicdomain": "public-domain",
    "odc-by-1.0": "odc-by", "odbl-1.0": "odbl", "gpl": "gpl-3.0", "pddl-1.0": "pddl",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Licence:
    """What a licence asks; known: it is in the table, else only what its own words say was read.

    goes_into: other licences under which adaptations may be published.
    """

    id: str
    known: bool
    attribution: bool = True
    share_alike: bool = False
    non_commercial: bool = False
    no_derivatives: bool = False
    goes_into: tuple[str, ...] = ()
    url: str = ""

    def limits(self) -> list[str]:
        """What it asks, in words."""
        said = {
            "name the author": self.attribution,
            "share alike": self.share_alike,
            "no commercial use": self.non_commercial,
            "no adaptations": self.no_derivatives,
        }
        return [words for words, holds in said.items() if holds]


@cache
def table() -> Mapping[str, Licence]:
    """The licences of `licences.tsv` by id."""
    text = resources.files("dsbuild.cards").joinpath("licences.tsv").read_text("utf-8")
    found = {}
    for row in csv.DictReader(text.splitlines(), delimiter="\t"):
        said = {name: row[name] == "yes" for name in ("attribution", "share_alike", "non_commercial", "no_derivatives")}
        goes_into = tuple(one for one in row["goes_into"].split(",") if one)
        found[row["id"]] = Licence(row["id"], True, **said, goes_into=goes_into, url=row["url"])
    return found


def licence(said: str | None) -> Licence | None:
    """The licence that a text names, None where it names none.

    >>> licence("CC BY-SA 3.0").id, licence("Apache License 2.0").id
    ('cc-by-sa-3.0', 'apache-2.0')
    >>> licence("for non-commercial research only").limits()
    ['name the author', 'no commercial use']
    >>> licence("unknown") is None
    True
    """
    text = " ".join((said or "").split())
    name = re.sub(r"[\s_]+", "-", text.lower().removesuffix(" license"))
    name = re.sub(r"-(licen[cs]e|international|unported|version|v)(?=-|$)", "", name.removeprefix("the-"))
    if name in _NOTHING_SAID or text.lower() in _NOTHING_SAID:
        return None
    known = table()
    if found := known.get(_SPELLINGS.get(name, name)):
        return found
    return Licence(
        text, False, True, bool(_SHARE_ALIKE.search(text)), bool(_NON_COMMERCIAL.search(text)), bool(_NO_DERIVATIVES.search(text))
    )  # fmt: skip


def conflict(sources: Mapping[str, str | None] | Iterable[str | None], *, derived: bool = True) -> str | None:
    """Why texts under these licences cannot be published together, in one line; None if nothing forbids it.

    sources: what is said of each source's licence, by its name; derived: texts are changed (translated, masked), not only chosen.
    A licence that nobody stated forbids nothing here: the card says that it is unknown.
    """
    named = sources if isinstance(sources, Mapping) else {f"source {n}": one for n, one in enumerate(sources, 1)}
    found = {name: one for name, said in named.items() if (one := licence(said)) is not None}
    if derived:
        for name, one in found.items():
            if one.no_derivatives:
                return f"{name} is under {one.id}, which allows no adaptations, and a changed text is one"
    sharing = {name: one for name, one in found.items() if one.share_alike}
    for first, one in sharing.items():
        for second, other in found.items():
            if other.share_alike and not common([one, other]):
                return f"{first} is under {one.id} and {second} under {other.id}: both ask for their own licence, and no licence serves both"
            if other.non_commercial and not one.non_commercial:
                return f"{first} is under {one.id}, which allows no further limits, and {second} under {other.id}, which forbids commercial use"
    return None


def common(found: Iterable[Licence]) -> set[str]:
    """The ids under which all of these share-alike licences let adaptations be published."""
    allowed = [{one.id, *_reachable(one)} for one in found if one.share_alike]
    return set.intersection(*allowed) if allowed else set()


def _reachable(one: Licence) -> set[str]:
    known, seen, waiting = table(), set[str](), list(one.goes_into)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += known[name].goes_into if name in known else ()
    return seen


def of_texts(source: Mapping[str, Any], engines: Mapping[str, Mapping[str, Any]]) -> dict[str, str | None]:
    """The licences that the texts of a release stand under, by whose they are; both arguments as a manifest has them.

    A model that translates has terms of use, which bind its user and not the texts; translations that people made are texts with a
    licence of their own.
    """
    found: dict[str, str | None] = {str(source["name"]): source["license"]}
    return found | {name: one["license"] for name, one in engines.items() if one["origin"] == "human"}


def of_rows(sources: Mapping[str, str | None], stated: str | None = None) -> str:
    """The licence that rows made from these sources carry: the user's word, else what follows from the sources' licences.

    A share-alike licence decides; else the one that asks most; "unknown" where a source states none.
    """
    if stated:
        return stated
    found = [licence(said) for said in sources.values()]
    if not found or None in found:
        return "unknown"
    chosen = [one for one in found if one is not None]
    if allowed := common(chosen):
        # The one that a source is under, if there is one: nothing is relicensed without need.
        named = [one for one in chosen if one.id in allowed]
        return named[0].id if named else min(allowed)
    return max(
        chosen,
        key=lambda one: (not one.known, one.no_derivatives, one.non_commercial, one.share_alike, one.attribution),
    ).id
