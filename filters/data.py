"""What this room reads besides texts, as one digest each: a changed threshold, prior or list must run again what it decides."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from dsbuild import languages
from dsbuild.sentences import rules_digest
from dsbuild.stage import digest

_FOLDER = Path(__file__).parent
SCORERS = ("stopwords.tsv", "pii_words.tsv")  # besides those of the checks
RULES = ("thresholds.yaml", "profiles.yaml")
CHECKS = ("priors.json", "lexicon.tsv", "closed_words.tsv", "number_words.tsv", "lid.176.ftz")
PERSONAL = "pii_words.tsv"


@lru_cache(maxsize=1)
def checks_digest() -> str:
    """What language identification and the checks of translations read besides their texts, the core's tables with it."""
    table = Path(languages.__file__).with_name("languages.tsv").read_bytes()
    return digest(table, rules_digest(), *((_FOLDER / name).read_bytes() for name in CHECKS))


@lru_cache(maxsize=1)
def scorers_digest() -> str:
    """What the scorers of filters read besides their texts."""
    return digest(checks_digest(), *((_FOLDER / name).read_bytes() for name in SCORERS))


@lru_cache(maxsize=1)
def personal_digest() -> str:
    """The words that personal data is found by."""
    return digest((_FOLDER / PERSONAL).read_bytes())


@lru_cache(maxsize=1)
def thresholds_digest() -> str:
    """The default thresholds."""
    return digest((_FOLDER / "thresholds.yaml").read_bytes())


@lru_cache(maxsize=1)
def mending_version() -> str:
    """The version of the library that mends mojibake."""
    return version("ftfy")
