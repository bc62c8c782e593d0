"""Duplicates across tables: places, names and shards; and the nodes that look for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dsbuild import parquet
from dsbuild.builders.filtering.duplicates import duplicate_nodes, near_of
from dsbuild.builders.filtering.filtered import Stream
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.filters.duplicates import DUPLICATES, Keyed, joined
from dsbuild.stage import Shards


def keys(folder: Path, table: str, *shards: list[str]) -> Shards:
    paths = [folder / f"{table}-{number}.parquet" for number in range(len(shards))]
    for path, ids in zip(paths, shards, strict=True):
        # Every second row takes part, so that a row's index is not its place.
        rows = pa.array([2 * place for place in range(len(ids))], pa.int64())
        parquet.write_unit(path, pa.table({"row": rows, "id": pa.array(ids, pa.string())}))
    return Shards(paths)


def test_what_is_said_goes_to_the_shard_of_the_row_that_goes(tmp_path: Path) -> None:
    inputs = {"keys.b": keys(tmp_path, "b", ["b0", "b1"], [], ["b2"]), "keys.a": keys(tmp_path, "a", ["a0"])}
    keyed = Keyed(inputs, ("b", "a"))
    assert (keyed.tables, keyed.total, keyed.borders.tolist()) == (["b", "a"], 4, [0, 2, 2, 3, 4])
    found = keyed.outputs("near", np.array([1, 2]), np.array([3, 0]), np.array([0.9, 0.8]))
    shards = {name: [shard.table for shard in one] for name, one in found.items()}
    assert {name: [table.num_rows for table in tables] for name, tables in shards.items()} == {
        "out.b": [1, 0, 1],
        "out.a": [0],
    }
    assert all(table.schema == DUPLICATES for tables in shards.values() for table in tables)
    first, last = shards["out.b"][0].to_pylist()[0], shards["out.b"][2].to_pylist()[0]
    assert first == {
        "table": "b",
        "row": 2,
        "id": "b1",
        "keeper_table": "a",
        "keeper": "a0",
        "kind": "near",
        "jaccard": 0.9,
    }
    assert (last["row"], last["id"], last["keeper_table"], last["keeper"]) == (0, "b2", "b", "b0")
    assert Keyed(inputs).tables == ["a", "b"], "by name, where no order is given"


def test_fields_are_one_text() -> None:
    rows = pa.table({"title": ["A", None, ""], "text": ["x", "y", None]})
    assert joined(rows, ("title", "text")).to_pylist() == ["A\nx", "\ny", "\n"]
    assert joined(rows, ("text",)).to_pylist() == ["x", "y", ""]


def nodes(groups: tuple[str, ...], **options: dict[str, Any]) -> tuple[list[str], set[str]]:
    stream = Stream("documents", "doc_id", ("text",), ("lang",), "document", groups)
    made, found = duplicate_nodes(stream, {group: options.get(group, {}) for group in groups}, ())
    return [node.name for node in made], set(found)


def test_only_what_is_asked_for_is_looked_for() -> None:
    assert nodes(("language",)) == ([], set())
    assert nodes(("exact",)) == (["sign.documents", "exact.documents"], {"exact"})
    every = (["sign.documents", "exact.documents", "neardup.documents"], {"exact", "near", "near_all"})
    assert nodes(("neardup",)) == nodes(("exact", "neardup"), neardup={"jaccard": 0.7, "backend": "datatrove"}) == every


@pytest.mark.parametrize(
    ("options", "said"),
    [({"unit": "letters"}, "shingle unit"), ({"jaccard": 0}, "above 0"), ({"jaccard": True}, "above 0"), ({"recall": "high"}, "above 0"),
     ({"n": -1}, "whole number"), ({"n": 2.5}, "whole number")],
)  # fmt: skip
def test_what_counts_as_near_is_checked(options: dict[str, Any], said: str) -> None:
    with pytest.raises((RecipeError, UnknownName), match=said):
        near_of(options)


def test_unknown_backends_and_policies_are_refused() -> None:
    for options in ({"backend": "spark"}, {"keeper": "newest"}):
        with pytest.raises(UnknownName):
            nodes(("neardup",), neardup=options)
