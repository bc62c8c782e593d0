"""The translation memory: what the same engine already said for the same text.

One SQLite file per engine fingerprint and direction inside the store. An entry is written when its unit is
done and never changed, so that later runs, other sets and longer versions of a set translate only what is new.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import xxhash

from dsbuild.errors import StoreError

# text, score, n_src_tokens, n_tgt_tokens, n_unknown, rung, terms_missing
Entry = tuple[str, float | None, int, int, int | None, int, int]

_TABLE = """CREATE TABLE IF NOT EXISTS entries (
    key BLOB PRIMARY KEY, text TEXT NOT NULL, score REAL, n_src INTEGER NOT NULL, n_tgt INTEGER NOT NULL,
    n_unknown INTEGER, rung INTEGER NOT NULL, terms_missing INTEGER NOT NULL) WITHOUT ROWID"""


class TranslationMemory:
    """Translations by source text, for one engine fingerprint and direction."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lookup(self, texts: Sequence[str]) -> dict[int, Entry]:
        """The known ones of the texts, by their index."""
        if not self.path.exists():
            return {}
        found: dict[int, Entry] = {}
        try:
            with closing(sqlite3.connect(self.path, timeout=60)) as base:
                for index, text in enumerate(texts):
                    row = base.execute(
                        "SELECT text, score, n_src, n_tgt, n_unknown, rung, terms_missing FROM entries WHERE key = ?",
                        (_key(text),),
                    ).fetchone()
                    if row is not None:
                        found[index] = row
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self.path}: damaged translation memory ({error}); delete it and run again") from error
        return found

    def add(self, entries: Iterable[tuple[str, Entry]]) -> None:
        """Remember translations; what is known already stays as it is."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=60)) as base, base:
                base.execute(_TABLE)
                base.executemany(
                    "INSERT OR IGNORE INTO entries VALUES (?,?,?,?,?,?,?,?)",
                    ((_key(text), *entry) for text, entry in entries),
                )
        except (sqlite3.DatabaseError, OSError) as error:
            raise StoreError(f"{self.path}: cannot write the translation memory ({error})") from error


def _key(text: str) -> bytes:
    return xxhash.xxh3_128_digest(text.encode("utf-8"))
