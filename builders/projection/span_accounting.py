"""What `verify` checks of a projected release: that every span of the source is accounted for, and stands where it is said to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsbuild import release
from dsbuild.builders.projection.project_spans import KEPT, OUTCOMES
from dsbuild.errors import SourceError
from dsbuild.spans import from_row, problems
from dsbuild.tables import LABELLED

# Where a release says what became of each span of the source.
FOLDER = "spans"
_ROW = list(LABELLED.names)
_MAX_SHOWN = 3


def check_labelled(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Spans outside their text, of white space or without a label, and relations that name none, in every labelled table."""
    for name, config in manifest["configs"].items():
        if config["table"] != "labelled":
            continue
        found = 0
        for row_id, wrong in _unsound(folder, name):
            found += 1
            if found <= _MAX_SHOWN:
                yield f"{name}: id {row_id!r}: {wrong}"
        if found > _MAX_SHOWN:
            yield f"{name}: {found - _MAX_SHOWN} more rows with spans that are not sound"


def _unsound(folder: Path, name: str) -> Iterator[tuple[str, str]]:
    for table in release.read_part(folder, f"{name}/", _ROW):
        for row in table.to_pylist():
            try:
                wrong = problems(from_row(row))
            except SourceError as error:
                wrong = [str(error)]
            if wrong:
                yield row["id"], wrong[0]


def check_spans(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """in = kept + null + low confidence + rejected, for each language; and the kept ones are those of its rows."""
    if manifest["recipe"]["build"] != "project":
        return
    for lang, said in manifest["findings"]["languages"].items():
        counted = said["spans"]
        if counted["in"] != sum(counted[name] for name in OUTCOMES):
            yield f"{lang}: {counted['in']} spans in, and another number kept, null, low in confidence and rejected"
        outcomes: Counter[str] = Counter()
        kept: dict[str, set[str]] = {}
        for table in release.read_part(folder, f"{FOLDER}/{lang}-", ["id", "span_id", "outcome"]):
            _count(table, outcomes, kept)
        if {name: outcomes[name] for name in OUTCOMES} != {name: counted[name] for name in OUTCOMES}:
            yield f"{lang}: {FOLDER}/ holds {outcomes.total()} spans, other numbers than the manifest"
        for prefix in (f"{lang}-labelled/", f"dropped/{lang}-labelled-"):
            for table in release.read_part(folder, prefix, ["id", "spans"]):
                for row in table.to_pylist():
                    if kept.pop(row["id"], set()) != {span["span_id"] for span in row["spans"]}:
                        yield f"{lang}: the spans of row {row['id']!r} are not the kept ones of {FOLDER}/"
                        return
        if kept:
            yield f"{lang}: {FOLDER}/ has kept spans of row {next(iter(kept))!r}, which is not there"


def _count(table: pa.Table, outcomes: Counter[str], kept: dict[str, set[str]]) -> None:
    for row in table.to_pylist():
        outcomes[row["outcome"]] += 1
        if row["outcome"] == KEPT:
            kept.setdefault(row["id"], set()).add(row["span_id"])
