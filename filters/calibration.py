"""Thresholds learned from a sample that is trusted: what all but a small share of it passes.

For each rule of the groups gopher, repetition and fineweb the threshold is the order statistic of its column that at most `drop` of
the sample fails, with the interval that it would vary in if the sample were drawn again. A rule with too few values takes
what is shipped: FineWeb-2's threshold for the language, else the median over the languages of its script or family, else the rule's
default; `source` says which and from how little. Shipped values were found over FineWeb-2's own tokenizers: they are a stopgap.
Sources: Efron 1979 (bootstrap). The bootstrap of an order statistic needs no resampling: the k-th smallest of n draws with replacement
from a sorted sample is its element floor(n B) with B from Beta(k, n - k + 1) (David and Nagaraja 2003, section 2.2).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from dsbuild.errors import RecipeError, SourceError
from dsbuild.files import write_text
from dsbuild.filters.quality import GROUPS, Quality
from dsbuild.filters.quality_thresholds import Threshold, borrowed, fineweb2

_RULES = Path(__file__).parent / "rules"
FORMAT = "dsbuild-calibration"
VERSION = 1
# Under this many values a quantile of 5 % rests on fewer than 25 of them.
LEAST = 500
_INTERVAL = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Entry:
    """One learned threshold.

    n: how many values it rests on; low, high: bootstrap interval (95 %), None where it was not learned; source: "calibrated:NAME",
    or where it was borrowed and why.
    """

    value: float
    source: str
    n: int
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """The thresholds of one language, by setting key (`gopher.min_alpha_words`), and how they were found."""

    name: str
    lang: str
    drop: float
    n_texts: int
    n_bootstrap: int
    seed: int
    entries: Mapping[str, Entry]

    def thresholds(self, lang: str) -> dict[str, Threshold]:
        """What to put over the defaults for rows of a language; nothing for another language than the sample's."""
        if lang != self.lang:
            return {}
        return {key: Threshold(entry.value, entry.source) for key, entry in self.entries.items()}

    def document(self) -> dict[str, Any]:
        """All of it as JSON has it, for a file or a manifest."""
        head = {"format": FORMAT, "version": VERSION, **{name: getattr(self, name) for name in _HEAD}}
        return {**head, "thresholds": {key: asdict(entry) for key, entry in self.entries.items()}}

    def write(self, path: Path) -> None:
        """Write the JSON document that `read_calibration` reads."""
        write_text(path, json.dumps(self.document(), ensure_ascii=False, indent=1) + "\n")


_HEAD = {"name": str, "lang": str, "drop": float, "n_texts": int, "n_bootstrap": int, "seed": int}


def calibrate(
    texts: pa.Array | Sequence[str], lang: str, *, name: str = "", drop: float = 0.05, n_bootstrap: int = 1000, seed: int = 0, least: int = LEAST,
) -> Calibration:  # fmt: skip
    """Learn the thresholds of one language (BCP-47) from texts that are all wanted.

    drop: the share of the sample that each rule may fail, in [0, 0.5]; the rules together drop more. name: what verdicts call
    it, the language if empty; least: values under which a rule's threshold is borrowed. Raises `RecipeError` for a drop that is none.
    """
    if not 0 <= drop <= 0.5:
        raise RecipeError(f"drop={drop:g}: the share that a rule may fail is between 0 and 0.5")
    columns = Quality().score(texts, [lang] * len(texts))
    shipped = fineweb2(lang)
    entries: dict[str, Entry] = {}
    for key, (column, op, default) in _rules().items():
        values = np.sort(columns[column].drop_null().to_numpy(zero_copy_only=False))
        if len(values) < least:
            entries[key] = _borrow(key, lang, shipped, default, len(values), least)
        else:
            entries[key] = _learn(
                values, op, drop, n_bootstrap, np.random.default_rng(seed), f"calibrated:{name or lang}"
            )
    return Calibration(name or lang, lang, drop, len(texts), n_bootstrap, seed, entries)


def read_calibration(path: Path) -> Calibration:
    """Read what `Calibration.write` wrote; anything else is a `SourceError` that names the file and what is wrong with it."""
    try:
        document = json.loads(path.expanduser().read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: not a calibration ({error}); dsbuild calibrate writes one") from error
    return parse_calibration(document, path)


def parse_calibration(document: Any, path: Path) -> Calibration:
    """A calibration from its JSON document, which stands in `path`; errors as of `read_calibration`."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise SourceError(f"{path}: not a calibration (no format {FORMAT!r}); dsbuild calibrate writes one")
    if document.get("version") != VERSION:
        raise SourceError(
            f"{path}: a calibration of version {document.get('version')!r}; this dsbuild reads version {VERSION}"
        )
    _exactly(path, "", document, {"format", "version", "thresholds", *_HEAD})
    for key, kind in _HEAD.items():
        _check(path, key, document[key], (kind, int) if kind is float else (kind,))
    entries = document["thresholds"]
    _check(path, "thresholds", entries, (dict,))
    known = _rules()
    for key, entry in entries.items():
        if key not in known:
            raise SourceError(f"{path}: thresholds.{key}: no such setting")
        _check(path, f"thresholds.{key}", entry, (dict,))
        _exactly(path, f"thresholds.{key}.", entry, {"value", "source", "n", "low", "high"})
        for part, kinds in (("value", (int, float)), ("source", (str,)), ("n", (int,))):
            _check(path, f"thresholds.{key}.{part}", entry[part], kinds)
        for part in ("low", "high"):
            if entry[part] is not None:
                _check(path, f"thresholds.{key}.{part}", entry[part], (int, float))
    return Calibration(
        **{key: document[key] for key in _HEAD}, entries={key: Entry(**entry) for key, entry in entries.items()}
    )


def _learn(values: Any, op: str, drop: float, n_bootstrap: int, random: np.random.Generator, source: str) -> Entry:
    """The order statistic that at most `drop` of the sorted values fail, and its bootstrap interval."""
    n = len(values)
    place = math.floor(drop * n)
    # A value fails `<` when it is below the threshold, so `place` values may lie below it; likewise above for `>`.
    if op == ">":
        place = n - 1 - place
    drawn = values[np.minimum((n * random.beta(place + 1, n - place, n_bootstrap)).astype(np.int64), n - 1)]
    low, high = np.quantile(drawn, _INTERVAL)
    return Entry(float(values[place]), source, n, float(low), float(high))


def _borrow(key: str, lang: str, shipped: Mapping[str, Threshold], default: float, n: int, least: int) -> Entry:
    found = shipped.get(key) or borrowed(lang, key) or Threshold(default, "default")
    return Entry(found.value, f"{found.source} (thin: {n} of {least} values)", n, None, None)


@lru_cache(maxsize=1)
def _rules() -> dict[str, tuple[str, str, float]]:
    """The rules that can be learned: setting key -> column, relation, default."""
    found = {}
    for group in GROUPS:
        for rule in yaml.safe_load((_RULES / f"{group}.yaml").read_text("utf-8"))["rules"]:
            if rule.get("value") is not None and rule["op"] in ("<", ">"):
                found[f"{group}.{rule['key']}"] = (rule["column"], rule["op"], float(rule["value"]))
    return found


def _exactly(path: Path, where: str, found: Mapping[str, Any], keys: set[str]) -> None:
    for key in sorted(keys ^ found.keys()):
        raise SourceError(f"{path}: {where}{key}: {'missing' if key in keys else 'no such key'}")


def _check(path: Path, where: str, value: Any, kinds: tuple[type, ...]) -> None:
    # JSON's NaN and Infinity are numbers to Python, and true is an int.
    if (
        not isinstance(value, kinds)
        or isinstance(value, bool)
        or (isinstance(value, float) and not math.isfinite(value))
    ):
        raise SourceError(f"{path}: {where}: {value!r} is not {' or '.join(kind.__name__ for kind in kinds)}")
