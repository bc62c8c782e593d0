"""A synthetic corpus with near duplicates of known Jaccard index: invented words whose frequencies follow Zipf's law.

The index of each planted pair is counted on the word numbers, so it does not depend on any of the programs that are compared.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

WORDS = 50_000
EXPONENT = 1.05
SHINGLE = 5
# A tenth of the documents are altered copies; half of these have one run of words replaced, half have words replaced here and there.
COPIES = 0.10

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Corpus:
    """texts, and planted pairs (row, row, Jaccard index of the sets of 5-word shingles)."""

    texts: list[str]
    pairs: list[tuple[int, int, float]]

    @property
    def size_bytes(self) -> int:
        """UTF-8 bytes of the texts."""
        return sum(len(text.encode()) for text in self.texts)

    def write(self, folder: Path, files: int = 2) -> list[Path]:
        """Write JSON lines with `id` and `text`, in so many files of about the same size."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for number, rows in enumerate(np.array_split(np.arange(len(self.texts)), files)):
            paths.append(folder / f"part-{number:03d}.jsonl")
            with paths[-1].open("w", encoding="utf-8") as handle:
                for row in rows.tolist():
                    handle.write(json.dumps({"id": str(row), "text": self.texts[row]}) + "\n")
        return paths


def make(documents: int, *, words: int = 375, seed: int = 11) -> Corpus:
    """Documents of about `words` words on average, a tenth of them altered copies with Jaccard indices spread over 0.5 to 1."""
    draw = np.random.default_rng(seed)
    vocabulary = _vocabulary(draw)
    weights = 1.0 / np.arange(3, WORDS + 3) ** EXPONENT
    edges = np.cumsum(weights / weights.sum())

    def some(count: int) -> Ids:
        return np.minimum(np.searchsorted(edges, draw.random(count)), WORDS - 1)

    copies = round(documents * COPIES)
    sigma = 0.6
    lengths = np.clip(draw.lognormal(np.log(words) - sigma * sigma / 2, sigma, documents - copies), 40, 10 * words)
    ids = [some(int(length)) for length in lengths]
    origins = draw.choice(len(ids), copies, replace=False)
    planted = []
    for number, origin in enumerate(origins.tolist()):
        planted.append((origin, len(ids)))
        ids.append(_altered(ids[origin], draw.uniform(0.5, 1.0), number % 2 == 0, draw, some))
    place = draw.permutation(len(ids))
    texts = [""] * len(ids)
    for row, one in enumerate(ids):
        texts[place[row]] = _written([vocabulary[word] for word in one], draw)
    pairs = [
        (int(place[one]), int(place[other]), jaccard(ids[one].tolist(), ids[other].tolist())) for one, other in planted
    ]
    return Corpus(texts, pairs)


def jaccard(one: list[int] | list[str], other: list[int] | list[str]) -> float:
    """The Jaccard index of two word sequences' sets of shingles, counted with Python's own sets."""
    left, right = (set(zip(*(words[start:] for start in range(SHINGLE)), strict=False)) for words in (one, other))
    return len(left & right) / len(left | right)


def _altered(ids: Ids, target: float, together: bool, draw: np.random.Generator, some) -> Ids:  # noqa: ANN001
    """A copy in which about as many shingles differ as make the target."""
    shingles = len(ids) - SHINGLE + 1
    differing = shingles * (1 - target) / (1 + target)
    copy = ids.copy()
    if together:
        count = max(1, round(differing) - SHINGLE + 1)
        start = int(draw.integers(0, len(ids) - count + 1))
        copy[start : start + count] = some(count)
    else:
        count = max(1, round(differing / SHINGLE))
        copy[draw.choice(len(ids), count, replace=False)] = some(count)
    return copy


def _vocabulary(draw: np.random.Generator) -> list[str]:
    onsets, vowels, codas = (
        ["p", "t", "k", "b", "d", "g", "m", "n", "s", "l", "r", "v", "z", "h", "j", "st", "kr"],
        ["a", "e", "i", "o", "u"],
        ["", "", "n", "s", "r", "l"],
    )
    found: dict[str, None] = {}
    while len(found) < WORDS:
        syllables = min(1 + len(found) // 60, int(draw.integers(1, 5)))
        found["".join(str(draw.choice(part)) for _ in range(syllables) for part in (onsets, vowels, codas))] = None
    return list(found)


def _written(words: list[str], draw: np.random.Generator) -> str:
    """Sentences of 5 to 25 words, one to five a line."""
    lines, line, start = [], [], 0
    while start < len(words):
        end = start + int(draw.integers(5, 26))
        line.append(" ".join(words[start:end]).capitalize() + ".")
        start = end
        if draw.random() < 0.3:
            lines.append(" ".join(line))
            line = []
    return "\n".join([*lines, " ".join(line)]) if line else "\n".join(lines)
