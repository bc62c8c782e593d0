"""Errors that a user can mend: one line each, exit code 2.

DsbuildError
├── UnknownName     a name that no registry, table or language list holds
├── RecipeError     a recipe key, value or combination that cannot be run
├── SourceError     an input file, row or id that cannot be read as said
├── EngineError     an engine or model that is missing, of the wrong kind, or failing
├── MissingExtra    an optional package is needed; carries the install command
├── StoreError      the store or the output folder cannot be used (locked, full, older version)
└── ReleaseError    a release that is damaged or does not add up
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DsbuildError(Exception):
    """Base of every error that the user can mend; its text is the one line that is printed."""

    exit_code = 2


class RecipeError(DsbuildError):
    """A recipe key, value or combination that cannot be run."""


class SourceError(DsbuildError):
    """An input file, row or id that cannot be read as said."""


class EngineError(DsbuildError):
    """An engine or model that is missing, of the wrong kind, or failing."""


class StoreError(DsbuildError):
    """The store or the output folder cannot be used: locked, full, or of another version."""


class ReleaseError(DsbuildError):
    """A release that is damaged or whose numbers do not add up."""


class MissingExtra(DsbuildError):
    """An optional package is needed and not installed."""

    def __init__(self, needed_by: str, package: str, extra: str) -> None:
        super().__init__(f"{needed_by} needs {package}: pip install 'dsbuild[{extra}]'")
        self._said = (needed_by, package, extra)

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str, str]]:
        # Worker processes send their errors pickled.
        return MissingExtra, self._said


class UnknownName(DsbuildError):
    """A name that is not known, with the nearest one that is.

    >>> print(UnknownName("engine", "apertum", ["apertium", "memory"]))
    no engine 'apertum'. Did you mean 'apertium'? Known: apertium, memory

    A single candidate is what is meant, not all that there is:

    >>> print(UnknownName("language", "hin", ["hi"]))
    no language 'hin'. Did you mean 'hi'?
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(set(known))
        close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        listed = ", ".join(names) if len(names) <= 40 else f"{', '.join(names[:40])}, …"
        known_too = "" if names == close else f" Known: {listed}"
        super().__init__(f"no {kind} {name!r}.{hint}{known_too}")
        self._said = (kind, name, names)

    def __reduce__(self) -> tuple[type[UnknownName], tuple[str, str, list[str]]]:
        return UnknownName, self._said
