"""The facts of a release: one file, `facts.json`, that its datasheet, card and Croissant file take every number from.

Nothing here computes: builders measure the files of a release and fill these shapes, and `dsbuild verify` fills them again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

FACTS = "facts.json"


@dataclass(frozen=True, slots=True)
class Spread:
    """How values are spread: n of them, the least, five percentiles (each a value that occurs, nearest rank), the greatest.

    missing: rows without a value. Values that are no whole numbers have four significant digits.
    """

    n: int
    missing: int
    min: float | None = None
    p5: float | None = None
    p25: float | None = None
    p50: float | None = None
    p75: float | None = None
    p95: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class TextFacts:
    """One column of texts in one language: code points and words, in all and by text; an empty text counts as one of length 0."""

    rows: int
    characters: int
    words: int
    by_characters: Spread
    by_words: Spread


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """One split of one configuration.

    columns: name and type of each; nulls, empty: rows without a value, rows with an empty text, by column; langs: rows by the language
    that they say; labels: rows by the language that was identified (where a filter did); origins: texts by who wrote them; texts: by
    language and column; repeated: rows all of whose texts stand in another row before; grades: judgements by grade; judged: judgements
    by query; targets: what a row is labelled with, by kind (spans, relations, label) and label; scores: score columns; flags: rows by flag.
    """

    config: str
    table: str
    lang: str
    split: str
    rows: int
    size_bytes: int
    columns: tuple[tuple[str, str], ...]
    nulls: Mapping[str, int]
    empty: Mapping[str, int]
    langs: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    origins: Mapping[str, int] = field(default_factory=dict)
    texts: Mapping[str, Mapping[str, TextFacts]] = field(default_factory=dict)
    repeated: int | None = None
    grades: Mapping[str, int] = field(default_factory=dict)
    judged: Spread | None = None
    targets: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    scores: Mapping[str, Spread] = field(default_factory=dict)
    flags: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a machine can say of a release.

    rows, size_bytes: of all configurations; origins: rows by language and who wrote their text; lost: rows in `dropped/` by language and
    table; verdicts: by language, table, outcome and rule; filters: by table; licences: of sources, of models, of rows; parallel: what keeping
    only rows that every language has cost, None where that was not asked; review: what native speakers said of a
    sample; retrieval: how well each language can be searched, None where nobody measured it; release: as in the manifest, None for a draft.
    """

    name: str
    version: str
    dsbuild: str
    build: str
    recipe: Mapping[str, Any]
    rows: int
    size_bytes: int
    languages: Mapping[str, str]
    source: Mapping[str, Any]
    engines: Mapping[str, Mapping[str, Any]]
    licences: Mapping[str, Any]
    splits: tuple[SplitFacts, ...]
    origins: Mapping[str, Mapping[str, int]]
    accounting: Mapping[str, Any]
    lost: Mapping[str, Mapping[str, int]]
    verdicts: Mapping[str, Any]
    filters: Mapping[str, Any]
    findings: Mapping[str, Any]
    stages: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]
    parallel: Mapping[str, Any] | None = None
    review: Mapping[str, Any] | None = None
    retrieval: Mapping[str, Any] | None = None
    release: Mapping[str, Any] | None = None


def as_data(facts: Facts) -> dict[str, Any]:
    """The facts as JSON has them, keys sorted: what is read again is what was computed."""
    found: dict[str, Any] = json.loads(as_text(asdict(facts)))
    return found


def as_text(data: Mapping[str, Any]) -> str:
    """`facts.json`: the same facts are the same bytes."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False, indent=1, sort_keys=True) + "\n"


def differences(said: Any, true: Any, at: str = "") -> list[str]:
    """Where two facts files differ: the path of each value, what is said there and what is true.

    >>> differences({"a": {"b": 1}}, {"a": {"b": 2}})
    ['a.b is 1, the files give 2']
    """
    if isinstance(said, dict) and isinstance(true, dict):
        return [
            line
            for key in sorted({*said, *true})
            for line in differences(said.get(key), true.get(key), f"{at}.{key}" if at else str(key))
        ]
    if isinstance(said, list) and isinstance(true, list) and len(said) == len(true):
        return [
            line
            for place, pair in enumerate(zip(said, true, strict=True))
            for line in differences(*pair, f"{at}[{place}]")
        ]
    return [] if said == true else [f"{at} is {_short(said)}, the files give {_short(true)}"]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
