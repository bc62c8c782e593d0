"""What lengths a translation has: a prior of log(target length / source length) for every pair of languages.

The numbers are in `priors.json` (made by `bench/fit_priors.py`); lengths are `Letters.sizes`. Of a source of n the log
ratio has mean a + b / n and variance v + w / n: short texts vary more. A pair without English, or without data, is put
together from what there is, with a wider spread, and `source` says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dsbuild import languages
from dsbuild.errors import SourceError

Floats = npt.NDArray[np.float64]

_FILE = Path(__file__).with_name("priors.json")
_PIVOT = "en"
# Evidence of parallel texts of one kind says little about other kinds: added to the variance of each prior.
DOMAIN = 0.05**2
_WIDER = 2.0


@dataclass(frozen=True, slots=True)
class PairPrior:
    """The prior of one pair: mean = a + b / n, variance = v + w / n, with n the source length (+ 1).

    n_pairs: how many parallel texts it rests on; source: which, or how it was put together.
    """

    mean: tuple[float, float]
    variance: tuple[float, float]
    n_pairs: int
    source: str

    def standardised(self, source_sizes: npt.NDArray[np.int64], target_sizes: npt.NDArray[np.int64]) -> Floats:
        """How many standard deviations each pair's log length ratio lies from its mean."""
        n = source_sizes + 1.0
        log_ratio = np.log((target_sizes + 1.0) / n)
        spread = np.sqrt(self.variance[0] + self.variance[1] / n + DOMAIN)
        result: Floats = (log_ratio - (self.mean[0] + self.mean[1] / n)) / spread
        return result

    def ratio(self, source_sizes: npt.NDArray[np.int64], target_sizes: npt.NDArray[np.int64]) -> Floats:
        """How many times longer, or shorter, than expected each target is: >= 1."""
        n = source_sizes + 1.0
        off = np.log((target_sizes + 1.0) / n) - (self.mean[0] + self.mean[1] / n)
        result: Floats = np.exp(np.abs(off))
        return result


class Priors:
    """The priors of all pairs.

    `path`: a file in the form of `priors.json`; the shipped one if None. A file that is not one raises `SourceError`.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or _FILE
        self._facts = _read(str(self.path))

    def pair(self, src: str, tgt: str) -> PairPrior:
        """The prior for translating `src` into `tgt` (BCP-47)."""
        known = self._known(src, tgt)
        if known or src == tgt:
            return known or PairPrior((0.0, 0.0), (0.02, 1.0), 0, "same language")
        if _PIVOT in (src, tgt):
            return self._fallback(src, tgt)
        first = self._known(src, _PIVOT) or self._fallback(src, _PIVOT)
        second = self._known(_PIVOT, tgt) or self._fallback(_PIVOT, tgt)
        return PairPrior(
            (first.mean[0] + second.mean[0], first.mean[1] + second.mean[1] / math.exp(first.mean[0])),
            (first.variance[0] + second.variance[0], first.variance[1] + second.variance[1]),
            min(first.n_pairs, second.n_pairs),
            f"composed: {src}-{_PIVOT} ({first.source}), {_PIVOT}-{tgt} ({second.source})",
        )

    def name_rates(self, tgt: str) -> tuple[float, float]:
        """Shares of the names of an English text found by their sound in a translation, and in an unrelated text.

        Both are 0 where nobody counted.
        """
        rates = self._facts["names"].get(tgt)
        return (float(rates[0]), float(rates[1])) if rates else (0.0, 0.0)

    def cognate_rates(self, tgt: str) -> tuple[float, float]:
        """How often a long English word has a look-alike in a translation, and one word of any text is one; 0 where nobody counted."""
        rates = self._facts.get("cognates", {}).get(tgt)
        return (float(rates[0]), float(rates[1])) if rates else (0.0, 0.0)

    def _known(self, src: str, tgt: str) -> PairPrior | None:
        facts = self._facts["pairs"].get(f"{src}-{tgt}")
        return (
            None
            if facts is None
            else PairPrior(tuple(facts["mean"]), tuple(facts["variance"]), facts["n"], facts["source"])
        )

    def _fallback(self, src: str, tgt: str) -> PairPrior:
        """The mean over languages of the same script, or over all, of one side with English; spread wider."""
        other = tgt if src == _PIVOT else src
        sign = [code for code in self._partners() if languages.get(code).script == languages.get(other).script]
        kind = f"languages in {languages.get(other).script}"
        if not sign:
            sign, kind = self._partners(), "all languages"
        found = [prior for code in sign if (prior := self._known(*((src, code) if src == _PIVOT else (code, tgt))))]
        means = np.array([prior.mean for prior in found])
        variances = np.array([prior.variance for prior in found])
        mean, variance = means.mean(axis=0), np.median(variances, axis=0) * _WIDER
        between = float(means[:, 0].var())
        return PairPrior(
            (float(mean[0]), float(mean[1])), (float(variance[0]) + between, float(variance[1])), 0, f"fallback: {kind}"
        )

    def _partners(self) -> list[str]:
        return [key.removeprefix(f"{_PIVOT}-") for key in self._facts["pairs"] if key.startswith(f"{_PIVOT}-")]


@lru_cache(maxsize=8)
def _read(path: str) -> Mapping[str, Any]:
    try:
        facts = json.loads(Path(path).read_text("utf-8"))
        facts["pairs"], facts["names"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{path}: not a file of priors ({error!r}); bench/fit_priors.py writes one") from error
    return facts  # type: ignore[no-any-return]
