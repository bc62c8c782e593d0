"""Duplicates found across tables: rows by their place in all of them, and what is said of each that goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.filters.lsh import Floats, Rows
from dsbuild.parquet import read
from dsbuild.stage import Shard, Shards

# A row that another one stands for. row: its index in its shard; table, keeper_table: "" where there is one table only.
DUPLICATES = pa.schema(
    [
        pa.field("table", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("keeper_table", pa.string(), nullable=False),
        pa.field("keeper", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # exact, near
        pa.field("jaccard", pa.float64(), nullable=False),
    ]
)


def joined(rows: pa.Table, fields: Sequence[str]) -> pa.Array:
    """The text of each row: its fields joined by line feeds, a null as an empty text."""
    columns = [pc.fill_null(rows[field].cast(pa.large_string()), "") for field in fields]
    column = (
        columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, pa.scalar("\n", pa.large_string()))
    )
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


class Keyed:
    """The key shards of one or several tables; a row's place is its number in all of them, table by table.

    inputs: those named `keys` or `keys.<table>` count. tables: their order, by name if empty.
    """

    def __init__(self, inputs: Mapping[str, Any], tables: Sequence[str] = ()) -> None:
        found = {_table(name): shards for name, shards in inputs.items() if name.partition(".")[0] == "keys"}
        self.tables = [table for table in tables if table in found] or sorted(found)
        if len(self.tables) != len(found):
            raise AssertionError(f"order {list(tables)} given for the tables {sorted(found)}")
        self.shards: dict[str, Shards] = {table: found[table] for table in self.tables}
        self.paths = [path for shards in self.shards.values() for path in shards.paths]
        self.owners = [table for table, shards in self.shards.items() for _ in shards.paths]
        sizes = [read(path, ["row"]).num_rows for path in self.paths]
        self.borders: Rows = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)))

    @property
    def total(self) -> int:
        """Rows of all tables."""
        return int(self.borders[-1])

    def columns(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """Some columns of the keys, shard by shard."""
        return (read(path, list(names)) for path in self.paths)

    def outputs(self, kind: str, dropped: Rows, keepers: Rows, values: Floats) -> dict[str, Iterator[Shard]]:
        """What is said of the dropped rows (places in ascending order): `out` or `out.<table>`, shard by shard like the keys."""
        names = self._names(np.unique(keepers))
        first = 0
        outputs = {}
        for table, shards in self.shards.items():
            chosen = range(first, first + len(shards))
            outputs[_named("out", table)] = self._shards(chosen, kind, dropped, keepers, values, names)
            first += len(shards)
        return outputs

    def _names(self, places: Rows) -> dict[int, tuple[str, str]]:
        """Table and id of some rows."""
        found: dict[int, tuple[str, str]] = {}
        for shard, path in enumerate(self.paths):
            start, end = np.searchsorted(places, self.borders[shard : shard + 2])
            if start < end:
                ids = read(path, ["id"])["id"].take(pa.array(places[start:end] - self.borders[shard])).to_pylist()
                found |= dict(zip(places[start:end].tolist(), ((self.owners[shard], one) for one in ids), strict=True))
        return found

    def _shards(
        self,
        shards: range,
        kind: str,
        dropped: Rows,
        keepers: Rows,
        values: Floats,
        names: Mapping[int, tuple[str, str]],
    ) -> Iterator[Shard]:
        for shard in shards:
            start, end = np.searchsorted(dropped, self.borders[shard : shard + 2])
            keys = read(self.paths[shard], ["row", "id"]).take(pa.array(dropped[start:end] - self.borders[shard]))
            owner = self.owners[shard]
            kept = [names[place] for place in keepers[start:end].tolist()]
            table = pa.table(
                [
                    pa.array([owner] * len(kept), pa.string()), keys["row"], keys["id"], pa.array([one for one, _ in kept], pa.string()),
                    pa.array([one for _, one in kept], pa.string()), pa.array([kind] * len(kept), pa.string()), pa.array(values[start:end]),
                ],
                schema=DUPLICATES,
            )  # fmt: skip
            yield Shard(table)


def of_table(inputs: Mapping[str, Any], name: str, table: str) -> Shards:
    """The input `name` or `name.<table>`, whose shards go with that table's keys."""
    shards: Shards = inputs[_named(name, table)]
    return shards


def _named(name: str, table: str) -> str:
    return f"{name}.{table}" if table else name


def _table(name: str) -> str:
    return name.partition(".")[2]
