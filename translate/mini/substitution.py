"""Placeholders in training pairs: the same item on both sides, numbers always, names and nouns in a copy of the pair."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random

import regex

from dsbuild.text import fold_digits
from dsbuild.translate.mini.lexicon import Noun
from dsbuild.translate.mini.masking import SYMBOLS, TEMPLATE, tidy, words
from dsbuild.translate.mini.morphology import hi_noun

_ITEM = re.compile(r"<\d+>|(?<![\w])\d+(?:[.,:/]\d+)*(?![\w])")
_LATIN = re.compile(r"[A-Za-z]+(?:[-'][A-Za-z]+)*")
_LEFT, _RIGHT = r"(?<![\p{L}\p{M}\p{N}])", r"(?![\p{L}\p{M}\p{N}])"

# What Marathi writes on to an oblique stem, and what it becomes behind a placeholder: a word of its own.
_MR = {
    suffix: suffix
    for suffix in (
        "ला", "ने", "नी", "चा", "ची", "चे", "च्या", "चं", "मध्ये", "वर", "साठी", "पासून", "पेक्षा", "कडे", "बद्दल", "हून", "शी",
        "जवळ", "पर्यंत", "समोर", "खाली", "भोवती", "मधील", "मधून", "वरून",
    )
}  # fmt: skip
_MR |= {"त": "मध्ये", "तील": "मधील", "तून": "मधून"}
# Case endings of Tamil as they stand behind a hyphen.
_TA = frozenset([
    "ஐ", "இல்", "இன்", "உக்கு", "க்கு", "ஆல்", "உடன்", "ஓடு", "இலிருந்து", "இலும்", "உம்", "ஆனது", "ஆக", "இலுள்ள",
    "ஐப்", "ஐக்", "ஐத்", "ஐச்", "இற்கு", "க்குப்", "உக்குப்", "ஐயும்",
])  # fmt: skip
_TA_VOWELS = dict(zip("ாிீுூெேைொோௌ", "ஆஇஈஉஊஎஏஐஒஓஔ", strict=True))
_PULLI, _SHORT_U = "்", "ு"


@dataclass(frozen=True, slots=True)
class Group:
    """An English sentence with its translations by language. origin: grammar, hand, tatoeba or ipc."""

    en: str
    targets: dict[str, str]
    origin: str


def conceal_numbers(group: Group) -> Group:
    """Numbers, and words that the translations leave in Latin letters, as placeholders on every side.

    A language whose translation does not hold the same items, or that keeps other digits or Latin letters, is left out.
    """
    source = tidy(group.en)
    targets = {lang: fold_digits(tidy(text)) for lang, text in group.targets.items()}
    latin = {found.lower() for text in targets.values() for found in _LATIN.findall(text)}
    spans = [found.span() for found in _ITEM.finditer(source)]
    spans += [found.span() for found in _LATIN.finditer(source) if found.group().lower() in latin]
    spans.sort()
    if len(spans) > len(SYMBOLS):
        return Group(group.en, {}, group.origin)
    keys = [source[start:end] for start, end in spans]
    pieces: list[str] = []
    position = 0
    for number, (start, end) in enumerate(spans, 1):
        pieces += (source[position:start].lower(), TEMPLATE.format(n=number))
        position = end
    concealed = "".join([*pieces, source[position:].lower()])
    found = {lang: _conceal(text, keys, lang) for lang, text in targets.items()}
    if re.search(r"\d", re.sub(r"<\d+>", "", concealed)):
        found = {}
    return Group(concealed, {lang: text for lang, text in found.items() if text is not None}, group.origin)


def _conceal(text: str, keys: list[str], lang: str) -> str | None:
    """A translation with each key as its placeholder, None if one is missing or something else is left."""
    held: list[tuple[int, int, int]] = []
    for number, key in enumerate(keys, 1):
        plain = key.replace(",", "").lower()
        matches = (*_ITEM.finditer(text), *_numerals(text), *_LATIN.finditer(text))
        spans = [found.span() for found in matches if found.group().replace(",", "").lower() == plain]
        free = next(
            (
                span
                for span in sorted(set(spans))
                if not any(start < span[1] and span[0] < end for start, end, _ in held)
            ),
            None,
        )
        if free is None:
            return None
        held.append((*free, number))
    pieces: list[str] = []
    position = 0
    for start, end, number in sorted(held):
        pieces += (text[position:start], f"\0{number}\0")
        position = end
    bare = "".join([*pieces, text[position:]])
    if re.search(r"[A-Za-z<>]|\d", re.sub("\0\\d\0", "", bare)):
        return None
    return attach(re.sub("\0(\\d)\0", lambda found: TEMPLATE.format(n=found.group(1)), bare), lang)


def _numerals(text: str) -> list[re.Match[str]]:
    """Numbers that a suffix is written on to."""
    return [
        found for found in re.finditer(r"\d+(?:[.,:/]\d+)*", text) if text[found.start() - 1 : found.start()] != "<"
    ]


def attach(text: str, lang: str) -> str:
    """Part a placeholder from the letters behind it as each language does with foreign words.

    >>> attach("<1>ल", "mr"), attach("<1>இல்", "ta"), attach("<1>-ல்", "ta")
    ('<1> ल', '<1>-இல்', '<1>-ல்')
    """
    return re.sub(r"(<\d>)(?=[^\W\d_]|[\u0900-\u0dff])", r"\1-" if lang == "ta" else r"\1 ", text)


class Nouns:
    """Finds nouns of the lexicon in a group and writes a placeholder for one of them on every side."""

    def __init__(self, nouns: Iterable[Noun]) -> None:
        self._nouns: dict[tuple[str, ...], tuple[Noun, bool]] = {}
        self._patterns: dict[tuple[str, str], regex.Pattern[str]] = {}
        for noun in nouns:
            # Unknown words are masculine to Hindi, so a common noun stands in for one only if it is.
            if noun.proper or noun.hi_g == "m":
                self._nouns[tuple(words(noun.en))] = (noun, False)
                if not noun.mass:
                    self._nouns[tuple(words(noun.en_pl))] = (noun, True)

    def conceal(self, group: Group, random: Random) -> Group | None:
        """A copy with one noun concealed, names first; None if no noun stands exactly once on every side."""
        symbol = next((symbol for symbol in SYMBOLS if symbol not in group.en), None)
        found = words(group.en)
        near = [tuple(found[at : at + size]) for size in (3, 2, 1) for at in range(len(found) - size + 1)]
        candidates = [(self._nouns[key], key) for key in dict.fromkeys(near) if key in self._nouns]
        random.shuffle(candidates)
        candidates.sort(key=lambda candidate: not candidate[0][0].proper)
        for (noun, _), key in candidates:
            pattern = rf"(?<![\w'-]){r'[ -]'.join(map(re.escape, key))}(?![\w-])"
            source, count = re.subn(pattern, symbol or "", group.en)
            if symbol is None or count != 1:
                continue
            targets = {lang: self._replace(noun, lang, text, symbol) for lang, text in group.targets.items()}
            if all(targets.values()):
                return renumber(
                    Group(source, {lang: attach(text, lang) for lang, text in targets.items() if text}, group.origin)
                )
        return None

    def _replace(self, noun: Noun, lang: str, text: str, symbol: str) -> str | None:
        pattern = self._patterns.get((noun.en, lang))
        if pattern is None:
            pattern = self._patterns[noun.en, lang] = regex.compile(_LEFT + _forms(noun, lang) + _RIGHT)
        matches = list(pattern.finditer(text))
        if len(matches) != 1:
            return None
        match = matches[0]
        suffix = match.groupdict().get("suffix") or ""
        if lang == "mr" and suffix:
            suffix = f" {_MR[suffix]}"
        elif lang == "ta" and suffix:
            plain = suffix[1:] if match.groupdict().get("glide") else suffix
            plain = _TA_VOWELS.get(plain[0], plain[0]) + plain[1:]
            if plain not in _TA:
                return None
            suffix = f"-{plain}"
        return text[: match.start()] + symbol + suffix + text[match.end() :]


def _forms(noun: Noun, lang: str) -> str:
    if lang == "hi":
        return _any(
            {
                hi_noun(noun, plural, oblique)
                for plural in (False, *([] if noun.mass else [True]))
                for oblique in (False, True)
            }
        )
    if lang == "mr":
        plain = {form for form in (noun.mr, noun.mr_pl) if form not in ("", "-")}
        oblique = {form for form in (noun.mr_obl, noun.mr_obl_pl) if form not in ("", "-")} or {noun.mr}
        return rf"(?:{_any(plain)}|{_any(oblique)}(?P<suffix>{_any(set(_MR))}))"
    whole = {form for form in (noun.ta, noun.ta_pl) if form not in ("", "-")}
    stems = whole | ({noun.ta_obl} - {"", "-"})
    closed = {stem[:-1] for stem in stems if stem.endswith((_PULLI, _SHORT_U))}
    signs = "".join(_TA_VOWELS)
    endings = [rf"{_any(closed)}(?P<suffix>[{signs}]\S{{0,9}}?)"] if closed else []
    endings += [rf"{_any(stems)}(?P<suffix>(?P<glide>[வய])[{signs}]\S{{0,9}}?|க்குப?்?)"]
    return "(?:" + "|".join([_any(whole), *endings]) + ")"


def _any(forms: set[str]) -> str:
    return "(?:" + "|".join(regex.escape(form) for form in sorted(forms, key=lambda form: (-len(form), form))) + ")"


def renumber(group: Group) -> Group:
    """Placeholders numbered in the order of the source, as they are when a text is translated."""
    order = {
        symbol: TEMPLATE.format(n=number)
        for number, symbol in enumerate(dict.fromkeys(re.findall(r"<\d>", group.en)), 1)
    }

    def write(text: str) -> str:
        return re.sub(r"<\d>", lambda found: order.get(found.group(), found.group()), text)

    return Group(write(group.en), {lang: write(text) for lang, text in group.targets.items()}, group.origin)


def merged(groups: Iterable[Group]) -> list[Group]:
    """Groups of one origin with the same English as one, the first translation of each language kept."""
    by_source: dict[str, dict[str, str]] = {}
    origin: dict[str, str] = {}
    for group in groups:
        held: Mapping[str, str] = by_source.setdefault(group.en, {})
        by_source[group.en] = {**group.targets, **held}
        origin.setdefault(group.en, group.origin)
    return [Group(en, targets, origin[en]) for en, targets in by_source.items()]
