"""Finite and non-finite forms of Tamil verbs, with the case of subject and object."""

from __future__ import annotations

from dsbuild.translate.mini.lexicon import Verb
from dsbuild.translate.mini.morphology import DOUBLING, NEUTRAL, VOWEL_SIGN_TA, Agreement, ta_join, ta_personal
from dsbuild.translate.mini.verb_forms import PASSIVE, Argument


def ta_marks(verb: Verb, tense: str, obj: Argument | None) -> tuple[str, str]:
    """Give the Tamil cases of subject and object."""
    marker = verb.extra.get("ta", "ஐ" if verb.frame in ("trans", "ditrans") else "")
    marker = "ஐ" if verb.frame == "ditrans" else marker
    marker = "" if marker == "nom" else marker
    if tense in PASSIVE:
        return "", "" if marker == "ஐ" else marker
    subject = verb.extra.get("ta_subj", "")
    return "ஆல்" if not subject and tense in ("can", "ncan") else subject, marker


_TA_HARD = ("ி", "ய்", "த்து", "ட்டு", "ற்று")


def _ta_add(base: str, ending: str) -> str:
    """Add a personal ending to a base that ends in a pulli."""
    return base[:-1] + VOWEL_SIGN_TA[ending[0]] + ending[1:]


def _ta_present(base: str, agr: Agreement) -> str:
    """Write a Tamil present on a base in -கிற்."""
    if agr.ta == "n" and agr.ta_plural and agr.person == 3:
        return base.removesuffix("கிற்") + "கின்றன"
    return _ta_add(base, ta_personal(agr))


def _ta_past(past: str, adnominal: str, agr: Agreement) -> str:
    """Write a Tamil past on the base before persons and the base before -அது."""
    if agr.person < 3 or agr.ta != "n":
        return _ta_add(past, ta_personal(agr))
    if not agr.ta_plural:
        return _ta_add(adnominal, "அது")
    if past.endswith("ான்"):
        return past[:-2] + "யின"
    return past[:-1] if past != adnominal else past[:-1] + "ன"


def _ta_progressive(participle: str) -> str:
    """Join the base of கொண்டிருக்கிற் to a Tamil verbal participle."""
    participle = participle.removesuffix("கொண்டு") or participle
    return participle + ("க்" if participle.endswith(_TA_HARD) else "") + "கொண்டிருக்கிற்"


def ta_verb(verb: Verb, tense: str, subj: Argument | None, obj: Argument | None) -> str:
    """Write a Tamil verb in a tense, agreeing with its nominative subject or, where that is marked, its object."""
    marks = ta_marks(verb, tense, obj)
    if tense in PASSIVE:
        agr = obj.agr if obj is not None and not marks[1] else NEUTRAL
    elif subj is not None and not marks[0] and "ta_agr" not in verb.extra:
        agr = subj.agr
    elif obj is not None and marks[0] and not marks[1]:
        agr = obj.agr
    else:
        agr = NEUTRAL
    neuter = agr.ta == "n" and agr.person == 3
    infinitive, _, irregular = verb.ta_inf.partition("/")
    general = irregular or infinitive + "ும்"
    past, _, adnominal = verb.ta_past.partition("/")
    adnominal = adnominal or past
    nominal = verb.ta_fut[:-1] + "து"
    passive = infinitive + "ப்படு"
    forms = {
        "pres": lambda: _ta_present(verb.ta_pres, agr),
        "npres": lambda: nominal[:-1] + "ில்லை",
        "past": lambda: _ta_past(past, adnominal, agr),
        "npast": lambda: infinitive + "வில்லை",
        "nperf": lambda: infinitive + "வில்லை",
        "perf": lambda: _ta_add(ta_join(verb.ta_vp, "உள்ள்"), ta_personal(agr)),
        "prog": lambda: _ta_present(_ta_progressive(verb.ta_vp), agr),
        "fut": lambda: general if neuter else _ta_add(verb.ta_fut, ta_personal(agr)),
        "nfut": lambda: infinitive + "ாது" if neuter else f"{infinitive} {_ta_add('மாட்ட்', ta_personal(agr))}",
        "can": lambda: f"{infinitive} முடியும்",
        "may": lambda: infinitive + "லாம்",
        "ncan": lambda: f"{infinitive} முடியாது",
        "must": lambda: f"{infinitive} வேண்டும்",
        "should": lambda: f"{infinitive} வேண்டும்",
        "need": lambda: f"{infinitive} வேண்டும்",
        "nshould": lambda: f"{infinitive}{DOUBLING} கூடாது",
        "imp": lambda: verb.ta_imp,
        "base": lambda: verb.ta_imp,
        "nimp": lambda: infinitive + "ாதீர்கள்",
        "inf": lambda: nominal,
        "ger": lambda: nominal,
        "obl": lambda: infinitive,
        "purp": lambda: infinitive + DOUBLING,
        "before": lambda: nominal[:-1] + "ற்கு முன்",
        "after": lambda: f"{adnominal[:-1]} பிறகு",
        "while": lambda: general + "போது",
        "by": lambda: nominal[:-1] + "ால்",
        "conj": lambda: verb.ta_vp + (DOUBLING if verb.ta_vp.endswith(_TA_HARD) else ""),
        "agent": lambda: general,
        "done": lambda: adnominal[:-1],
        "if": lambda: _ta_add(past, "ஆல்"),
        "ppres": lambda: _ta_present(passive + "கிற்", agr),
        "pnpres": lambda: passive + "வதில்லை",
        "ppast": lambda: _ta_past(infinitive + "ப்பட்ட்", infinitive + "ப்பட்ட்", agr),
        "pperf": lambda: _ta_add(infinitive + "ப்பட்டுள்ள்", ta_personal(agr)),
        "pfut": lambda: passive + "ம்" if neuter else _ta_add(passive + "வ்", ta_personal(agr)),
        "pcan": lambda: infinitive + "ப்படலாம்",
        "pmust": lambda: infinitive + "ப்பட வேண்டும்",
        "pagent": lambda: passive + "ம்",
    }
    return forms[tense]()
