"""The rows of several tables as nodes that can be linked: a row in several languages is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.filters.lsh import Rows
from dsbuild.filters.score_rows import one_array
from dsbuild.parquet import read


@dataclass(frozen=True)
class Linked:
    """A table that takes part: the input's name is `rows.<key>`, its texts `keys.<key>`.

    kind: rows of one kind and id are one row in several languages; counted: whether its rows get a split or only link others;
    links: columns whose equal values link rows, and whose value may be the id of another row of that kind.
    """

    key: str
    kind: str
    id_column: str
    fields: tuple[str, ...]
    counted: bool = True
    links: tuple[str, ...] = ()


class Nodes:
    """Rows of all tables by kind and id: a row in several languages is one node. Nodes are in the order of their names."""

    def __init__(self, tables: Sequence[Linked], inputs: Mapping[str, Any]) -> None:
        parts: list[pa.Array] = []
        places: list[tuple[str, int]] = []
        counted: list[bool] = []
        for table in tables:
            for path in inputs[f"rows.{table.key}"].paths:
                ids = one_array(read(path, [table.id_column])[table.id_column].cast(pa.large_string()))
                parts.append(
                    pc.binary_join_element_wise(
                        pa.scalar(table.kind, pa.large_string()), ids, pa.scalar(":", pa.large_string())
                    )
                )
                places.append((table.key, len(ids)))
                counted.append(table.counted)
        every = pa.concat_arrays(parts or [pa.array([], pa.large_string())])
        coded = every.dictionary_encode()
        order = pc.sort_indices(coded.dictionary).to_numpy()
        self.ids = coded.dictionary.take(pa.array(order))
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        nodes = rank[coded.indices.to_numpy()] if len(order) else np.empty(0, np.int64)
        self.total = len(order)
        self.counted = np.zeros(self.total, np.bool_)
        self.of: dict[str, list[Rows]] = {table.key: [] for table in tables}
        start = 0
        for (key, size), counts in zip(places, counted, strict=True):
            mine = nodes[start : start + size]
            self.of[key].append(mine)
            self.counted[mine] |= counts
            start += size

    def find(self, kind: str, ids: pa.Array) -> Rows:
        """The node of each id of a kind, -1 where there is none."""
        wanted = pc.binary_join_element_wise(
            pa.scalar(kind, pa.large_string()), ids.cast(pa.large_string()), pa.scalar(":", pa.large_string())
        )
        found: Rows = pc.fill_null(pc.index_in(wanted, self.ids), -1).to_numpy().astype(np.int64)
        return found

    def name(self, node: int) -> str:
        """Kind and id."""
        return str(self.ids[node].as_py())

    def names(self, nodes: Rows) -> list[str]:
        """Kind and id of each."""
        found: list[str] = self.ids.take(pa.array(nodes)).to_pylist()
        return found


@dataclass(frozen=True)
class Names(Sequence[str]):
    """The names of nodes, asked for one at a time."""

    nodes: Nodes

    def __len__(self) -> int:
        return self.nodes.total

    def __getitem__(self, index: Any) -> Any:
        return self.nodes.name(index)


def chain(groups: Rows, nodes: Rows, chosen: npt.NDArray[np.bool_]) -> Rows:
    """Links between the chosen members of each group, each with the next: two rows of nodes.

    >>> chain(np.array([7, 5, 7, 7]), np.array([0, 1, 2, 3]), np.ones(4, bool)).tolist()
    [[0, 2], [2, 3]]
    """
    groups, nodes = groups[chosen], nodes[chosen]
    order = np.argsort(groups, kind="stable")
    same = groups[order][1:] == groups[order][:-1]
    found: Rows = np.stack((nodes[order][:-1][same], nodes[order][1:][same]))
    return found
