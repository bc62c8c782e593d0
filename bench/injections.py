"""Ten ways to spoil a good translation, each as a model would: for asking which of them the checks of translations see."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import regex

from dsbuild.filters.names import found_share, names

# Words that deny, as whole words or as a beginning (`-` after it), and what stands there without them.
NEGATIONS = {
    "hi": [(r"\b(?:नहीं|नही|मत|ना)\s", "")], "mr": [(r"\s(?:नाही|नाहीत|नव्हता|नव्हती|नव्हते|नको)(?=[\s.,]|$)", " आहे")],
    "ta": [(r"\s(?:இல்லை|அல்ல|கூடாது|முடியாது|வேண்டாம்)(?=[\s.,]|$)", " உண்டு"), (r"வில்லை(?=[\s.,]|$)", "ந்தது")],
    "es": [(r"\b[Nn]o\s", ""), (r"\b[Nn]unca\s", "siempre "), (r"\bsin\s", "con ")],
    "de": [(r"\snicht\b", ""), (r"\bkein(?=e?[nmrs]?\b)", "ein"), (r"\bnie(?:mals)?\s", "immer "), (r"\bohne\s", "mit ")],
    "sw": [(r"\b[Hh]a(?=[wikzuml][a-z]{4,})", ""), (r"\bsi\s", "ni "), (r"\bhakuna\b", "kuna"), (r"\bbila\s", "na ")],
    "ja": [(r"ない", "る"), (r"ません", "ます"), (r"なかった", "た")],
    "ar": [(r"(?<!\S)(?:لا|لم|لن|ليس|ليست|ما)\s", ""), (r"(?<!\S)غير\s", "")],
}  # fmt: skip
_CLAUSE = regex.compile(r"[,،、，;；]\s*")
_DIGITS = regex.compile(r"\p{Nd}++")
_END = regex.compile(r"[.!?。।؟！？…\"'”’»」\s]+$")


@dataclass(frozen=True, slots=True)
class Segment:
    """Aligned lines of one document: source and reference, and the same lines in another language."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    others: tuple[str, ...]
    document: str
    glue: str

    @property
    def source(self) -> str:
        """The source text."""
        return self.joined(self.sources, " ")

    @property
    def target(self) -> str:
        """The reference."""
        return self.joined(self.targets, self.glue)

    def joined(self, parts: Sequence[str], glue: str, gone: int = -1) -> str:
        """The lines as one text, but for one; what does not end like a sentence, such as a headline, keeps a line of its own."""
        places = [place for place in range(len(parts)) if place != gone]
        ends = [glue if _END.search(self.sources[place].rstrip()) else "\n" for place in places]
        return "".join(parts[place] + end for place, end in zip(places, [*ends[:-1], ""], strict=True))


# A spoiled translation, or None where there is nothing to spoil.
Spoiled = str | None
Spoil = Callable[[Segment, "Kit"], Spoiled]


@dataclass(frozen=True, slots=True)
class Kit:
    """What an injection draws from: chance, the language, the next lines, lines of other documents, and how names are written."""

    random: random.Random
    lang: str
    neighbour: str | None
    elsewhere: str
    names: Sequence[tuple[str, str]]


def dropped_sentence(one: Segment, kit: Kit) -> Spoiled:
    """One of several sentences is missing."""
    if len(one.targets) < 2:
        return None
    return one.joined(one.targets, one.glue, gone=kit.random.randrange(len(one.targets)))


def dropped_clause(one: Segment, kit: Kit) -> Spoiled:
    """What stands between two commas, or before or after one, is missing: a tenth to a half of the sentence."""
    text = one.target
    marks = [0, *(found.end() for found in _CLAUSE.finditer(text)), len(text)]
    parts = [(a, b) for a, b in pairwise(marks) if 0.1 * len(text) <= b - a <= 0.5 * len(text)]
    if not parts:
        return None
    start, end = kit.random.choice(parts)
    rest = text[:start] + text[end:]
    return rest if end < len(text) else _CLAUSE.sub(lambda found: found.group(), rest).rstrip(" ,،、，;；") + text[-1]


def neighbour_swap(one: Segment, kit: Kit) -> Spoiled:
    """The translation is that of the next line."""
    return kit.neighbour


def wrong_number(one: Segment, kit: Kit) -> Spoiled:
    """One number in digits has another value."""
    found = list(_DIGITS.finditer(one.target))
    if not found:
        return None
    number = kit.random.choice(found)
    digits = number.group()
    place = kit.random.randrange(len(digits))
    zero = chr(ord(digits[place]) - int(digits[place]))
    changed = chr(ord(zero) + (int(digits[place]) + kit.random.randint(1, 8)) % 10)
    return one.target[: number.start()] + digits[:place] + changed + digits[place + 1 :] + one.target[number.end() :]


def untranslated(one: Segment, kit: Kit) -> Spoiled:
    """The source stands there."""
    return one.source


def wrong_language(one: Segment, kit: Kit) -> Spoiled:
    """A good translation into another language."""
    return one.joined(one.others, one.glue)


def loop(one: Segment, kit: Kit) -> Spoiled:
    """The last words come again and again."""
    text = _END.sub("", one.target)
    if one.glue:
        words = text.split()
        phrase = " " + " ".join(words[-kit.random.randint(1, min(6, len(words))) :])
    else:
        phrase = text[-kit.random.randint(2, min(12, len(text))) :]
    return text + phrase * kit.random.randint(4, 12)


def invented_tail(one: Segment, kit: Kit) -> Spoiled:
    """Half a sentence from somewhere else follows."""
    text = kit.elsewhere
    if one.glue:
        words = text.split()
        return _END.sub("", one.target) + " " + " ".join(words[len(words) // 2 :])
    return _END.sub("", one.target) + text[len(text) // 2 :]


def lost_negation(one: Segment, kit: Kit) -> Spoiled:
    """The word that denies is missing."""
    for pattern, instead in NEGATIONS[kit.lang]:
        changed = regex.sub(pattern, instead, one.target, count=1)
        if changed != one.target:
            return changed
    return None


def entity_swap(one: Segment, kit: Kit) -> Spoiled:
    """One name is another one."""
    for name in names(one.source):
        written = spelled(name, one.target)
        if written:
            others = [word for other, word in kit.names if other[:3].lower() != name[:3].lower()]
            return one.target.replace(written, kit.random.choice(others)) if others else None
    return None


def spelled(name: str, target: str) -> str | None:
    """The word of a translation that sounds like a name."""
    found = [
        word for word in regex.findall(r"[\p{L}\p{M}]+|[\p{Katakana}ー]+", target) if found_share([name], word) == 1.0
    ]
    return found[0] if found else None


SPOILS: dict[str, Spoil] = {
    "dropped_sentence": dropped_sentence, "dropped_clause": dropped_clause, "neighbour_swap": neighbour_swap, "wrong_number": wrong_number,
    "untranslated": untranslated, "wrong_language": wrong_language, "loop": loop, "invented_tail": invented_tail,
    "lost_negation": lost_negation, "entity_swap": entity_swap,
}  # fmt: skip
