"""Does every row end once, also after kills? `python bench/accounting.py [--rows 10000000] [--kills 5] [--format json]`.

Filters synthetic queries (a tenth of them doubled, some empty), kills the run with SIGKILL at instants spread over the time of an
undisturbed run, runs it again each time, and then counts source and release with DuckDB, which knows nothing of dsbuild: rows in,
kept and dropped, no id twice, none lost. The killed and resumed release must be the undisturbed one, file by file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_BLOCK = 500_000
_QUESTIONS = (
    "how long does it take to boil rice what is the height of mount river bank loan rate in india train time from city to sea why do "
    "leaves fall when was first book price gold today best way clean silver cure cold cough child sleep hours need water plants"
)
_WORDS = np.array(_QUESTIONS.split(), object)


def write_rows(folder: Path, n_rows: int) -> None:
    """Queries of four to eight words in Parquet files; every tenth repeats the one before, every thousandth is empty."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(7)
    for start in range(0, n_rows, _BLOCK):
        count = min(_BLOCK, n_rows - start)
        words = _WORDS[random.integers(0, len(_WORDS), (count, 7))]
        texts = [" ".join(row) + f" {start + place}" for place, row in enumerate(words)]
        for place in range(9, count, 10):
            texts[place] = texts[place - 1]
        for place in range(999, count, 1000):
            texts[place] = ""
        ids = [f"q{start + place}" for place in range(count)]
        pq.write_table(pa.table({"query_id": ids, "text": texts}), folder / f"part-{start // _BLOCK:04d}.parquet")


def command(source: Path, work: Path) -> list[str]:
    """The run, from source to release."""
    return [
        sys.executable, "-m", "dsbuild", "filter", "--src", f"parquet:{source}", "--profile", "query", "--lang", "en",
        "--set", "filters=[length,gopher,exact]", "--out", str(work / "out"), "--store", str(work / "store"), "--format", "json",
    ]  # fmt: skip


def timed(source: Path, work: Path) -> float:
    """Seconds of an undisturbed run."""
    started = time.monotonic()
    subprocess.run(command(source, work), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - started


def run(n_rows: int, kills: int) -> dict[str, Any]:
    """Kill, resume, and count."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        write_rows(work / "rows", n_rows)
        undisturbed = timed(work / "rows", work / "first")
        hit = 0
        for _ in range(kills):
            process = subprocess.Popen(
                command(work / "rows", work),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                # Each attempt goes on where the last was killed, so equal shares spread the kills over the run.
                process.wait(undisturbed / (kills + 2) + 1)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                hit += 1
        started = time.monotonic()
        subprocess.run(command(work / "rows", work), check=True, stdout=subprocess.DEVNULL)
        last = time.monotonic() - started
        same = digests(work / "out") == digests(work / "first" / "out")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        return {"rows": n_rows, "kills": kills, "kills_in_running_work": hit, **counted(work), "same_as_undisturbed": same,
                "undisturbed_s": round(undisturbed, 1), "last_run_s": round(last, 1), "peak_bytes_of_a_process": peak}  # fmt: skip


def digests(folder: Path) -> dict[str, str]:
    """The sha256 of every file of a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def counted(work: Path) -> dict[str, Any]:
    """What the files say, by DuckDB alone."""
    out = work / "out"
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))["accounting"]["en"]["documents"]
    base = duckdb.connect()

    def one(query: str) -> int:
        return int(base.execute(query).fetchall()[0][0])

    base.execute(f"CREATE VIEW source AS SELECT query_id AS id, text FROM read_parquet('{work}/rows/*.parquet')")
    base.execute(f"CREATE VIEW kept AS SELECT doc_id AS id, text FROM read_parquet('{out}/en-documents/*.parquet')")
    base.execute(
        f"CREATE VIEW gone AS SELECT doc_id AS id, text FROM read_parquet('{out}/dropped/en-documents-*.parquet')"
    )
    found = {name: one(f"SELECT count(*) FROM {name}") for name in ("source", "kept", "gone")}
    wanted = one("SELECT count(DISTINCT text) FROM source WHERE text <> ''")
    both = "SELECT id, text FROM kept UNION ALL SELECT id, text FROM gone"
    exact = (
        found["source"] == found["kept"] + found["gone"]
        and one(f"SELECT count(*) FROM ({both} EXCEPT ALL SELECT id, text FROM source)") == 0
        and one(f"SELECT count(*) FROM (SELECT id, text FROM source EXCEPT ALL ({both}))") == 0
        and (manifest["in"], manifest["kept"], manifest["dropped"]) == tuple(found.values())
    )
    return {**found, "distinct_texts": wanted, "adds_up": exact, "kept_are_the_distinct_texts": found["kept"] == wanted}


def main(argv: Sequence[str] | None = None) -> int:
    """Run and print; the exit code is 1 if something does not add up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    options = parser.parse_args(argv)
    found = run(options.rows, options.kills)
    if options.format == "json":
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(
                f"{name:<32} {value:,}"
                if isinstance(value, int) and not isinstance(value, bool)
                else f"{name:<32} {value}"
            )
    return 0 if found["adds_up"] and found["kept_are_the_distinct_texts"] and found["same_as_undisturbed"] else 1


if __name__ == "__main__":
    sys.exit(main())
