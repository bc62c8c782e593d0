"""Language identification that knows what it does not know: fastText, scripts, and closed-class words.

A fastText model proposes, the script of the text excludes what cannot be, and words that one language has and its
neighbour has not (`closed_words.tsv`) decide between the languages that fastText confuses (`confusables` of the table). A
text of three words or fewer gets an answer only where its script belongs to one language, or every word of it to one
language's list. Long texts are sampled; addresses, tags, code and digits are left out.
Sources: fastText (A. Joulin et al. 2016); Unicode Script property.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import regex

from dsbuild import languages
from dsbuild.filters import closed, label_model
from dsbuild.filters.closed import Looked
from dsbuild.filters.label_model import LabelModel
from dsbuild.filters.utf8 import Bytes, Offsets, encode
from dsbuild.text import SCRIPT_CODES

Floats = npt.NDArray[np.float64]

MODEL = Path(__file__).with_name("lid.176.ftz")

# So many characters of a text are looked at: its beginning, middle and end where it is longer.
_SAMPLE = 1200
# To name a language less is enough than to weigh one; more changes nothing on the pieces of `bench/lid.py`.
_IDENTIFY_SAMPLE = 800
_BLOCK = 2048
# A sample without any of these holds nothing that the pattern takes out.
_MARKS = ("://", "www.", "@", "`", "<")
_NOISE = regex.compile(
    r"""(?:https?|ftp)://\S++ | www\.\S++ | (?<![\w.+-])[\w.+-]{1,64}@[\w.-]{1,64} | ```.*?(?:```|$) | `[^`]*+`
    | </?[a-zA-Z][^<>]*+>""",
    regex.VERBOSE | regex.DOTALL,
)
_SPACES = regex.compile(r"[\p{N}\p{Cs}\s]+")
_UNSPACED = [SCRIPT_CODES.index(script) for script in ("Hani", "Hira", "Kana", "Thai", "Laoo", "Khmr", "Mymr", "Tibt")]
_HAN = (SCRIPT_CODES.index("Hani"),)
_KANA = tuple(SCRIPT_CODES.index(script) for script in ("Hira", "Kana"))
_MIN_WORDS = 4
_MIN_UNSPACED = 8
_MIN_ALONE = 3
# Without spaces a sentence may pass for three words: up to this many letters the lead over the second label must be clear.
_FEW_UNSPACED = 30
_CLEAR = 0.5
# A best label of less is no answer: of 66 such labels of `bench/lid.py` none was right. Nor is one that another label exceeds.
_LEAST = 0.1
# How much a closed-class word counts beside fastText's log-odds, and how far the words together may move them.
_WORD_WEIGHT = 1.2
_WORD_LIMIT = 6.0
# The same between neighbours, for each different word.
_LEAD_WEIGHT = 2.0
_LEAD_LIMIT = 8.0
_SMALL = 0.02
_FAR = 0.5
# fastText is surer of itself on single sentences than it is right.
_TRUST = 0.7


@dataclass(frozen=True, slots=True)
class Identified:
    """What a text is written in.

    label: BCP-47, the model's own label where the table has none, "" when there is too little text to say; score: the
    model's probability, shared out among confusable languages by their closed-class words; margin: its lead over the
    second label; script: the most frequent one, ISO 15924 ("" without letters); agreement: whether the closed-class
    words agree with the label (None: they are silent).
    """

    label: str
    score: float
    margin: float
    script: str
    agreement: bool | None


@dataclass(frozen=True)
class _Samples:
    """What is looked at of some texts, as strings and in UTF-8, and what was counted in it."""

    texts: list[str]
    data: Bytes
    offsets: Offsets
    looked: Looked


class LanguageId:
    """Identifies languages, and weighs the evidence for one that is expected.

    `path`: a fastText model with `__label__xx` or `__label__xxx_Xxxx` labels; the shipped lid.176.ftz if None. It is
    loaded at first use; a file that is no such model raises `EngineError`. `sample`: characters that `identify` looks at.
    """

    def __init__(self, path: Path | None = None, *, sample: int = _IDENTIFY_SAMPLE) -> None:
        self.path = path or MODEL
        self.sample = sample

    def identify(self, texts: Sequence[str]) -> list[Identified]:
        """One answer for each text; of three words or fewer (eight letters where words are not spaced) only if sure.

        A label that has less than a tenth, or less than another one, is none.
        """
        return [one for start in range(0, len(texts), _BLOCK) for one in self._identify(texts[start : start + _BLOCK])]

    def evidence(self, texts: Sequence[str], code: str, *, rivals: Sequence[str] = ()) -> pa.Array:
        """How well each text agrees with being in language `code`: in [0, 1], null where it abstains.

        The text is weighed against the language's confusables, `rivals` (such as the source language), and whatever
        fastText takes it for. 0.5 means undecided. It abstains on three words or fewer, on texts without letters,
        and for languages of which neither fastText nor the word lists know anything.
        """
        blocks = [self._evidence(texts[start : start + _BLOCK], code, rivals) for start in range(0, len(texts), _BLOCK)]
        values = np.concatenate(blocks) if blocks else np.empty(0)
        return pa.array(values, pa.float64(), mask=np.isnan(values))

    def _identify(self, texts: Sequence[str]) -> list[Identified]:
        samples = _sampled(texts, self.sample)
        looked = samples.looked
        model = label_model.load(str(self.path))
        found = model.probabilities(samples.texts, samples.data, samples.offsets).astype(np.float64)
        main = looked.scripts.argmax(axis=1)
        # What is not written in the text's script is out of the question, however sure the model is.
        found *= model.written.T[main]
        # Eight ideographs and no kana are no Japanese.
        kanaless = np.flatnonzero((looked.scripts[:, list(_KANA)].sum(axis=1) == 0) & np.isin(main, _HAN))
        found[kanaless[:, None], model.columns("ja")] = 0.0
        top = found.argmax(axis=1)
        labels = np.full(len(texts), "", object)
        scores, margins, leads = found.max(axis=1), np.zeros(len(texts)), np.zeros(len(texts))
        for column in np.unique(top):
            chosen = np.flatnonzero(top == column)
            _settle(model, column, chosen, found, looked, main, labels, scores, margins, leads)
        short, lettered, unspaced = _short(looked, main), looked.scripts.sum(axis=1), np.isin(main, _UNSPACED)
        answers = []
        for row, script in enumerate(main.tolist()):
            if not lettered[row]:
                answers.append(Identified("", 0.0, 0.0, "", None))
                continue
            label, score, margin, lead = str(labels[row]), float(scores[row]), float(margins[row]), leads[row]
            own = _owner(looked.scripts[row], SCRIPT_CODES[script], model)
            if own and lettered[row] >= _MIN_ALONE:
                label, lead = own, 1
                score = margin = float(looked.scripts[row, script] / lettered[row])
            elif short[row]:
                label = _listed(looked, row, label)
            elif score < _LEAST or margin <= 0 or (unspaced[row] and lettered[row] < _FEW_UNSPACED and margin < _CLEAR):
                label = ""
            agreement = None if not lead or not label else bool(lead > 0)
            answers.append(Identified(label, score, margin, SCRIPT_CODES[script], agreement))
        return answers

    def _evidence(self, texts: Sequence[str], code: str, rivals: Sequence[str]) -> Floats:
        language = languages.get(code)
        looked = (samples := _sampled(texts, _SAMPLE)).looked
        total = looked.scripts.sum(axis=1)
        own = [SCRIPT_CODES.index(script) for script in language.unicode_scripts]
        share = looked.scripts[:, own].sum(axis=1) / total.clip(1)
        result = np.full(len(texts), np.nan)
        able = (total >= 2) & ~_short(looked, np.full(len(texts), own[0]))
        result[able & (share < 0.1)] = 0.0
        undecided = able & (share >= 0.1)
        if _alone(code):
            result[undecided] = np.where(share >= 0.5, 1.0, share)[undecided]
            return result
        lists = closed.codes()
        if not undecided.any():
            return result
        model = label_model.load(str(self.path))
        mine = model.columns(code)
        if not mine and code not in lists:
            return result
        rows = np.flatnonzero(undecided)
        against = list(dict.fromkeys(other for other in (*language.confusables, *rivals) if other != code))
        odds = np.zeros(len(rows))
        if mine:
            found = model.probabilities(samples.texts, samples.data, samples.offsets)[rows].astype(np.float64)
            # A label that is no near language tells more about fastText than about the text.
            weight = np.full(len(model.labels), _FAR)
            weight[[column for other in against for column in model.columns(other)]] = 1.0
            weight[mine] = 0.0
            expected, others = found[:, mine].sum(axis=1), (found * weight).max(axis=1)
            odds += _TRUST * np.log((expected + _SMALL) / (others + _SMALL))
        listed = [lists[other] for other in against if other in lists]
        if code in lists and listed:
            lead = looked.listed[rows, lists[code]] - looked.listed[rows][:, listed].max(axis=1)
            odds += np.clip(_WORD_WEIGHT * lead, -_WORD_LIMIT, _WORD_LIMIT)
        result[rows] = 1 / (1 + np.exp(-odds))
        return result


def clean(text: str) -> str:
    """What is looked at of a text: no URLs, mails, tags, code, digits or line breaks; long texts are sampled."""
    return str(_SPACES.sub(" ", _without_noise(text, _SAMPLE))).strip()


def _without_noise(text: str, size: int) -> str:
    if len(text) > size:
        third, middle = size // 3, len(text) // 2
        text = " ".join((text[:third], text[middle - third // 2 : middle + third // 2], text[-third:]))
    return str(_NOISE.sub(" ", text)) if any(mark in text for mark in _MARKS) else text


def _sampled(texts: Sequence[str], size: int) -> _Samples:
    samples = [_without_noise(text, size) for text in texts]
    data, offsets = encode(samples)
    return _Samples(samples, data, offsets, closed.look(data, offsets))


def _short(looked: Looked, script: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    few: npt.NDArray[np.bool_] = np.where(
        np.isin(script, _UNSPACED), looked.scripts.sum(axis=1) < _MIN_UNSPACED, looked.tokens < _MIN_WORDS
    )
    return few


def _settle(
    model: LabelModel, column: int, rows: npt.NDArray[Any], found: Floats, looked: Looked, main: npt.NDArray[Any],
    labels: npt.NDArray[Any], scores: Floats, margins: Floats, leads: Floats,
) -> None:  # fmt: skip
    """Share the probability of a label and its neighbours out among them by their closed-class words.

    For `rows`, whose most probable label is `column`. A language with a list counts as probable as its label, a little more than
    never; each different word that it has more than another multiplies it.
    """
    group, lists = model.group(column), closed.codes()
    # A label that several languages share (zh) is the prior of each.
    owned = [[place for place, meant in enumerate(model.meanings) if code in meant] for code in group]
    columns = sorted({column}.union(*owned))
    outside = np.delete(found[rows], columns, axis=1).max(axis=1, initial=0.0)
    mass = found[rows[:, None], columns].sum(axis=1)
    written = np.array([[script in _scripts(code) for script in SCRIPT_CODES] for code in group])[:, main[rows]].T
    prior = np.stack([found[rows[:, None], places].sum(axis=1) for places in owned], axis=1)
    known = np.array([code in lists for code in group])
    counts = np.zeros(prior.shape, np.int64)
    for member, code in enumerate(group):
        if code in lists:
            counts[:, member] = looked.distinct[rows, lists[code]]
    # Where the label's own language has no list, words say nothing against it; others without one stand as the label does.
    counts[:, ~known] = counts[:, :1] if known[0] else counts.max(axis=1, keepdims=True)
    lift = np.exp(np.maximum(_LEAD_WEIGHT * (counts - counts.max(axis=1, keepdims=True)), -_LEAD_LIMIT))
    weight = (prior + _SMALL * known) ** _TRUST * lift * written
    weight[:, 0] += 1e-9
    shares = mass[:, None] * weight / weight.sum(axis=1, keepdims=True)
    best, place = shares.argmax(axis=1), np.arange(len(rows))
    labels[rows] = np.array(group, object)[best]
    scores[rows] = shares[place, best]
    shares[place, best] = 0.0
    margins[rows] = scores[rows] - np.maximum(shares.max(axis=1), outside)
    rivals = np.where(known & written & (np.arange(len(group)) != best[:, None]), counts, 0).max(axis=1)
    leads[rows] = np.where(known[best], counts[place, best] - rivals, 0)


@lru_cache(maxsize=2048)
def _scripts(code: str) -> tuple[str, ...]:
    return languages.get(code).unicode_scripts if code in languages.codes() else SCRIPT_CODES


def _owner(counts: npt.NDArray[np.int32], script: str, model: LabelModel) -> str:
    """The one language of a text's script, "" if several share it; kana is Japanese, whatever stands between."""
    if script in ("Hani", "Hira", "Kana"):
        kana = int(counts[list(_KANA)].sum())
        return "ja" if kana > 1 and 5 * kana >= counts[SCRIPT_CODES.index("Hani")] else ""
    return model.sole(script)


def _listed(looked: Looked, row: int, label: str) -> str:
    """The answer for a short text: the label, if every word is on its list and on no other language's."""
    lists = closed.codes()
    if label not in lists or looked.words[row] < 2:
        return ""
    whole = np.flatnonzero(looked.listed[row] == looked.words[row])
    return label if whole.tolist() == [lists[label]] else ""


@lru_cache(maxsize=512)
def _alone(code: str) -> bool:
    """Whether no other known language is written in this one's scripts."""
    scripts = set(languages.get(code).unicode_scripts)
    return all(other == code or not scripts & set(languages.get(other).unicode_scripts) for other in languages.codes())
