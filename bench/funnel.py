"""The default funnel on generated rows made of real MS MARCO text: rows a second, and what ten times the rows need of memory.

A row is the start of a real query and words of a real passage, which is its source; some rows have planted faults (too short, leaked
words, a pronoun, a copied span, another language, the words of another passage, the text of another row), so that every step has
work. Each size runs in a process of its own, one worker. With --triplets each row has two real passages of the set as its documents, its own
and another one; copied spans and ranks are of the query as before.

    python bench/funnel.py [--rows 100000,1000000] [--triplets] [--data FOLDER] [--quick] [--format json]
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from near_memory import peak

from dsbuild import executors, parquet, run
from dsbuild.builders.funnel.nodes import funnel_nodes
from dsbuild.builders.funnel.plan import FunnelSection, plan_funnel
from dsbuild.builders.generation.generation import GENERATED
from dsbuild.graph import Input, Node
from dsbuild.stage import UNIT_ROWS, Result, Shard, Workspace
from dsbuild.store import Store
from dsbuild.tables import CORPUS

GOAL_RATIO = 1.5
DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "retrieval"
_DOCUMENTS = ("positive", "negative")
_STARTS = 3  # words of a real query that a made one begins with
_FAULTS = ("short", "leaked", "pronoun", "copied", "foreign", "elsewhere", "again")
_SHARE = 0.02  # of the rows with each fault


def read_passages(data: Path) -> list[tuple[str, str]]:
    """The passages of the MS MARCO slice."""
    with gzip.open(data / "beir_slices" / "msmarco" / "corpus.jsonl.gz", "rt") as lines:
        return [(one["_id"], one["text"]) for one in map(json.loads, lines)]


def read_queries(path: Path) -> list[str]:
    """Queries of a file of topics."""
    with gzip.open(path, "rt") as lines:
        return [line.rstrip("\n").split("\t")[1] for line in lines]


@dataclass(frozen=True)
class Made:
    """Generated rows in shards of `UNIT_ROWS`, and their passages."""

    rows: int
    data: str
    triplets: bool = False

    name: ClassVar[str] = "made"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """Both tables, one shard of rows at a time."""
        passages = read_passages(Path(self.data))
        corpus = pa.Table.from_pylist(
            [{"doc_id": key, "title": "", "text": text, "lang": "en", "source": "msmarco", "group_id": key} for key, text in passages], CORPUS
        )  # fmt: skip
        return Result({"out": self._shards(passages), "corpus": [Shard(corpus)]})

    def _shards(self, passages: Sequence[tuple[str, str]]) -> Iterator[Shard]:
        data = Path(self.data)
        starts = read_queries(data / "msmarco_queries_qrels" / "topics.msmarco-passage.dev-subset.txt.gz")
        foreign = read_queries(data / "miracl_topics_qrels" / "topics.miracl-v1.0-es-dev.tsv.gz")
        words = [text.split() for _, text in passages]
        for first in range(0, self.rows, UNIT_ROWS):
            rng = np.random.default_rng(first)
            made: list[dict[str, Any]] = []
            for number in range(first, min(first + UNIT_ROWS, self.rows)):
                at = int(rng.integers(len(passages)))
                start = " ".join(starts[int(rng.integers(len(starts)))].split()[:_STARTS])
                picked = [words[at][int(place)].strip(".,;:()\"'") for place in rng.integers(0, len(words[at]), 5)]
                text = f"{start} {' '.join(picked)}"
                draw = float(rng.random()) / _SHARE
                fault = _FAULTS[int(draw)] if draw < len(_FAULTS) else ""
                if fault == "short":
                    text = picked[0]
                elif fault == "leaked":
                    text = f"according to the passage {text}"
                elif fault == "pronoun":
                    text = f"when did he {' '.join(picked)}"
                elif fault == "copied":
                    text = " ".join(words[at][:9])
                elif fault == "foreign":
                    text = foreign[int(rng.integers(len(foreign)))]
                elif fault == "elsewhere":
                    other = words[int(rng.integers(len(passages)))]
                    text = f"{start} {' '.join(other[:5])}"
                elif fault == "again" and made:
                    text, at = made[-1]["text"], int(made[-1]["place"])
                other = int(rng.integers(len(passages))) if self.triplets else at
                made.append(
                    {"id": f"g{number:019d}", "parent_id": passages[at][0], "text": text, "place": at, "other": other}
                )
            rest = {
                "lang": "en",
                "generator": "made",
                "style": "made",
                "prompt": "",
                "model": "",
                "seed": 0,
                "n_said": 0,
                "details": "{}",
            }
            table = pa.Table.from_pylist([{**one, **rest} for one in made], GENERATED)
            for name, place in zip(_DOCUMENTS, ("place", "other"), strict=True) if self.triplets else ():
                table = table.append_column(name, pa.array([passages[one[place]][1] for one in made], pa.string()))
            yield Shard(table)


def child(rows: int, folder: Path, data: Path, triplets: bool) -> dict[str, Any]:
    """Make the rows, then put them through the funnel: seconds of the funnel alone, and the peak memory of both."""
    plan = plan_funnel(FunnelSection(), texts=("text", *(_DOCUMENTS if triplets else ())))
    store, placement = Store(folder), executors.make("in-process", None)
    source = Node("made", Made(rows, str(data), triplets))
    part = funnel_nodes(plan, "en", Input("made"), passages=Input("made", "corpus"), passages_lang="en")
    run.run([source], store, "bench", placement, None)
    before = peak()
    started = time.perf_counter()
    progress = run.run([source, *part.nodes], store, "bench", placement, None)
    seconds = time.perf_counter() - started
    lost: dict[str, int] = {}
    for shard in progress.shards(part.rows):
        for one in pc.value_counts(parquet.read(shard.path, ["lost_at"])["lost_at"]).to_pylist():
            lost[one["values"] or "kept"] = lost.get(one["values"] or "kept", 0) + one["counts"]
    assert sum(lost.values()) == rows
    spent = {
        node.name: round(sum(one.measured.get("seconds", 0.0) for one in progress.done[node.name]), 2)
        for node in part.nodes
    }
    return {
        "rows": rows, "seconds": round(seconds, 2), "rows_a_second": round(rows / seconds, 1), "peak_bytes": peak(), "making_bytes": before,
        "ended": dict(sorted(lost.items())), "seconds_by_node": spent,
    }  # fmt: skip


def main() -> None:
    """Run each size in a child process and compare their peaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="100000,1000000", help="sizes, comma-separated, in rising order")
    parser.add_argument(
        "--data", type=Path, default=DATA, help="folder with beir_slices, msmarco_queries_qrels, miracl_topics_qrels"
    )
    parser.add_argument("--triplets", action="store_true", help="rows with two documents")
    parser.add_argument("--quick", action="store_true", help="a toy size")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--child", nargs=2, metavar=("ROWS", "FOLDER"), help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.child:
        print(json.dumps(child(int(said.child[0]), Path(said.child[1]), said.data, said.triplets)))
        return
    sizes = [1_000, 3_000] if said.quick else [int(one) for one in said.rows.split(",")]
    runs = []
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--data", str(said.data), "--child", str(rows), folder]
            command += ["--triplets"] if said.triplets else []
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        runs.append(json.loads(done.stdout))
        print(
            f"{rows:,} rows: {runs[-1]['rows_a_second']:,} a second, {runs[-1]['peak_bytes'] / 1e9:.2f} GB",
            file=sys.stderr,
        )
    found = {"runs": runs, "memory_ratio": runs[-1]["peak_bytes"] / runs[0]["peak_bytes"], "goal_ratio": GOAL_RATIO}
    if said.format == "json":
        print(json.dumps(found))
        return
    for one in runs:
        print(
            f"{one['rows']:>9,} rows: {one['seconds']:.0f} s, {one['rows_a_second']:,.0f} rows a second, {one['peak_bytes'] / 1e9:.2f} GB"
        )
        print("  " + ", ".join(f"{name} {number:,}" for name, number in one["ended"].items()))
        print(
            "  "
            + ", ".join(
                f"{name.removeprefix('funnel.')} {number:g} s" for name, number in one["seconds_by_node"].items()
            )
        )
    print(
        f"memory: {found['memory_ratio']:.2f} times as much for {runs[-1]['rows'] / runs[0]['rows']:g} times the rows (goal <= {GOAL_RATIO:g})"
    )


if __name__ == "__main__":
    main()
