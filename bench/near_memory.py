"""The stages for duplicates on a table of synthetic rows: `python bench/near_memory.py ROWS FOLDER` prints their peak memory in bytes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import corpus
import numpy as np
import pyarrow as pa

from dsbuild import parquet
from dsbuild.filters.exact_duplicates import FindExact
from dsbuild.filters.near_duplicates import FindNear, Near
from dsbuild.filters.sign_rows import SignRows
from dsbuild.stage import Result, Shards, Workspace

SHARD = 10_000


def rows_of(first: int, count: int, texts: list[str]) -> pa.Table:
    """Short rows that are all different, a tenth of them near duplicates of another row."""
    draw = np.random.default_rng(first)
    words = [text.split() for text in texts]
    bodies = []
    for row in range(count):
        if row % 10 == 9:
            bodies.append(f"{bodies[-1]} again")
            continue
        start = int(draw.integers(0, 20))
        bodies.append(
            " ".join(
                [
                    str(first + row),
                    *words[int(draw.integers(0, len(words)))][start : start + 20],
                    *draw.choice(words[0], 30),
                ]
            )
        )
    return pa.table({"id": [str(first + row) for row in range(count)], "text": bodies})


def peak() -> int:
    """The largest resident size of this program; that of `getrusage` would count what started it."""
    (line,) = [line for line in Path("/proc/self/status").read_text("ascii").splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def main() -> None:
    """Make shards, sign them, search them."""
    total, folder = int(sys.argv[1]), Path(sys.argv[2])
    texts = corpus.make(500, seed=3).texts
    work = Workspace("memory", folder, folder)
    near = Near(unit="words", texts=total)
    paths: dict[str, list[Path]] = {"rows": [], "keys": [], "exact": [], "near": []}

    def save(name: str, shard: int, table: pa.Table) -> None:
        path = folder / f"{name}-{shard}.parquet"
        parquet.write_unit(path, table)
        paths[name].append(path)

    def save_all(name: str, result: Result) -> dict[str, Any]:
        for number, one in enumerate(result.outputs["out"]):
            save(name, number, one.table)
        return result.facts

    for shard, first in enumerate(range(0, total, SHARD)):
        save("rows", shard, rows_of(first, min(SHARD, total - first), texts))
        result = SignRows("id", ("text",), near=near).run({"rows": parquet.read(paths["rows"][-1])}, work)
        save("keys", shard, next(iter(result.outputs["keys"])).table)
    inputs = {"keys": Shards(paths["keys"]), "rows": Shards(paths["rows"])}
    save_all("exact", FindExact().run(inputs, work))
    facts = save_all("near", FindNear({"": ("text",)}, near).run({**inputs, "exact": Shards(paths["exact"])}, work))
    print(facts, file=sys.stderr)
    print(peak())


if __name__ == "__main__":
    main()
