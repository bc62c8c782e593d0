"""Links by text against a comparison of every pair."""

import itertools
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dsbuild.filters.link_texts import SignTexts, links_schema
from dsbuild.filters.linked_rows import Linked, Nodes
from dsbuild.filters.near_duplicates import Near
from dsbuild.filters.text_links import link_texts
from dsbuild.stage import Shards, Workspace

NEAR = Near(0.6, 0.98)


def grams(text: str) -> set[str]:
    return {text[i : i + 5] for i in range(len(text) - 4)} or {text}


def links(tmp_path: Path, shards: list[list[tuple[str, str]]]):
    paths, keys = [], []
    for number, given in enumerate(shards):
        rows = pa.table({"id": [name for name, _ in given], "text": [text for _, text in given]})
        signed = SignTexts("id", ("text",), NEAR).run({"rows": rows}, Workspace("key", tmp_path, tmp_path))
        for name, table, found in (("rows", rows, paths), ("keys", next(iter(signed.outputs["keys"])).table, keys)):
            found.append(tmp_path / f"{name}{number}.parquet")
            pq.write_table(table, found[-1])
    inputs = {"rows.t": Shards(paths), "keys.t": Shards(keys)}
    tables = (Linked("t", "documents", "id", ("text",)),)
    nodes = Nodes(tables, inputs)
    return nodes, link_texts(tables, NEAR, nodes, inputs, tmp_path)


def texts(n: int) -> list[tuple[str, str]]:
    draw = random.Random(4)
    found: list[tuple[str, str]] = []
    for i in range(n):
        letters = "".join(draw.choices("abcdefghij", k=draw.randint(20, 60)))
        if i % 3 == 2:
            letters = found[draw.randrange(i)][1]
            at = draw.randrange(len(letters))
            letters = letters[:at] + "z" * (i % 2) + letters[at:]
        found.append((f"r{i:03}", letters))
    return found


def test_links_are_those_of_all_pairs(tmp_path: Path) -> None:
    given = texts(90)
    nodes, found = links(tmp_path, [given[:40], [], given[40:]])
    assert nodes.names(np.arange(nodes.total)) == [f"documents:{name}" for name, _ in given]
    sets = [grams(text) for _, text in given]
    equal = {(i, j) for i, j in itertools.combinations(range(90), 2) if given[i][1] == given[j][1]}
    assert {tuple(sorted(pair)) for pair in found.equal.T.tolist()} <= equal
    mine = {
        tuple(sorted((one, other))): value
        for one, other, value in zip(found.left, found.right, found.value, strict=True)
    }
    for (i, j), value in mine.items():
        assert abs(value - len(sets[i] & sets[j]) / len(sets[i] | sets[j])) < 1e-9
    first = [min(j for j in range(90) if given[j][1] == given[i][1]) for i in range(90)]
    for i, j in itertools.combinations(range(90), 2):
        if first[i] == i and first[j] == j and len(sets[i] & sets[j]) / len(sets[i] | sets[j]) >= 0.8:
            assert (i, j) in mine


def test_the_order_of_rows_and_shards_changes_nothing(tmp_path: Path) -> None:
    given = texts(60)
    turned = given[::-1]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    _, one = links(tmp_path / "a", [given])
    _, other = links(tmp_path / "b", [turned[:10], turned[10:]])
    pairs = [
        {
            (min(i, j), max(i, j), round(v, 9))
            for i, j, v in zip(x.left.tolist(), x.right.tolist(), x.value.tolist(), strict=True)
        }
        for x in (one, other)
    ]
    assert pairs[0] == pairs[1]
    assert one.equal.tolist() == other.equal.tolist()


def test_texts_without_anything_to_read_link_nothing(tmp_path: Path) -> None:
    nodes, found = links(tmp_path, [[("a", ""), ("b", " "), ("c", "..."), ("d", ""), ("e", "1"), ("f", "१")]])
    assert found.n_texts == 2
    assert found.equal.T.tolist() == [[4, 5]]
    assert nodes.total == 6


def test_sides_of_pairs(tmp_path: Path) -> None:
    rows = pa.table({"id": ["p", "q"], "a": ["one two three four", "yes"], "b": ["eins zwei drei", None]})
    stage = SignTexts("id", ("a", "b"), NEAR, sides=True)
    keys = next(iter(stage.run({"rows": rows}, Workspace("key", tmp_path, tmp_path)).outputs["keys"])).table
    assert keys.schema == links_schema(NEAR)
    assert sorted(zip(keys["row"].to_pylist(), keys["side"].to_pylist(), strict=True)) == [
        (0, -1),
        (0, 0),
        (0, 1),
        (1, -1),
    ]
