"""What duplicates are found by: digests, band hashes, and who is rather kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dsbuild.errors import RecipeError
from dsbuild.filters.near_duplicates import Near
from dsbuild.filters.sign_rows import SignRows, digests, keys_schema
from dsbuild.filters.utf8 import encode
from dsbuild.stage import Workspace


def signed(stage: SignRows, rows: pa.Table) -> pa.Table:
    (shard,) = stage.run({"rows": rows}, Workspace("k", Path(), Path())).outputs["keys"]
    assert shard.table.schema == keys_schema(stage.near)
    return shard.table


def test_digests_follow_the_declared_form() -> None:
    texts = ["Café  x", "Cafe\u0301 x ", "café x", "cafe x", "", " ", "x" * 9_000_000]
    spaced, folded = (digests(*encode(texts), form).to_pylist() for form in ("spaced", "folded"))
    assert [spaced.index(one) for one in spaced] == [0, 0, 2, 3, 4, 4, 6]
    assert [folded.index(one) for one in folded] == [0, 0, 0, 3, 4, 4, 6]
    assert digests(*encode([]), "spaced").to_pylist() == []
    assert all(len(one) == 16 for one in spaced)


def test_rows_that_take_part(tmp_path) -> None:
    rows = pa.table(
        {
            "id": ["a", "b", "c"], "text": ["x", None, "z"], "fate": ["kept", "dropped", "kept"], "split": ["test", "test", "train"],
            "score": [1.0, 2.0, None],
        }
    )  # fmt: skip
    stage = SignRows("id", ("text",), policy="best", score_column="score", protected=("test",))
    (shard,) = stage.run({"rows": rows}, Workspace("k", tmp_path, tmp_path)).outputs["keys"]
    keys = shard.table.to_pydict()
    assert [keys[name] for name in ("row", "id", "merit", "protected")] == [
        [0, 2],
        ["a", "c"],
        [1.0, -np.inf],
        [True, False],
    ]
    assert "band_000" not in keys


def test_equal_texts_have_equal_keys_wherever_they_stand() -> None:
    near = Near(jaccard=0.9, texts=100)
    texts = ["The river is wide.", "An old boat lies on its bank.", "the river is wide", "", ""]
    keys = signed(SignRows("id", ("text",), near=near), pa.table({"id": list("abcde"), "text": texts}))
    bands = [tuple(keys[name][row].as_py() for name in near.band_names()) for row in range(len(texts))]
    assert bands[0] == bands[2] != bands[1]
    assert bands[3] == bands[4]
    assert keys["digest"][0] != keys["digest"][2], "case counts in the digest, not in the bands"
    assert keys["merit"].to_pylist() == [18.0, 29.0, 17.0, 0.0, 0.0]
    alone = signed(SignRows("id", ("text",), near=near), pa.table({"id": ["x"], "text": texts[2:3]}))
    assert alone.drop_columns(["row", "id"]) == keys.slice(2, 1).drop_columns(["row", "id"])


def test_a_protected_column_protects_like_a_split() -> None:
    rows = pa.table({"id": ["a", "b"], "text": ["x", "y"], "split": [None, "test"], "protected": [True, False]})
    assert signed(SignRows("id", ("text",), protected=("test",)), rows)["protected"].to_pylist() == [True, True]
    assert signed(SignRows("id", ("text",)), rows)["protected"].to_pylist() == [True, False]


def test_no_rows_and_no_score() -> None:
    nothing = pa.table({"id": pa.array([], pa.string()), "text": pa.array([], pa.string())})
    assert signed(SignRows("id", ("text",), near=Near()), nothing).num_rows == 0
    with pytest.raises(RecipeError, match="there is no score column"):
        signed(SignRows("id", ("text",), policy="best"), pa.table({"id": ["a"], "text": ["x"]}))
