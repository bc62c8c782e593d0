"""The synchronous grammar: patterns with typed slots, and their rendering in four languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dsbuild.translate.mini.lexicon import Adjective, Verb, Word
from dsbuild.translate.mini.morphology import (
    DOUBLING,
    NEUTRAL,
    Agreement,
    hi_agree,
    mr_agree,
    ta_agree,
    ta_double,
    ta_join,
)
from dsbuild.translate.mini.phrases import PRONOUNS, Phrase, Pronoun
from dsbuild.translate.mini.verb_forms import (
    PASSIVE,
    english_verb,
    hi_marks,
    hi_verb,
    mr_marks,
    mr_object_agreement,
    mr_verb,
)
from dsbuild.translate.mini.verb_forms_ta import ta_marks, ta_verb

LANGUAGES = ("en", "hi", "mr", "ta")
YOU = PRONOUNS[2]
_SLOT = r"([A-Z][a-z]?\d?)"
_TARGET_TOKEN = re.compile(rf"{_SLOT}(?:!([a-z]+))?(?::([^~]+))?(?:~([A-Z][a-z]?\d?)(\*)?)?")
_ENGLISH_TOKEN = re.compile(rf"(?:(a|the|bare)\.)?{_SLOT}(?:!([a-z]+)|:(comp|sup))?('s)?")
_LITERAL = re.compile(rf"([^~]+)~{_SLOT}(\*)?")
_ENGLISH_AGREEING = {
    "is": ("is", "are"),
    "was": ("was", "were"),
    "has": ("has", "have"),
    "does": ("does", "do"),
    "it": ("it", "they"),
    "them": ("it", "them"),
    "its": ("its", "their"),
    "this": ("this", "these"),
    "that": ("that", "those"),
    "grows": ("grows", "grow"),
    "costs": ("costs", "cost"),
    "lives": ("lives", "live"),
    "eats": ("eats", "eat"),
    "work": ("works", "work"),
    "needs": ("needs", "need"),
    "much": ("much", "many"),
}
MARK_STATEMENT = {"en": ".", "hi": "।", "mr": ".", "ta": "."}
_CLASSES = frozenset({"profession_field", "number_noun"})


@dataclass(frozen=True, eq=False)
class Slot:
    """A typed slot of a pattern."""

    name: str
    kind: str
    names: frozenset[str]
    flags: frozenset[str]
    options: dict[str, frozenset[str]]
    optional: bool
    argument: str = ""


@dataclass(frozen=True)
class Pattern:
    """A sentence pattern: a kind (s, i, q or t), slots and a template for every language."""

    name: str
    kind: str
    slots: dict[str, Slot]
    templates: dict[str, list[str]] = field(default_factory=dict)


Filler = Phrase | Pronoun | Verb | Adjective | Word | str | None


def read_slot(text: str) -> Slot:
    """Read NAME=?kind:names/flag/option=a|b."""
    name, _, spec = text.partition("=")
    optional = spec.startswith("?")
    head, *flags = spec.removeprefix("?").split("/")
    kind, _, argument = head.partition(":")
    options = {
        flag.partition("=")[0]: frozenset(flag.partition("=")[2].replace("_", " ").split("|"))
        for flag in flags
        if "=" in flag
    }
    names = frozenset(part if part in _CLASSES else part.replace("_", " ") for part in argument.split(",") if part)
    return Slot(name, kind, names, frozenset(flag for flag in flags if "=" not in flag), options, optional, argument)


def _expand(cells: list[str]) -> Iterator[list[str]]:
    """Make one pattern of every value of a slot t=a|b, which stands for the tense "!t"."""
    slots = cells[2].split()
    tense = next((slot for slot in slots if slot.startswith("t=")), None)
    if tense is None:
        yield cells
        return
    rest = " ".join(slot for slot in slots if slot != tense)
    for value in tense[2:].split("|"):
        yield [
            f"{cells[0]}-{value}",
            cells[1],
            rest,
            *(re.sub(r"!t(?![a-z])", f"!{value}", cell) for cell in cells[3:]),
        ]


def read_patterns(paths: list[Path]) -> list[Pattern]:
    """Read the pattern tables."""
    patterns: list[Pattern] = []
    names: set[str] = set()
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if number == 1 or not line.strip() or line.startswith("#"):
                continue
            cells = [cell.strip() for cell in line.split("\t")]
            if len(cells) != 7:
                raise ValueError(f"{path.name}:{number}: {len(cells)} columns, not 7")
            for name, kind, slots, *templates in _expand(cells):
                if name in names:
                    raise ValueError(f"{path.name}:{number}: pattern {name} twice")
                names.add(name)
                read = {slot.name: slot for slot in map(read_slot, slots.split())}
                variants = {
                    language: [variant.strip() for variant in text.split(" | ")]
                    for language, text in zip(LANGUAGES, templates, strict=True)
                }
                patterns.append(Pattern(name, kind, read, variants))
    return patterns


def read_sets(path: Path) -> dict[str, list[str]]:
    """Read the named lists of words: one a line, name and members separated by tabs and commas."""
    sets: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, members = line.split("\t")
            sets[name] = [member.strip() for member in members.split(",")]
    return sets


def superlative(adjective: Adjective) -> str:
    """Write the English superlative of an adjective."""
    comparative = adjective.en_comp
    if comparative.startswith("more "):
        return "most " + adjective.en
    return {"better": "best", "worse": "worst"}.get(comparative, comparative[:-2] + "est")


@dataclass
class Sentence:
    """A filled pattern that can be written in every language."""

    pattern: Pattern
    fillers: dict[str, Filler]

    def _agr(self, name: str) -> Agreement:
        """Give the agreement of a slot."""
        filler = self.fillers.get(name)
        if isinstance(filler, Verb):
            verb, _, obj = self._roles(name)
            return mr_object_agreement(verb, obj)
        return filler.agr if isinstance(filler, (Phrase, Pronoun)) else NEUTRAL

    def _roles(self, name: str) -> tuple[Verb, Phrase | Pronoun | None, Phrase | None]:
        """Give the verb, subject and object that share the digit of a slot name."""
        digit = name[1:] if name[1:].isdigit() else ""
        verb, subj, obj = (self.fillers.get(role + digit) for role in "VSO")
        if not isinstance(verb, Verb):
            raise ValueError(f"{self.pattern.name}: {name} has no verb")
        return verb, subj if isinstance(subj, (Phrase, Pronoun)) else None, obj if isinstance(obj, Phrase) else None

    def _auxiliary(self, tense: str) -> str:
        """Write the auxiliary that opens an English yes-no question."""
        _, subj, obj = self._roles("V")
        agent = obj if tense in PASSIVE else subj
        agr = agent.agr if agent else YOU.agr
        third = agr.person == 3 and not agr.plural
        passive = {"ppres": ("are", "is"), "ppast": ("were", "was")}
        if tense in passive:
            return passive[tense][third]
        return {"pres": "does" if third else "do", "past": "did", "fut": "will"}.get(tense, tense)

    def _english_token(self, token: str) -> str:
        """Write one token of an English template."""
        literal = _LITERAL.fullmatch(token)
        if literal and literal.group(2) in self.fillers:
            agr = self._agr(literal.group(2))
            if agr.person == 1 and not agr.plural:
                return {"is": "am", "was": "was"}.get(literal.group(1), _ENGLISH_AGREEING[literal.group(1)][1])
            return _ENGLISH_AGREEING[literal.group(1)][agr.plural]
        match = _ENGLISH_TOKEN.fullmatch(token)
        if not match or (match.group(2) not in self.pattern.slots and match.group(2) != "Q"):
            return token
        article, name, tense, form, possessive = match.groups()
        filler = self.fillers.get(name)
        if name[0] == "Q" and tense:
            return self._auxiliary(tense)
        if isinstance(filler, Verb):
            verb, subj, obj = self._roles(name)
            agent = obj if tense in PASSIVE else subj
            default = NEUTRAL if verb.extra.get("subj") == "it" else YOU.agr
            return english_verb(verb, tense or "base", agent.agr if agent else default)
        if isinstance(filler, (Phrase, Pronoun)):
            if article is None and self.pattern.kind in "si" and not filler.agr.plural:
                article = "a"
            words = filler.english("" if article in (None, "bare") else article)
            return words + (("'" if words.endswith("s") else "'s") if possessive else "")
        if isinstance(filler, Adjective):
            words = {"comp": filler.en_comp, "sup": superlative(filler)}.get(form or "", filler.en)
            return (
                re.sub("^(?=[aeiou])", "an ", words)
                if article == "a" and words[0] in "aeiou"
                else (f"a {words}" if article == "a" else words)
            )
        return filler.en if isinstance(filler, Word) else (filler or "")

    def _argument(self, language: str, name: str, tense: str, filler: Phrase | Pronoun) -> str:
        """Write the subject or object of a verb with the marker that the verb and its tense ask for."""
        verb, _, obj = self._roles(name)
        which = 0 if name[0] == "S" else 1
        if language == "hi":
            return str(filler.hindi(hi_marks(verb, tense, obj)[which]))
        if language == "mr":
            return str(filler.marathi(mr_marks(verb, tense, obj)[which]))
        return str(filler.tamil(ta_marks(verb, tense, obj)[which]))

    def _agreeing(self, language: str, literal: re.Match[str]) -> str:
        """Write a literal word of a template in the form that agrees with a slot."""
        word, agr, star = literal.group(1), self._agr(literal.group(2)), bool(literal.group(3))
        if word in ("एक", "ஒரு"):
            return "" if agr.plural else word
        if language == "ta":
            return ta_agree(word, agr)
        return hi_agree(word, agr, star) if language == "hi" else mr_agree(word, agr, star)

    def _target_token(self, language: str, token: str) -> str:
        """Write one token of a Hindi, Marathi or Tamil template."""
        match = _TARGET_TOKEN.fullmatch(token)
        if not match or match.group(1) not in self.pattern.slots:
            literal = _LITERAL.fullmatch(token)
            return self._agreeing(language, literal) if literal else token
        name, tense, case, target, star_text = match.groups()
        filler = self.fillers.get(name)
        agr = self._agr(target) if target else None
        star = bool(star_text)
        if isinstance(filler, Verb):
            verb, subj, obj = self._roles(name)
            write = {"hi": hi_verb, "mr": mr_verb, "ta": ta_verb}[language]
            needs_you = subj is None and tense not in ("imp", "nimp", "base") and verb.extra.get("subj") != "it"
            words = write(verb, tense or "base", YOU if needs_you else subj, obj)
            if agr:
                words = {"hi": hi_agree, "mr": mr_agree, "ta": lambda text, to, _: ta_agree(text, to)}[language](
                    words, agr, star
                )
            return words + (case or "")
        if isinstance(filler, (Phrase, Pronoun)):
            if tense:
                return self._argument(language, name, tense, filler)
            if language == "ta":
                return filler.tamil(case or "")
            return filler.hindi(case or "", agr, star) if language == "hi" else filler.marathi(case or "", agr, star)
        if isinstance(filler, Adjective):
            if language == "ta":
                if case == "adv":
                    return (
                        filler.ta[:-1] + "க" if filler.ta.endswith("ான") else ta_join(filler.ta_pred, "ஆக")
                    ) + DOUBLING
                return ta_agree(filler.ta_pred, agr or NEUTRAL, nominal=True) if case == "pred" else filler.ta
            if case == "m":
                return filler.hi if language == "hi" else filler.mr
            return (
                hi_agree(filler.hi, agr or NEUTRAL, star)
                if language == "hi"
                else mr_agree(filler.mr, agr or NEUTRAL, star)
            )
        if isinstance(filler, Word):
            text = str(getattr(filler, language))
            if language == "ta" and text.endswith(("ாக", "க்கு")):
                text += DOUBLING
            if agr:
                text = (
                    hi_agree(text, agr, star)
                    if language == "hi"
                    else mr_agree(text, agr, star)
                    if language == "mr"
                    else text
                )
            return text
        return filler or ""

    def write(self, language: str, variant: int) -> str:
        """Write the sentence in a language without its final mark."""
        template = self.pattern.templates[language]
        words: list[str] = []
        for token in template[variant % len(template)].split():
            core = token.rstrip(",")
            text = self._english_token(core) if language == "en" else self._target_token(language, core)
            if text.startswith("+"):
                words[-1] = ta_join(words[-1].rstrip("^"), text[1:])
            elif text:
                words.append(text + token[len(core) :])
        line = " ".join(words).replace(" ,", ",").replace(" ~", "")
        return ta_double(line) if language == "ta" else line
