"""Candidate pairs by rensa driven from Python, as its README shows it, timed in CPU seconds of this process; nothing is verified."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import rensa

BATCH = 2_000
BANDS, ROWS, SHINGLE = 14, 8, 5
_NO_WORD = re.compile(r"[^\w\s]")


def main() -> None:
    """Answer the request: seconds by measure, and the pairs found."""
    request = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    start = time.process_time()
    paths = sorted(Path(request["data"]).glob("*.jsonl"))
    texts = [json.loads(line)["text"] for path in paths for line in path.open(encoding="utf-8")]
    read = time.process_time()
    signatures = []
    for first in range(0, len(texts), BATCH):
        sets = []
        for text in texts[first : first + BATCH]:
            words = _NO_WORD.sub(" ", text.lower()).split()
            sets.append([" ".join(words[at : at + SHINGLE]) for at in range(max(1, len(words) - SHINGLE + 1))])
        signatures += rensa.RMinHash.from_token_sets(sets, num_perm=BANDS * ROWS, seed=42)
    index = rensa.RMinHashLSH(threshold=0.72, num_perm=BANDS * ROWS, num_bands=BANDS)
    index.insert_pairs(list(enumerate(signatures)))
    found = index.query_all(signatures)
    end = time.process_time()
    pairs = [(row, int(other)) for row, others in enumerate(found) for other in others if int(other) > row]
    print(json.dumps({"end_to_end": end - start, "kernel": end - read, "pairs": pairs}))


if __name__ == "__main__":
    main()
