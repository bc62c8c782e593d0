"""Where sentences end, in any script.

A line break and a bullet always end a sentence, so do the full stops that have no other use (। ॥ 。 ۔ ؟ ። ။ ។ ։).
The Western stop, question and exclamation marks end one when white space and no lower-case letter follow, unless
the word before is an abbreviation, an initial or an ordinal number. When in doubt nothing is cut: two sentences
translated together lose less than one cut in half. Thai and Lao text is cut at line breaks and Western marks only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import regex

_LINE = regex.compile(r"[^\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]++")
# At the start of a line, or between items of a list that was flattened into one line.
_BULLET = regex.compile(
    r"\A\s*+(?:[•‣▪●◦⁃∙■□►▶➢✓✔❖]\s*+|[-–—*+·]\s++|\(?(?:[0-9]{1,3}|[a-z]|[ivx]{2,4})[.)]\s++(?=\S))|(?<!\s)\s++[•‣▪●◦■□►▶➢✓✔❖]\s++"
)
_CLOSERS = "\"'”’»›)]}）】」』》〉｣］"
_STRONG = "।॥。｡！？؟۔።፧፨။།༎។៕։᱾᱿꯫꫰꫱᠃᠉‼‽⁇⁈⁉︒"
_STOP = regex.compile(
    rf"(?P<strong>(?:[{_STRONG}]|፡፡)[{_STRONG}.!?…]*+|(?<!\d)．)[{regex.escape(_CLOSERS)}]*+"
    rf"|(?P<weak>[.!?…;\u037e]++)(?P<close>[{regex.escape(_CLOSERS)}]*+)"
    r"(?=(?P<space>\s*+)[\"'“‘«‹(\[¿¡„‚*]*+(?P<next>.?))",
    regex.DOTALL,
)
_BEFORE = regex.compile(r"(?r)[\p{L}\p{M}\p{N}\u200c\u200d][\p{L}\p{M}\p{N}\u200c\u200d.'’-]*")
_NEXT_WORD = regex.compile(r"[\p{L}\p{M}]++")
_CJK = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]")
_SOMETHING = regex.compile(r"[\p{L}\p{N}]")
# After a closing quote these particles go on with the sentence: 「…。」と言った。
_QUOTED = ("と", "って", "の", "は", "が", "を", "に", "で", "も", "や", "など", "。", "、")

# Languages that write an ordinal number with a stop ("am 3. Oktober").
_ORDINAL_STOP = frozenset(
    ["de", "lb", "da", "nb", "nn", "fo", "is", "fi", "et", "cs", "sk", "sl", "hr", "bs", "sr", "sr-Latn", "hu",
     "lv", "pl"]
)  # fmt: skip
_INDIC = frozenset(
    ["hi", "mr", "ne", "bn", "as", "gu", "pa", "or", "ta", "te", "kn", "ml", "si", "sa", "mai", "bho", "gom", "awa",
     "mag", "hne", "doi", "brx", "sd-Deva", "ks-Deva", "mni"]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Words:
    """What the stop after a word may mean.

    title: never an end; number: no end before a number; end: an end only before a word of `start`; initial: as `end`.
    """

    title: frozenset[str]
    number: frozenset[str]
    end: frozenset[str]
    start: frozenset[str]
    initial: frozenset[str]


def split(text: str, lang: str) -> list[tuple[int, int]]:
    """The sentences of `text` as half-open code-point ranges: in order, apart, without the white space around them.

    Bullets, list numbers and lines without a letter or digit lie between the ranges. `lang` is BCP-47 and chooses the
    abbreviations; an unknown one gets none but initials.

    >>> [("Dr. Rao paid Rs. 3.5 lakh. Why?"[s:e]) for s, e in split("Dr. Rao paid Rs. 3.5 lakh. Why?", "en")]
    ['Dr. Rao paid Rs. 3.5 lakh.', 'Why?']
    """
    known = _known(lang)
    found: list[tuple[int, int]] = []
    for line in _LINE.finditer(text):
        position = line.start()
        for bullet in _BULLET.finditer(line.group()):
            _cut(text, position, line.start() + bullet.start(), line.start(), lang, known, found)
            position = line.start() + bullet.end()
        _cut(text, position, line.end(), line.start(), lang, known, found)
    return found


def _cut(text: str, start: int, end: int, line: int, lang: str, known: _Words, found: list[tuple[int, int]]) -> None:
    """Cut one line, or one item of a list, at its stops; `line` is where the line began."""
    for stop in _STOP.finditer(text, start, end):
        if stop["strong"] is not None:
            at = stop.end()
            number = text[stop.start() - 1 : stop.start()].isdigit() and text[at : at + 1].isdigit()
            if number and stop["strong"][0] in "۔．":
                continue
            if at > stop.end("strong") and text.startswith(_QUOTED, at, end):
                continue
        else:
            at = stop.end("close")
            if not _ends(text, start, stop, lang, known):
                continue
        _add(text, start, at, line, found)
        start = at
    _add(text, start, end, line, found)


def _ends(text: str, start: int, stop: regex.Match[str], lang: str, known: _Words) -> bool:
    """Whether a Western stop ends the sentence that began at `start`."""
    marks, following = stop["weak"], stop["next"]
    if set(marks) <= {";", "\u037e"}:
        return lang == "el" and bool(stop["space"])
    if not following:
        return False
    if not stop["space"]:
        # Chinese and Japanese put no space after a stop, but a point between their letters may be a decimal or a name.
        return marks[0] in "!?" and _CJK.match(following) is not None
    if _small(following):
        return False
    if marks != ".":
        return True
    before = _BEFORE.search(text, start, stop.start("weak"))
    if before is None or before.end() != stop.start("weak"):
        return True
    word = before.group()
    if word.isdigit():
        return not (lang in _ORDINAL_STOP and len(word) <= 2)
    plain = word.lower().lstrip("'’-")
    if (plain in known.title and not stop["close"]) or (plain in known.number and following.isdigit()):
        return False
    single = (len(word) == 1 and not _small(word)) or plain in known.initial
    if not single and plain not in known.end and not ("." in word and max(map(len, word.split("."))) <= 2):
        return True
    if following.isdigit():
        return False
    upcoming = _NEXT_WORD.match(text, stop.start("next"))
    return upcoming is not None and upcoming.group().lower() in known.start


def _small(letter: str) -> bool:
    """Whether a letter is a small one of a script that begins sentences with capitals; Georgian is written without."""
    return letter.islower() and not "\u10d0" <= letter <= "\u10ff"


def _add(text: str, start: int, end: int, line: int, found: list[tuple[int, int]]) -> None:
    while start < end and _blank(text[start]):
        start += 1
    while end > start and _blank(text[end - 1]):
        end -= 1
    if _SOMETHING.search(text, start, end):
        found.append((start, end))
    elif found and start < end and found[-1][1] > line and text[start] in _STRONG + ".!?…":
        # A stop that was written apart ("word ।") belongs to the sentence before it.
        found[-1] = (found[-1][0], end)


def _blank(character: str) -> bool:
    return character.isspace() or character in "\u200b\ufeff"


@lru_cache(maxsize=256)
def _known(lang: str) -> _Words:
    words: dict[str, set[str]] = {"title": set(), "number": set(), "end": set(), "start": set(), "initial": set()}
    base = lang.split("-")[0]
    wanted = {base, "indic"} if base in _INDIC else {base}
    for line in Path(__file__).with_name("abbreviations.tsv").read_text("utf-8").splitlines()[1:]:
        name, kind, listed = line.split("\t")
        if name in wanted:
            words[kind].update(listed.split())
    return _Words(*(frozenset(words[kind]) for kind in ("title", "number", "end", "start", "initial")))


@lru_cache(maxsize=1)
def rules_digest() -> str:
    """The digest of the abbreviations and the stops: where sentences end depends on them."""
    abbreviations = Path(__file__).with_name("abbreviations.tsv").read_bytes()
    return hashlib.sha256(abbreviations + _STOP.pattern.encode()).hexdigest()[:32]
