"""Finite and non-finite verb forms of English, Hindi and Marathi, with the case of subject and object."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Protocol

from dsbuild.translate.mini.lexicon import Verb
from dsbuild.translate.mini.morphology import NEUTRAL, Agreement, hi_agree, mr_agree

PERFECTIVE = frozenset({"past", "perf", "npast", "nperf"})
_ENGLISH_PARTS = ("en", "en_3sg", "en_past", "en_part", "en_ing")
PASSIVE = frozenset({"ppres", "ppast", "pfut", "pcan", "pperf", "pnpres", "pmust"})


_HI_NEGATED = {
    "npres": ("pres", "नहीं"),
    "npast": ("past", "नहीं"),
    "nperf": ("perf", "नहीं"),
    "nfut": ("fut", "नहीं"),
    "ncan": ("can", "नहीं"),
    "nimp": ("imp", "न"),
    "nshould": ("should", "नहीं"),
    "pnpres": ("ppres", "नहीं"),
}
_HI_VERB_VERB = frozenset({"ले जा", "मर जा", "बदल जा", "बना रह"})
_OBLIGATION = ("must", "should", "nshould", "need")


class Argument(Protocol):
    """A phrase that can be the subject or the object of a verb."""

    @property
    def agr(self) -> Agreement:
        """Give the agreement of the phrase."""
        ...


def human(argument: Argument | None) -> bool:
    """Say whether an argument is a person and takes को / ला as an object."""
    return bool(getattr(argument, "human", False))


def english_verb(verb: Verb, tense: str, agr: Agreement) -> str:
    """Write an English verb in a tense; the "to" of a verb with two objects belongs to the hearer."""
    if verb.frame == "ditrans" and verb.en.endswith(" to"):
        return english_verb(
            replace(verb, **{part: getattr(verb, part).removesuffix(" to") for part in _ENGLISH_PARTS}), tense, agr
        )
    third = agr.person == 3 and not agr.plural
    be = "am" if agr.person == 1 and not agr.plural else ("is" if third else "are")
    was = "was" if agr.person != 2 and not agr.plural else "were"
    do, have = ("does", "has") if third else ("do", "have")
    if verb.en.startswith("be "):
        rest = verb.en[3:]
        forms = {
            "pres": f"{be} {rest}",
            "past": f"{was} {rest}",
            "npres": f"{be} not {rest}",
            "npast": f"{was} not {rest}",
            "perf": f"{have} been {rest}",
        }
        if tense in forms:
            return forms[tense]
    forms = {
        "pres": verb.en_3sg if third else verb.en,
        "past": verb.en_past,
        "fut": f"will {verb.en}",
        "prog": f"{be} {verb.en_ing}",
        "perf": f"{have} {verb.en_part}",
        "npres": f"{do} not {verb.en}",
        "npast": f"did not {verb.en}",
        "nperf": f"{have} not {verb.en_part}",
        "nfut": f"will not {verb.en}",
        "can": f"can {verb.en}",
        "ncan": f"cannot {verb.en}",
        "may": f"may {verb.en}",
        "must": f"must {verb.en}",
        "need": f"{'needs' if third else 'need'} to {verb.en}",
        "should": f"should {verb.en}",
        "nshould": f"should not {verb.en}",
        "imp": verb.en,
        "nimp": f"do not {verb.en}",
        "inf": f"to {verb.en}",
        "base": verb.en,
        "ger": verb.en_ing,
        "part": verb.en_part,
        **dict.fromkeys(("purp",), f"to {verb.en}"),
        **dict.fromkeys(("before", "after", "while", "by", "conj"), verb.en_ing),
        "agent": verb.en_3sg if third else verb.en,
        "if": verb.en_3sg if third else verb.en,
        "ppres": f"{be} {verb.en_part}",
        "ppast": f"{was} {verb.en_part}",
        "pfut": f"will be {verb.en_part}",
        "pcan": f"can be {verb.en_part}",
        "pperf": f"{have} been {verb.en_part}",
        "pnpres": f"{be} not {verb.en_part}",
        "pmust": f"must be {verb.en_part}",
    }
    return forms[tense]


def _hi_stem_plus(stem: str, kind: str) -> str:
    """Join the subjunctive endings -े, -ें or the future -ेगा to a Hindi stem."""
    sign = {"e": ("ए", "े"), "en": ("एँ", "ें")}[kind]
    last = stem.rpartition(" ")[2]
    if last in ("दे", "ले"):
        return stem[:-1] + sign[1]
    if last == "हो":
        return stem + ("ं" if kind == "en" else "")
    if stem.endswith("ी"):
        return stem[:-1] + "ि" + sign[0]
    if stem.endswith("ू"):
        return stem[:-1] + "ु" + sign[0]
    if stem.endswith(("ा", "ो", "े", "आ")):
        return stem + sign[0]
    return stem + sign[1]


def _hi_future(stem: str, agr: Agreement) -> str:
    """Write the Hindi future."""
    if agr.person == 1 and not agr.hi_plural:
        base = _hi_stem_plus(stem, "e")
        base = base[:-1] + ("ऊँ" if base.endswith("ए") else "ूँ")
    else:
        base = _hi_stem_plus(stem, "en" if agr.hi_plural else "e")
    return base + ("गी" if agr.hi == "f" else ("गे" if agr.hi_plural else "गा"))


def hi_marks(verb: Verb, tense: str, obj: Argument | None) -> tuple[str, str]:
    """Give the Hindi markers of subject and object."""
    if tense in PASSIVE:
        marker = verb.extra.get("hi", "")
        return "", marker if marker in ("का", "की", "के") else ""
    subject = verb.extra.get("hi_subj", "")
    if not subject and tense in PERFECTIVE and verb.hi_ne:
        subject = "ने"
    if not subject and tense in _OBLIGATION:
        subject = "को"
    marker = verb.extra.get("hi", "को" if human(obj) and verb.frame == "trans" else "")
    return subject, "" if marker == "nom" else marker


def _controller(
    verb: Verb, language: str, marks: tuple[str, str], subj: Argument | None, obj: Argument | None
) -> Agreement | None:
    """Find what the verb agrees with: a noun inside it, a nominative subject, a nominative object, or nothing."""
    fixed = verb.extra.get(f"{language}_agr")
    if fixed:
        return Agreement(hi=fixed, mr=fixed)
    if subj is not None and not marks[0]:
        return subj.agr
    if obj is not None and not marks[1] and verb.frame in ("trans", "ditrans"):
        return obj.agr
    return None


def hi_verb(verb: Verb, tense: str, subj: Argument | None, obj: Argument | None) -> str:
    """Write a Hindi verb in a tense, agreeing with subject or object."""
    stem, perf = verb.hi, verb.hi_perf
    marks = hi_marks(verb, tense, obj)
    if tense in PASSIVE:
        agr = obj.agr if obj is not None and not marks[1] else Agreement(hi="f" if perf.endswith("ी") else "m")
    else:
        agr = _controller(verb, "hi", marks, subj, obj) or Agreement()
    if verb.extra.get("hi_adj") == "y":
        source = obj.agr if obj is not None and not marks[1] else agr
        first, _, rest = stem.partition(" ")
        stem = f"{hi_agree(first, source)} {rest}"
        perf = f"{hi_agree(first, source)} {perf.partition(' ')[2]}"
    done = perf if perf.endswith("ी") else hi_agree(perf, agr)
    frozen = Agreement(hi="f") if perf.endswith("ी") and tense in PERFECTIVE else agr
    hai, tha = hi_agree("है", frozen), hi_agree("था", frozen)
    if verb.extra.get("stat") == "y" and stem.endswith(" हो") and tense in ("pres", "npres", "past", "npast"):
        bare = stem[: -len(" हो")] + (" नहीं" if tense.startswith("n") else "")
        return f"{bare} {hi_agree('है' if tense.endswith('pres') else 'था', agr)}"
    infinitive = stem + "ना"
    nominative_object = obj is not None and not marks[1] and verb.frame in ("trans", "ditrans")
    if tense in ("must", "should", "need"):
        target = obj.agr if nominative_object and obj is not None else Agreement(hi="f" if perf.endswith("ी") else "m")
        modal = f"{hi_agree('पड़ता', target)} {hi_agree('है', target)}" if tense == "need" else "चाहिए"
        return f"{hi_agree(infinitive, target)} {modal}"
    going = hi_agree("जाता", agr)
    able = stem.split()[0] if stem in ("मर जा", "बदल जा") else stem
    if tense in _HI_NEGATED:
        positive, word = _HI_NEGATED[tense]
        return _hi_negate(verb, hi_verb(verb, positive, subj, obj), word)
    forms = {
        "pres": f"{hi_agree(stem + 'ता', agr)} {hai}",
        "past": _feminine_plural(done, frozen),
        "perf": f"{done} {hai}",
        "fut": _hi_future(stem, agr),
        "prog": f"{stem} {hi_agree('रहा', agr)} {hai}",
        "can": f"{able} {hi_agree('सकता', agr)} {hai}",
        "may": f"{able} {hi_agree('सकता', agr)} {hai}",
        "imp": _hi_stem_plus(stem, "en"),
        "base": _hi_stem_plus(stem, "en"),
        "inf": infinitive,
        "ger": infinitive,
        "obl": stem + "ने",
        "purp": f"{stem}ने के लिए",
        "before": f"{stem}ने से पहले",
        "after": f"{stem}ने के बाद",
        "while": f"{stem}ते समय",
        "by": f"{stem}ने से",
        "conj": stem + ("के" if stem.endswith("कर") else "कर"),
        "agent": stem + "ने वाला",
        "ppres": f"{done} {going} {hai}",
        "ppast": f"{done} {hi_agree('गया', agr)} {tha}",
        "pperf": f"{done} {hi_agree('गया', agr)} {hai}",
        "pfut": f"{done} {_hi_future('जा', agr)}",
        "pcan": f"{done} जा {hi_agree('सकता', agr)} {hai}",
        "pmust": f"{done} {hi_agree('जाना', agr)} चाहिए",
        "pagent": f"{done} {hi_agree('जाने वाला', agr)}",
        "done": done,
    }
    return forms[tense]


def _hi_negate(verb: Verb, positive: str, word: str) -> str:
    """Put the negation before the verb itself, after the noun or adjective of a compound."""
    count = 0 if verb.hi in _HI_VERB_VERB else verb.hi.count(" ")
    words = positive.split()
    return " ".join([*words[:count], word, *words[count:]])


def _feminine_plural(done: str, agr: Agreement) -> str:
    """Nasalise a perfective without auxiliary in the feminine plural."""
    return done + "ं" if agr.hi == "f" and agr.hi_plural and done.endswith(("ी", "ई")) else done


def mr_marks(verb: Verb, tense: str, obj: Argument | None) -> tuple[str, str]:
    """Give the Marathi suffixes of subject and object."""
    marker = verb.extra.get("mr", "ला" if human(obj) and verb.frame == "trans" else "")
    marker = "" if marker == "nom" else marker
    if tense in PASSIVE:
        return "", marker if marker[:1] == "च" else ""
    subject = verb.extra.get("mr_subj", "")
    if not subject and tense == "need":
        subject = "ला"
    if not subject and ((tense in PERFECTIVE and verb.mr_trans) or tense in (*_OBLIGATION, "opt")):
        subject = "ने"
    return subject, marker


def _mr_base(verb: Verb) -> tuple[str, str]:
    """Give the imperative of a Marathi verb and the stem before -ू / -ून."""
    imperative = verb.extra.get("mr_imp") or verb.mr + ("" if verb.mr.endswith("ा") else "ा")
    stem = verb.mr
    if re.search(r"(?:^| )(?:दे|घे|ये|ने|हो|जा|खा|गा|पि|धु)$", stem) or stem.endswith("ा"):
        before = stem + "ऊ"
    elif stem.endswith("ि"):
        before = stem[:-1] + "ू"
    else:
        before = stem + "ू"
    return imperative, before


def _mr_future(verb: Verb, agr: Agreement) -> str:
    """Write the Marathi future."""
    stem = verb.mr
    vowel = bool(re.search(r"(?:^| )(?:दे|घे|ये|ने|हो|जा|खा|गा|पि|धु)$", stem)) or stem.endswith("ा")
    if agr.person == 1:
        return (_mr_base(verb)[1] if agr.mr_plural else stem + ("ईन" if vowel else "ेन")).replace("िेन", "ीन")
    if agr.person == 2:
        return _mr_base(verb)[0] + "ल"
    if agr.mr_plural:
        return stem + "तील"
    if stem.endswith("ि") and not vowel:
        return stem[:-1] + "ील"
    return stem + ("ईल" if vowel else ("ील" if stem.endswith("ह") else "ेल"))


def mr_object_agreement(verb: Verb, obj: Argument | None) -> Agreement:
    """Give what a Marathi word about the action agrees with: a nominative object, else nothing."""
    return obj.agr if obj is not None and not mr_marks(verb, "opt", obj)[1] else NEUTRAL


def mr_verb(verb: Verb, tense: str, subj: Argument | None, obj: Argument | None) -> str:
    """Write a Marathi verb in a tense, agreeing with subject or object."""
    stem, perf = verb.mr, verb.mr_perf
    marks = mr_marks(verb, tense, obj)
    if tense in PASSIVE:
        agr = obj.agr if obj is not None and not marks[1] else _perf_noun(perf)
    else:
        agr = _controller(verb, "mr", marks, subj, obj) or (_perf_noun(perf) if tense in PERFECTIVE else NEUTRAL)
    imperative, before = _mr_base(verb)
    if verb.extra.get("mr_adj") == "y":
        source = obj.agr if obj is not None and not marks[1] and verb.frame == "trans" else agr
        first, rest = mr_agree(stem.partition(" ")[0], source), stem.partition(" ")[2]
        stem, perf, before = (
            f"{first} {rest}",
            f"{first} {perf.partition(' ')[2]}",
            f"{first} {before.partition(' ')[2]}",
        )
        imperative = f"{first} {imperative.partition(' ')[2]}"
    done = mr_agree(perf[:-1] + "ा", agr) if perf.endswith("े") else perf
    if agr.person < 3 and not marks[0] and perf.endswith("े"):
        done = perf[:-1] + ("ो" if agr.person == 1 else "ात" if tense == "past" else "ा")
        if agr.person == 2 and tense in ("npast", "nperf"):
            return f"{done} नाहीत"
    ahe, nahi = mr_agree("आहे", agr), mr_agree("नाही", agr)
    if verb.extra.get("stat") == "y" and stem.endswith((" हो", " अस")) and tense in ("pres", "npres", "past", "npast"):
        copula = {"pres": ahe, "npres": nahi, "past": mr_agree("होता", agr), "npast": f"{mr_agree('नव्हता', agr)}"}[
            tense
        ]
        return f"{stem.rpartition(' ')[0]} {copula}"
    if stem.endswith("अस") and tense in ("npres", "npast"):
        return stem[: -len("अस")] + mr_agree("नसतो" if tense == "npres" else "नव्हता", agr)
    going = mr_agree("जातो", agr)
    able = mr_agree("शकतो", agr)
    forms = {
        "pres": mr_agree(stem + "तो", agr),
        "npres": f"{stem}त {nahi}",
        "past": done,
        "npast": f"{done} {nahi}",
        "perf": f"{done} {ahe}",
        "nperf": f"{done} {nahi}",
        "fut": _mr_future_of(verb, stem, agr),
        "nfut": f"{stem}णार {nahi}",
        "prog": f"{stem}त {ahe}",
        "can": f"{before} {able}",
        "may": f"{before} {able}",
        "ncan": f"{before} शकत {nahi}",
        "must": f"{imperative}यला पाहिजे",
        "should": f"{imperative}यला हवे",
        "opt": mr_agree(imperative + "वा", agr),
        "need": f"{mr_agree(imperative + 'वा', agr)} {mr_agree('लागतो', agr)}",
        "nshould": f"{before} नये",
        "imp": imperative,
        "base": imperative,
        "nimp": f"{before} नका",
        "inf": stem + "णे",
        "ger": stem + "णे",
        "obl": stem + "ण्या",
        "purp": f"{stem}ण्यासाठी",
        "before": f"{stem}ण्यापूर्वी",
        "after": perf[:-1] + "्यानंतर",
        "done": done,
        "while": f"{stem}ताना",
        "by": f"{stem}ण्याने",
        "conj": before + "न",
        "agent": stem + "णारा",
        "ppres": f"{done} {going}",
        "pnpres": f"{done} जात {nahi}",
        "ppast": f"{done} {mr_agree('गेला', agr)}",
        "pperf": f"{done} {mr_agree('गेला', agr)} {ahe}",
        "pfut": f"{done} {'जातील' if agr.mr_plural else 'जाईल'}",
        "pcan": f"{done} जाऊ {able}",
        "pmust": f"{done} {mr_agree('गेला', agr)} पाहिजे",
        "if": (perf[:-1] + "्यास"),
        "pagent": f"{done} {mr_agree('जाणारा', agr)}",
    }
    return forms[tense]


def _mr_future_of(verb: Verb, stem: str, agr: Agreement) -> str:
    """Write the future on a stem whose adjective already agrees."""
    future = _mr_future(verb, agr)
    return stem[: len(stem) - len(verb.mr.rpartition(" ")[2])] + future.rpartition(" ")[2] if " " in verb.mr else future


def _perf_noun(perf: str) -> Agreement:
    """Give the gender of the noun inside a Marathi compound verb from its perfective."""
    return Agreement(mr="f" if perf.endswith("ी") else "m" if perf.endswith("ा") else "n")
