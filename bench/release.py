"""Cut a release, and compare two: against bare writing, and against a bare join.

Release: a draft of N short passages is cut (verified, content digests, card, changelog) and that time is set against writing the same rows with
`pyarrow.parquet` and the same settings: rows/s of the first over rows/s of the second, goal >= 0.6. Peak memory of the command at N
rows over that at N/4, goal <= 1.3.
Diff: two versions that differ in 3 % of the rows, against a bare DuckDB full join over id and row hash that counts what is added, removed
and changed; the same threads and memory limit; goal: at most twice its time. The numbers found must be those that were put in.

    python bench/release.py [--rows N] [--repetitions N] [--quick] [--format json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsbuild import parquet, release
from dsbuild.builders.releases.difference import MEMORY, difference, opened
from dsbuild.cards.card import render_card
from dsbuild.stage import VERDICTS
from dsbuild.tables import DOCUMENTS

GOAL_RELEASE, GOAL_MEMORY, GOAL_DIFF = 0.6, 1.3, 2.0
BATCH = 65_536
_EVERY = 100  # one row in so many is removed, one changed, one added
_WORDS_A_ROW = 30


def vocabulary(size: int = 5_000) -> pa.Array:
    """Words of 2 to 9 letters."""
    draw = np.random.default_rng(7)
    return pa.array(
        ["".join(chr(97 + letter) for letter in draw.integers(0, 26, draw.integers(2, 10))) for _ in range(size)]
    )


def rows_of(total: int, version: int) -> Iterator[pa.Table]:
    """Passages with ids in order; in version 2 every hundredth is gone, the one after it changed, and as many are new at the end."""
    words = vocabulary()
    for first in range(0, total + _more(total, version), BATCH):
        ids = np.arange(first, min(first + BATCH, total + _more(total, version)))
        # A third of the words are among the hundred that are used most, as in texts.
        drawn = np.random.default_rng(first).integers(0, len(words), (_WORDS_A_ROW, BATCH))[:, : len(ids)]
        drawn[::3] %= 100
        texts = pc.binary_join_element_wise(*(words.take(pa.array(column)) for column in drawn), " ")
        if version == 2:
            anew = pa.array((ids % _EVERY == 1) & (ids < total))
            texts = pc.if_else(anew, pc.binary_join_element_wise(texts, "anew", " "), texts)
        names = pc.binary_join_element_wise("d", pa.array(ids).cast(pa.string()), "")
        table = pa.Table.from_arrays([names, texts, pa.repeat("en", len(ids))], schema=DOCUMENTS)
        yield table.filter(pa.array((ids % _EVERY != 0) | (ids >= total))) if version == 2 else table


def _more(total: int, version: int) -> int:
    return -(-total // _EVERY) if version == 2 else 0


def draft(folder: Path, total: int, version: int) -> Path:
    """A draft release of such rows."""
    n_rows = total  # as many are new as are gone
    row = {"in": n_rows, "kept": n_rows, "repaired": 0, "dropped": 0, "failed": 0, "reasons": {}}
    facts = {
        "name": "bench", "version": "0.0.0-draft", "dsbuild": "0", "recipe": {"build": "filter", "profile": "document", "thresholds": "default"},
        "filters": {}, "source": {
            "name": "bench", "lang": "en", "license": "cc0-1.0", "revision": None, "citation": None, "url": None, "files": [], "evaluation": False,
        },
        "engines": {}, "languages": {"en": {"name": "English"}}, "stages": [], "findings": {}, "notes": [],
        "accounting": {"en": {"documents": row}}, "build_key": str(version),
    }  # fmt: skip
    part = release.Part(
        "en-documents", "train", DOCUMENTS, n_rows, rows_of(total, version), "en-documents", "documents", "en"
    )
    release.write(folder, [part, release.Part("dropped", "verdicts", VERDICTS, 0, [])], facts, render_card)
    return folder


def bare_write(source: Path, folder: Path) -> float:
    """Seconds that pyarrow's writer takes for the rows of a draft; reading them is not counted."""
    taken = 0.0
    folder.mkdir()
    for number, path in enumerate(sorted(source.glob("en-documents/*.parquet"))):
        table = pq.ParquetFile(path).read()
        started = time.perf_counter()
        with pq.ParquetWriter(
            folder / f"{number}.parquet", table.schema, compression="zstd", compression_level=3, use_dictionary=True, version="2.6",
            data_page_version="1.0", write_page_index=True, use_content_defined_chunking=parquet._CHUNKING, store_schema=True,
        ) as writer:  # fmt: skip
            for first in range(0, table.num_rows, parquet.ROW_GROUP_ROWS):
                writer.write_table(table.slice(first, parquet.ROW_GROUP_ROWS), row_group_size=parquet.ROW_GROUP_ROWS)
        taken += time.perf_counter() - started
    return taken


def bare_join(before: Path, after: Path) -> tuple[int, int, int]:
    """Added, removed and changed rows by a full join over id and row hash."""
    import duckdb

    with tempfile.TemporaryDirectory() as spill, duckdb.connect() as base:
        base.execute(
            f"SET memory_limit = '{MEMORY}'; SET temp_directory = '{spill}'; SET preserve_insertion_order = false"
        )
        a, b = (
            f"SELECT doc_id AS id, hash(doc_id, text, lang) AS h FROM read_parquet('{one}/en-documents/*.parquet')"
            for one in (before, after)
        )
        found = base.execute(
            "SELECT count(*) FILTER (a.id IS NULL), count(*) FILTER (b.id IS NULL), count(*) FILTER (a.h <> b.h) "
            f"FROM ({a}) a FULL JOIN ({b}) b USING (id)"
        ).fetchone()
    assert found is not None
    return found[0], found[1], found[2]


def timed(act: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and the result."""
    started = time.perf_counter()
    result = act()
    return time.perf_counter() - started, result


_COMMAND = """
import sys, time
from pathlib import Path
from dsbuild.builders.releases import cut
started = time.perf_counter()
cut.RENDERERS = ()
cut.cut(Path(sys.argv[1]), cut.wanted("bench", "1.0.0"), Path(sys.argv[2]))
taken = time.perf_counter() - started
(line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print()
print(taken, int(line.split()[1]) * 1024)
"""


def cut_apart(source: Path, out: Path) -> tuple[float, int]:
    """Seconds and peak memory in bytes of a release in a process of its own; its start is not counted, as it is not for bare writing."""
    done = subprocess.run([sys.executable, "-c", _COMMAND, source, out], capture_output=True, text=True, check=True)
    taken, peak = done.stdout.splitlines()[-1].split()
    return float(taken), int(peak)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few rows: shows that it runs, measures nothing")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.repetitions = 20_000, 1
    times: dict[str, list[float]] = {"release": [], "bare_write": [], "diff": [], "bare_join": []}
    with tempfile.TemporaryDirectory(prefix="dsbuild-bench-") as name:
        work = Path(name)
        one, two = draft(work / "one", options.rows, 1), draft(work / "two", options.rows, 2)
        small = draft(work / "small", options.rows // 4, 1)
        peak_small = cut_apart(small, work / "cut-small")[1]
        for number in range(options.repetitions):
            taken, peak = cut_apart(one, work / f"cut-{number}")
            times["release"].append(taken)
            times["bare_write"].append(bare_write(one, work / f"bare-{number}"))
            taken, found = timed(lambda: difference(opened(one), opened(two)))
            times["diff"].append(taken)
            taken, joined = timed(lambda: bare_join(one, two))
            times["bare_join"].append(taken)
            counts = found["configs"][0]
            assert (counts["added"], counts["removed"], counts["changed"]) == joined, (counts, joined)
            assert counts["columns"] == {"text": joined[2]}
    ratios = {
        "release_over_bare_write": [
            bare / ours for bare, ours in zip(times["bare_write"], times["release"], strict=True)
        ],
        "diff_over_bare_join": [ours / bare for bare, ours in zip(times["bare_join"], times["diff"], strict=True)],
    }
    result = {
        "rows": options.rows, "seconds": {what: statistics.median(taken) for what, taken in times.items()},
        "ratios": {what: {"median": statistics.median(all_), "all": all_} for what, all_ in ratios.items()},
        "goals": {"release_over_bare_write": f">= {GOAL_RELEASE}", "diff_over_bare_join": f"<= {GOAL_DIFF}", "memory_ratio": f"<= {GOAL_MEMORY}"},
        "differing": {"added": joined[0], "removed": joined[1], "changed": joined[2]},
        "peak_bytes": peak, "memory_ratio": peak / peak_small,
    }  # fmt: skip
    if options.format == "json":
        print(json.dumps(result, indent=1))
        return
    print(f"{options.rows:,} rows; medians of {options.repetitions}; 2 versions differ in {result['differing']}")
    for what, taken in result["seconds"].items():
        print(f"  {what}: {taken:.2f} s")
    for what, ratio in result["ratios"].items():
        print(f"  {what}: {ratio['median']:.2f} (goal {result['goals'][what]})")
    print(
        f"  peak memory of release: {peak / 1e6:.0f} MB, {result['memory_ratio']:.2f} of that with a quarter of the rows (goal <= {GOAL_MEMORY})"
    )


if __name__ == "__main__":
    main()
