"""Batch plans: every row once, the same on every machine, divisible and resumable."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from itertools import pairwise

import pytest

import dsbuild
from dsbuild.batches import EpochBatches, LanguageBatches, drawn_languages, plan_batches, plan_languages
from dsbuild.errors import DsbuildError, RecipeError


def flat(batches: Iterable[list[int]]) -> list[int]:
    return [row for batch in batches for row in batch]


@pytest.mark.parametrize(("n_rows", "size"), [(0, 4), (1, 4), (3, 4), (4, 4), (1000, 7), (1001, 7)])
@pytest.mark.parametrize("by_length", [False, True])
def test_every_row_stands_in_one_batch(n_rows: int, size: int, by_length: bool) -> None:
    lengths = [row * 37 % 101 for row in range(n_rows)] if by_length else None
    plan = plan_batches(n_rows, size, seed=3, lengths=lengths)
    assert sorted(flat(plan)) == list(range(n_rows))
    assert (len(plan), plan.num_rows) == (-(-n_rows // size), n_rows)
    assert all(len(batch) == size for batch in plan[: n_rows // size])
    whole = plan_batches(n_rows, size, seed=3, lengths=lengths, drop_last=True)
    assert (len(whole), len(set(flat(whole)))) == (n_rows // size, n_rows // size * size)


def test_the_plan_is_the_same_on_every_machine() -> None:
    """Worked out with Python's own integers."""

    def mixed(value: int) -> int:
        value = (value + 0x9E3779B97F4A7C15) % 2**64
        value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
        return value ^ value >> 31

    for seed, epoch in ((0, 0), (1, 0), (1, 1), (-5, 2), (2**70 + 1, 0)):
        key = 0
        for one in (seed, epoch, 0):
            key = mixed(key ^ one % 2**64)
        expected = sorted(range(50), key=lambda row: mixed(row ^ key))
        assert flat(plan_batches(50, 8, seed=seed, epoch=epoch)) == expected
    assert mixed(0) == 0xE220A8397B1DCDAF  # the first number of the published generator with seed 0


def test_epochs_and_seeds_differ_and_lose_other_rows() -> None:
    plans = [plan_batches(100, 30, seed=seed, epoch=epoch, drop_last=True) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert len({tuple(flat(plan)) for plan in plans}) == 6
    assert len({frozenset(flat(plan)) for plan in plans}) == 6


def test_going_on_and_sharing() -> None:
    plan = plan_batches(103, 10, seed=5)
    assert list(plan[4:]) == list(plan)[4:]
    assert [plan[0], plan[-1]] == list(plan)[::10]
    for world in (1, 2, 3, 11, 12):
        shards = [plan.shard(rank, world) for rank in range(world)]
        assert sorted(flat(batch for shard in shards for batch in shard)) == list(range(103))
        assert [batch for step in range(len(plan)) for batch in [shards[step % world][step // world]]] == list(plan)
        even = [plan.shard(rank, world, even=True) for rank in range(world)]
        assert len({len(shard) for shard in even}) == 1
    assert list(plan.shard(1, 3)[2:]) == list(plan)[7::3]
    with pytest.raises(IndexError):
        plan[11]


def test_like_lengths_stand_together() -> None:
    lengths = [(row * 7919) % 1000 for row in range(5000)]
    spread = {}
    for name, given in (("grouped", lengths), ("shuffled", None)):
        plan = plan_batches(5000, 16, seed=1, lengths=given)
        spread[name] = sum(
            max(lengths[row] for row in batch) - min(lengths[row] for row in batch) for batch in plan
        ) / len(plan)
    assert spread["grouped"] < spread["shuffled"] / 20
    grouped = plan_batches(5000, 16, seed=1, lengths=lengths)
    means = [sum(lengths[row] for row in batch) / len(batch) for batch in grouped]
    assert means[:60] != sorted(means[:60])


def test_a_plan_is_small() -> None:
    tracemalloc.start()
    plan = plan_batches(1_000_000, 64)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 9_000_000
    assert peak < 60_000_000
    assert repr(plan) == "BatchPlan(15,625 steps, 1,000,000 rows)"


def test_a_sampler_for_trainers() -> None:
    sampler = EpochBatches(range(10), batch_size=4, drop_last=False, seed=2, generator=None)
    first = list(sampler)
    assert (len(sampler), first) == (3, list(dsbuild.plan_batches(10, 4, seed=2)))
    sampler.set_epoch(1)
    assert list(sampler) == list(dsbuild.plan_batches(10, 4, seed=2, epoch=1)) != first
    assert len(EpochBatches(10, 4, drop_last=True)) == len(list(EpochBatches(10, 4, drop_last=True))) == 2


def test_bad_arguments_are_one_line() -> None:
    for words, call in {
        "batch_size=0: must be at least 1": lambda: plan_batches(3, 0),
        "epoch=-1: must be at least 0": lambda: plan_batches(3, 1, epoch=-1),
        "lengths: 2 numbers for 3 rows": lambda: plan_batches(3, 1, lengths=[1, 2]),
        "shard 2 of 2": lambda: plan_batches(3, 1).shard(2, 2),
        "shard 0 of 0": lambda: plan_batches(3, 1).shard(0, 0),
    }.items():
        with pytest.raises(RecipeError, match=words):
            call()


def test_batches_of_one_language_each() -> None:
    sizes = [10, 0, 7]
    plan = plan_languages(sizes, 4, how="same", seed=3)
    assert sorted(flat(plan)) == list(range(17))
    assert all(max(batch) < 10 or min(batch) >= 10 for batch in plan)
    assert sorted(map(len, plan)) == [2, 3, 4, 4, 4]
    assert sorted(map(len, plan_languages(sizes, 4, how="same", drop_last=True))) == [4, 4, 4]
    order = [max(batch) < 400 for batch in plan_languages([400, 400], 4, how="same", seed=1)]
    assert 60 < sum(one != other for one, other in pairwise(order)) < 140, "languages take turns"


def test_an_entry_once_in_a_drawn_language_or_in_all() -> None:
    entries = flat(plan_languages([300, 300, 300], 8, how="entries", seed=5))
    assert sorted(row % 300 for row in entries) == list(range(300))
    assert all(70 < sum(row // 300 == lang for row in entries) < 130 for lang in range(3))
    robin = plan_languages([300, 300, 300], 6, how="robin", seed=5)
    assert sorted(flat(robin)) == list(range(900))
    for batch in robin:
        assert [row // 300 for row in batch] == [0, 1, 2, 0, 1, 2]
        assert len({row % 300 for row in batch}) == 2
    assert sorted(flat(plan_languages([3, 5], 2, how="mixed"))) == list(range(8))


def test_a_passage_keeps_the_language_that_it_drew() -> None:
    drawn = drawn_languages(2000, 3, 6, seed=1)
    assert drawn.shape == (2000, 6)
    assert set(drawn.ravel().tolist()) == {0, 1, 2}
    assert all(0.31 < (drawn == lang).mean() < 0.36 for lang in range(3))
    assert (drawn_languages(500, 3, 2, seed=1) == drawn[:500, :2]).all(), "whatever other passages there are"
    assert (drawn_languages(2000, 3, 6, seed=1, epoch=1) != drawn).any()
    assert 0.2 < (drawn[:, 0] == drawn[:, 1]).mean() < 0.46, "passages of an entry draw apart"


def test_languages_as_a_sampler_for_trainers() -> None:
    sampler = LanguageBatches([6, 6], 4, how="same", seed=2)
    first = list(sampler)
    assert len(sampler) == len(first) == 4
    assert first == list(plan_languages([6, 6], 4, how="same", seed=2))
    sampler.set_epoch(1)
    assert list(sampler) == list(plan_languages([6, 6], 4, how="same", seed=2, epoch=1)) != first


def test_plans_over_languages_that_cannot_be() -> None:
    for words, call in {
        "no way to batch languages 'robbin'. Did you mean 'robin'": lambda: plan_languages([1], 1, how="robbin"),
        "tables of 3, 4 rows are not parallel": lambda: plan_languages([3, 4], 1, how="robin"),
        "at least 1 row a batch": lambda: plan_languages([3], 0, how="same"),
        "n_passages=0": lambda: drawn_languages(3, 2, 0),
    }.items():
        with pytest.raises(DsbuildError, match=words):
            call()
