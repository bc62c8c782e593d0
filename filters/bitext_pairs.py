"""The checks of translations for tables of pairs, whose rows may be in different languages.

Rows are grouped by their two languages and each group goes through `BitextChecks`; the columns have the prefix `bitext_`. Two columns
come on top: how well the first side agrees with being in its language, and the scores that a caller made elsewhere (round trip,
embedding margin, a QE model), which pass through under their own names. Rows of an unknown language get null everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import pyarrow as pa

from dsbuild import languages
from dsbuild.errors import UnknownName
from dsbuild.filters.bitext import COLUMNS as CHECKS
from dsbuild.filters.bitext import BitextChecks

PREFIX = "bitext_"
COLUMNS = {
    **{PREFIX + name: meaning for name, meaning in CHECKS.items()},
    "bitext_language_score_a": "evidence in [0, 1] for the first side's language against its confusables and the other side's; null: abstains",
}
# Columns that a run may bring along, and what they must mean for the rules to be right.
OPTIONAL = {
    "bitext_round_trip": "chrF of the source and its back-translation, in [0, 100] (`dsbuild.filters.chrf.round_trip_chrf`)",
    "bitext_margin": "ratio margin of the embeddings of both sides (`dsbuild.filters.margin.ratio_margin`)",
    "bitext_qe": "score of a model of translation quality, higher is better",
    "bitext_logprob": "mean log-probability per token of the translation",
}
_SCORE = "language_score"
_INTEGERS = ("url_mismatch", "sentence_delta")
_TRUTHS = ("empty", "terminal_mismatch")
TYPES = {
    name: pa.bool_() if name in _TRUTHS else pa.int32() if name in _INTEGERS else pa.float64()
    for name in (*CHECKS, f"{_SCORE}_a")
}


@dataclass(frozen=True)
class BitextPairs:
    """The columns of `COLUMNS`; see `dsbuild.filters.bitext` for each check."""

    name: ClassVar[str] = "bitext"
    version: ClassVar[int] = 2

    def score(self, a: pa.Array, b: pa.Array, lang_a: Sequence[str], lang_b: Sequence[str]) -> dict[str, pa.Array]:
        """Score each pair as a translation of `a` into `b`."""
        rows: dict[tuple[str, str], list[int]] = {}
        for row, pair in enumerate(zip(lang_a, lang_b, strict=True)):
            if _known(pair[0]) and _known(pair[1]):
                rows.setdefault(pair, []).append(row)
        pieces: dict[str, list[pa.Array]] = {name: [] for name in TYPES}
        order = np.full(len(a), -1, np.int64)
        done = 0
        for (one, two), places in sorted(rows.items()):
            chosen = pa.array(places)
            sources, targets = a.take(chosen).to_pylist(), b.take(chosen).to_pylist()
            checks = _checks(one, two)
            scores = checks.score(sources, targets)
            scores[f"{_SCORE}_a"] = checks.identify.evidence(sources, one, rivals=(two,))
            for name in TYPES:
                pieces[name].append(scores[name].cast(TYPES[name]))
            order[places] = np.arange(done, done + len(places))
            done += len(places)
        back = pa.array(order, mask=order < 0)
        return {
            PREFIX + name: pa.concat_arrays([*found, pa.array([], TYPES[name])]).take(back)
            for name, found in pieces.items()
        }


@lru_cache(maxsize=1024)
def _known(lang: str) -> bool:
    try:
        languages.get(lang)
    except UnknownName:
        return False
    return True


@lru_cache(maxsize=64)
def _checks(src: str, tgt: str) -> BitextChecks:
    return BitextChecks(src, tgt)
