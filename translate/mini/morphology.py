"""Inflect nouns, adjectives and agreeing words of Hindi, Marathi and Tamil, and articles of English."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dsbuild.translate.mini.lexicon import Noun

HI_VOWELS = "अआइईउऊऋएऐओऔ"
MR_CONSONANTS = "कखगघङचछजझञटठडढणतथदधनपफबभमयरलळवशषसह"
HI_SIGNS = "ािीुूृेैोौ"
INVARIABLE_HI = frozenset(["ज़्यादा", "ताज़ा", "बढ़िया", "घटिया"])
UNINFLECTED_HI = frozenset(
    [
        "मलेरिया",
        "निमोनिया",
        "डायरिया",
        "मीडिया",
        "डेटा",
        "सोडा",
        "पास्ता",
        "पिज़्ज़ा",
        "पिज्जा",
        "अस्थमा",
        "एक्ज़िमा",
        "सोया",
        "कोरोना",
        "वीज़ा",
        "कोका",
        "अल्फ़ा",
        "ल्यूकेमिया",
        "एनीमिया",
        "गणित",
        "कैमरा",
    ]
)
VOWEL_SIGN_TA = {
    "அ": "",
    "ஆ": "ா",
    "இ": "ி",
    "ஈ": "ீ",
    "உ": "ு",
    "ஊ": "ூ",
    "எ": "ெ",
    "ஏ": "ே",
    "ஐ": "ை",
    "ஒ": "ொ",
    "ஓ": "ோ",
    "ஔ": "ௌ",
}
CONSONANT_TA = "கஙசஞடணதநபமயரலவழளறனஜஷஸஹஶ"
PULLI = "்"
DOUBLING = "^"
_AN_EXCEPTIONS = re.compile(r"(?:hour|honest|hono|heir|mri|x-ray|fm)", re.I)
_A_EXCEPTIONS = re.compile(r"(?:uni[^nm]|unit|union|uniform|use|usual|europe|one|once|ut[ei]|ur[ia]n|u-)", re.I)
_SHORT_U = re.compile(rf"^(?:[{CONSONANT_TA}]|[அஇஉஎஒ])[ிுெொ]?[{CONSONANT_TA}]ு$")
_SHORT_CLOSED = re.compile(rf"^(?:[{CONSONANT_TA}][ிுெொ]?|[அஇஉஎஒ])[{CONSONANT_TA}]{PULLI}$")


@dataclass(frozen=True)
class Agreement:
    """Person, number and gender, by language, that verbs and adjectives agree with; ta is n, r, an or al."""

    person: int = 3
    plural: bool = False
    hi: str = "m"
    hi_plural: bool = False
    mr: str = "n"
    mr_plural: bool = False
    ta: str = "n"
    ta_plural: bool = False


NEUTRAL = Agreement()


def english_article(words: str) -> str:
    """Put the indefinite article before a phrase."""
    vowel = (words[0].lower() in "aeiou" and not _A_EXCEPTIONS.match(words)) or bool(_AN_EXCEPTIONS.match(words))
    return f"{'an' if vowel else 'a'} {words}"


def hi_inflects(noun: Noun) -> bool:
    """Say whether a Hindi masculine noun in -ा changes to -े."""
    if noun.hi_g != "m" or not noun.hi.endswith(("ा", "आ", "आँ")) or noun.proper or noun.hi in UNINFLECTED_HI:
        return False
    if noun.hi_pl not in ("-", ""):
        return noun.hi_pl != noun.hi
    return not noun.hi.endswith("िया") or not noun.mass


def _hi_bent(word: str, sign: str) -> str:
    """Replace the final -ा, -आ or -आँ of a Hindi noun by -े or -ों."""
    letter = {"े": "ए", "ों": "ओं"}[sign]
    if word.endswith("आँ"):
        return word[:-2] + ("एँ" if sign == "े" else letter)
    return word[:-1] + (letter if word.endswith("आ") else sign)


def hi_noun(noun: Noun, plural: bool, oblique: bool) -> str:
    """Inflect a Hindi noun for number and case."""
    word = noun.hi
    if (plural or oblique) and noun.hi_g == "m":
        word = word.replace(" का ", " के ")
        word = re.sub(r"^(नील|पील|हर|काल)ा (?=रंग)", r"\1े ", word)
    inflects = hi_inflects(noun)
    if plural and oblique and noun.classes & {"measure", "timeunit"}:
        plural = False
    if not plural:
        return _hi_bent(word, "े") if oblique and inflects else word
    if not oblique:
        if noun.hi_pl not in ("-", ""):
            return noun.hi_pl
        if noun.hi_g == "m":
            return _hi_bent(word, "े") if inflects else word
        if word.endswith("िया"):
            return word + "ँ"
        if word.endswith(("ी", "ि")):
            return word[:-1] + "ियाँ"
        if word.endswith("ू"):
            return word[:-1] + "ुएँ"
        return word + ("एँ" if word[-1] in HI_SIGNS or word[-1] in HI_VOWELS else "ें")
    if inflects:
        return _hi_bent(word, "ों")
    if noun.hi_pl not in ("-", "") and noun.hi_pl.endswith("याँ"):
        return noun.hi_pl[:-3] + "यों"
    if noun.hi_pl not in ("-", "", word) and noun.hi_g == "m" and not noun.hi_pl.endswith("े"):
        return noun.hi_pl + "ों"
    if noun.hi_g == "f" and word.endswith("िया"):
        return word[:-1] + "ों"
    if word.endswith(("ी", "ि")):
        return word[:-1] + "ियों"
    if word.endswith("ू"):
        return word[:-1] + "ुओं"
    return word + ("ओं" if word[-1] in HI_SIGNS + HI_VOWELS + "ँं" else "ों")


def hi_agree(word: str, agr: Agreement, oblique: bool = False) -> str:
    """Make a Hindi adjective, participle or copula agree; words without -ा stay as they are."""
    head, _, last = word.rpartition(" ")
    if head:
        inner = hi_agree(head, agr, oblique) if last in ("हुआ", "वाला") else head
        return f"{inner} {hi_agree(last, agr, oblique)}"
    feminine, plural = agr.hi == "f", agr.hi_plural or oblique
    if word == "है":
        if agr.person == 1 and not agr.hi_plural:
            return "हूँ"
        return "हैं" if agr.hi_plural else "है"
    if word == "था":
        return ("थीं" if agr.hi_plural else "थी") if feminine else ("थे" if agr.hi_plural else "था")
    if word in INVARIABLE_HI:
        return word
    if word in ("किया", "लिया", "दिया", "पिया"):
        return word[:-3] + ("ी" if feminine else ("िए" if plural else "िया"))
    if word == "नया":
        return "नई" if feminine else ("नए" if plural else word)
    if word.endswith("या"):
        return word[:-2] + ("ई" if feminine else ("ए" if plural else "या"))
    if word.endswith("आ"):
        return word[:-1] + ("ई" if feminine else ("ए" if plural else "आ"))
    if word.endswith("ाँ") or word.endswith("वाँ"):
        return word[:-2] + ("ीं" if feminine else ("ें" if plural else "ाँ"))
    if word.endswith("ा"):
        return word[:-1] + ("ी" if feminine else ("े" if plural else "ा"))
    return word


def mr_noun(noun: Noun, plural: bool) -> str:
    """Give the direct form of a Marathi noun."""
    return noun.mr_pl if plural and noun.mr_pl not in ("-", "") else noun.mr


def mr_demonstrative(word: str, agr: Agreement) -> str:
    """Make हा or तो agree; other determiners stay."""
    forms = {"हा": ("हा", "हे", "ही", "ह्या", "हे", "ही"), "तो": ("तो", "ते", "ती", "त्या", "ते", "ती")}.get(word)
    return forms[{"m": 0, "f": 2, "n": 4}[agr.mr] + agr.mr_plural] if forms else word


def mr_attach(noun: Noun, plural: bool, suffix: str) -> str:
    """Attach a postposition to the oblique stem of a Marathi noun; a suffix after a space stands apart."""
    many = plural and noun.mr_obl_pl not in ("-", "")
    stem = noun.mr_obl_pl if many else noun.mr_obl
    if many:
        suffix = {"ला": "ना", "ने": "नी", "त": "मध्ये", "तून": "मधून"}.get(suffix, suffix)
    elif stem[-1:] in MR_CONSONANTS:
        suffix = {"त": "मध्ये", "तून": "मधून"}.get(suffix, suffix)
    return stem + suffix


def mr_agree(word: str, agr: Agreement, oblique: bool = False) -> str:
    """Make a Marathi adjective, participle, copula or habitual verb agree with person, gender, number and case."""
    head, _, last = word.rpartition(" ")
    if head:
        return f"{head} {mr_agree(last, agr, oblique)}"
    if word == "आहे":
        return {1: "आहोत" if agr.mr_plural else "आहे", 2: "आहात", 3: "आहेत" if agr.mr_plural else "आहे"}[agr.person]
    if word == "नाही":
        return "नाहीत" if agr.mr_plural and agr.person == 3 else "नाही"
    if word.endswith("तो"):
        if agr.person == 3:
            return word[:-2] + ("तात" if agr.mr_plural else {"m": "तो", "f": "ते", "n": "ते"}[agr.mr])
        return word[:-2] + ("तो" if agr.person == 1 else "ता")
    if not word.endswith("ा"):
        return word
    bent = word[:-2] + ("शा" if word.endswith("सा") else "ऱ्या" if word.endswith("रा") else word[-2] + "्या")
    if oblique:
        return word if word.endswith("या") else bent
    if agr.mr == "f" and agr.mr_plural:
        return bent
    if word.endswith("सा") and (agr.mr == "f" or (agr.mr == "n" and agr.mr_plural)):
        return word[:-2] + "शी"
    ending = {"m": ("ा", "े"), "f": ("ी", "्या"), "n": ("े", "ी")}[agr.mr][agr.mr_plural]
    return word[:-1] + ending


def ta_join(stem: str, suffix: str) -> str:
    """Join a Tamil suffix that begins with a vowel to a stem, with glides and dropped short u."""
    if not suffix or suffix[0] not in VOWEL_SIGN_TA:
        return stem + suffix
    sign, rest = VOWEL_SIGN_TA[suffix[0]], suffix[1:]
    if stem.endswith(PULLI):
        if _SHORT_CLOSED.match(stem):
            stem = stem + stem[-2] + PULLI
        return stem[:-1] + sign + rest
    if stem.endswith("ு") and not _SHORT_U.match(stem.split(" ")[-1]):
        return stem[:-1] + sign + rest
    glide = "ய" if stem.endswith(("ி", "ீ", "ை", "ே", "ெ", "இ", "ஈ", "ஐ", "ஏ", "எ")) else "வ"
    return stem + glide + sign + rest


def ta_stem(noun: Noun) -> str:
    """Give the singular oblique stem of a Tamil noun."""
    if noun.ta_obl not in ("-", ""):
        return noun.ta_obl
    if noun.ta.endswith("ம்") and len(noun.ta) > 3 and noun.ta[-3] in CONSONANT_TA:
        return noun.ta[:-2] + "த்த்"
    return noun.ta


def ta_case(stem: str, case: str, plain: str) -> str:
    """Put a Tamil stem into a case; the accusative and the dative may double the next consonant."""
    if case == "":
        return plain
    if case == "nom":
        return plain
    if case.startswith("க்கு") or case.startswith("க்காக"):
        rest = case.removeprefix("க்கு") if case.startswith("க்கு") else "ஆக"
        if stem.endswith(("த்த்", "ட்ட்", "ற்ற்")):
            word = ta_join(stem, "இற்கு")
        elif stem.endswith(("ி", "ீ", "ை", "ய்", "ே")):
            word = stem + "க்கு"
        else:
            word = ta_join(stem, "உக்கு")
        return ta_join(word, rest) + (DOUBLING if rest in ("", "ஆக") else "")
    if case == "ஐ":
        return ta_join(stem, "ஐ") + DOUBLING
    if case == "ஐவிட":
        return ta_join(stem, "ஐ") + " விட"
    if case == "ஆக":
        return ta_join(plain, "ஆக") + DOUBLING
    if case == "ஆ":
        return ta_join(plain, "ஆ")
    return ta_join(stem, case)


def ta_double(text: str) -> str:
    """Write the doubled consonant after marked words and drop the marks."""
    text = re.sub(r"\^+ ([கசதப])", lambda match: f"{match.group(1)}{PULLI} {match.group(1)}", text)
    return text.replace(DOUBLING, "")


def ta_personal(agr: Agreement) -> str:
    """Give the Tamil personal ending."""
    if agr.person == 1:
        return "ஓம்" if agr.ta_plural else "ஏன்"
    if agr.person == 2:
        return "ஈர்கள்"
    if agr.ta == "n":
        return "அன" if agr.ta_plural else "அது"
    if agr.ta_plural:
        return "ஆர்கள்"
    return {"r": "ஆர்", "an": "ஆன்", "al": "ஆள்"}[agr.ta]


def ta_agree(word: str, agr: Agreement, nominal: bool = False) -> str:
    """Make a Tamil finite verb or predicate noun given in the neuter singular (-து) agree."""
    if not word.endswith("து") or (agr.ta == "n" and not agr.ta_plural):
        return word
    verbal = not nominal and word.endswith(("கிறது", "உள்ளது", "ுள்ளது", "ந்தது", "ட்டது", "யுள்ளது"))
    if agr.ta == "n":
        if word.endswith("கிறது"):
            return word[: -len("கிறது")] + "கின்றன"
        return word[:-2] + ("ன" if verbal else "வை")
    if verbal:
        return ta_join(word[:-2] + PULLI, ta_personal(agr))
    return word[:-2] + ("வர்கள்" if agr.ta_plural else "வர்")
