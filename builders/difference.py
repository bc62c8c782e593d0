"""What differs between two releases, row by row, and which version that makes the second.

Rows are matched by their ids (judgements by query and passage); a table without ids by what its rows hold. Each table costs one pass over
both sides that keeps only the keys whose rows differ, and a second one over the rows of those keys. Values are compared by hashes of 64
bits. DuckDB holds no more than `MEMORY` and puts the rest on disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from dsbuild import content, release
from dsbuild.builders.versions import propose
from dsbuild.errors import ReleaseError
from dsbuild.tables import ID_COLUMNS

if TYPE_CHECKING:
    import duckdb

MEMORY = "1GB"
# What names a row of a table that has no id column.
KEYS = {
    **{table: (column,) for table, column in ID_COLUMNS.items()},
    "qrels": ("query_id", "doc_id"), "candidates": ("query_id", "doc_id", "retriever"), "negatives": ("query_id", "doc_id", "rule"),
    "labelled": ("id",),
}  # fmt: skip
_COUNTED = ("added", "removed", "changed", "moved")
# Common types of columns whose kind is the same and whose width is not, so that equal values have equal hashes.
_WIDEST = {"int": "::BIGINT", "float": "::DOUBLE"}


@dataclass(frozen=True)
class Side:
    """One of the two releases."""

    folder: Path
    manifest: Mapping[str, Any]

    def splits(self, config: str) -> Mapping[str, Mapping[str, Any]]:
        """The splits of a configuration, none if it is not there."""
        found: Mapping[str, Mapping[str, Any]] = self.manifest["configs"].get(config, {"splits": {}})["splits"]
        return found

    def paths(self, config: str, split: str) -> list[Path]:
        """The files of a split."""
        return [self.folder / path for path in self.splits(config)[split]["files"]]

    def schema(self, config: str) -> Mapping[str, str]:
        """Kinds of the columns."""
        (first, *_) = self.splits(config)
        return content.kinds(pq.read_schema(self.paths(config, first)[0]))

    def digests(self, config: str) -> Mapping[str, Any] | None:
        """The content digests of the splits, where the manifest has them."""
        found: Mapping[str, Any] | None = self.manifest.get("release", {}).get("content", {}).get(config)
        return found


def opened(folder: Path) -> Side:
    """A release to compare; one whose files are not those of its manifest is a `ReleaseError`."""
    manifest = release.read_manifest(folder)
    if problems := release.damaged(folder, manifest, deep=False):
        raise ReleaseError(f"{folder}: {problems[0]}; see: dsbuild verify {folder}")
    return Side(folder, manifest)


def difference(
    before: Side, after: Side, *, samples: int = 3, memory: str = MEMORY, scratch: Path | None = None
) -> dict[str, Any]:
    """Everything that differs, as one JSON value.

    bump: `proposed` (patch, minor or major), `reason` and all `reasons`; configs: per configuration its state (same, added, removed, changed),
    splits, schema, columns, moves and what dropped its rows; languages and stages: sums; samples: up to that many rows of each kind and
    configuration, side by side. scratch: a folder on a disk with room (None: the system's).
    """
    configs: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    with _database(memory, scratch) as base:
        for name in sorted({*before.manifest["configs"], *after.manifest["configs"]}):
            entry = _config(base, name, before, after)
            configs.append(entry)
            if entry.pop("compared", False):
                shown += _samples(base, entry, before, after, samples)
                base.execute("DROP TABLE pairs")
    languages: dict[str, dict[str, int]] = {}
    stages: dict[tuple[str, str], int] = {}
    for entry in configs:
        counts = languages.setdefault(entry["lang"], dict.fromkeys(_COUNTED, 0))
        for kind in _COUNTED:
            counts[kind] += entry[kind]
        for row in entry["dropped_by"]:
            stages[row["stage"], row["rule"]] = stages.get((row["stage"], row["rule"]), 0) + row["rows"]
    proposed, reasons = propose(configs)
    return {
        "a": _named(before), "b": _named(after),
        "bump": {"proposed": proposed, "reason": reasons[0], "reasons": reasons},
        "configs": configs, "languages": languages,
        "stages": [{"stage": stage, "rule": rule, "rows": rows} for (stage, rule), rows in sorted(stages.items(), key=lambda one: (-one[1], one[0]))],
        "samples": shown,
    }  # fmt: skip


def _named(side: Side) -> dict[str, str]:
    return {"folder": str(side.folder), "name": side.manifest["name"], "version": side.manifest["version"]}


@contextmanager
def _database(memory: str, scratch: Path | None) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    with tempfile.TemporaryDirectory(prefix=".dsbuild-diff-", dir=scratch) as folder, duckdb.connect() as base:
        base.execute("SET memory_limit = $1", [memory])
        base.execute("SET temp_directory = $1", [folder])
        base.execute("SET preserve_insertion_order = false")
        # It would draw on standard output, where JSON goes.
        base.execute("SET enable_progress_bar = false")
        try:
            yield base
        except duckdb.Error as error:
            raise ReleaseError(f"the releases cannot be compared: {str(error).splitlines()[0]}") from error


def _config(base: duckdb.DuckDBPyConnection, name: str, before: Side, after: Side) -> dict[str, Any]:
    sides = (before.splits(name), after.splits(name))
    facts = (after if sides[1] else before).manifest["configs"][name]
    entry: dict[str, Any] = {
        "config": name, "table": facts["table"], "lang": facts["lang"], "state": "same", **dict.fromkeys(_COUNTED, 0),
        "schema": {"added": [], "removed": [], "changed": [], "order": False}, "splits": {}, "columns": {}, "moves": [], "dropped_by": [],
    }  # fmt: skip
    for split in sorted({*sides[0], *sides[1]}):
        rows = [side[split]["rows"] if split in side else None for side in sides]
        entry["splits"][split] = {
            "rows_a": rows[0], "rows_b": rows[1], **dict.fromkeys(("added", "removed", "changed", "moved_in", "moved_out"), 0),
        }  # fmt: skip
    if not sides[0] or not sides[1]:
        kind, rows_of = ("added", "rows_b") if sides[1] else ("removed", "rows_a")
        for one in entry["splits"].values():
            one[kind] = one[rows_of]
        entry["state"], entry[kind] = kind, sum(one[kind] for one in entry["splits"].values())
        return entry
    if (known := before.digests(name)) is not None and known == after.digests(name):
        return entry
    old, new = before.schema(name), after.schema(name)
    entry["schema"] = {
        "added": [{"name": one, "kind": new[one]} for one in new if one not in old],
        "removed": [{"name": one, "kind": old[one]} for one in old if one not in new],
        "changed": [{"name": one, "a": old[one], "b": new[one]} for one in old if one in new and old[one] != new[one]],
        "order": [one for one in old if one in new] != [one for one in new if one in old],
    }  # fmt: skip
    common = [one for one in old if new.get(one) == old[one]]
    keys = [common.index(one) for one in KEYS.get(entry["table"], ()) if one in common]
    if len(keys) != len(KEYS.get(entry["table"], ())):
        keys = []
    names = list(entry["splits"])
    for letter, side in (("a", before), ("b", after)):
        base.execute(f"CREATE OR REPLACE TEMP VIEW side_{letter} AS {_rows_of(side, name, common, new, names)}")
    unique = entry["table"] in ID_COLUMNS and len(keys) == 1
    if not (unique and _compare_unique(base, keys[0], len(common), entry["splits"].values())):
        _compare(base, keys, len(common))
    _count(base, entry, common)
    _stages(base, entry, after, len(keys))
    differs = any(entry[kind] for kind in _COUNTED) or any(entry["schema"].values()) or set(sides[0]) != set(sides[1])
    entry["state"] = "changed" if differs else "same"
    return {**entry, "compared": True, "keys": [common[place] for place in keys]}


def _rows_of(side: Side, config: str, common: Sequence[str], kinds: Mapping[str, str], splits: Sequence[str]) -> str:
    """The rows of a configuration: s, the number of its split; v0, v1, …, the columns that both sides have."""
    values = "".join(
        f", {_quoted(one)}{_WIDEST.get(kinds[one], '')} AS v{place}" for place, one in enumerate(common)
    )  # fmt: skip
    return " UNION ALL ".join(
        f"SELECT {splits.index(split)}::INTEGER AS s{values} FROM read_parquet({_list(side.paths(config, split))})"
        for split in side.splits(config)
    )


def _compare_unique(
    base: duckdb.DuckDBPyConnection, key: int, n_columns: int, splits: Iterable[Mapping[str, int | None]]
) -> bool:
    """Fill `pairs` as `_compare` does, by one join, for rows of which each has its own id; False, and nothing done, if one is there twice."""
    v = ", ".join(f"v{place}" for place in range(n_columns))
    a, b = (f"(SELECT v{key} AS k0, s, hash({v}) AS h FROM side_{side})" for side in "ab")
    base.execute(
        f"CREATE TEMP TABLE joined AS SELECT coalesce(a.k0, b.k0) AS k0, a.s AS a_s, b.s AS b_s, a.h <> b.h AS other "
        f"FROM {a} a FULL JOIN {b} b ON a.k0 = b.k0 WHERE a.h IS DISTINCT FROM b.h OR a.s <> b.s"
    )
    query = "SELECT count(*), count(DISTINCT k0), count(a_s), count(b_s), count(*) FILTER (other) FROM joined"
    ((n_pairs, n_keys, in_a, in_b, n_changed),) = base.execute(query).fetchall()
    rows = [sum(one[side] or 0 for one in splits) for side in ("rows_a", "rows_b")]
    # Rows that are the same on both sides are as many on the one as on the other.
    if n_pairs != n_keys or rows[0] - in_a != rows[1] - in_b:
        base.execute("DROP TABLE joined")
        return False
    c = [f"c{place}" for place in range(n_columns)]
    for side in "ab":
        hashes = ", ".join(f"hash(v{place}) AS {side}_c{place}" for place in range(n_columns))
        base.execute(
            f"CREATE TEMP TABLE hashed_{side} AS SELECT v{key} AS k0, {hashes} FROM side_{side} "
            + (f"WHERE v{key} IN (SELECT k0 FROM joined WHERE other)" if n_changed else "WHERE false")
        )
    picked = ", ".join(f"{side}_{one}" for one in c for side in "ab")
    base.execute(
        f"CREATE TEMP TABLE pairs AS SELECT k0, a_s, b_s, {picked}, a_s IS NOT NULL AS in_a, b_s IS NOT NULL AS in_b "
        "FROM joined LEFT JOIN hashed_a USING (k0) LEFT JOIN hashed_b USING (k0)"
    )
    for table in ("joined", "hashed_a", "hashed_b"):
        base.execute(f"DROP TABLE {table}")
    return True


def _compare(base: duckdb.DuckDBPyConnection, keys: Sequence[int], n_columns: int) -> None:
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


def _count(base: duckdb.DuckDBPyConnection, entry: dict[str, Any], common: Sequence[str]) -> None:
    """Put the numbers of the pairs into the entry."""
    differs = [f"a_c{place} IS DISTINCT FROM b_c{place}" for place in range(len(common))]
    changed = " OR ".join(differs)
    found = base.execute(
        f"SELECT a_s, b_s, in_a AND in_b, in_a AND in_b AND ({changed}) AS other, count(*) FROM pairs GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    moves: dict[tuple[str, str], int] = {}
    names = [*entry["splits"], None]
    for place_a, place_b, both, other, rows in found:
        split_a, split_b = (names[-1 if place is None else place] for place in (place_a, place_b))
        if not both:
            kind, split = ("removed", split_a) if split_b is None else ("added", split_b)
            entry["splits"][split][kind] += rows
            entry[kind] += rows
            continue
        if other:
            entry["splits"][split_b]["changed"] += rows
            entry["changed"] += rows
        if split_a != split_b:
            entry["splits"][split_a]["moved_out"] += rows
            entry["splits"][split_b]["moved_in"] += rows
            entry["moved"] += rows
            moves[split_a, split_b] = moves.get((split_a, split_b), 0) + rows
    entry["moves"] = [{"a": one, "b": other, "rows": rows} for (one, other), rows in sorted(moves.items())]
    if entry["changed"]:
        sums = ", ".join(f"sum(({one})::INTEGER)" for one in differs)
        (numbers,) = base.execute(f"SELECT {sums} FROM pairs WHERE in_a AND in_b").fetchall()
        entry["columns"] = {name: int(number) for name, number in zip(common, numbers, strict=True) if number}


def _stages(base: duckdb.DuckDBPyConnection, entry: dict[str, Any], after: Side, n_keys: int) -> None:
    """By which rule the second build dropped the rows that only the first has; stage "" for rows of which it says nothing."""
    paths = sorted((after.folder / "dropped").glob("verdicts-*.parquet"))
    if not entry["removed"] or not n_keys:
        return
    row_id = " || chr(9) || ".join(f"k{number}" for number in range(n_keys))
    verdicts = (
        f'SELECT id, min({{primary_after: NOT "primary", stage: stage, rule: rule}}) AS v FROM read_parquet({_list(paths)}) '
        "WHERE \"table\" = $1 AND lang = $2 AND outcome IN ('dropped', 'failed', 'orphaned', 'merged') GROUP BY id"
    )
    if not paths:
        verdicts = "SELECT '' AS id, {primary_after: false, stage: '', rule: ''} AS v WHERE $1 = '' AND $2 = ''"
    found = base.execute(
        f"SELECT coalesce(v.stage, '') AS stage, coalesce(v.rule, '') AS rule, count(*) AS rows FROM (SELECT {row_id} AS id FROM pairs "
        f"WHERE NOT in_b) LEFT JOIN ({verdicts}) USING (id) GROUP BY ALL ORDER BY rows DESC, stage, rule",
        [entry["table"], entry["lang"]],
    ).fetchall()
    entry["dropped_by"] = [{"stage": stage, "rule": rule, "rows": rows} for stage, rule, rows in found]


def _samples(
    base: duckdb.DuckDBPyConnection, entry: dict[str, Any], before: Side, after: Side, number: int
) -> list[dict[str, Any]]:
    """The first rows of each kind by their keys, with the values of both sides; of a changed row those that differ."""
    keys = entry.pop("keys")
    if not number or not keys:
        return []
    k = [f"k{place}" for place in range(len(keys))]
    n_columns = sum(1 for one in base.execute("DESCRIBE pairs").fetchall() if one[0].startswith("a_c"))
    changed = " OR ".join(f"a_c{place} IS DISTINCT FROM b_c{place}" for place in range(n_columns))
    wanted = {
        "changed": f"in_a AND in_b AND a_s = b_s AND ({changed})", "removed": "NOT in_b", "added": "NOT in_a",
        "moved": "in_a AND in_b AND a_s <> b_s",
    }  # fmt: skip
    names = [*entry["splits"], None]
    found: list[dict[str, Any]] = []
    for kind, condition in wanted.items():
        for *key, place_a, place_b in base.execute(
            f"SELECT {', '.join(k)}, a_s, b_s FROM pairs WHERE {condition} ORDER BY ALL LIMIT {int(number)}"
        ).fetchall():
            split_a, split_b = (names[-1 if place is None else place] for place in (place_a, place_b))
            rows = [
                _row(base, side.paths(entry["config"], split), keys, key) if split is not None else {}
                for side, split in ((before, split_a), (after, split_b))
            ]
            differing = [
                one
                for one in {**rows[0], **rows[1]}
                # As text: a NaN is no change of a NaN.
                if not (rows[0] and rows[1]) or repr(rows[0].get(one)) != repr(rows[1].get(one))
            ]
            columns = {
                one: {letter: row[one] for letter, row in zip("ab", rows, strict=True) if one in row}
                for one in differing
            }
            found.append(
                {"config": entry["config"], "lang": entry["lang"], "kind": kind, "id": "\t".join(map(str, key)), "a": split_a, "b": split_b,
                 "columns": columns}
            )  # fmt: skip
    return found


def _row(
    base: duckdb.DuckDBPyConnection, paths: Sequence[Path], keys: Sequence[str], key: Sequence[Any]
) -> dict[str, Any]:
    same = " AND ".join(f"{_quoted(name)} = ${place}" for place, name in enumerate(keys, 1))
    found = base.execute(f"SELECT * FROM read_parquet({_list(paths)}) WHERE {same} LIMIT 1", list(key))
    names = [one[0] for one in found.description]
    return dict(zip(names, found.fetchone() or (), strict=False))


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _text(value: str) -> str:
    escaped = value.replace("'", "''")
    return f"'{escaped}'"


def _list(paths: Sequence[Path]) -> str:
    # A name with glob characters means itself: inside brackets they are taken literally.
    names = ("".join(f"[{one}]" if one in "*?[" else one for one in str(path)) for path in paths)
    return f"[{', '.join(map(_text, names))}]"
