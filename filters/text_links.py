"""Links between rows by their texts: those that are equal, and candidate pairs with their exact Jaccard index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsbuild.filters.link_texts import side_texts
from dsbuild.filters.linked_rows import Linked, Nodes, chain
from dsbuild.filters.lsh import Floats, Rows, candidates, jaccards
from dsbuild.filters.near_duplicates import Near
from dsbuild.filters.score_rows import one_array
from dsbuild.filters.shingles import Hashes
from dsbuild.filters.utf8 import Offsets, buffers
from dsbuild.parquet import read

# Below every Jaccard index that two texts with a shingle in common can have.
_ANY = 1e-9


@dataclass(frozen=True, slots=True)
class TextLinks:
    """What rows have in common.

    equal: links between rows with the same text, two rows of nodes; left, right, value: candidate pairs of nodes and the exact Jaccard
    index of their texts; then how many texts there are, and how many different ones.
    """

    equal: Rows
    left: Rows
    right: Rows
    value: Floats
    n_texts: int
    n_distinct: int


def link_texts(
    tables: Sequence[Linked], near: Near, nodes: Nodes, inputs: Mapping[str, Any], scratch: Path
) -> TextLinks:
    """Links by the texts that `keys.<key>` sign; shingle sets of candidates are made anew and lie in a file in `scratch`."""
    paths = [(table, shard, path) for table in tables for shard, path in enumerate(inputs[f"keys.{table.key}"].paths)]
    of_text, digests = [np.empty(0, np.int64)], [np.empty((0, 2), np.uint64)]
    for table, shard, path in paths:
        keys = read(path, ["row", "digest"])
        of_text.append(nodes.of[table.key][shard][keys["row"].to_numpy()])
        digests.append(_halves(keys["digest"]))
    node, halves = np.concatenate(of_text), np.concatenate(digests)
    borders = np.cumsum([len(part) for part in of_text]).astype(np.int64)
    # In the order of the digests, so that nothing depends on the order of the rows; of equal texts the first row stands for all.
    order = np.lexsort((node, halves[:, 1], halves[:, 0]))
    halves = halves[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (halves[1:] != halves[:-1]).any(axis=1)
    equal = chain(np.cumsum(new), node[order], np.ones(len(order), np.bool_))
    chosen = order[new]
    pairs = candidates(_bands(near, [path for _, _, path in paths], chosen))
    one, other = chosen[pairs.left], chosen[pairs.right]
    texts = np.union1d(one, other)
    hashes, bounds = _sets(near, paths, borders, inputs, texts, scratch / "sets")
    value = jaccards(hashes, bounds, np.searchsorted(texts, one), np.searchsorted(texts, other), _ANY)
    return TextLinks(equal, node[one], node[other], value, len(order), len(chosen))


def _bands(near: Near, paths: Sequence[Path], chosen: Rows) -> Iterator[Hashes]:
    for name in near.band_names():
        parts = [read(path, [name])[name].to_numpy() for path in paths]
        yield np.concatenate([np.empty(0, np.uint64), *parts])[chosen]


def _sets(
    near: Near, paths: Sequence[tuple[Linked, int, Path]], borders: Rows, inputs: Mapping[str, Any], texts: Rows, file: Path
) -> tuple[Hashes, Offsets]:  # fmt: skip
    """The shingle sets of some texts (ascending numbers), from the rows themselves; what is not used need not stay in memory."""
    sizes = [np.zeros(1, np.int64)]
    with file.open("wb") as handle:
        for number, (table, shard, path) in enumerate(paths):
            start, end = np.searchsorted(texts, borders[number : number + 2])
            if start == end:
                continue
            keys = read(path, ["row", "side"]).take(pa.array(texts[start:end] - borders[number]))
            rows = read(inputs[f"rows.{table.key}"].paths[shard], list(table.fields)).take(keys["row"])
            side = keys["side"].to_numpy()
            places = [np.flatnonzero(side == one) for one in np.unique(side)]
            parts = [
                side_texts(rows.take(pa.array(place)), table.fields, int(side[place[0]])).cast(pa.large_string())
                for place in places
            ]
            column = pa.concat_arrays(parts).take(pa.array(np.argsort(np.concatenate(places))))
            hashes, bounds = near.shingling.sets(*buffers(column))
            hashes.tofile(handle)
            sizes.append(np.diff(bounds))
    bounds = np.cumsum(np.concatenate(sizes))
    hashes = np.asarray(np.memmap(file, np.uint64, "r+")) if bounds[-1] else np.empty(0, np.uint64)
    return hashes, bounds


def _halves(digests: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """128-bit digests as two numbers each."""
    array = one_array(digests)
    data = array.buffers()[1]
    if data is None or not len(array):
        return np.empty((0, 2), np.uint64)
    return np.frombuffer(data, np.uint64).reshape(-1, 2)[array.offset : array.offset + len(array)]
