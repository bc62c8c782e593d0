"""Releases of a few rows, written straight from lists, for tests of versions and differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsbuild import release
from dsbuild.cards.card import render_card
from dsbuild.stage import VERDICTS, verdict
from dsbuild.tables import ID_COLUMNS, SCHEMAS

Rows = Sequence[Mapping[str, Any]]
DOCS: list[dict[str, Any]] = [
    {"doc_id": f"d{i}", "text": f"text {i} | नदी", "lang": "hi", "score": i / 10} for i in range(10)
]
EXTRA = pa.field("score", pa.float64())


def document_schema(*more: pa.Field) -> pa.Schema:
    return pa.schema([*SCHEMAS["documents"], *(more or (EXTRA,))])


def write(
    out: Path,
    configs: Mapping[str, Mapping[str, Rows]],
    *,
    schemas: Mapping[str, pa.Schema] | None = None,
    dropped: Rows = (),
    license: str | None = "cc-by-4.0",
    verdicts: Rows = (),
    src: str = "hi",
) -> Path:
    """A draft that verifies. configs: `<lang>-<table>` -> split -> rows; dropped: lost rows of hi-documents, which get verdicts.

    src: the source's language.
    """
    parts: list[release.Part] = []
    accounting: dict[str, dict[str, Any]] = {}
    for config, splits in configs.items():
        lang, _, table = config.rpartition("-")
        schema = (schemas or {}).get(config) or _schema(table)
        for split, rows in splits.items():
            parts.append(release.Part(config, split, schema, len(rows), [_table(rows, schema)], config, table, lang))
        kept = sum(len(rows) for rows in splits.values())
        lost = len(dropped) if config == "hi-documents" else 0
        row = {"in": kept + lost, "kept": kept, "repaired": 0, "dropped": lost, "failed": 0}
        of_rows = {**row, "reasons": {"short": lost} if lost else {}}
        judged = {"in": kept, "kept": kept, "orphaned": 0, "merged": 0}
        accounting.setdefault(lang, {})[table] = of_rows if table in ID_COLUMNS else judged
    said = [
        verdict("documents", "hi", str(row["doc_id"]), "decide", "dropped", "short", value=1.0, op="<", threshold=2.0)
        for row in dropped
    ]
    said += [dict(row) for row in verdicts]
    parts.append(release.Part("dropped", "verdicts", VERDICTS, len(said), [_table(said, VERDICTS)]))
    if dropped:
        schema = document_schema()
        parts.append(release.Part("dropped", "hi-documents", schema, len(dropped), [_table(dropped, schema)]))
    recipe = {"build": "filter", "profile": "document", "thresholds": "default", "source": {"src": "jsonl:made.jsonl"}}
    facts = {
        "name": "made", "version": "0.0.0-draft", "dsbuild": "0", "recipe": recipe, "filters": {}, "engines": {},
        "languages": {lang: {"name": lang} for lang in accounting}, "stages": [], "findings": {}, "notes": [],
        "source": {
            "name": "made", "lang": src, "license": license, "revision": None, "citation": None, "url": None, "files": [], "evaluation": False,
        },
        "accounting": accounting, "build_key": out.name,
    }  # fmt: skip
    release.write(out, parts, facts, render_card)
    return out


def _schema(table: str) -> pa.Schema:
    """Without the column that becomes the name of the files."""
    return (
        document_schema() if table == "documents" else pa.schema([one for one in SCHEMAS[table] if one.name != "split"])
    )


def _table(rows: Rows, schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([dict(row) for row in rows], schema)


def write_docs(out: Path, rows: Rows, **more: Any) -> Path:
    """A draft of one table of documents with one split."""
    return write(out, {"hi-documents": {"train": rows}}, **more)
