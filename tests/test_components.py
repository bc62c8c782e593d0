"""Which rows are linked, directly or through others."""

from __future__ import annotations

import random
from collections import defaultdict

import numpy as np
import pytest

from dsbuild.filters.components import components


def slow_components(n: int, links: list[tuple[int, int]]) -> list[int]:
    """By walking the graph, unlike the union-find that is tested."""
    near = defaultdict(list)
    for one, other in links:
        near[one].append(other)
        near[other].append(one)
    names = [-1] * n
    for start in range(n):
        if names[start] >= 0:
            continue
        waiting = [start]
        while waiting:
            row = waiting.pop()
            if names[row] < 0:
                names[row] = start
                waiting += near[row]
    return names


@pytest.mark.parametrize("seed", range(5))
def test_components_are_what_a_walk_of_the_graph_finds(seed):
    draw = random.Random(seed)
    links = [(draw.randrange(300), draw.randrange(300)) for _ in range(180)]
    left, right = np.array(links).T
    assert components(300, left, right).tolist() == slow_components(300, links)


def test_a_long_chain_in_any_order_is_one_component():
    links = np.random.default_rng(0).permutation(np.stack((np.arange(9999), np.arange(1, 10000)), axis=1))
    assert (components(10000, links[:, 0], links[:, 1]) == 0).all()
