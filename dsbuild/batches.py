"""Batch plans: which rows each step of training reads, fixed by a seed alone and known without reading a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np

from dsbuild.errors import RecipeError, UnknownName

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


WAYS = ("same", "mixed", "entries", "robin")


def plan_languages(
    sizes: Sequence[int], batch_size: int, *, how: str, seed: int = 0, epoch: int = 0, drop_last: bool = False
) -> BatchPlan:
    """A plan over the rows of several languages: tables that stand one after another, `sizes` rows each, as `concatenate_datasets` makes of them.

    how: `same`, each batch of one language, every row once (Huang et al. 2025); `mixed`, every row once in whatever batch. For parallel tables, whose
    row i is the same entry in every language: `entries`, every entry once, in a drawn language (MTD's Mix Entries), and `robin`, every entry in
    all languages one after another (Round Robin; a multiple of the number of languages as batch_size keeps them in one batch). Mix Passages changes
    the language inside a row: `drawn_languages` says which. Yang et al. 2024 (2405.00977) name these. As in `plan_batches`, the plan is a function
    of its arguments alone; a last batch that is not full is left out with drop_last, under `same` one for each language.

    >>> rows = sum(plan_languages([4, 4], 2, how="entries", seed=1), [])
    >>> sorted(row % 4 for row in rows)
    [0, 1, 2, 3]
    """
    if how not in WAYS:
        raise UnknownName("way to batch languages", how, WAYS)
    if not sizes or min(sizes) < 0 or batch_size < 1:
        raise RecipeError(
            f"sizes={list(sizes)}, batch_size={batch_size}: rows of each language, and at least 1 row a batch"
        )
    if how in ("entries", "robin") and len(set(sizes)) > 1:
        raise RecipeError(
            f"how={how}: tables of {', '.join(map(str, sizes))} rows are not parallel; keep the rows that all languages have"
        )
    if how == "mixed":
        return plan_batches(sum(sizes), batch_size, seed=seed, epoch=epoch, drop_last=drop_last)
    if how == "same":
        return _same_language(sizes, batch_size, seed, epoch, drop_last)
    entries, n = drawn(sizes[0], seed, epoch, 2), len(sizes)
    if how == "entries":
        order = drawn_languages(sizes[0], n, seed=seed, epoch=epoch)[entries, 0] * sizes[0] + entries
    else:
        order = (entries[:, None] + np.arange(n) * sizes[0]).ravel()
    return _cut(order, batch_size, drop_last)


def drawn_languages(
    n_entries: int, n_languages: int, n_passages: int = 1, *, seed: int = 0, epoch: int = 0
) -> np.ndarray:
    """The number of a language for each passage of each entry, (n_entries, n_passages), even draws: Mix Passages.

    A passage keeps its draw whatever other passages there are; another epoch draws anew.
    """
    if n_languages < 1 or n_passages < 1 or n_entries < 0:
        raise RecipeError(f"n_languages={n_languages}, n_passages={n_passages}: at least 1")
    key = _key(seed, epoch, 3)
    hashed = _mixed(
        _mixed(np.arange(n_entries, dtype=np.uint64) ^ key)[:, None] ^ np.arange(n_passages, dtype=np.uint64)
    )
    # The high bits times the number of languages: even to 2**-32, and no sign is in the way.
    found: np.ndarray = (((hashed >> np.uint64(32)) * np.uint64(n_languages)) >> np.uint64(32)).astype(np.int64)
    return found


def _same_language(sizes: Sequence[int], batch_size: int, seed: int, epoch: int, drop_last: bool) -> BatchPlan:
    plans, first = [], 0
    for number, size in enumerate(sizes):
        plans.append(_cut(first + drawn(size, seed, epoch, 4 + number), batch_size, drop_last))
        first += size
    order = np.concatenate([plan._order for plan in plans])
    before = np.cumsum([0, *(len(plan._order) for plan in plans[:-1])])
    starts = np.concatenate([plan._starts + shift for plan, shift in zip(plans, before, strict=True)])
    lengths = np.concatenate([plan._sizes for plan in plans])
    turns = drawn(len(starts), seed, epoch, 1)
    return BatchPlan(order, starts[turns], lengths[turns])


def _cut(order: np.ndarray, batch_size: int, drop_last: bool) -> BatchPlan:
    """Batches of an order as it is."""
    if drop_last:
        order = order[: len(order) // batch_size * batch_size]
    starts = np.arange(0, len(order), batch_size, dtype=np.int64)
    return BatchPlan(order, starts, np.minimum(batch_size, len(order) - starts))


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


class LanguageBatches(EpochBatches):
    """`plan_languages` of every epoch as a `batch_sampler`. sizes: rows of each language in the joined data set."""

    def __init__(
        self, sizes: Sequence[int], batch_size: int, *, how: str, drop_last: bool = False, seed: int = 0
    ) -> None:
        super().__init__(sum(sizes), batch_size, drop_last, seed)
        self.sizes, self.how = tuple(sizes), how
        self._steps = len(self.plan())

    def plan(self) -> BatchPlan:
        """The plan of the epoch."""
        return plan_languages(
            self.sizes, self.batch_size, how=self.how, seed=self.seed, epoch=self.epoch, drop_last=self.drop_last
        )

    def __len__(self) -> int:
        return self._steps


def drawn(n: int, seed: int, epoch: int, use: int) -> np.ndarray:
    """A permutation of 0 .. n - 1, other ones for other seeds, epochs and uses."""
    order: np.ndarray = np.argsort(_mixed(np.arange(n, dtype=np.uint64) ^ _key(seed, epoch, use)), kind="stable")
    return order


def _key(*values: int) -> np.ndarray:
    """One 64-bit number of several."""
    key = np.zeros(1, np.uint64)
    for value in values:
        key = _mixed(key ^ np.uint64(value & _64_BITS))
    return key


def _mixed(values: np.ndarray) -> np.ndarray:
    """SplitMix64, with the wrap-around of 64 bits that it means."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
