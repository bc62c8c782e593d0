"""Kill a translation run with SIGKILL at many instants; finish it; the release must be the same, byte for byte.

Instants are spread uniformly over the wall time of an undisturbed run; failpoints stop the run before and after each
write, fsync, rename and journal entry. Imports nothing from dsbuild. Exit code 1 if a release differs, or if fewer than
80 % of the timed kills hit a running process (then the harness proved nothing).

    python bench/kill.py --instants 50 [--failpoint-hits 1,2,5,10,20] [--format json]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

POINTS = (
    "before-write", "after-write", "after-fsync", "after-rename", "before-journal", "after-journal",
    "before-exchange", "between-exchange", "after-exchange",
)  # fmt: skip
LANGS = ("hi", "ta")
N_DOCS = 400


def make_set(folder: Path) -> None:
    """Write a small BEIR set and a translation memory that covers most of it."""
    (folder / "set/qrels").mkdir(parents=True)
    sentences = [f"Sentence {number % 700} tells of thing {number % 311}." for number in range(3 * N_DOCS)]
    with (folder / "set/corpus.jsonl").open("w", encoding="utf-8") as corpus:
        for number in range(N_DOCS):
            text = " ".join(sentences[3 * number : 3 * number + 3])
            corpus.write(json.dumps({"_id": f"d{number}", "title": "", "text": text}) + "\n")
    queries = {f"q{number}": f"what is thing {number}" for number in range(60)}
    with (folder / "set/queries.jsonl").open("w", encoding="utf-8") as rows:
        rows.writelines(json.dumps({"_id": name, "text": text}) + "\n" for name, text in queries.items())
    with (folder / "set/qrels/test.tsv").open("w", encoding="utf-8") as rows:
        rows.write("query-id\tcorpus-id\tscore\n")
        rows.writelines(f"q{number}\td{number * 5}\t1\n" for number in range(60))
    hindi = "यह वाक्य संख्या {} की वस्तु के बारे में बताता है।"
    tamil = "இந்த வாக்கியம் எண் {} பொருளைப் பற்றி கூறுகிறது."
    with (folder / "memory.tsv").open("w", encoding="utf-8") as rows:
        rows.write("en\thi\tta\n")
        for number, text in enumerate(dict.fromkeys(sentences)):
            if number % 97:
                rows.write(f"{text}\t{hindi.format(text.split()[1])}\t{tamil.format(text.split()[1])}\n")
        rows.writelines(f"{text}\tवस्तु {name[1:]} क्या है\tபொருள் {name[1:]} என்றால் என்ன\n" for name, text in queries.items())


def command(work: Path, out: Path, store: Path, workers: int) -> list[str]:
    """The run under test."""
    return [
        sys.executable, "-m", "dsbuild", "translate", "--src", f"beir:{work / 'set'}", "--src-lang", "en", "--langs", ",".join(LANGS),
        "--engine", "memory", "--set", f"engine.file={work / 'memory.tsv'}", "--out", str(out), "--store", str(store),
        "--workers", str(workers), "--format", "json",
    ]  # fmt: skip


def run(arguments: list[str], environment: dict[str, str] | None = None, kill_after_s: float | None = None) -> bool:
    """Run to the end, or kill; returns whether it was killed while it ran. A run that fails by itself raises."""
    process = subprocess.Popen(
        arguments,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    if kill_after_s is not None:
        try:
            process.wait(kill_after_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    _, errors = process.communicate()
    if process.returncode == -signal.SIGKILL:
        return True
    if process.returncode != 0:
        raise SystemExit(f"the run failed by itself:\n{errors.decode()}")
    return False


def digest(folder: Path) -> str:
    """One digest over the names and bytes of all files of a release."""
    state = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            state.update(
                path.relative_to(folder).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest()
            )
    return state.hexdigest()


def main() -> int:
    """Run the harness and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instants", type=int, default=50)
    parser.add_argument("--failpoint-hits", default="1,2,5,10,20")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dsbuild-kill-") as folder:
        work = Path(folder)
        make_set(work)
        walls = []
        for name in ("cold", "whole"):
            started = time.monotonic()
            run(command(work, work / name, work / f"store-{name}", 1))
            walls.append(time.monotonic() - started)
        wall = min(walls)
        expected = digest(work / "whole")
        run(command(work, work / "pool", work / "store-pool", 2))
        different = [case for case in ("cold", "pool") if digest(work / case) != expected]
        hits = 0
        cases: list[tuple[str, float | None, dict[str, str]]] = [
            (f"instant {number}", wall * (number + 0.5) / options.instants, {}) for number in range(options.instants)
        ]
        cases += [
            (f"{point}:{hit}", None, {"DSBUILD_FAILPOINT": f"{point}:{hit}"})
            for point in POINTS for hit in (options.failpoint_hits.split(",") if "exchange" not in point else ["1"])
        ]  # fmt: skip
        reached = 0
        for number, (case, instant, environment) in enumerate(cases):
            out, store = work / f"out-{number}", work / f"store-{number}"
            if "exchange" in case:
                shutil.copytree(work / "whole", out)
                (out / "README.md").write_text("an earlier release\n")
            killed = run(command(work, out, store, 1), environment, instant)
            if instant is not None:
                hits += killed
            else:
                reached += killed
            run(command(work, out, store, 1))
            if digest(out) != expected:
                different.append(case)
            shutil.rmtree(store)
            shutil.rmtree(out)
    share = hits / options.instants
    report = {
        "wall_s": round(wall, 2), "instants": options.instants, "hit_running_work": round(share, 3),
        "failpoints": len(cases) - options.instants, "failpoints_reached": reached, "different": different,
    }  # fmt: skip
    print(
        json.dumps(report)
        if options.format == "json"
        else "\n".join(f"{key}: {value}" for key, value in report.items())
    )
    return 0 if share >= 0.8 and not different else 1


if __name__ == "__main__":
    sys.exit(main())
