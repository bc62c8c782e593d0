"""Pairs of rows that differ between two sides, in DuckDB.

The views `side_a` and `side_b` hold the rows of both (`rows_view`). The table `pairs` gets one row for each pair that differs: the keys k0, k1,
…; of both sides the number of the split (a_s, b_s) and a hash of each column (a_c0, b_c0, …); and whether there is a row (in_a, in_b).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

# Common types of columns whose kind is the same and whose width is not, so that equal values have equal hashes.
_WIDEST = {"int": "::BIGINT", "float": "::DOUBLE"}
# Columns of which the join carries a hash each.
_FEW = 6


def rows_view(
    files: Mapping[str, Sequence[Path]], common: Sequence[str], kinds: Mapping[str, str], splits: Sequence[str]
) -> str:
    """A query for the rows of files by split: s, the number of the split in `splits`; v0, v1, …, the `common` columns."""
    values = "".join(
        f", {quoted(one)}{_WIDEST.get(kinds[one], '')} AS v{place}" for place, one in enumerate(common)
    )  # fmt: skip
    return " UNION ALL ".join(
        f"SELECT {splits.index(split)}::INTEGER AS s{values} FROM read_parquet({listed(paths)})"
        for split, paths in files.items()
    )


def pair_unique(
    base: duckdb.DuckDBPyConnection, key: int, n_columns: int, splits: Iterable[Mapping[str, int | None]]
) -> bool:
    """Fill `pairs` as `pair_any` does, by one join, for rows of which each has its own id; False, and nothing done, if one is there twice."""
    values = [place for place in range(n_columns) if place != key]
    few = len(values) <= _FEW
    # A hash for each column saves a second pass over both sides; of many columns they would fill the memory of the join.
    v = ", ".join(f"v{place}" for place in range(n_columns))
    hashes = {f"c{place}": f"hash(v{place})" for place in values} if few else {"h": f"hash({v})"}
    named = ", ".join(f"{said} AS {name}" for name, said in hashes.items())
    carried = ", ".join(f"a.{name} AS a_{name}, b.{name} AS b_{name}" for name in hashes) if few else ""
    sides = (f"(SELECT v{key} AS k0, s{', ' if named else ''}{named} FROM side_{side}) {side}" for side in "ab")
    other = " OR ".join(f"a.{name} <> b.{name}" for name in hashes) or "false"
    base.execute(
        f"CREATE TEMP TABLE joined AS SELECT coalesce(a.k0, b.k0) AS k0, a.s AS a_s, b.s AS b_s, {other} AS other{', ' if carried else ''}{carried} "
        f"FROM {' FULL JOIN '.join(sides)} ON a.k0 = b.k0 WHERE a.s IS DISTINCT FROM b.s OR {other}"
    )
    query = "SELECT count(*), count(DISTINCT k0), count(a_s), count(b_s) FROM joined"
    ((n_pairs, n_keys, in_a, in_b),) = base.execute(query).fetchall()
    rows = [sum(one[side] or 0 for one in splits) for side in ("rows_a", "rows_b")]
    # Rows that are the same on both sides are as many on the one as on the other.
    sound = bool(n_pairs == n_keys and rows[0] - in_a == rows[1] - in_b)
    if sound:
        _hash_columns(base, key, n_columns, few)
    base.execute("DROP TABLE joined")
    return sound


def _hash_columns(base: duckdb.DuckDBPyConnection, key: int, n_columns: int, carried: bool) -> None:
    """Fill `pairs` from `joined`; the columns' hashes, if the join did not carry them, from the rows that changed. An id never differs."""
    picked = ", ".join(
        f"0 AS {side}_c{place}" if place == key else f"{side}_c{place}" for place in range(n_columns) for side in "ab"
    )
    tables = "joined"
    for side in "" if carried else "ab":
        hashes = ", ".join(f"hash(v{place}) AS {side}_c{place}" for place in range(n_columns) if place != key)
        base.execute(
            f"CREATE OR REPLACE TEMP TABLE hashed_{side} AS SELECT v{key} AS k0, {hashes} FROM side_{side} "
            f"WHERE v{key} IN (SELECT k0 FROM joined WHERE other)"
        )
        tables += f" LEFT JOIN hashed_{side} USING (k0)"
    base.execute(
        f"CREATE TEMP TABLE pairs AS SELECT k0, a_s, b_s, {picked}, a_s IS NOT NULL AS in_a, b_s IS NOT NULL AS in_b FROM {tables}"
    )


def pair_any(base: duckdb.DuckDBPyConnection, keys: Sequence[int], n_columns: int) -> None:
    """Fill `pairs`: for each pair of rows that differ the keys, and of both sides the split and a hash for each column."""
    v = ", ".join(f"v{place}" for place in range(n_columns))
    named = ", ".join(f"v{place} AS k{number}" for number, place in enumerate(keys)) or f"hash({v}) AS k0"
    names = [f"k{number}" for number in range(len(keys) or 1)]
    by = ", ".join(names)
    # What is the same on both sides adds up to nothing, however often it stands there; the split is a part of the row.
    summed = " UNION ALL ".join(
        f"SELECT {named}, {sign}(hash({v}, s) >> 1)::BIGINT AS h FROM side_{side}"
        for side, sign in (("a", ""), ("b", "-"))
    )
    base.execute(f"CREATE TEMP TABLE differing AS SELECT {by} FROM ({summed}) GROUP BY {by} HAVING sum(h) <> 0")
    hashes = ", ".join(f"hash(v{place}) AS c{place}" for place in range(n_columns))
    for side in "ab":
        base.execute(
            f"CREATE TEMP TABLE rows_{side} AS SELECT * FROM (SELECT {named}, s, {hashes} FROM side_{side}) SEMI JOIN differing USING ({by})"
        )
    c = [f"c{place}" for place in range(n_columns)]
    for side, other in ("ab", "ba"):
        # A key that stands in several rows: those that both sides have go first, then the others are paired in order.
        base.execute(
            f"CREATE TEMP TABLE left_{side} AS SELECT *, row_number() OVER (PARTITION BY {by} ORDER BY {', '.join([*c, 's'])}) AS n "
            f"FROM (FROM rows_{side} EXCEPT ALL FROM rows_{other})"
        )
    picked = ", ".join(f"a.{one} AS a_{one}, b.{one} AS b_{one}" for one in ("s", *c))
    keyed = ", ".join(f"coalesce(a.{one}, b.{one}) AS {one}" for one in names)
    base.execute(
        f"CREATE TEMP TABLE pairs AS SELECT {keyed}, {picked}, a.n IS NOT NULL AS in_a, b.n IS NOT NULL AS in_b "
        f"FROM left_a a FULL JOIN left_b b USING ({by}, n)"
    )
    for table in ("differing", "rows_a", "rows_b", "left_a", "left_b"):
        base.execute(f"DROP TABLE {table}")


def quoted(name: str) -> str:
    """A column's name as SQL."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _text(value: str) -> str:
    escaped = value.replace("'", "''")
    return f"'{escaped}'"


def listed(paths: Sequence[Path]) -> str:
    """Files as a list in SQL."""
    # A name with glob characters means itself: inside brackets they are taken literally.
    names = ("".join(f"[{one}]" if one in "*?[" else one for one in str(path)) for path in paths)
    return f"[{', '.join(map(_text, names))}]"
