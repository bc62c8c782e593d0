"""What differs between two releases, row by row, and which version that makes the second.

Rows are matched by their ids (judgements by query and passage); a table without ids by what its rows hold. Each table costs one pass over
both sides that keeps only what differs, and where it has many columns a second one. Values are compared by hashes of 64 bits. DuckDB holds
no more than `MEMORY` and puts the rest on disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from dsbuild import content, parquet, release
from dsbuild.builders.releases.row_pairs import listed, pair_any, pair_unique, quoted, rows_view
from dsbuild.builders.releases.versions import propose
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

    def files(self, config: str) -> dict[str, list[Path]]:
        """The files of every split."""
        return {split: self.paths(config, split) for split in self.splits(config)}

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
        try:
            base.execute("SET memory_limit = $1", [memory])
        except duckdb.Error as error:
            raise ReleaseError(f"--memory {memory!r}: write a number and a unit, such as 1GB or 500MB") from error
        try:
            base.execute("SET temp_directory = $1", [folder])
            base.execute("SET preserve_insertion_order = false")
            # It would draw on standard output, where JSON goes.
            base.execute("SET enable_progress_bar = false")
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
    if _untouched(before, after, name):
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
        base.execute(f"CREATE OR REPLACE TEMP VIEW side_{letter} AS {rows_view(side.files(name), common, new, names)}")
    unique = entry["table"] in ID_COLUMNS and len(keys) == 1
    if not (unique and pair_unique(base, keys[0], len(common), entry["splits"].values())):
        pair_any(base, keys, len(common))
    _count(base, entry, common)
    _stages(base, entry, after, len(keys))
    differs = any(entry[kind] for kind in _COUNTED) or any(entry["schema"].values()) or set(sides[0]) != set(sides[1])
    entry["state"] = "changed" if differs else "same"
    return {**entry, "compared": True, "keys": [common[place] for place in keys]}


def _untouched(before: Side, after: Side, name: str) -> bool:
    """Whether a configuration has the same digests and the same files.

    A digest that a manifest states says nothing of files that were changed after it was taken, so they are compared as well: most often
    both are one file by two names. Where only the encoding is another, the rows are compared.
    """
    known = before.digests(name)
    if known is None or known != after.digests(name):
        return False
    files, others = before.files(name), after.files(name)
    if {split: len(paths) for split, paths in files.items()} != {split: len(paths) for split, paths in others.items()}:
        return False
    return all(
        path.samefile(other)
        or (path.stat().st_size == other.stat().st_size and parquet.sha256(path) == parquet.sha256(other))
        for split, paths in files.items()
        for path, other in zip(paths, others[split], strict=True)
    )


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
        f'SELECT id, min({{primary_after: NOT "primary", stage: stage, rule: rule}}) AS v FROM read_parquet({listed(paths)}) '
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
    same = " AND ".join(f"{quoted(name)} = ${place}" for place, name in enumerate(keys, 1))
    found = base.execute(f"SELECT * FROM read_parquet({listed(paths)}) WHERE {same} LIMIT 1", list(key))
    names = [one[0] for one in found.description]
    return dict(zip(names, found.fetchone() or (), strict=False))
