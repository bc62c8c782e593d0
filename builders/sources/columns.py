"""Which column of a file is which canonical column: by the user's map, else by the names that sets commonly use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dsbuild.builders.sources.rows import REQUIRED
from dsbuild.errors import SourceError, UnknownName
from dsbuild.tables import RetrievalTable

# In order of preference. The names are those of BEIR, MTEB, MS MARCO, Mr. TyDi, ir_datasets and Anserini files.
ALIASES: Mapping[RetrievalTable, Mapping[str, tuple[str, ...]]] = {
    "corpus": {
        "doc_id": ("doc_id", "_id", "docid", "docno", "pid", "passage_id", "corpus-id", "corpus_id", "id"),
        "title": ("title",),
        "text": ("text", "contents", "passage", "body"),
        "group_id": ("group_id",),
    },
    "queries": {
        "query_id": ("query_id", "_id", "qid", "query-id", "id"),
        "text": ("text", "query", "question"),
        "origin": ("origin",),
        "split": ("split",),
    },
    "qrels": {
        "query_id": ("query_id", "query-id", "qid"),
        "doc_id": ("doc_id", "corpus-id", "corpus_id", "docid", "docno", "pid", "passage_id"),
        "relevance": ("relevance", "score", "label", "rel", "grade"),
        "judge": ("judge",),
        "split": ("split",),
    },
}


def check_map(columns: Mapping[str, str]) -> None:
    """Refuse a key that is no canonical column; `queries.text` names the column of one table only."""
    known = {name for table in ALIASES.values() for name in table}
    qualified = {f"{table}.{name}" for table, names in ALIASES.items() for name in names}
    for key in columns:
        if key not in known | qualified:
            raise UnknownName("column", key, qualified if "." in key else known)


def resolve(table: RetrievalTable, path: Path, available: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Canonical name -> the file's column.

    A mapped column that the file lacks is `UnknownName`, unless an unqualified key is meant for another table's file;
    a required one that is neither mapped nor there under a common name is a `SourceError`.
    """
    found: dict[str, str] = {}
    for name, aliases in ALIASES[table].items():
        said = columns.get(f"{table}.{name}", columns.get(name))
        if said is not None and said in available:
            found[name] = said
            continue
        alias = next((alias for alias in aliases if alias in available), None)
        elsewhere = f"{table}.{name}" not in columns and sum(name in names for names in ALIASES.values()) > 1
        if said is not None and not (elsewhere and alias):
            raise UnknownName("column", said, available)
        if alias is not None:
            found[name] = alias
        elif name in REQUIRED:
            raise SourceError(
                f"{path}: no column for {name}; it has {', '.join(available) or 'none'}: "
                f"name it with --set source.columns.{name}=COLUMN"
            )
    return found
