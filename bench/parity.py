"""The same edit in parallel texts: is it judged alike in every language? One word of each passage is replaced by another.

Passages are three consecutive segments of one document of NTREX in English, Hindi, Marathi and Tamil.
"""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

import numpy as np

from dsbuild.filters.lsh import jaccards
from dsbuild.filters.shingles import Shingling, Unit
from dsbuild.filters.utf8 import encode
from dsbuild.text import word_spans, words

DATA = Path(__file__).parent.parent / "../shared/data/parallel/ntrex"
FILES = {"en": "src.eng", "hi": "ref.hin", "mr": "ref.mar", "ta": "ref.tam"}
THRESHOLD = 0.8
SHARES = (0.0, 0.03, 0.05)
UNITS: tuple[tuple[Unit, int], ...] = (("words", 5), ("graphemes", 5), ("graphemes", 6), ("graphemes", 8))


def run(*, quick: bool) -> dict[str, Any]:
    """The share of edited passages that still reach the threshold, by unit, share of words changed (0: one word) and language."""
    if not DATA.is_dir():
        return {"parity": "not run: NTREX is not there"}
    segments = {lang: _lines(f"newstest2019-{name}.txt.gz") for lang, name in FILES.items()}
    passages = _passages([line.split("\t")[0] for line in _lines("DOCUMENT_IDS.tsv.gz")])
    passages = passages[:20] if quick else passages
    found: dict[str, Any] = {}
    for unit, n in UNITS:
        for share in SHARES:
            alike = {
                lang: round(_alike(texts, passages, Shingling(unit, n), share), 4) for lang, texts in segments.items()
            }
            name = f"{unit}-{n}, {'one word' if not share else f'{share:.0%} of words'}"
            found[name] = {**alike, "spread_points": round(100 * (max(alike.values()) - min(alike.values())), 1)}
    return {"parity": found, "passages": len(passages)}


def _alike(texts: list[str], passages: list[tuple[int, int]], shingling: Shingling, share: float) -> float:
    others = [word for text in texts[:600] for word in words(text)]
    pairs = []
    for number, (start, end) in enumerate(passages):
        passage = " ".join(texts[start:end])
        pairs += [passage, edited(passage, share, others, number)]
    hashes, bounds = shingling.sets(*encode(pairs))
    rows = np.arange(0, len(pairs), 2)
    return float(np.mean(jaccards(hashes, bounds, rows, rows + 1, THRESHOLD) > 0))


def edited(text: str, share: float, others: list[str], seed: int) -> str:
    """The text with a run of its words (one, or a share of them) replaced, at the same relative place in every language."""
    spans = word_spans(text)
    draw = random.Random(seed)
    count = max(1, round(share * len(spans)))
    first = int(draw.random() * (len(spans) - count + 1))
    start, end = spans[first][0], spans[first + count - 1][1]
    return text[:start] + " ".join(draw.choice(others) for _ in range(count)) + text[end:]


def _passages(documents: list[str]) -> list[tuple[int, int]]:
    found, start = [], 0
    while start + 3 <= len(documents):
        whole = documents[start] == documents[start + 2]
        if whole:
            found.append((start, start + 3))
        start += 3 if whole else 1
    return found


def _lines(name: str) -> list[str]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as handle:
        return handle.read().splitlines()
