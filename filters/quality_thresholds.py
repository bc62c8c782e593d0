"""Thresholds of single languages: FineWeb-2's, clamped to sane bounds, and what a language without any may borrow.

The numbers are in `rules/fineweb2.tsv`, raw, with the bounds that they are clamped to. They were found over FineWeb-2's tokenizers, so
they are offered beside the defaults of `rules/*.yaml`, which are the same for every language, and do not replace them.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dsbuild import languages
from dsbuild.errors import UnknownName

_FILE = Path(__file__).parent / "rules" / "fineweb2.tsv"

# What FineWeb-2 writes for a least share where it has no rule: nothing is below it.
OFF = -1.0

# Column of the file -> key of the setting (see filters/rules/*.yaml).
SETTINGS = {
    "dup_line_frac": "repetition.max_dup_lines",
    **{f"top_{n}": f"repetition.max_top_{n}gram" for n in (2, 3, 4)},
    **{f"dup_{n}": f"repetition.max_dup_{n}gram" for n in range(5, 11)},
    "line_punct_thr": "fineweb.min_terminal_lines",
    "min_avg_word_length": "gopher.min_mean_word_length",
    "max_avg_word_length": "gopher.max_mean_word_length",
    "max_non_alpha_words_ratio": "gopher.min_alpha_words",  # misnamed there: it is the smallest share of words with a letter
    "new_line_ratio": "fineweb.max_newline_ratio",
}
# Languages whose words and scripts are alike enough to borrow from each other where no language shares the script.
FAMILIES = {
    "dravidian": ("ta", "te", "kn", "ml"),
    "indo-aryan": ("hi", "bn", "mr", "gu", "pa", "or", "as", "ne", "mai", "bho", "gom", "doi", "si", "sa", "ur", "sd", "ks"),
    "turkic": ("tr", "az", "kk", "ky", "uz", "tk", "tt", "ug"),
    "bantu": ("sw", "zu", "xh", "rw", "sn", "st", "ny", "lg"),
    "sino-tibetan": ("zh-Hans", "zh-Hant", "yue", "my", "bo", "dz"),
    "tai": ("th", "lo", "shn"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold and where it comes from, such as "fineweb2:hin_Deva" or "fineweb2:hin_Deva clamped"."""

    value: float
    source: str


def fineweb2(lang: str) -> dict[str, Threshold]:
    """FineWeb-2's thresholds of a language by setting key ("gopher.min_alpha_words"); empty where it has none here.

    A least share of -1 is a rule that is off there. "language.min_score" is the score that its language identifier must give.
    Subtags are dropped if need be (`zh-Hant` takes those of `zh-Hans`: FineWeb-2 has one configuration for Chinese).

    >>> found = fineweb2("hi")
    >>> found["gopher.min_alpha_words"].value, found["gopher.min_alpha_words"].source
    (0.837, 'fineweb2:hin_Deva')
    >>> fineweb2("sd")["fineweb.max_newline_ratio"]
    Threshold(value=0.6, source='fineweb2:snd_Arab clamped')
    """
    table = _table()
    row = table.get(lang) or table.get("zh-Hans" if lang in ("zh-Hant", "yue") else lang.split("-")[0])
    if row is None:
        return {}
    found = {key: _clamped(column, row[column], row["config"]) for column, key in SETTINGS.items()}
    found["language.min_score"] = _clamped("language_score", row["language_score"], row["config"])
    return found


def borrowed(lang: str, key: str) -> Threshold | None:
    """The median of the shipped thresholds of the languages in the same script, else family; None where there are no two.

    >>> borrowed("mag", "gopher.min_alpha_words").source
    'script:Deva'
    """
    try:
        script = languages.get(lang).script
    except UnknownName:
        return None
    same = [code for code in _table() if code != lang and languages.get(code).script == script]
    for source, others in (
        (f"script:{script}", same),
        *((f"family:{name}", codes) for name, codes in FAMILIES.items() if lang in codes),
    ):
        value = _median([code for code in others if code != lang], key)
        if value is not None:
            return Threshold(value, source)
    return None


def _median(codes: Sequence[str], key: str) -> float | None:
    values = [
        threshold.value
        for code in codes
        if code in _table() and (threshold := fineweb2(code).get(key)) is not None and threshold.value >= 0
    ]
    return round(statistics.median(values), 4) if len(values) > 1 else None


def _clamped(column: str, raw: str, config: str) -> Threshold:
    lowest, highest = (float(bound[column]) for bound in _bounds())
    value = OFF if float(raw) == OFF else min(max(float(raw), lowest), highest)
    return Threshold(value, f"fineweb2:{config}" + (" clamped" if value != float(raw) else ""))


@lru_cache(maxsize=1)
def _rows() -> dict[str, dict[str, str]]:
    lines = [line for line in _FILE.read_text("utf-8").splitlines() if not line.startswith("#")]
    names = lines[0].split("\t")
    return {line.split("\t")[0]: dict(zip(names, line.split("\t"), strict=True)) for line in lines[1:]}


@lru_cache(maxsize=1)
def _table() -> dict[str, dict[str, str]]:
    return {lang: row for lang, row in _rows().items() if lang not in ("lowest", "highest")}


def _bounds() -> tuple[dict[str, str], dict[str, str]]:
    return _rows()["lowest"], _rows()["highest"]
