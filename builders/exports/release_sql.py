"""Tables of a release as DuckDB reads them."""

from __future__ import annotations

import re

from dsbuild.api import Release


def rows_of(release: Release, lang: str, table: str, split: str | None, columns: str) -> str:
    """A query for the rows of a table, in any order."""
    paths = release.table(lang, table, split).files
    return f"SELECT {columns} FROM read_parquet([{', '.join(quoted(str(path)) for path in paths)}])"


def ordered_rows(release: Release, lang: str, table: str, split: str | None, columns: str) -> str:
    """A query for the rows of a table with `place`: their order in the release, from 0."""
    each = [
        f"SELECT {columns}, {number} * 1000000000 + file_row_number AS place FROM read_parquet({quoted(str(path))}, file_row_number = true)"
        for number, path in enumerate(release.table(lang, table, split).files)
    ]
    return " UNION ALL ".join(each)


def quoted(text: str) -> str:
    """A text as SQL."""
    return "'" + re.sub("'", "''", text) + "'"
