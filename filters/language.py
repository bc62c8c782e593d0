"""Language identification that knows what it does not know: fastText, scripts, and closed-class words.

fastText's lid.176 decides among 176 languages; the script histogram excludes the impossible ones; words that one
language has and its neighbour has not (`closed_words.tsv`) decide between neighbours that fastText confuses.
Texts of three words or fewer get no answer. Sources: fastText (A. Joulin et al. 2016); Unicode Script property.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import regex

from dsbuild import languages
from dsbuild.errors import EngineError
from dsbuild.filters.letters import Letters
from dsbuild.text import SCRIPT_CODES, words

MODEL = Path(__file__).with_name("lid.176.ftz")

# fastText sees this much of a text: its beginning, middle and end where it is longer.
_SAMPLE = 1200
_NOISE = regex.compile(
    r"""(?:https?|ftp)://\S++ | www\.\S++ | (?<![\w.+-])[\w.+-]{1,64}@[\w.-]{1,64} | `[^`]*+` | </?[a-zA-Z][^<>]*+>
    | \p{N}++ | \p{Cs}++ | \s++""",
    regex.VERBOSE,
)
_LABEL = "__label__"
_UNSPACED = frozenset(["Hani", "Hira", "Kana", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"])
_MIN_WORDS = 4
_MIN_UNSPACED = 8
_TOP = 6
# How much a closed-class word counts beside fastText's log-odds, and how far the words together may move them.
_WORD_WEIGHT = 1.2
_WORD_LIMIT = 6.0
_SMALL = 0.02
_FAR = 0.5
# fastText is surer of itself on single sentences than it is right.
_TRUST = 0.7
# A language may have several labels in lid.176: Serbian and Croatian are also "sh", Swiss German is "als", and so on.
_MORE_LABELS = {"sr-Latn": ("sh", "sr"), "hr": ("sh",), "bs": ("sh",), "ar": ("arz",), "fa": ("prs",), "zh-Hant": ("yue", "wuu"),
                "zh-Hans": ("wuu",), "nb": ("nn",), "uz-Cyrl": ("uz",), "ne": ("dty",), "ckb": ("ku",), "azb": ("az",)}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Identified:
    """What a text is written in.

    label: BCP-47, fastText's own label where the table has none, "" when there is too little text to say;
    score: fastText's probability; margin: its lead over the second label; script: the most frequent one, ISO 15924
    ("" without letters); agreement: whether script and closed-class words agree with the label (None: they are silent).
    """

    label: str
    score: float
    margin: float
    script: str
    agreement: bool | None


class LanguageId:
    """Identifies languages, and weighs the evidence for one that is expected.

    `path`: a fastText model with `__label__xx` labels; the shipped lid.176.ftz if None. Loaded at first use.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or MODEL

    def identify(self, texts: Sequence[str]) -> list[Identified]:
        """One answer for each text; those of three words or fewer (eight letters where words are not spaced) get none."""
        column = Letters(texts)
        guesses = self._guess(texts)
        found = []
        for text, guess, index in zip(texts, guesses, range(len(texts)), strict=True):
            codes = column.scripts[column.bounds[index] : column.bounds[index + 1]]
            codes = codes[codes > 0]
            if not codes.size:
                found.append(Identified("", 0.0, 0.0, "", None))
                continue
            script = SCRIPT_CODES[int(_most_frequent(codes))]
            ranked = sorted(guess.items(), key=lambda item: (-item[1], item[0]))
            margin = ranked[0][1] - (ranked[1][1] if len(ranked) > 1 else 0.0)
            if _too_short(text, script):
                found.append(Identified("", ranked[0][1], margin, script, None))
                continue
            found.append(_identified(text, ranked[0][0], ranked[0][1], margin, script))
        return found

    def evidence(self, texts: Sequence[str], code: str, *, rivals: Sequence[str] = ()) -> pa.Array:
        """How well each text agrees with being in language `code`: in [0, 1], null where it abstains.

        The text is weighed against the language's confusables, `rivals` (such as the source language), and whatever
        fastText takes it for. 0.5 means undecided. It abstains on three words or fewer, on texts without letters,
        and for languages of which neither fastText nor the word lists know anything.
        """
        language = languages.get(code)
        column = Letters(texts)
        inside, total = column.in_scripts(language.unicode_scripts), column.lettered()
        share = inside / total.clip(1)
        result: list[float | None] = [None] * len(texts)
        undecided = []
        for index, text in enumerate(texts):
            if total[index] < 2 or _too_short(text, language.unicode_scripts[0]):
                continue
            if share[index] < 0.1:
                result[index] = 0.0
            elif _alone(code):
                result[index] = 1.0 if share[index] >= 0.5 else float(share[index])
            else:
                undecided.append(index)
        if not undecided or not (language.lid176 or code in _closed()):
            return pa.array(result, pa.float64())
        against = [other for other in (*language.confusables, *rivals) if other != code]
        pairs = [_distinct(code, other) for other in dict.fromkeys(against) if code in _closed() and other in _closed()]
        near = {languages.get(other).lid176 for other in against}
        labels = {language.lid176, *_MORE_LABELS.get(code, ())} - {""}
        chosen = [texts[index] for index in undecided]
        for index, text, guess in zip(undecided, chosen, self._guess(chosen), strict=True):
            odds = 0.0
            if labels:
                expected = sum(guess.get(label, 0.0) for label in sorted(labels))
                # A label that is no near language tells more about fastText than about the text.
                rivals_ = {label: p if label in near else p * _FAR for label, p in guess.items() if label not in labels}
                odds = _TRUST * math.log((expected + _SMALL) / (max(rivals_.values(), default=0.0) + _SMALL))
            if pairs:
                present = [word.lower() for word in words(_sample(text))]
                lead = min(sum((word in own) - (word in theirs) for word in present) for own, theirs in pairs)
                odds += max(-_WORD_LIMIT, min(_WORD_LIMIT, _WORD_WEIGHT * lead))
            result[index] = 1 / (1 + math.exp(-odds))
        return pa.array(result, pa.float64())

    def _guess(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """fastText's most probable labels of each text."""
        if not texts:
            return []
        labels, scores = _model(str(self.path)).predict([clean(text) for text in texts], k=_TOP)
        return [
            {label.removeprefix(_LABEL): min(1.0, float(score)) for label, score in zip(names, values, strict=True)}
            for names, values in zip(labels, scores, strict=True)
        ]


def clean(text: str) -> str:
    """What fastText is shown of a text: no URLs, mails, tags, code, digits or line breaks; long texts are sampled."""
    return str(_NOISE.sub(" ", _sample(text))).strip()


def _sample(text: str) -> str:
    if len(text) <= _SAMPLE:
        return text
    third, middle = _SAMPLE // 3, len(text) // 2
    return " ".join((text[:third], text[middle - third // 2 : middle + third // 2], text[-third:]))


def _too_short(text: str, script: str) -> bool:
    if script in _UNSPACED:
        return sum(character.isalpha() for character in text[:200]) < _MIN_UNSPACED
    return len(text[:400].split(None, _MIN_WORDS)) < _MIN_WORDS


def _identified(text: str, label: str, score: float, margin: float, script: str) -> Identified:
    language = languages.find(label, "lid176")
    if language is None:
        return Identified(label, score, margin, script, None)
    candidates = [language.code, *language.confusables]
    present = {word.lower() for word in words(_sample(text))}
    counts = {
        code: min((_lead(present, code, other) for other in candidates if other != code), default=0)
        for code in candidates
    }
    code = language.code
    best = max(candidates, key=lambda name: counts[name])
    # Two words more than the label's own language outweigh a label that fastText was not sure of.
    if counts[best] >= counts[code] + 2 and margin < 0.9 and script in languages.get(best).unicode_scripts:
        code = best
    fits = script in languages.get(code).unicode_scripts
    agreement = fits and counts[code] >= 0 if any(counts.values()) or not fits else None
    return Identified(code, score, margin, script, agreement)


def _most_frequent(codes: Any) -> int:
    import numpy as np

    return int(np.bincount(codes).argmax())


@lru_cache(maxsize=512)
def _alone(code: str) -> bool:
    """Whether no other known language is written in this one's scripts."""
    scripts = set(languages.get(code).unicode_scripts)
    return all(other == code or not scripts & set(languages.get(other).unicode_scripts) for other in languages.codes())


@lru_cache(maxsize=1)
def _closed() -> dict[str, frozenset[str]]:
    lines = Path(__file__).with_name("closed_words.tsv").read_text("utf-8").splitlines()[1:]
    return {code: frozenset(listed.split()) for code, _, listed in (line.partition("\t") for line in lines)}


@lru_cache(maxsize=1024)
def _distinct(code: str, rival: str) -> tuple[frozenset[str], frozenset[str]]:
    """Closed-class words of a language that the rival has not, and those of the rival that the language has not."""
    own, theirs = (_closed().get(name, frozenset()) for name in (code, rival))
    return own - theirs, theirs - own


def _lead(present: set[str], code: str, rival: str) -> int:
    own, theirs = _distinct(code, rival)
    return len(present & own) - len(present & theirs)


@lru_cache(maxsize=4)
def _model(path: str) -> Any:
    import fasttext

    # Silences a notice about the return type of load_model that fastText prints to standard error.
    fasttext.FastText.eprint = lambda *_: None
    try:
        model = fasttext.load_model(path)
        first = model.get_labels()[0]
    except (ValueError, RuntimeError, IndexError) as error:
        raise EngineError(f"{path}: not a fastText model ({error}); give a .bin or .ftz file with labels") from error
    if not first.startswith(_LABEL):
        raise EngineError(f"{path}: labels such as {first!r}: a language model has {_LABEL}xx")
    return model
