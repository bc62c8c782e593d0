"""Noun phrases that can be written in English, Hindi, Marathi and Tamil in every case."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from dsbuild.translate.mini.lexicon import Adjective, Noun
from dsbuild.translate.mini.morphology import (
    Agreement,
    english_article,
    hi_agree,
    hi_noun,
    mr_agree,
    mr_attach,
    mr_demonstrative,
    mr_noun,
    ta_case,
    ta_stem,
)

HUMAN = frozenset({"person", "job", "family", "name"})
_TA_NEUTER = frozenset({"child", "baby"})
_TA_FEMININE = frozenset({"girl", "daughter", "woman"})
_HI_PLURAL = frozenset({"hair"})
_MR_PLURAL = frozenset({"father", "grandfather"})
POSSESSIVES_HI = ("का", "वाला", "जैसा", "जितना")


@dataclass(frozen=True)
class Determiner:
    """A word that stands in the place of the article; oblique forms where they differ."""

    en: str
    hi: str
    hi_obl: str
    mr: str
    mr_obl: str
    ta: str
    number: str = ""


@dataclass(frozen=True)
class Pronoun:
    """A personal pronoun as a subject: nominative, agent and dative forms."""

    en: str
    hi: tuple[str, str, str]
    mr: tuple[str, str, str]
    ta: tuple[str, str, str]
    agr: Agreement

    @property
    def keys(self) -> list[str]:
        """Name the lexicon entries in the phrase."""
        return []

    def english(self, article: str) -> str:
        """Write the pronoun in English."""
        return self.en

    def hindi(self, marker: str, target: Agreement | None = None, oblique: bool = False) -> str:
        """Write the pronoun in Hindi with a case marker."""
        return self.hi[{"": 0, "ने": 1, "को": 2}[marker]]

    def marathi(self, suffix: str, target: Agreement | None = None, oblique: bool = False) -> str:
        """Write the pronoun in Marathi with a case suffix."""
        return self.mr[{"": 0, "ने": 1, "ला": 2}[suffix]]

    def tamil(self, case: str) -> str:
        """Write the pronoun in Tamil in a case."""
        return self.ta[{"": 0, "ஆல்": 1, "க்கு": 2}[case]]


@dataclass
class Phrase:
    """A noun with its number, adjectives, determiner, owner and a coordinated second phrase."""

    noun: Noun
    plural: bool = False
    adjectives: list[Adjective] = field(default_factory=list)
    determiner: Determiner | None = None
    owner: Phrase | None = None
    other: Phrase | None = None

    @property
    def keys(self) -> list[str]:
        """Name the lexicon entries in the phrase."""
        keys = [self.noun.key, *(adjective.key for adjective in self.adjectives)]
        for part in (self.owner, self.other):
            keys += part.keys if part else []
        return keys

    @property
    def head_agr(self) -> Agreement:
        """Give the agreement of the first noun alone."""
        noun = self.noun
        kind = "n"
        if HUMAN & noun.classes and (self.plural or noun.en not in _TA_NEUTER):
            kind = "al" if noun.en in _TA_FEMININE else "an" if noun.ta.endswith("ன்") and not noun.proper else "r"
        mr_plural = self.plural or noun.en in _MR_PLURAL or (noun.mass and noun.mr_pl not in ("-", ""))
        ta_plural = self.plural and noun.ta_pl not in ("-", "")
        return Agreement(
            3, self.plural, noun.hi_g, self.plural or noun.en in _HI_PLURAL, noun.mr_g, mr_plural, kind, ta_plural
        )

    @property
    def agr(self) -> Agreement:
        """Give the agreement of the whole phrase."""
        one = self.head_agr
        if not self.other:
            return one
        two = self.other.agr
        hi = one.hi if one.hi == two.hi else "m"
        return Agreement(
            3,
            True,
            hi,
            True,
            one.mr if one.mr == two.mr else "n",
            True,
            "r" if "n" not in (one.ta, two.ta) else "n",
            True,
        )

    @property
    def human(self) -> bool:
        """Say whether the phrase names people."""
        return bool(HUMAN & self.noun.classes)

    def english(self, article: str) -> str:
        """Write the phrase in English with the article "a", "the" or none."""
        noun = self.noun.en_pl if self.plural else self.noun.en
        words = " ".join([*(adjective.en for adjective in self.adjectives), noun])
        if self.determiner:
            words = f"{self.determiner.en} {words}".strip()
        elif self.noun.proper:
            words = f"the {words}" if "river" in self.noun.classes else words
        elif article == "the" or (self.owner and article):
            words = f"the {words}"
        elif article == "a" and not self.plural and not self.noun.mass:
            words = english_article(words)
        if self.owner:
            words += f" of {self.owner.english(article)}"
        if self.other:
            words += f" and {self.other.english(article)}"
        return words

    def hindi(self, marker: str, target: Agreement | None = None, oblique: bool = False) -> str:
        """Write the phrase in Hindi, with a postposition or with का agreeing with a target."""
        agr = self.head_agr
        bent = bool(marker)
        words = []
        if self.owner:
            words.append(self.owner.hindi("का", agr, bent))
        if self.determiner:
            if self.determiner.hi_obl:
                words.append(self.determiner.hi_obl if bent else self.determiner.hi)
            else:
                words.append(hi_agree(self.determiner.hi, agr, bent))
        words += [hi_agree(adjective.hi, agr, bent) for adjective in self.adjectives]
        words.append(hi_noun(self.noun, self.plural, bent))
        if self.other:
            return f"{' '.join(words)} और {self.other.hindi(marker, target, oblique)}"
        if marker in POSSESSIVES_HI and target:
            marker = hi_agree(marker, target, oblique)
        return " ".join([*words, marker if marker != "*" else ""]).strip()

    def marathi(self, suffix: str, target: Agreement | None = None, oblique: bool = False) -> str:
        """Write the phrase in Marathi, with a postposition or with चा agreeing with a target."""
        agr = self.head_agr
        bent = bool(suffix) and not self.other
        words = []
        if self.owner:
            words.append(self.owner.marathi("चा", agr, bent))
        if self.determiner:
            if self.determiner.mr_obl:
                words.append(self.determiner.mr_obl if bent else mr_demonstrative(self.determiner.mr, agr))
            else:
                words.append(mr_agree(self.determiner.mr, agr, bent))
        words += [mr_agree(adjective.mr, agr, bent) for adjective in self.adjectives]
        if not bent:
            words.append(mr_noun(self.noun, self.plural))
        else:
            if suffix.endswith(("चा", "इतका", "सारखा")) and target:
                suffix = mr_agree(suffix, target, oblique)
            words.append(mr_attach(self.noun, self.plural, "" if suffix == "*" else suffix))
        if self.other:
            return f"{' '.join(words)} आणि {self.other.marathi(suffix, target, oblique)}"
        return " ".join(words)

    def tamil(self, case: str) -> str:
        """Write the phrase in Tamil in a case."""
        words = [self.owner.tamil("இன்")] if self.owner else []
        if self.determiner and self.determiner.ta:
            words.append(self.determiner.ta)
        words += [adjective.ta for adjective in self.adjectives]
        many = self.plural and self.noun.ta_pl not in ("-", "")
        plain = self.noun.ta_pl if many else self.noun.ta
        if self.other:
            return f"{' '.join([*words, plain])} மற்றும் {self.other.tamil(case)}"
        stem = plain if many else ta_stem(self.noun)
        return " ".join([*words, ta_case(stem, case, plain)])


def _pronoun(en: str, hi: str, mr: str, ta: str, agr: Agreement) -> Pronoun:
    """Read a pronoun whose forms stand as "nominative agent dative"."""
    forms = [tuple(text.split("/")) for text in (hi, mr, ta)]
    return Pronoun(
        en,
        (forms[0][0], forms[0][1], forms[0][2]),
        (forms[1][0], forms[1][1], forms[1][2]),
        (forms[2][0], forms[2][1], forms[2][2]),
        agr,
    )


_WE = Agreement(1, mr="m", ta="r", plural=True, hi_plural=True, mr_plural=True, ta_plural=True)
PRONOUNS = [
    _pronoun("I", "मैं/मैंने/मुझे", "मी/मी/मला", "நான்/என்னால்/எனக்கு", Agreement(1, False, "m", False, "m", False, "r")),
    _pronoun("we", "हम/हमने/हमें", "आम्ही/आम्ही/आम्हाला", "நாங்கள்/எங்களால்/எங்களுக்கு", _WE),
    _pronoun("you", "आप/आपने/आपको", "तुम्ही/तुम्ही/तुम्हाला", "நீங்கள்/உங்களால்/உங்களுக்கு", replace(_WE, person=2)),
    _pronoun("he", "वह/उसने/उसे", "तो/त्याने/त्याला", "அவர்/அவரால்/அவருக்கு", Agreement(mr="m", ta="r")),
    _pronoun("she", "वह/उसने/उसे", "ती/तिने/तिला", "அவள்/அவளால்/அவளுக்கு", Agreement(hi="f", mr="f", ta="al")),
    _pronoun("they", "वे/उन्होंने/उन्हें", "ते/त्यांनी/त्यांना", "அவர்கள்/அவர்களால்/அவர்களுக்கு", replace(_WE, person=3)),
]
DETERMINERS = [
    Determiner("this", "यह", "इस", "हा", "या", "இந்த^", "sg"),
    Determiner("that", "वह", "उस", "तो", "त्या", "அந்த^", "sg"),
    Determiner("these", "ये", "इन", "हा", "या", "இந்த^", "pl"),
    Determiner("your", "आपका", "", "तुमचा", "", "உங்கள்"),
    Determiner("our", "हमारा", "", "आमचा", "", "எங்கள்"),
    Determiner("my", "मेरा", "", "माझा", "", "என்"),
    Determiner("many", "कई", "कई", "अनेक", "अनेक", "பல", "pl"),
    Determiner("some", "कुछ", "कुछ", "काही", "काही", "சில", "pl"),
    Determiner("all", "सभी", "सभी", "सर्व", "सर्व", "எல்லா", "pl"),
    Determiner("every", "हर", "हर", "प्रत्येक", "प्रत्येक", "ஒவ்வொரு", "sg"),
    Determiner("most", "अधिकतर", "अधिकतर", "बहुतेक", "बहुतेक", "பெரும்பாலான", "pl"),
    Determiner("other", "अन्य", "अन्य", "इतर", "इतर", "மற்ற", "pl"),
]
