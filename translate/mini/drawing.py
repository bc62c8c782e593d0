"""Draw fillers for the slots of a pattern so that every lexicon entry is used about equally often."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dsbuild.translate.mini.grammar import Filler, Pattern, Sentence, Slot
from dsbuild.translate.mini.lexicon import Adjective, Lexicon, Noun, Verb, Word
from dsbuild.translate.mini.phrases import DETERMINERS, HUMAN, PRONOUNS, Phrase

Entry = Noun | Verb | Adjective | Word
_ORDER = {"v": 0, "p": 1, "n": 1, "s": 1, "o": 1, "k": 2, "a": 2, "w": 3, "num": 3}
_WRAPPED_MARKERS = frozenset({"का", "की", "के", "चा", "ची", "चे", "ஐ"})


_BROAD = frozenset({"abstract", "part", "natural"})


class NoFiller(Exception):
    """No entry fits a slot."""


@dataclass
class Drawer:
    """Draws sentences; the counts say how often every entry was used."""

    lexicon: Lexicon
    sets: dict[str, list[str]]
    uses: dict[str, frozenset[str]]
    bad: dict[str, frozenset[str]]
    flags: dict[str, frozenset[str]]
    rng: random.Random
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._nouns: dict[frozenset[str], list[Noun]] = {}
        self._fits: dict[str, list[Adjective]] = {}
        self._verbs: dict[Slot, list[Verb]] = {}

    def least(self, candidates: Sequence[Entry]) -> Entry:
        """Take the least used of a few random candidates."""
        if not candidates:
            raise NoFiller
        few = self.rng.choices(candidates, k=4)
        return min(few, key=lambda entry: self.counts[entry.key])

    def nouns(self, names: frozenset[str]) -> list[Noun]:
        """List the nouns of classes, named sets and "=word" names; "-word" takes one away."""
        if names not in self._nouns:
            wanted: set[str] = set()
            for name in names:
                if name in self.sets:
                    wanted.update("=" + member for member in self.sets[name])
                elif not name.startswith("-"):
                    wanted.add(name)
            if not wanted:
                wanted = set(self.lexicon.nouns_in)
            away = {name[1:] for name in names if name.startswith("-")}
            away_nouns = {noun.en for noun in self.lexicon.nouns_of(frozenset(away))} | away
            self._nouns[names] = [
                noun for noun in self.lexicon.nouns_of(frozenset(wanted)) if noun.en not in away_nouns
            ]
        return self._nouns[names]

    def adjectives_for(self, noun: Noun) -> list[Adjective]:
        """List the adjectives that make sense with a noun."""
        if noun.en not in self._fits:
            self._fits[noun.en] = [
                adjective
                for adjective in self.lexicon.adjectives
                if (
                    noun.classes & self.uses.get(adjective.en, frozenset())
                    or "=" + noun.en in self.uses.get(adjective.en, frozenset())
                )
                and noun.en not in self.bad.get(adjective.en, frozenset())
                and not noun.classes & self.bad.get(adjective.en, frozenset())
                and not set(adjective.en.split()) & set(noun.en.split())
            ]
        return self._fits[noun.en]

    def verbs(self, slot: Slot) -> list[Verb]:
        """List the verbs that a verb slot takes."""
        if slot not in self._verbs:
            listed = {name for name in slot.names if name in self.lexicon.verb_of}
            chosen = [self.lexicon.verb_of[name] for name in sorted(listed)] or [
                verb for verb in self.lexicon.verbs if verb.frame in slot.names
            ]
            self._verbs[slot] = [verb for verb in chosen if self._verb_fits(verb, slot)]
        return self._verbs[slot]

    def _verb_fits(self, verb: Verb, slot: Slot) -> bool:
        """Say whether a verb has the properties that the flags of a slot name."""
        subjects, objects = slot.options.get("s"), slot.options.get("o")
        if subjects and not (subjects & verb.subj_class):
            return False
        if objects and not (objects & verb.obj_class):
            return False
        if verb.en in slot.options.get("not", frozenset()):
            return False
        if "act" in slot.flags and (verb.ta_imp in ("-", "") or not HUMAN & verb.subj_class):
            return False
        if "it" in slot.flags:
            return verb.extra.get("subj") == "it"
        if verb.extra.get("subj") == "it" or ("be" in slot.flags and not verb.en.startswith("be ")):
            return False
        if "pass" in slot.flags:
            marked = any(
                verb.extra.get(language, next(iter(_WRAPPED_MARKERS))) not in _WRAPPED_MARKERS
                for language in ("hi", "mr", "ta")
            )
            return not marked and verb.extra.get("pass") != "no"
        return "plain" not in slot.flags or not any(key.endswith(("_subj", "_agr")) for key in verb.extra)

    def _phrase(self, noun: Noun, slot: Slot, focus: Entry | None, peers: Sequence[Noun] = ()) -> Phrase:
        """Build a noun phrase with the extensions that a slot allows."""
        phrase = Phrase(noun)
        if not noun.mass and ("pl" in slot.flags or ("v" in slot.flags and self.rng.random() < 0.4)):
            phrase.plural = True
        forced = isinstance(focus, Adjective) and focus in self.adjectives_for(noun)
        wants = "A" in slot.flags or ("a" in slot.flags and (forced or self.rng.random() < 0.3))
        if wants and not noun.proper:
            fitting = [
                adjective
                for adjective in self.adjectives_for(noun)
                if "p" not in self.flags.get(adjective.en, frozenset())
            ]
            if fitting:
                chosen = focus if forced and isinstance(focus, Adjective) and focus in fitting else self.least(fitting)
                if isinstance(chosen, Adjective):
                    phrase.adjectives = [chosen]
        if "d" in slot.flags and self.rng.random() < 0.25 and not noun.proper:
            usable = [d for d in DETERMINERS if not d.number or (d.number == "pl") == phrase.plural]
            if noun.mass:
                usable = [d for d in usable if d.en in ("this", "your", "our")]
            phrase.determiner = self.rng.choice(usable) if usable else None
        if "c" in slot.flags and not phrase.determiner and self.rng.random() < 0.15:
            same = [
                other
                for other in peers
                if other.classes & noun.classes and other is not noun and other.proper == noun.proper
            ]
            if same:
                other = self.least(same)
                if isinstance(other, Noun):
                    phrase.other = Phrase(other, phrase.plural and not other.mass)
        return phrase

    def _candidates(self, slot: Slot, fillers: dict[str, Filler]) -> list[Noun]:
        """List the nouns that a noun, subject or object slot takes, given its verb."""
        if slot.kind == "n":
            found = self.nouns(slot.names)
        else:
            verb = fillers["V" + slot.name[1:]]
            if not isinstance(verb, Verb):
                raise NoFiller
            classes = verb.subj_class if slot.kind == "s" else verb.obj_class
            found = self.nouns(frozenset(classes)) if classes else []
            if slot.names:
                allowed = set(self.nouns(slot.names))
                found = [noun for noun in found if noun in allowed]
            banned = self.bad.get(f"{verb.en}/{slot.kind}", frozenset())
            if banned:
                found = [noun for noun in found if not banned & {noun.en, "=" + noun.en} and not noun.classes & banned]
        used = {filler.noun for filler in fillers.values() if isinstance(filler, Phrase)}
        if "count" in slot.flags:
            found = [noun for noun in found if not noun.mass]
        if "common" in slot.flags:
            found = [noun for noun in found if not noun.proper]
        return [noun for noun in found if noun not in used]

    def _noun(self, slot: Slot, fillers: dict[str, Filler], focus: Entry | None) -> Filler:
        """Draw a noun phrase or, where allowed, a pronoun."""
        candidates = self._candidates(slot, fillers)
        if isinstance(focus, Noun) and focus in candidates:
            return self._phrase(focus, slot, focus, candidates)
        if "p" in slot.flags and self.rng.random() < 0.3:
            return self.rng.choice(PRONOUNS)
        if isinstance(focus, Adjective):
            fitting = [noun for noun in candidates if focus in self.adjectives_for(noun)]
            candidates = fitting or candidates

        for option, shared in (("for", True), ("other", False)):
            for name in slot.options.get(option, frozenset()):
                model = fillers.get(name)
                if isinstance(model, Phrase):
                    candidates = [
                        noun for noun in candidates if bool(noun.classes & model.noun.classes - _BROAD) == shared
                    ]
        noun = self.least(candidates)
        return self._phrase(noun, slot, focus, candidates) if isinstance(noun, Noun) else None

    def _adjective(self, slot: Slot, fillers: dict[str, Filler], focus: Entry | None) -> Adjective:
        """Draw an adjective of a kind, or one that suits the noun of another slot (a:>X)."""
        target = slot.argument.lstrip(">")
        if slot.argument.startswith(">"):
            phrase = fillers.get(target)
            candidates = self.adjectives_for(phrase.noun) if isinstance(phrase, Phrase) else []
        else:
            candidates = [
                a
                for a in self.lexicon.adjectives
                if a.kind in slot.names or a.en in slot.names or a.en in self._set_members(slot.names)
            ]
        taken = [filler for filler in fillers.values() if isinstance(filler, Adjective)]
        candidates = [
            a
            for a in candidates
            if all(a is not t and a.antonym != t.en and t.antonym != a.en and a.kind != t.kind for t in taken)
        ]
        for flag in ("n", "x", "p"):
            if "no" + flag in slot.flags:
                candidates = [a for a in candidates if flag not in self.flags.get(a.en, frozenset())]
        if focus in candidates and isinstance(focus, Adjective):
            return focus
        chosen = self.least(candidates)
        if not isinstance(chosen, Adjective):
            raise NoFiller
        return chosen

    def _set_members(self, names: Iterable[str]) -> set[str]:
        """List the members of named sets."""
        return {member for name in names for member in self.sets.get(name, [])}

    def words(self, slot: Slot) -> list[Word]:
        """List the words of a kind or of a named set."""
        found = [word for name in sorted(slot.names) for word in self.lexicon.words_in.get(name, [])]
        members = self._set_members(slot.names)
        away = {name[1:] for name in slot.names if name.startswith("-")}
        away |= self._set_members(away)
        return [
            word
            for word in [*found, *(w for w in self.lexicon.words if w.en in members or w.en in slot.names)]
            if word.en not in away
        ]

    def _number(self, slot: Slot) -> str:
        """Draw a number in digits: year, pct, dec, or low-high with an optional step."""
        spec = slot.argument
        if spec == "year":
            return str(self.rng.randint(1850, 2023))
        if spec == "pct":
            return str(self.rng.randint(1, 99))
        if spec == "dec":
            return f"{self.rng.randint(1, 60)}.{self.rng.randint(1, 9)}"
        low, high, *step = (int(part) for part in spec.split("-"))
        return str(self.rng.randrange(low, high + 1, step[0] if step else 1))

    def draw(self, pattern: Pattern, focus: Entry | None = None) -> Sentence:
        """Fill every slot of a pattern, with one entry in the slot that takes it."""
        fillers: dict[str, Filler] = {}
        described = {slot.argument.lstrip(">") for slot in pattern.slots.values() if slot.kind == "a"}
        for slot in sorted(pattern.slots.values(), key=lambda s: (_ORDER[s.kind], s.argument.startswith(">"), s.name)):
            if (
                slot.optional
                and self.rng.random() > 0.35
                and not (isinstance(focus, Word) and focus in self.words(slot))
            ):
                fillers[slot.name] = None
            elif slot.kind == "v":
                fillers[slot.name] = self._verb(pattern, slot, focus)
            elif slot.kind in ("n", "s", "o"):
                suits = slot.name in described or slot.flags & {"a", "A"}
                fillers[slot.name] = self._noun(
                    slot, fillers, focus if suits or not isinstance(focus, Adjective) else None
                )
            elif slot.kind == "p":
                fillers[slot.name] = self.rng.choice([pronoun for pronoun in PRONOUNS if pronoun.en in slot.names])
            elif slot.kind == "k":
                fillers[slot.name] = self._hypernym(slot, fillers)
            elif slot.kind == "a":
                fillers[slot.name] = self._adjective(slot, fillers, focus)
            elif slot.kind == "w":
                words = self.words(slot)
                word = focus if isinstance(focus, Word) and focus in words else self.least(words)
                fillers[slot.name] = word if isinstance(word, Word) else None
            else:
                fillers[slot.name] = self._number(slot)
        return Sentence(pattern, fillers)

    def _verb(self, pattern: Pattern, slot: Slot, focus: Entry | None) -> Verb:
        """Draw a verb; where a noun is wanted, one that takes the noun."""
        verbs = self.verbs(slot)
        if isinstance(focus, Verb) and focus in verbs:
            return focus
        if isinstance(focus, Noun):
            roles = [
                role
                for role in ("s", "o")
                if any(s.kind == role and s.name[1:] == slot.name[1:] for s in pattern.slots.values())
            ]
            able = [
                verb
                for verb in verbs
                if any(focus.classes & (verb.subj_class if role == "s" else verb.obj_class) for role in roles)
            ]
            verbs = able or verbs
        chosen = self.least(verbs)
        if not isinstance(chosen, Verb):
            raise NoFiller
        return chosen

    def _hypernym(self, slot: Slot, fillers: dict[str, Filler]) -> Phrase:
        """Name the kind of thing that the noun of another slot is."""
        phrase = fillers.get(slot.argument)
        if not isinstance(phrase, Phrase):
            raise NoFiller
        names: set[str] = set()
        for cls in sorted(phrase.noun.classes):
            names.update(self.sets.get(f"kind:{cls}", []))
        nouns = [
            self.lexicon.noun_of[name]
            for name in sorted(names)
            if name in self.lexicon.noun_of and name != phrase.noun.en
        ]
        noun = self.least(nouns)
        if not isinstance(noun, Noun):
            raise NoFiller
        return self._phrase(noun, slot, None) if not phrase.plural else Phrase(noun, not noun.mass)

    def takes(self, pattern: Pattern, entry: Entry) -> bool:
        """Say whether some slot of a pattern can hold an entry."""
        for slot in pattern.slots.values():
            if isinstance(entry, Verb) and slot.kind == "v" and entry in self.verbs(slot):
                return True
            if isinstance(entry, Word) and slot.kind == "w" and entry in self.words(slot):
                return True
            if isinstance(entry, Noun) and self._takes_noun(pattern, slot, entry):
                return True
            if isinstance(entry, Adjective) and self._takes_adjective(pattern, slot, entry):
                return True
        return False

    def _takes_noun(self, pattern: Pattern, slot: Slot, noun: Noun) -> bool:
        """Say whether a slot can hold a noun."""
        if slot.kind == "n":
            return noun in self.nouns(slot.names)
        if slot.kind not in ("s", "o") or (slot.names and noun not in self.nouns(slot.names)):
            return False
        verbs = self.verbs(pattern.slots["V" + slot.name[1:]])
        return any(noun.classes & (verb.subj_class if slot.kind == "s" else verb.obj_class) for verb in verbs)

    def _takes_adjective(self, pattern: Pattern, slot: Slot, adjective: Adjective) -> bool:
        """Say whether a slot can hold an adjective, inside a noun phrase or alone."""
        if slot.kind == "a" and slot.argument.startswith(">"):
            noun_slot = pattern.slots[slot.argument.lstrip(">")]
            blocked = any("no" + flag in slot.flags for flag in self.flags.get(adjective.en, frozenset()))
            return (
                not blocked
                and noun_slot.kind == "n"
                and any(adjective in self.adjectives_for(noun) for noun in self.nouns(noun_slot.names))
            )
        if slot.kind == "a":
            return (
                adjective.kind in slot.names
                or adjective.en in slot.names
                or adjective.en in self._set_members(slot.names)
            )
        return (
            slot.kind == "n"
            and bool(slot.flags & {"a", "A"})
            and any(adjective in self.adjectives_for(noun) for noun in self.nouns(slot.names))
        )
