"""Checks of a translation against its source: columns of scores, null where a check abstains.

What each column means is in `COLUMNS`. Scores never drop anything: `dsbuild.filters.decide` compares them with thresholds.
Rules of this kind go back to Bitextor's hard rules and OpusFilter; here numbers are compared by value, names by sound,
lengths with a prior of the pair, repetition with what the source repeats, and words by script.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import regex

from dsbuild import languages
from dsbuild.filters import loops
from dsbuild.filters.alignment import gaps
from dsbuild.filters.cognates import cognate_odds
from dsbuild.filters.evidence import Evidence, unrelated
from dsbuild.filters.language import LanguageId
from dsbuild.filters.letters import BRACKET, DIGIT, LETTER, QUESTION_MARKS, QUOTE, STOP, Letters
from dsbuild.filters.lexicon import entries, word_odds
from dsbuild.filters.names import found_share, names
from dsbuild.filters.numbers import mismatch, numbers
from dsbuild.filters.priors import Priors
from dsbuild.text import sentences

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

COLUMNS = {
    "empty": "bool: the target has no letter or digit although the source has",
    "copy_share": "share of the source's lower-case words of three letters or more that stand in the target; null under four",
    "wrong_script": "share of the target's letters outside its language's scripts, without names and addresses of the source; null without letters",
    "language_score": "evidence in [0, 1] for the target language against its confusables and the source's; null: abstains",
    "loop": "share of the target that repeats what stands right before it, beyond the source's own share",
    "length_z": "log length ratio in standard deviations of the pair's prior; null when the source is empty",
    "length_ratio": "how many times longer or shorter than expected the target is, >= 1; null when the source is empty",
    "number_mismatch": "share of the numbers of both sides without a partner of the same value; null without numbers, or over 200,000 digits",
    "url_mismatch": "count of URLs and mail addresses on one side only",
    "terminal_mismatch": "bool: one side ends as a question and the other does not; null where a language writes no question mark",
    "name_share": "share of the source's names whose sound is found in the target; null without names, or for scripts without a key",
    "sentence_delta": "sentences of the target less those of the source",
    "missing": "log-odds that a sentence of the source has no partner, from the lengths of the sentences; null for one sentence",
    "added": "log-odds that a sentence of the target has no partner, likewise",
    "unrelated": "log-odds, from length, names, numbers, questions and known words together, that the target translates some other text",
}

_URL = regex.compile(
    r"(?:https?|ftp)://[^\s<>\"'）」।]++|www\.[^\s<>\"'）」।]++|(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}"
)
_URL_HINTS = ("://", "www.", "@")
_LOWER = regex.compile(r"(?<![\p{L}\p{M}\p{N}_@./-])\p{Ll}[\p{Ll}\p{M}]{2,}+(?![\p{L}\p{N}_@/-]|\.\p{L}|://)")
_CASELESS = regex.compile(r"(?<![\p{L}\p{M}\p{N}_@./-])[\p{Lo}\p{M}]{2,}+(?![\p{L}\p{N}_@/-])")
# Words of one script: Chinese and Japanese put foreign names between their own letters without a space.
_RUN = regex.compile(
    r"[\p{Latin}][\p{Latin}\p{M}]*+|[\p{L}--\p{Latin}][[\p{L}\p{M}\u200c\u200d]--\p{Latin}]*+", regex.V1
)
_ALPHABETIC = regex.compile(r"\p{L}[\p{L}\p{M}\u200c\u200d]*+")
# Both bounds keep this linear: an apostrophe opens nothing that goes on for long.
_SINGLE = regex.compile(r"(?<![\p{L}\p{M}\p{N}])['‘][\p{L}\p{M}\p{N}][^'‘’]{0,200}+['’](?![\p{L}\p{M}])|''")
_CLOSERS = " \t\r\n\u00a0\u200b\"'”’»›)]}）】」』》*"
_MIN_COPY_WORDS = 4
# Digits of a side beyond which its numbers are not read: tables of that size are no translation, and each number takes hundreds of bytes.
MOST_DIGITS = 200_000
# These write a question without a question mark, or end it with a full stop as well as with one.
_NO_QUESTION_MARK = frozenset(["th", "lo", "ja", "zh-Hans", "zh-Hant", "yue", "bo", "dz", "km", "my", "shn"])
_UNSPACED = frozenset(["Hani", "Hira", "Kana", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"])
_CASED = frozenset(["Latn", "Cyrl", "Grek", "Armn"])


class BitextChecks:
    """Scores translations from `src` to `tgt` (BCP-47). `priors`: the shipped ones if None."""

    def __init__(self, src: str, tgt: str, priors: Priors | None = None) -> None:
        self.src, self.tgt = languages.get(src), languages.get(tgt)
        self.priors = priors or Priors()
        self.prior = self.priors.pair(self.src.code, self.tgt.code)
        self.identify = LanguageId()
        self.unspaced = bool(_UNSPACED & set(self.tgt.unicode_scripts))
        self.cognate_rates = self.priors.cognate_rates(self.tgt.code)
        self.name_rates = self.priors.name_rates(self.tgt.code) if self.src.code == "en" else (0.0, 0.0)

    def score(
        self, sources: pa.StringArray | Sequence[str], targets: pa.StringArray | Sequence[str], *,
        protected_lost: Sequence[int] | None = None, finish: Sequence[str] | None = None,
    ) -> dict[str, pa.Array]:  # fmt: skip
        """The columns of `COLUMNS` for aligned sources and targets, each as long as they are.

        `protected_lost` (protected items that did not come back) becomes a column of that name; `finish` (how the engine
        ended: stop, length, error) becomes `truncated`, true for "length". A null text counts as empty.
        """
        source_texts, target_texts = _texts(sources), _texts(targets)
        source, target = Letters(source_texts), Letters(target_texts)
        empty = (target.count(LETTER | DIGIT) == 0) & (source.count(LETTER | DIGIT) > 0)
        silent = empty | (source.count(LETTER | DIGIT) == 0)
        source_sizes, target_sizes = source.sizes(), target.sizes()
        length_z = self.prior.standardised(source_sizes, target_sizes)
        number_share = self._numbers(source, target)
        question = self._terminal(source_texts, target_texts)
        names_found, n_names = self._names(source_texts, target_texts)
        evidence = Evidence(
            length_z, number_share, names_found, n_names, question, self._words(source_texts, target_texts),
            quotes=_quoted(source, target), brackets=(source.count(BRACKET) > 0, target.count(BRACKET) > 0),
        )  # fmt: skip
        ours, source_bounds = self._sentences(source, self.src.code)
        theirs, target_bounds = self._sentences(target, self.tgt.code)
        missing, added = gaps(ours, source_bounds, theirs, target_bounds, self.prior)
        columns = {
            "empty": pa.array(empty),
            "copy_share": self._copied(source, target),
            "wrong_script": self._wrong_script(source, target),
            "language_score": self.identify.evidence(target_texts, self.tgt.code, rivals=(self.src.code,)),
            "loop": pa.array(np.maximum(0.0, self._repeated(target) - loops.repeated_share(source)), mask=silent),
            "length_z": pa.array(length_z, mask=silent),
            "length_ratio": pa.array(self.prior.ratio(source_sizes, target_sizes), mask=silent),
            "number_mismatch": pa.array(number_share, mask=np.isnan(number_share)),
            "url_mismatch": pa.array(_urls(source_texts, target_texts), pa.int32()),
            "terminal_mismatch": pa.array(question > 0, mask=np.isnan(question) | silent),
            "name_share": pa.array(names_found, mask=np.isnan(names_found)),
            "sentence_delta": pa.array(np.diff(target_bounds) - np.diff(source_bounds), pa.int32()),
            "missing": pa.array(missing, mask=np.isnan(missing) | silent),
            "added": pa.array(added, mask=np.isnan(added) | silent),
            "unrelated": pa.array(unrelated(evidence, self.name_rates), mask=silent),
        }
        if protected_lost is not None:
            columns["protected_lost"] = pa.array(protected_lost, pa.int32())
        if finish is not None:
            columns["truncated"] = pa.array([ended == "length" for ended in finish], pa.bool_())
        return columns

    def _repeated(self, target: Letters) -> Floats:
        return loops.repeated_share(target, unspaced=self.unspaced)

    def _copied(self, source: Letters, target: Letters) -> pa.Array:
        """See `COLUMNS`. A word counts by what it is, however often it stands there."""
        pattern = _LOWER if self.src.script in _CASED else _CASELESS
        shared = target.in_scripts(self.src.unicode_scripts) > 0
        enough = source.in_scripts(self.src.unicode_scripts) >= _MIN_COPY_WORDS * 2
        result: list[float | None] = [None] * len(source)
        for index in np.flatnonzero(enough).tolist():
            found = set(pattern.findall(source.texts[index]))
            if len(found) < _MIN_COPY_WORDS:
                continue
            result[index] = 0.0
            if shared[index]:
                present = set(_ALPHABETIC.findall(target.texts[index].lower()))
                result[index] = len(found & present) / len(found)
        return pa.array(result, pa.float64())

    def _wrong_script(self, source: Letters, target: Letters) -> pa.Array:
        total = target.lettered()
        outside = (total - target.in_scripts(self.tgt.unicode_scripts)).astype(np.float64)
        for index in np.flatnonzero(outside).tolist():
            text = source.texts[index]
            known = {word.lower() for word in _RUN.findall(text) if not word.islower() or len(word) <= 3}
            if any(hint in text for hint in _URL_HINTS):
                known.update(word.lower() for found in _URL.findall(text) for word in _RUN.findall(found))
            foreign = [word for word in _RUN.findall(target.texts[index]) if word.lower() not in known]
            letters = Letters(["".join(foreign)])
            outside[index] = letters.lettered()[0] - letters.in_scripts(self.tgt.unicode_scripts)[0]
        return pa.array(outside / np.maximum(total, 1), mask=total == 0)

    def _numbers(self, source: Letters, target: Letters) -> Floats:
        result = np.full(len(source), np.nan)
        digits = np.maximum(source.count(DIGIT), target.count(DIGIT))
        for index in np.flatnonzero((digits > 0) & (digits <= MOST_DIGITS)).tolist():
            share = mismatch(numbers(source.texts[index], self.src.code), numbers(target.texts[index], self.tgt.code))
            if share is not None:
                result[index] = share
        return result

    def _names(self, sources: Sequence[str], targets: Sequence[str]) -> tuple[Floats, Floats]:
        """The share of names found by their sound (NaN without names), and how many there are."""
        share, count = np.full(len(sources), np.nan), np.zeros(len(sources))
        if self.name_rates[0] > self.name_rates[1]:
            for index, text in enumerate(sources):
                named = names(text)
                if named and (found := found_share(named, targets[index])) is not None:
                    share[index], count[index] = found, len(named)
        return share, count

    def _words(self, sources: Sequence[str], targets: Sequence[str]) -> Floats:
        """Log-odds of being unrelated from words: those of the lexicon, or look-alikes for a language that it has not."""
        if self.src.code == "en" and self.tgt.code not in entries() and self.cognate_rates[0] > 0:
            return cognate_odds(sources, targets, self.cognate_rates)
        return word_odds(sources, targets, self.tgt.code) if self.src.code == "en" else np.full(len(sources), np.nan)

    def _terminal(self, sources: Sequence[str], targets: Sequence[str]) -> Floats:
        """1 where one side ends as a question and the other does not, -1 where both do, 0 where neither, NaN: abstains."""
        if {self.src.code, self.tgt.code} & _NO_QUESTION_MARK:
            return np.full(len(sources), np.nan)
        asked, answered = (
            np.array([_asks(text, lang.code) for text in texts], np.bool_)
            for texts, lang in ((sources, self.src), (targets, self.tgt))
        )
        return np.where(asked != answered, 1.0, np.where(asked, -1.0, 0.0))

    def _sentences(self, column: Letters, lang: str) -> tuple[Ints, Ints]:
        """The sizes of all sentences end to end, and where those of each text begin; only texts with two stops or more are looked at."""
        counts = np.minimum(column.count(LETTER | DIGIT), 1)
        many = np.flatnonzero((column.count(STOP) > 1) & (counts > 0)).tolist()
        spans = {index: sentences(column.texts[index], lang) for index in many}
        for index, found in spans.items():
            counts[index] = len(found)
        bounds = np.concatenate(([0], np.cumsum(counts)))
        sizes = np.empty(bounds[-1], np.int64)
        alone = counts == 1
        sizes[bounds[:-1][alone]] = column.sizes()[alone]
        running = np.concatenate(([0], np.cumsum(column.weights())))
        for index, found in spans.items():
            edges = np.array(found, np.int64) + column.bounds[index]
            sizes[bounds[index] : bounds[index + 1]] = running[edges[:, 1]] - running[edges[:, 0]] if len(found) else 0
        return sizes, bounds


def _quoted(source: Letters, target: Letters) -> tuple[Bools, Bools]:
    """Whether each side has a quotation; single quotes are looked for only where one side has none of the double kind."""
    sides = [column.count(QUOTE) > 0 for column in (source, target)]
    for index in np.flatnonzero(sides[0] != sides[1]).tolist():
        for side, column in zip(sides, (source, target), strict=True):
            side[index] |= _SINGLE.search(column.texts[index]) is not None
    return sides[0], sides[1]


def hard_failures(source: str, target: str, tgt: str) -> tuple[str, ...]:
    """What is wrong with a translation beyond any threshold: "empty", "wrong_script", "length", "loop"; () if nothing.

    `tgt` is the target language (BCP-47). Bounds are so far out that human translations do not meet them.

    >>> hard_failures("The river is wide and calm today", "नदी आज चौड़ी और शांत है", "hi")
    ()
    >>> hard_failures("The river is wide and calm today", "The river is wide and calm", "hi")
    ('wrong_script',)
    """
    n_words = len(_ALPHABETIC.findall(source[:2000]))
    if not _SOMETHING.search(target):
        return ("empty",) if _SOMETHING.search(source) else ()
    found = []
    if n_words >= _MIN_COPY_WORDS and _hardly_any(source, target, tgt):
        found.append("wrong_script")
    ours, theirs = (_rough_size(text) for text in (source, target))
    if (ours >= 20 and theirs * 7 < ours) or (theirs >= 140 and theirs > 7 * max(ours, 20)):
        found.append("length")
    if _may_loop(target):
        both = Letters([source, target])
        shares = loops.repeated_share(both, unspaced=bool(_UNSPACED & set(languages.get(tgt).unicode_scripts)))
        if shares[1] >= 0.5 and shares[1] - shares[0] >= 0.4 and theirs >= 20:
            found.append("loop")
    return tuple(found)


_SOMETHING = regex.compile(r"[\p{L}\p{N}]")
_WIDE = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]")


def _rough_size(text: str) -> int:
    """Length in code points, an ideograph, kana or hangul counted three."""
    return len(text) if text.isascii() else len(text) + 2 * len(_WIDE.findall(text))


def _hardly_any(source: str, target: str, tgt: str) -> bool:
    """Whether hardly a letter of the target is in its script, though the source is more than a row of names."""
    language = languages.get(tgt)
    sample = target[:4000]
    if "Latn" in language.unicode_scripts and sample.isascii():
        return False
    letters = Letters([sample])
    inside, total = int(letters.in_scripts(language.unicode_scripts)[0]), int(letters.lettered()[0])
    if inside > 0.05 * total:
        return False
    ordinary = (
        _LOWER.findall(source[:4000])
        if any(map(str.isupper, source[:4000])) or source.isascii()
        else _ALPHABETIC.findall(source[:4000])
    )
    return len(set(ordinary)) >= _MIN_COPY_WORDS


def _may_loop(text: str) -> bool:
    """A cheap look whether half of a text could be repetition: few distinct words, or few distinct pairs of characters."""
    parts = text.split()
    if len(parts) >= 8 and len(set(parts)) <= 0.6 * len(parts):
        return True
    pairs = set(pairwise(text))
    return len(text) >= 20 and len(pairs) <= 0.5 * len(text) + 2


def _asks(text: str, lang: str) -> bool:
    tail = text[-40:].rstrip(_CLOSERS)
    last = tail[-3:].rstrip("!.।…‥")[-1:]
    return bool(last) and last in QUESTION_MARKS and (last != ";" or lang == "el")


def _urls(sources: Sequence[str], targets: Sequence[str]) -> list[int]:
    result = [0] * len(sources)
    for index, texts in enumerate(zip(sources, targets, strict=True)):
        if not any(hint in text for text in texts for hint in _URL_HINTS):
            continue
        one, other = ({found.rstrip(".,;:!?।") for found in _URL.findall(text)} for text in texts)
        result[index] = len(one ^ other)
    return result


def _texts(column: Any) -> list[str]:
    values = column.to_pylist() if isinstance(column, pa.Array | pa.ChunkedArray) else list(column)
    return [value or "" for value in values]
