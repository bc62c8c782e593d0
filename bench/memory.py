"""Peak memory of a whole `dsbuild translate`: five times the text must not need more of it.

Two synthetic collections of unique text, 200 MB and 1 GB, go through the whole path (read, mend, segment, unique, translate,
check, assemble, decide, cascade, release) with an engine that says every text again. The run is a child process; the
resident memory of it and of all its children is summed every 50 ms, shared pages counted in each. Then the finished run is
run again, which shows what a resume costs.

    python bench/memory.py [--megabytes 200,1000] [--dropped] [--quick] [--format json]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from dsbuild.engine import Capabilities, Output, Request, Terms

GOAL_RATIO = 1.2
GOAL_GB = 1.5
GOAL_RESUME_S = 2.0
WORKERS = 2
N_QUERIES = 200
_SAMPLE_S = 0.05


class Identity:
    """Says every text again. It knows every language pair."""

    name: ClassVar[str] = "identity"
    capabilities: ClassVar[Capabilities] = Capabilities()

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """Its name is all there is."""
        return {"engine": self.name}

    def terms(self) -> Terms:
        """None."""
        return Terms("CC0-1.0")

    def check(self, src: str, tgts: Sequence[str]) -> None:
        """Every direction is served."""

    def count_tokens(self, texts: Sequence[str], src: str) -> list[int]:
        """Spaces and one."""
        return [text.count(" ") + 1 for text in texts]

    def translate_batches(self, batches: Sequence[Sequence[Request]]) -> Iterator[tuple[int, list[Output]]]:
        """The texts themselves."""
        for index, batch in enumerate(batches):
            counts = self.count_tokens([request.text for request in batch], "")
            yield (
                index,
                [
                    Output(request.text, score=-0.5, n_src_tokens=count, n_tgt_tokens=count)
                    for request, count in zip(batch, counts, strict=True)
                ],
            )

    def close(self) -> None:
        """Nothing to free."""


def make_set(folder: Path, megabytes: float) -> int:
    """Write a BEIR set with so much text in its corpus; returns the number of passages."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from texts import Prose

    (folder / "qrels").mkdir(parents=True)
    prose = Prose(seed=31)
    n_rows = size = 0
    with (folder / "corpus.jsonl").open("wb") as out:
        while size < megabytes * 1_000_000:
            for texts in prose.passages(20_000 if megabytes > 10 else 100):
                ids = pa.array([f"d{n_rows + place}" for place in range(len(texts))])
                lines = pc.binary_join_element_wise('{"_id": "', ids, '", "title": "", "text": "', texts, '"}\n', "")
                out.writelines(line.encode() for line in lines.to_pylist())
                n_rows += len(texts)
                size += pc.sum(pc.binary_length(texts)).as_py()
    queries = prose.sentences(prose.lengths(N_QUERIES, mean=6)).to_pylist()
    with (folder / "queries.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"_id": f"q{number}", "text": text}) + "\n" for number, text in enumerate(queries))
    step = n_rows // N_QUERIES
    with (folder / "qrels/train.tsv").open("w", encoding="utf-8") as file:
        file.write("query-id\tcorpus-id\tscore\n")
        file.writelines(f"q{number}\td{number * step}\t1\n" for number in range(N_QUERIES))
    return n_rows


def command(work: Path, source: Path, *, dropped: bool) -> list[str]:
    """The run under test. Text that is said again is copied text: these thresholds keep it, unless it is to be dropped."""
    settings = (
        [] if dropped else ["bitext.max_copy_share=1", "bitext.min_language_score=0", "bitext.max_unrelated=1000"]
    )
    return [
        sys.executable, __file__, "--run", "translate", "--src", f"beir:{source}", "--src-lang", "en", "--langs", "es",
        "--engine", "identity", "--workers", str(WORKERS), "--out", str(work / "out"), "--store", str(work / "store"),
        "--format", "json", *(part for setting in settings for part in ("--set", setting)),
    ]  # fmt: skip


def run_command(arguments: Sequence[str]) -> None:
    """`dsbuild` with one more engine, which only this bench has."""
    from dsbuild.cli import main as dsbuild
    from dsbuild.translate import ENGINES

    ENGINES._table["identity"] = "memory:Identity"
    sys.argv = ["dsbuild", *arguments]
    dsbuild()


def watched(arguments: Sequence[str], log: Path | None) -> tuple[dict[str, Any], float, float, int]:
    """Run a command to its end: what it printed, wall seconds, peak memory of all processes (GB), processes at the peak."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(arguments, stdout=printed, stderr=errors)
        peak, n_processes = 0, 0
        trace = []
        while process.poll() is None:
            found = _resident(process.pid)
            trace.append((round(time.monotonic() - started, 2), [one >> 20 for one in found]))
            if sum(found) > peak:
                peak, n_processes = sum(found), len(found)
            time.sleep(_SAMPLE_S)
        wall = time.monotonic() - started
        printed.seek(0)
        errors.seek(0)
        text, said = printed.read().decode(), errors.read().decode()
    if log:
        log.write_text("\n".join(map(str, trace)))
    if process.returncode:
        raise SystemExit(f"the run failed ({process.returncode}):\n{text}{said}")
    return json.loads(text), wall, peak / 1e9, n_processes


def _resident(pid: int) -> list[int]:
    """Resident bytes of a process and of all below it."""
    found: list[int] = []
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = [
            int(one) for path in Path(f"/proc/{pid}/task").glob("*/children") for one in path.read_text().split()
        ]
    except (OSError, IndexError):
        return found  # it has just ended
    found.append(pages * os.sysconf("SC_PAGE_SIZE"))
    for child in children:
        found += _resident(child)
    return found


def main() -> int:
    """Run the bench and print what it found."""
    if sys.argv[1:2] == ["--run"]:
        run_command(sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", default="200,1000")
    parser.add_argument("--dropped", action="store_true", help="let the checks drop the copied text: every row is lost")
    parser.add_argument("--quick", action="store_true", help="0.1 and 0.2 MB: shows that it runs, measures nothing")
    parser.add_argument("--trace", type=Path, help="folder for the samples over time")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    options = parser.parse_args()
    sizes = [0.1, 0.2] if options.quick else [float(size) for size in options.megabytes.split(",")]
    runs: list[dict[str, Any]] = []
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="dsbuild-bench-") as name:
            work = Path(name)
            n_rows = make_set(work / "set", size)
            arguments = command(work, work / "set", dropped=options.dropped)
            log = options.trace / f"{size:g}.txt" if options.trace else None
            said, wall, peak, n_processes = watched(arguments, log)
            again, resume, resume_peak, _ = watched(arguments, None)
            if again["languages"]["es"]["in"] != said["languages"]["es"]["in"]:
                raise SystemExit("the second run says something else")
            shutil.rmtree(work / "store")
        found = said["languages"]["es"]
        runs.append(
            {
                "megabytes": size, "rows": n_rows, "kept": found["kept"], "dropped": found["dropped"], "segments": found["segments"],
                "peak_gb": round(peak, 3), "processes_at_peak": n_processes, "wall_s": round(wall, 1),
                "resume_s": round(resume, 1), "resume_s_per_million_rows": round(resume * 1e6 / n_rows, 2),
                "resume_peak_gb": round(resume_peak, 3),
            }
        )  # fmt: skip
        print(json.dumps(runs[-1]), file=sys.stderr)
    report = {
        "runs": runs, "ratio": round(runs[-1]["peak_gb"] / runs[0]["peak_gb"], 3), "goal_ratio": GOAL_RATIO, "goal_gb": GOAL_GB,
        "goal_resume_s_per_million_rows": GOAL_RESUME_S,
    }  # fmt: skip
    print(json.dumps(report) if options.format == "json" else json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
