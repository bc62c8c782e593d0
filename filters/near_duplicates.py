"""Near duplicates: texts whose shingle sets have at least the wanted Jaccard index with a text that is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsbuild.files import disk_error
from dsbuild.filters.duplicates import Keyed, joined, of_table
from dsbuild.filters.keepers import Policy, choose, merits, order_of
from dsbuild.filters.lsh import Floats, Rows, candidates, jaccards
from dsbuild.filters.minhash import BACKGROUND, Bands, plan_bands, sign
from dsbuild.filters.shingles import Hashes, Shingling, Unit
from dsbuild.filters.utf8 import Offsets, buffers, encode, selected
from dsbuild.parquet import read
from dsbuild.stage import Result, Workspace


@dataclass(frozen=True)
class Near:
    """What counts as a near duplicate, and how surely one is found.

    jaccard: the least Jaccard index of two shingle sets; recall: the share of pairs at exactly that index that must be compared
    (pairs above it are found more surely, no pair below it is ever called a duplicate); unit, n: see `dsbuild.filters.shingles`;
    texts: about how many there are, which decides how bands are cut, not what is a duplicate.
    """

    jaccard: float = 0.8
    recall: float = 0.98
    unit: Unit = "graphemes"
    n: int = 0
    texts: int = 1_000_000

    def band_names(self) -> list[str]:
        """The names of the columns of band hashes."""
        return [f"band_{band:03d}" for band in range(self.bands.bands)]

    @property
    def shingling(self) -> Shingling:
        """How texts become shingles."""
        return Shingling(self.unit, self.n)

    @cached_property
    def bands(self) -> Bands:
        """How signatures are cut; a wanted recall that is out of reach is a `RecipeError`."""
        return plan_bands(self.jaccard, self.recall, texts=self.texts, background=BACKGROUND[self.unit])


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """What was found among some texts.

    keeper: for each text the index of the text that stands for it, its own where it is kept; jaccard: the exact Jaccard index
    with the keeper, 1 with itself; facts: how the search went.
    """

    keeper: Rows
    jaccard: Floats
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """Whether each text is kept."""
        return np.asarray(self.keeper == np.arange(len(self.keeper)), np.bool_)


def near_duplicates(
    texts: Sequence[str] | pa.Array | pa.ChunkedArray, *, jaccard: float = 0.8, recall: float = 0.98, unit: Unit = "graphemes", n: int = 0,
    policy: Policy = "longest", scores: Any = None,
) -> NearDuplicates:  # fmt: skip
    """The near duplicates among texts that are held in memory. Which text of a group is kept is the policy's choice.

    >>> found = near_duplicates(["The cat sat on the mat all day.", "Nothing alike.", "the cat sat on the mat, all day"])
    >>> found.keeper.tolist(), found.jaccard.tolist()
    ([0, 1, 0], [1.0, 1.0, 1.0])
    """
    given = texts if isinstance(texts, pa.Array | pa.ChunkedArray) else None
    data, offsets = encode(list(texts)) if given is None else buffers(given)
    near = Near(jaccard, recall, unit, n, len(offsets) - 1)
    nobody = np.zeros(len(offsets) - 1, np.bool_)

    def sets(rows: Rows) -> tuple[Hashes, Offsets]:
        return near.shingling.sets(*selected(data, offsets, rows))

    bands = np.ascontiguousarray(sign(data, offsets, near.shingling, near.bands).T)
    found = search(bands, merits(policy, data, offsets, scores), nobody, near, sets)
    keeper, value = np.arange(len(nobody)), np.ones(len(nobody))
    keeper[found.dropped], value[found.dropped] = found.keepers, found.jaccard
    return NearDuplicates(keeper, value, found.facts)


@dataclass(frozen=True, slots=True)
class Found:
    """The rows that are near duplicates, ascending, the kept row that each goes with, and their exact Jaccard index."""

    dropped: Rows
    keepers: Rows
    jaccard: Floats
    facts: dict[str, Any]


def search(
    bands: Iterable[Hashes], merit: Floats, protected: npt.NDArray[np.bool_], near: Near, sets: Callable[[Rows], tuple[Hashes, Offsets]]
) -> Found:  # fmt: skip
    """Candidates from bands, verified by the exact Jaccard index, and a keeper for each row.

    bands: for each band one hash a row; merit, protected: which rows are rather kept and which are never dropped; sets: gives the
    sorted shingle sets of the rows that are asked for, once, with all rows that are in any candidate pair.
    """
    order = order_of(protected, merit)
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    pairs = candidates(bands, places)
    rows = np.union1d(pairs.left, pairs.right)
    hashes, bounds = sets(rows)
    left, right = np.searchsorted(rows, pairs.left), np.searchsorted(rows, pairs.right)
    values = jaccards(hashes, bounds, left, right, near.jaccard)
    true = values > 0
    keepers, value, further, groups = choose(
        np.argsort(places[rows]), protected[rows], left[true], right[true], values[true], hashes, bounds, near.jaccard
    )
    gone = keepers != np.arange(len(rows))
    sizes = np.bincount(groups) if len(groups) else np.zeros(1, np.int64)
    clusters = np.bincount(keepers[gone]) + 1 if gone.any() else np.ones(1, np.int64)
    facts = {
        "rows": len(order), "jaccard": near.jaccard, "recall": near.recall, "unit": near.unit, "n": near.shingling.size,
        "bands": near.bands.bands, "rows_a_band": near.bands.rows, "expected_miss": round(near.bands.expected_miss, 6),
        "candidates": len(pairs.left), "verified": int(true.sum()), "compared_besides": further,
        "duplicates": int(gone.sum()), "clusters": int((clusters > 1).sum()), "largest_cluster": int(clusters.max()),
        "largest_group": int(sizes.max()), "big_buckets": pairs.big_buckets,
    }  # fmt: skip
    return Found(rows[gone], rows[keepers[gone]], value[gone], facts)


@dataclass(frozen=True)
class FindNear:
    """Say of each row that is a near duplicate of a kept row which one that is, by exact Jaccard index.

    fields: for each table ("" where there is one only) the columns that `SignRows` read; near: the same as there;
    tables: the order of the tables, by name if empty. In memory: about 60 bytes a row, and 40 for each pair that agrees in a band; on
    disk while it runs: the shingle sets of rows that are in such a pair.
    """

    fields: Mapping[str, tuple[str, ...]]
    near: Near = Near()
    tables: tuple[str, ...] = ()

    name: ClassVar[str] = "near"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """keys, rows and exact (or keys.<table>, ...: several) -> out (or out.<table>), shard by shard like the keys."""
        keyed = Keyed(inputs, self.tables)
        alive = np.ones(keyed.total, np.bool_)
        merit, protected = np.empty(keyed.total), np.empty(keyed.total, np.bool_)
        exact = [shard for table in keyed.tables for shard in of_table(inputs, "exact", table)]
        for shard, keys in enumerate(keyed.columns(["row", "merit", "protected"])):
            start, end = keyed.borders[shard : shard + 2]
            merit[start:end], protected[start:end] = keys["merit"].to_numpy(), keys["protected"].to_numpy()
            alive[start + np.searchsorted(keys["row"].to_numpy(), exact[shard]["row"].to_numpy())] = False
        places = np.flatnonzero(alive)
        scratch = work.scratch()

        def sets(rows: Rows) -> tuple[Hashes, Offsets]:
            return self._sets(keyed, inputs, places[rows], scratch / "sets")

        try:
            bands = self.agreeing(keyed, inputs, alive, scratch)
            found = search(bands, merit[places], protected[places], self.near, sets)
        except OSError as error:
            raise disk_error(scratch, error) from error
        outputs = keyed.outputs("near", places[found.dropped], places[found.keepers], found.jaccard)
        return Result(dict(outputs), facts=found.facts)

    def agreeing(
        self, keyed: Keyed, inputs: Mapping[str, Any], alive: npt.NDArray[np.bool_], scratch: Path
    ) -> Iterable[Hashes]:
        """For each band a number for each row that takes part; rows with the same number are compared."""
        for name in self.near.band_names():
            parts = [keys[name].to_numpy() for keys in keyed.columns([name])]
            yield np.concatenate([np.empty(0, np.uint64), *parts])[alive]

    def _sets(self, keyed: Keyed, inputs: Mapping[str, Any], places: Rows, file: Path) -> tuple[Hashes, Offsets]:
        """Make the sets of some rows anew from their texts, into a file that is then mapped: what is not used need not stay in memory."""
        sizes = [np.zeros(1, np.int64)]
        texts = [(table, path) for table in keyed.tables for path in of_table(inputs, "rows", table).paths]
        with file.open("wb") as handle:
            for shard, (table, path) in enumerate(texts):
                start, end = np.searchsorted(places, keyed.borders[shard : shard + 2])
                if start == end:
                    continue
                index = read(keyed.paths[shard], ["row"])["row"].to_numpy()[places[start:end] - keyed.borders[shard]]
                rows = read(path, list(self.fields[table])).take(pa.array(index))
                hashes, bounds = self.near.shingling.sets(*buffers(joined(rows, self.fields[table])))
                hashes.tofile(handle)
                sizes.append(np.diff(bounds))
        bounds = np.cumsum(np.concatenate(sizes))
        hashes = np.asarray(np.memmap(file, np.uint64, "r+")) if bounds[-1] else np.empty(0, np.uint64)
        return hashes, bounds
