from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dsbuild import parquet
from dsbuild.errors import StoreError
from dsbuild.filters.datatrove_minhash import Documents, FindNearDatatrove, find_clusters
from dsbuild.filters.exact_duplicates import FindExact
from dsbuild.filters.near_duplicates import FindNear, Near
from dsbuild.filters.sign_rows import SignRows
from dsbuild.stage import Shards, Workspace, parameters

pytest.importorskip("datatrove")

NEAR = Near(jaccard=0.7, unit="words", n=2, texts=100)


def inputs_of(folder: Path, shards: list[list[str]]) -> dict[str, Any]:
    work = Workspace("u", folder, folder)
    paths: dict[str, list[Path]] = {
        name: [folder / f"{name}-{n}.parquet" for n in range(len(shards))] for name in ("rows", "keys", "exact")
    }
    for number, texts in enumerate(shards):
        rows = pa.table({"id": [f"{number}-{row}" for row in range(len(texts))], "text": texts})
        parquet.write_unit(paths["rows"][number], rows)
        keys = next(iter(SignRows("id", ("text",), near=NEAR).run({"rows": rows}, work).outputs["keys"])).table
        parquet.write_unit(paths["keys"][number], keys)
    found = FindExact().run({"keys": Shards(paths["keys"])}, work).outputs["out"]
    for number, shard in enumerate(found):
        parquet.write_unit(paths["exact"][number], shard.table)
    return {name: Shards(one) for name, one in paths.items()}


def texts_of(count: int, seed: int) -> list[str]:
    draw = np.random.default_rng(seed)
    texts = []
    for number in range(count):
        words = [f"w{number}x{place}" for place in range(30)] if number % 4 == 0 else texts[-1].split()
        words[int(draw.integers(0, 30))] = f"new{number}"
        texts.append(" ".join(words))
    return texts


def test_it_finds_what_the_stage_finds(tmp_path, capfd) -> None:
    texts = texts_of(40, 1)
    inputs = inputs_of(tmp_path, [texts[:25], texts[25:], [texts[3], "none like it"]])
    ours = FindNear({"": ("text",)}, NEAR).run(inputs, Workspace("ours", tmp_path, tmp_path))
    theirs = FindNearDatatrove({"": ("text",)}, NEAR).run(inputs, Workspace("theirs", tmp_path, tmp_path))
    wanted, found = ([shard.table for shard in result.outputs["out"]] for result in (ours, theirs))
    assert found == wanted
    assert sum(map(len, found)) > 20
    assert "workers" not in parameters(FindNearDatatrove({}, NEAR, workers=3))


def test_rows_that_changed_since_they_were_signed_are_refused(tmp_path, capfd) -> None:
    inputs = inputs_of(tmp_path, [texts_of(12, 2)])
    source = Documents(
        ((str(inputs["rows"].paths[0]), str(inputs["keys"].paths[0]), ("text",)),), (np.arange(12),), tmp_path / "d"
    )
    find_clusters(source, NEAR, 1)
    source.check()
    changed = parquet.read(inputs["rows"].paths[0])["text"].to_pylist()
    changed[3], changed[4] = changed[4], changed[3]
    parquet.write_unit(inputs["rows"].paths[0], pa.table({"id": [str(row) for row in range(12)], "text": changed}))
    with pytest.raises(StoreError, match="not the rows that were signed"):
        source.check()
