"""eflomal through dsbuild against the bare tool on the same pairs, in the same run: time, CPU and peak memory.

    python bench/alignment.py [--pairs 50000] [--repeat 3] [--format json]

Text: the Indian Parallel Corpora en-hi and Tatoeba en-hi and en-mr from `../shared/data/parallel`, each pair once as far as they go, then again.
Words are cut before, for both. Bare is `eflomal-align`, which reads two files and writes both directions; dsbuild's side reads the same files,
runs, reads both directions, makes one of them and gives links of words with scores. Each in a process of its own, by turns.
Goal: at most 1.10 of the time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from projection import PARALLEL, lines, more_text

SIDE = """
import re
import sys
from pathlib import Path
from dsbuild.project.aligner import Bitext
from dsbuild.project.eflomal import Eflomal
def units(text):
    return [found.span() for found in re.finditer(r"\\S+", text)]
one, two = (Path(name).read_text("utf-8").removesuffix("\\n").split("\\n") for name in sys.argv[1:3])
pairs = [Bitext(a, units(a), b, units(b)) for a, b in zip(one, two, strict=True)]
print(sum(map(len, Eflomal(units="words", seeds=False).align(pairs, "en", "hi"))))
"""


def texts(n_pairs: int) -> list[tuple[str, str]]:
    """Pairs whose words are parted by spaces, so that both sides align the same units."""
    from dsbuild.text import words

    marathi = [tuple(line.split("\t")[:2]) for line in lines(PARALLEL / "tatoeba_anki_en-mr/mar.txt.gz")]
    held = [(" ".join(words(one)), " ".join(words(two))) for one, two in (*more_text("hi"), *marathi)]
    held = [(one, two) for one, two in held if one and two]
    return (held * -(-n_pairs // len(held)))[:n_pairs]


def run(command: list[str]) -> dict[str, float]:
    """Wall and CPU seconds of a process with its children, and the larger peak of the two in MB."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[0]} ended with {status}")
    return {"wall": time.perf_counter() - started, "cpu": used.ru_utime + used.ru_stime, "mb": used.ru_maxrss / 1024}


def main() -> None:
    """Run both sides by turns and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=50_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="500 pairs, once")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    args = parser.parse_args()
    n_pairs, repeat = (500, 1) if args.quick else (args.pairs, args.repeat)
    held = texts(n_pairs)
    measured: dict[str, list[dict[str, float]]] = {"bare": [], "dsbuild": []}
    with tempfile.TemporaryDirectory() as work:
        names = [str(Path(work) / name) for name in ("src", "tgt", "forward", "backward")]
        for side, name in enumerate(names[:2]):
            Path(name).write_text("".join(f"{pair[side]}\n" for pair in held), "utf-8")
        bare = str(Path(sys.executable).with_name("eflomal-align"))
        commands = {
            "bare": [
                sys.executable,
                bare,
                "-s",
                names[0],
                "-t",
                names[1],
                "-f",
                names[2],
                "-r",
                names[3],
                "--model",
                "3",
            ],
            "dsbuild": [sys.executable, "-c", SIDE, *names[:2]],
        }
        for number in range(repeat):
            for side in sorted(commands, reverse=bool(number % 2)):
                for name in names[2:]:  # the tool writes over nothing
                    Path(name).unlink(missing_ok=True)
                measured[side].append(run(commands[side]))
    medians = {
        side: {key: statistics.median(one[key] for one in runs) for key in runs[0]} for side, runs in measured.items()
    }
    found: dict[str, Any] = {
        "pairs": n_pairs, "repeat": repeat, **{side: {key: round(value, 1) for key, value in one.items()} for side, one in medians.items()},
        **{
            f"{key}_ratio": round(statistics.median(a[key] / b[key] for a, b in zip(measured["dsbuild"], measured["bare"], strict=True)), 3)
            for key in ("wall", "cpu", "mb")
        },
    }  # fmt: skip
    print(
        json.dumps(found, indent=1)
        if args.format == "json"
        else "  ".join(f"{key} {value}" for key, value in found.items())
    )


if __name__ == "__main__":
    main()
