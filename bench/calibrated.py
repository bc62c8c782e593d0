"""What the rule `calibrated` costs beside `percpos`: `python bench/retrieval.py calibrated`.

Whole runs of `dsbuild mine`, each in a process of its own, on a synthetic set whose queries have two relevant documents each, BM25, depth 100.
`first_*`: from nothing; `again_*`: with another threshold or target over the same store, so over stored candidates. All else is the command's
defaults: `percpos` has its hardness told by LSA, `calibrated` learns from LSA and has it told by character n-grams. Peak memory and CPU seconds
(all threads) are the process's own, one worker; ratios of seconds are of CPU seconds, since a busy machine makes the others lie.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

# The setting of each rule, the first time and again.
RULES = {"percpos": ("rule.percent=0.95", "rule.percent=0.9"), "calibrated": ("target_fn=0.05", "target_fn=0.03")}
DEPTH = 100
# Words of a document, of which so many are of its topic, and words of a query.
WORDS, TOPICAL, ASKED = 40, 8, 5


def calibrated(*, quick: bool, full: bool) -> dict[str, Any]:
    """Both rules from nothing, then each again."""
    del full
    n, m = (150, 600) if quick else (10_000, 100_000)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_set(place / "set", n, m)
        found = {
            f"{part}_{rule}": mined(rule, setting, place)
            for rule, settings in RULES.items()
            for part, setting in zip(("first", "again"), settings, strict=True)
        }
    result: dict[str, Any] = {"queries": n, "documents": m, "depth": DEPTH}
    for name, told in found.items():
        result |= {f"{name}_{what}": value for what, value in told.items()}
    for part in ("first", "again"):
        ours, plain = found[f"{part}_calibrated"], found[f"{part}_percpos"]
        result[f"{part}_ratio_seconds"] = round(ours["cpu_seconds"] / plain["cpu_seconds"], 2)
        result[f"{part}_ratio_peak"] = round(ours["peak_gb"] / plain["peak_gb"], 2)
    return result


def write_set(folder: Path, n: int, m: int) -> None:
    """A BEIR folder: documents of Zipf's words and words of a topic, two documents a topic; each query asks for one topic."""
    draw = np.random.default_rng(0)
    topics = draw.integers(100, 100 + max(60, m // 30), (m // 2, 2 * TOPICAL))
    (folder / "qrels").mkdir(parents=True)
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as out:
        for row in range(m):
            own = draw.choice(topics[row // 2], TOPICAL)
            words = np.concatenate([own, np.minimum(draw.zipf(1.3, WORDS - TOPICAL), 49_999)])
            out.write(json.dumps({"_id": f"d{row}", "text": spelled(words)}) + "\n")
    with (folder / "queries.jsonl").open("w", encoding="utf-8") as out:
        for row in range(n):
            out.write(
                json.dumps({"_id": f"q{row}", "text": spelled(draw.choice(topics[row], ASKED, replace=False))}) + "\n"
            )
    lines = [f"q{row}\td{2 * row + part}\t1" for row in range(n) for part in range(2)]
    (folder / "qrels" / "train.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *lines, ""]), "utf-8")


def spelled(words: np.ndarray) -> str:
    """Numbers of words as text."""
    return " ".join(f"w{word}" for word in words.tolist())


def mined(rule: str, setting: str, place: Path) -> dict[str, Any]:
    """One run in a process of its own, over the store of the rule."""
    command = [sys.executable, __file__, rule, setting, str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or f"{rule}: ended with {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def alone(rule: str, setting: str, place: Path) -> dict[str, Any]:
    """Mine in this process."""
    from dsbuild.builders import build
    from dsbuild.builders.mining import mined as mining

    given = {"source.src": f"beir:{place / 'set'}", "source.lang": "en", "retriever.use": "bm25", "rule.name": rule}
    recipe = build.compose(None, given, [f"retriever.depth={DEPTH}", setting], kind="mine")
    start = time.perf_counter()
    found = mining.run_mine(recipe, place / f"{rule}-{setting}", place / f"store-{rule}", "local", 1, None)
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_SELF)
    said = Path("/proc/self/status").read_text("ascii")
    peak = next(int(line.split()[1]) for line in said.splitlines() if line.startswith("VmHWM")) * 1024
    told = found["false_negatives"]
    return {
        "seconds": round(seconds, 1), "cpu_seconds": round(used.ru_utime + used.ru_stime, 1), "peak_gb": round(peak / 1e9, 2),
        "fn": round(told["fn"], 4), "median_rank": told["median_rank"], "fill": round(told["fill"], 3),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(alone(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
