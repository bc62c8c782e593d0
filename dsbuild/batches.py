"""Batch plans: which rows each step of training reads, fixed by a seed alone and known without reading a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np

from dsbuild.errors import RecipeError

# Rows that are sorted by length together, in batches: fewer and batches are less even, more and epochs differ less.
_POOL_BATCHES = 64
_64_BITS = 2**64 - 1


class BatchPlan(Sequence[list[int]]):
    """The batches of one epoch: `plan[k]` are the row positions of step k.

    A slice is a plan again, so `plan[k:]` goes on after k steps and `plan.shard(rank, world)` is the part of one of several
    processes. Iterating yields lists of integers, as a torch `batch_sampler` does. Memory: 8 bytes a row, shared by all parts of a plan.
    """

    def __init__(self, order: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> None:
        self._order, self._starts, self._sizes = order, starts, sizes

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, step: int) -> list[int]: ...
    @overload
    def __getitem__(self, step: slice) -> BatchPlan: ...
    def __getitem__(self, step: int | slice) -> list[int] | BatchPlan:
        if isinstance(step, slice):
            return BatchPlan(self._order, self._starts[step], self._sizes[step])
        start = int(self._starts[step])
        found: list[int] = self._order[start : start + int(self._sizes[step])].tolist()
        return found

    def __iter__(self) -> Iterator[list[int]]:
        return (self[step] for step in range(len(self)))

    def __repr__(self) -> str:
        return f"BatchPlan({len(self):,} steps, {self.num_rows:,} rows)"

    @property
    def num_rows(self) -> int:
        """Rows in all batches together."""
        return int(self._sizes.sum())

    def shard(self, rank: int, world: int, *, even: bool = False) -> BatchPlan:
        """The batches of one of `world` processes: no batch is in two parts, and the parts together are the plan.

        Parts may differ by one batch; `even` leaves out the last batches that not every process would get.
        """
        if world < 1 or not 0 <= rank < world:
            raise RecipeError(f"shard {rank} of {world}: the rank is a number from 0 to world - 1")
        return self[: len(self) - len(self) % world if even else len(self)][rank::world]


def plan_batches(
    n_rows: int, batch_size: int, *, seed: int = 0, epoch: int = 0, drop_last: bool = False, lengths: Any = None
) -> BatchPlan:
    """A plan over rows 0 .. n_rows - 1, each in one batch, in an order that `seed` and `epoch` decide on every machine.

    drop_last: leave out the rows (other ones in each epoch) that fill no batch; else they are the last batch. lengths: one number a row; rows of
    like length then share a batch, the order of the batches is still drawn. The order is that of the SplitMix64 hash (Steele, Lea and Flood
    2014) of seed, epoch and row, so it does not depend on the version of a library.

    >>> plan = plan_batches(7, 3, seed=1)
    >>> sorted(sum(plan, [])), [len(batch) for batch in plan]
    ([0, 1, 2, 3, 4, 5, 6], [3, 3, 1])
    """
    for name, value, least in (("n_rows", n_rows, 0), ("batch_size", batch_size, 1), ("epoch", epoch, 0)):
        if value < least:
            raise RecipeError(f"{name}={value}: must be at least {least}")
    if lengths is not None and len(lengths) != n_rows:
        raise RecipeError(f"lengths: {len(lengths):,} numbers for {n_rows:,} rows")
    order = drawn(n_rows, seed, epoch, 0)
    full, rest = divmod(n_rows, batch_size)
    if drop_last:
        order = order[: full * batch_size]
    n_batches = full + (rest > 0 and not drop_last)
    starts = np.arange(n_batches, dtype=np.int64) * batch_size
    sizes = np.minimum(batch_size, len(order) - starts)
    if lengths is not None:
        sortable = np.asarray(lengths)
        pool = _POOL_BATCHES * batch_size
        # A short batch stays the last, so the rows of full batches are sorted among themselves.
        for start in range(0, full * batch_size, pool):
            rows = order[start : min(start + pool, full * batch_size)]
            rows[:] = rows[np.argsort(sortable[rows], kind="stable")]
        starts[:full] = starts[:full][drawn(full, seed, epoch, 1)]
    return BatchPlan(order, starts, sizes)


class EpochBatches:
    """The plans of all epochs as one `batch_sampler`, for trainers: `set_epoch` chooses which plan the next iteration is.

    rows: how many rows, or a data set that has a length. Further arguments that a trainer hands over are not needed.
    """

    def __init__(
        self, rows: Any, batch_size: int, drop_last: bool = False, seed: int = 0, lengths: Any = None, **other: Any
    ) -> None:
        self.n_rows = rows if isinstance(rows, int) else len(rows)
        self.batch_size, self.drop_last, self.seed, self.lengths = batch_size, drop_last, seed, lengths
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Take the plan of this epoch from the next iteration on."""
        self.epoch = epoch

    def plan(self) -> BatchPlan:
        """The plan of the epoch."""
        return plan_batches(
            self.n_rows,
            self.batch_size,
            seed=self.seed,
            epoch=self.epoch,
            drop_last=self.drop_last,
            lengths=self.lengths,
        )

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.plan())

    def __len__(self) -> int:
        return self.n_rows // self.batch_size if self.drop_last else -(-self.n_rows // self.batch_size)


def drawn(n: int, seed: int, epoch: int, use: int) -> np.ndarray:
    """A permutation of 0 .. n - 1, other ones for other seeds, epochs and uses."""
    key = np.zeros(1, np.uint64)
    for value in (seed, epoch, use):
        key = _mixed(key ^ np.uint64(value & _64_BITS))
    order: np.ndarray = np.argsort(_mixed(np.arange(n, dtype=np.uint64) ^ key), kind="stable")
    return order


def _mixed(values: np.ndarray) -> np.ndarray:
    """SplitMix64, with the wrap-around of 64 bits that it means."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
