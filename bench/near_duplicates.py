"""Near duplicates: ours, verified, against datatrove's MinHash stages and rensa; recall, precision, parity and memory.

Everybody reads the same JSON lines and uses 5-word shingles of words that stand between spaces. The peers use 14 bands of 8 rows;
ours plans its bands for J >= 0.8 with a recall of 0.98. Compilation is excluded by a first, untimed pass.
`ratio`: datatrove's CPU seconds over ours, from JSON lines to JSON lines of what is kept. `ratio_kernel`: the same for
documents in memory, nothing written but the peer's own intermediate files. `ratio_rensa`: rensa's from JSON lines to pairs.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import corpus
import numpy as np
import parity
import peers
import pyarrow as pa
from pyarrow import json as pj

from dsbuild.filters.near_duplicates import NearDuplicates, near_duplicates

JACCARD, RECALL = 0.8, 0.98
REPEATS = 5
PEERS = {
    # Its extra [processing] asks for xxhash below 4 and many packages that MinHash does not use.
    "datatrove": (
        "datatrove_minhash.py",
        ["datatrove==0.10.1", "xxhash==3.6.0", "orjson==3.11.4", "regex==2025.11.3", "tokenizers==0.22.1"],
    ),
    "rensa": ("rensa_minhash.py", ["rensa==0.5.0"]),
}


def run(*, quick: bool) -> dict[str, Any]:
    """Make a corpus, measure everybody on it in turn, and count right and wrong pairs."""
    made = corpus.make(300 if quick else 20_000)
    documents, repeats = len(made.texts), 1 if quick else REPEATS
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        paths = made.write(data)
        texts = pa.array(made.texts)
        end_to_end(paths, Path(folder) / "kept.jsonl")
        times: dict[str, list[float]] = {}
        answers: dict[str, Any] = {}
        missing: dict[str, str] = {}
        for _ in range(repeats):
            times.setdefault("ours", []).append(cpu(lambda: end_to_end(paths, Path(folder) / "kept.jsonl")))
            times.setdefault("ours_kernel", []).append(cpu(lambda: search(texts)))
            for peer in PEERS:
                if peer in missing:
                    continue
                try:
                    answers[peer] = ask(peer, data)
                except peers.NotRun as reason:
                    missing[peer] = str(reason)
                    continue
                for part in ("end_to_end", "kernel"):
                    times.setdefault(f"{peer}_{part}", []).append(answers[peer][part])
    found = search(texts)
    middle = {name: statistics.median(values) for name, values in times.items()}
    right = {(min(one, other), max(one, other)): value for one, other, value in made.pairs if value >= JACCARD}
    result: dict[str, Any] = {
        "ratio": over(middle, "datatrove_end_to_end", "ours"),
        "ours": round(documents / middle["ours"]),
        "peer": round(documents / middle["datatrove_end_to_end"]) if "datatrove_end_to_end" in middle else "not run",
        "unit": "documents per CPU second, JSON lines to JSON lines",
        "ratio_kernel": over(middle, "datatrove_kernel", "ours_kernel"),
        "ratio_rensa": over(middle, "rensa_end_to_end", "ours"),
        "ours_kernel": round(documents / middle["ours_kernel"]),
        "documents": documents,
        "bytes_per_document": round(made.size_bytes / documents),
        "repeats": repeats,
        "spread": {name: [round(min(values), 3), round(max(values), 3)] for name, values in times.items()},
        "not_run": missing,
        "precision": round(precision(found, made.texts), 5),
        "recall": round(recall(pairs_of(found), right), 5),
        "pairs_at_least_0.8": len(right),
        "facts": found.facts,
    }
    for peer, answer in answers.items():
        theirs = {(one, other) for one, other in answer["pairs"]}
        result[f"{peer}_precision"] = round(
            sum(true(made.texts, pair) >= JACCARD for pair in theirs) / max(1, len(theirs)), 5
        )
        result[f"{peer}_recall"] = round(recall(theirs, right), 5)
    return {**result, **parity.run(quick=quick), **memory(quick=quick)}


def over(middle: dict[str, float], theirs: str, ours: str) -> float | str:
    """How many times faster ours is."""
    return round(middle[theirs] / middle[ours], 1) if theirs in middle else "not run"


def cpu(work: Any) -> float:
    """CPU seconds of all threads of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def search(texts: Any) -> NearDuplicates:
    """Ours on texts in memory."""
    return near_duplicates(texts, jaccard=JACCARD, recall=RECALL, unit="whitespace", n=corpus.SHINGLE)


def end_to_end(paths: list[Path], out: Path) -> None:
    """JSON lines -> near duplicates -> JSON lines of what is kept."""
    lines = [line for path in paths for line in path.read_bytes().splitlines(keepends=True)]
    options = pj.ParseOptions(explicit_schema=pa.schema([("id", pa.string()), ("text", pa.string())]))
    texts = pa.chunked_array([part for path in paths for part in pj.read_json(path, None, options)["text"].chunks])
    kept = search(texts).kept
    out.write_bytes(b"".join(line for line, keep in zip(lines, kept.tolist(), strict=True) if keep))


def ask(peer: str, data: Path) -> Any:
    """One timed pass of a peer."""
    script, packages = PEERS[peer]
    return peers.ask(
        peers.environment(peer, packages), script, {"data": str(data), "measure": ["kernel", "end_to_end"]}
    )


def pairs_of(found: NearDuplicates) -> set[tuple[int, int]]:
    """Dropped rows with their keepers."""
    gone = np.flatnonzero(~found.kept).tolist()
    return {(min(row, int(found.keeper[row])), max(row, int(found.keeper[row]))) for row in gone}


def recall(found: set[tuple[int, int]], right: dict[tuple[int, int], float]) -> float:
    """The share of the planted pairs that were found."""
    return sum(pair in found for pair in right) / max(1, len(right))


def precision(found: NearDuplicates, texts: list[str]) -> float:
    """The share of dropped rows whose Jaccard index with their keeper, counted apart, reaches the threshold."""
    pairs = pairs_of(found)
    return sum(true(texts, pair) >= JACCARD for pair in pairs) / max(1, len(pairs))


def true(texts: list[str], pair: tuple[int, int]) -> float:
    """The Jaccard index of two texts by Python's own sets."""
    return corpus.jaccard(*(texts[row].replace(".", " ").lower().split() for row in pair))


def memory(*, quick: bool) -> dict[str, Any]:
    """Peak memory of signing and searching as stages, at two sizes, each in a process of its own."""
    sizes = (2_000, 4_000) if quick else (100_000, 600_000)
    _peak(2_000)  # so that no process that is measured compiles anything
    peaks = [_peak(size) for size in sizes]
    slope = (peaks[1] - peaks[0]) / (sizes[1] - sizes[0])
    return {
        "memory_rows": list(sizes),
        "memory_peak_mb": [round(peak / 1e6) for peak in peaks],
        "memory_mb_per_million_documents": round(slope),
    }


def _peak(rows: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(Path(__file__).with_name("near_memory.py")), str(rows), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return int(done.stdout)
