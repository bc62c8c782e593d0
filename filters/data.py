"""The data files of this room as one digest each: a changed threshold or prior must run again what it decides."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from dsbuild.stage import digest

_FOLDER = Path(__file__).parent
SCORERS = ("stopwords.tsv", "pii_words.tsv")  # besides those of the checks
RULES = ("thresholds.yaml", "profiles.yaml")
CHECKS = ("priors.json", "lexicon.tsv", "closed_words.tsv", "number_words.tsv", "lid.176.ftz")


@lru_cache(maxsize=1)
def checks_digest() -> str:
    """What the checks of translations read besides their texts."""
    return digest(*((_FOLDER / name).read_bytes() for name in CHECKS))


@lru_cache(maxsize=1)
def scorers_digest() -> str:
    """What the scorers of filters read besides their texts."""
    return digest(*((_FOLDER / name).read_bytes() for name in (*CHECKS, *SCORERS)))


@lru_cache(maxsize=1)
def thresholds_digest() -> str:
    """The default thresholds."""
    return digest((_FOLDER / "thresholds.yaml").read_bytes())


@lru_cache(maxsize=1)
def mending_version() -> str:
    """The version of the library that mends mojibake."""
    return version("ftfy")
