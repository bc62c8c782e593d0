"""Rows per second of read -> a stage that changes nothing -> write, against the same loop in bare Arrow.

Both read the same Parquet files of passages and write files of 65,536 rows with the same codec. The pipeline does it as a
build does: the source's reader and checks, units by key, a pool of two processes, atomic and synced writes, digests,
verdicts and records. Bare Arrow reads a batch and writes it. Repetitions alternate; figures are medians of their ratios.
Then the finished run is run again: seconds per million rows until it is known that nothing is left to do.

    python bench/rows.py [--rows N] [--repetitions N] [--quick] [--format json]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
from texts import Prose

from dsbuild import executors, run
from dsbuild.builders.sources.read import ReadSource
from dsbuild.builders.sources.source import BATCH_ROWS, open_source
from dsbuild.graph import Input, Node
from dsbuild.stage import Result, Shard, Workspace
from dsbuild.store import Store

GOAL_RATIO = 0.5
GOAL_RESUME_S = 2.0
WORKERS = 2


@dataclass(frozen=True)
class Same:
    """Hands its rows on."""

    name: ClassVar[str] = "same"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows -> out."""
        return Result({"out": [Shard(inputs["rows"])]})


def make_set(folder: Path, n_rows: int, n_files: int = 4) -> None:
    """A retrieval set in Parquet: passages, and a few queries with judgements."""
    prose = Prose(seed=21)
    for table in ("corpus", "queries", "qrels"):
        (folder / table).mkdir(parents=True)
    done = 0
    for number in range(n_files):
        count = n_rows // n_files if number < n_files - 1 else n_rows - done
        with pq.ParquetWriter(
            folder / f"corpus/part-{number}.parquet",
            pa.schema([("doc_id", pa.string()), ("text", pa.string())]),
            compression="zstd",
        ) as writer:
            for texts in prose.passages(count):
                ids = pa.array([f"d{done + place}" for place in range(len(texts))])
                writer.write_table(pa.table({"doc_id": ids, "text": texts}))
                done += len(texts)
    queries = prose.sentences(prose.lengths(200, mean=6))
    pq.write_table(
        pa.table({"query_id": [f"q{n}" for n in range(200)], "text": queries}), folder / "queries/train.parquet"
    )
    judged = {
        "query_id": [f"q{n}" for n in range(200)],
        "doc_id": [f"d{n}" for n in range(200)],
        "relevance": [1] * 200,
    }
    pq.write_table(pa.table(judged), folder / "qrels/train.parquet")


def bare(source: Path, out: Path) -> None:
    """The loop in Arrow alone."""
    out.mkdir()
    number = 0
    for path in sorted((source / "corpus").glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(BATCH_ROWS):
            pq.write_table(
                pa.Table.from_batches([batch]), out / f"{number}.parquet", row_group_size=BATCH_ROWS, compression="zstd",
                compression_level=1, use_dictionary=False, write_statistics=False,
            )  # fmt: skip
            number += 1


def pipeline(source: Path, store: Path, executor: str) -> None:
    """The same as a build."""
    opened = open_source(f"parquet:{source}", lang="en")
    kept = Store(store)
    nodes = [
        Node("read", ReadSource.of(opened, opened.facts(store / "digests"), {}, {})),
        Node("same", Same(), {"rows": Input("read", "corpus")}),
    ]
    run.run(nodes, kept, "bench", executors.make(executor, WORKERS))


def seconds(work: Any, *arguments: Any) -> float:
    """Wall seconds of a call, files on the disk included."""
    os.sync()
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started


def main() -> int:
    """Run the bench and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few rows: shows that it runs, measures nothing")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.repetitions = 3_000, 1
    times: dict[str, list[float]] = {"bare": [], "local": [], "in-process": [], "resume": []}
    with tempfile.TemporaryDirectory(prefix="dsbuild-bench-") as name:
        work = Path(name)
        make_set(work / "set", options.rows)
        for repetition in range(options.repetitions):
            for what in ("bare", "local", "in-process")[:: 1 if repetition % 2 == 0 else -1]:
                folder = work / what
                if what == "bare":
                    times[what].append(seconds(bare, work / "set", folder))
                else:
                    times[what].append(seconds(pipeline, work / "set", folder, what))
                if what == "local":
                    times["resume"].append(seconds(pipeline, work / "set", folder, what))
                shutil.rmtree(folder)
    ratios = {
        what: [one / other for one, other in zip(times["bare"], times[what], strict=True)]
        for what in ("local", "in-process")
    }
    report = {
        "rows": options.rows, "repetitions": options.repetitions, "workers": WORKERS,
        "rows_per_s": {what: round(options.rows / statistics.median(found)) for what, found in times.items() if what != "resume"},
        "ratio": {
            "median": round(statistics.median(ratios["local"]), 3), "goal": GOAL_RATIO,
            "all": [round(one, 3) for one in ratios["local"]],
            "in_process": round(statistics.median(ratios["in-process"]), 3),
        },
        "resume_s_per_million_rows": {
            "median": round(statistics.median(times["resume"]) * 1e6 / options.rows, 3), "goal": GOAL_RESUME_S,
        },
    }  # fmt: skip
    print(json.dumps(report) if options.format == "json" else json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
