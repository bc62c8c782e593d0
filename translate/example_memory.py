"""Similar segments of a translation memory, found exactly: the worked examples that a model sees before a segment.

Similarity is the fuzzy match score of translation memories: one less the edit distance of the two word sequences over the longer one
(used to choose examples by Bulté and Tezcan 2019, "Neural Fuzzy Repair", and for language models by Moslem et al. 2023, "Adaptive Machine
Translation with Large Language Models"). Two segments at or over a threshold share so many words that each has one of them among its
rarest few (prefix filtering: Chaudhuri et al. 2006; Bayardo et al. 2007), so only those few are indexed and nothing is missed.
"""

from __future__ import annotations

import math
import sqlite3
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import xxhash

from dsbuild import text as texts
from dsbuild.errors import StoreError, UnknownName

Exact = Literal["skip", "use"]
EXACT: tuple[Exact, ...] = ("skip", "use")
T = TypeVar("T")

_BUCKETS = 1 << 20
_FETCHED = 500
_TABLES = """
CREATE TABLE segments (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, source TEXT NOT NULL, target TEXT NOT NULL, words BLOB NOT NULL);
CREATE TABLE postings (element INTEGER NOT NULL, n INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (element, n, id)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Similar:
    """A segment of the memory and its translation; score: in (0, 1], 1 for the same words in the same order."""

    source: str
    target: str
    score: float


class ExampleMemory:
    """An index of translated segments on disk, for one direction and threshold.

    pairs: source and target texts; of one source the first translation counts, a pair without words on a side is left out. threshold: in
    (0, 1]. The index lies in a temporary folder and goes with this object; what is held in memory does not grow with it.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]], threshold: float) -> None:
        self.threshold = threshold
        self._folder = tempfile.TemporaryDirectory(prefix="dsbuild-examples-")
        # How many segments have an element of a bucket: rare ones come first. Any order would do; this one makes short lists.
        self._common: npt.NDArray[np.int64] = np.zeros(_BUCKETS, np.int64)
        try:
            self._base = sqlite3.connect(Path(self._folder.name) / "segments.sqlite", check_same_thread=False)
            self._base.execute("PRAGMA journal_mode = OFF")
            self._base.execute("PRAGMA synchronous = OFF")
            self._base.executescript(_TABLES)
            self._store(pairs)
            self._post()
        except sqlite3.DatabaseError as error:
            self.close()
            raise StoreError(
                f"no index of the examples can be written to the temporary folder ({error}); free some space, or set TMPDIR to another one"
            ) from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> ExampleMemory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the index; safe to call twice."""
        if hasattr(self, "_base"):
            self._base.close()
        self._folder.cleanup()

    def __len__(self) -> int:
        """Segments in the index."""
        return int(self._base.execute("SELECT count(*) FROM segments").fetchone()[0])

    def similar(self, text: str, k: int, exact: Exact = "skip") -> list[Similar]:
        """The k most similar segments at or over the threshold, best first; of equals the earlier in the memory.

        exact: "skip" leaves out segments of the same words in the same order, whatever their punctuation and case.
        """
        if exact not in EXACT:
            raise UnknownName("treatment of exact matches", exact, EXACT)
        mine = _words(text)
        if not mine or k < 1:
            return []
        measure = _Distance(mine)
        found: list[tuple[float, int]] = []
        # Those of nearest length can score highest, so the first k good ones end the search.
        for chunk in _parts(self._candidates(mine)):
            least = found[k - 1][0] if len(found) >= k else self.threshold
            reachable = {one: _bound(len(mine), n) for n, one in chunk if _bound(len(mine), n) >= least}
            if not reachable:
                break
            for one, blob in self._rows(list(reachable), "words"):
                theirs = np.frombuffer(blob, np.int64).tolist()
                longer = max(len(mine), len(theirs))
                # What is not shared is inserted or replaced: most candidates fall here, at a tenth of the cost of a distance.
                if sum(map(measure.places.__contains__, theirs)) / longer < least:
                    continue
                score = (longer - measure.to(theirs)) / longer
                if score >= self.threshold and not (exact == "skip" and theirs == mine):
                    found.append((score, one))
            found.sort(key=lambda hit: (-hit[0], hit[1]))
            del found[k:]
        said = {
            one: (source, target) for one, source, target in self._rows([one for _, one in found], "source, target")
        }
        return [Similar(*said[one], score) for score, one in found]

    def _candidates(self, mine: Sequence[int]) -> list[tuple[int, int]]:
        """Length and number of every segment that can reach the threshold, nearest length first."""
        n = len(mine)
        shortest, longest = math.ceil(self.threshold * n - 1e-9), math.floor(n / self.threshold + 1e-9)
        hits: set[tuple[int, int]] = set()
        for element in self._rarest(mine):
            hits.update(
                self._base.execute(
                    "SELECT n, id FROM postings WHERE element = ? AND n BETWEEN ? AND ?", (element, shortest, longest)
                )
            )
        return sorted(hits, key=lambda hit: (-_bound(n, hit[0]), hit[1]))

    def _rows(self, numbers: Sequence[int], columns: str) -> Iterator[Any]:
        for some in _parts(numbers):
            yield from self._base.execute(
                f"SELECT id, {columns} FROM segments WHERE id IN ({','.join('?' * len(some))})", some
            )

    def _store(self, pairs: Iterable[tuple[str, str]]) -> None:
        for source, target in pairs:
            mine = _words(source)
            if not mine or not target.strip():
                continue
            key = xxhash.xxh3_128_digest(" ".join(unicodedata.normalize("NFC", source).split()).encode("utf-8"))
            added = self._base.execute(
                "INSERT OR IGNORE INTO segments (key, source, target, words) VALUES (?, ?, ?, ?)",
                (key, source, target, np.array(mine, np.int64).tobytes()),
            )
            if added.rowcount:
                for element in _elements(mine):
                    self._common[element % _BUCKETS] += 1

    def _post(self) -> None:
        with closing(self._base.cursor()) as reading:
            stored = reading.execute("SELECT id, words FROM segments")
            for one, blob in stored:
                mine = np.frombuffer(blob, np.int64).tolist()
                self._base.executemany(
                    "INSERT INTO postings VALUES (?, ?, ?)",
                    [(element, len(mine), one) for element in self._rarest(mine)],
                )
        self._base.commit()

    def _rarest(self, words: Sequence[int]) -> list[int]:
        """The elements of a segment of which one at least is shared with every segment at or over the threshold."""
        ordered = sorted(_elements(words), key=lambda element: (self._common[element % _BUCKETS], element))
        return ordered[: len(words) - math.ceil(self.threshold * len(words) - 1e-9) + 1]


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _FETCHED] for start in range(0, len(items), _FETCHED))


def _words(text: str) -> list[int]:
    """The words of a text as numbers below 2**63, case folded."""
    return [_number(word) for word in texts.words(unicodedata.normalize("NFC", text).casefold())]


def _number(said: str) -> int:
    return xxhash.xxh3_64_intdigest(said.encode("utf-8")) >> 1


def _elements(words: Sequence[int]) -> list[int]:
    """The words as a set: the second time that a word stands there is an element of its own."""
    seen: Counter[int] = Counter()
    elements = []
    for word in words:
        seen[word] += 1
        elements.append(word if seen[word] == 1 else _number(f"{word} {seen[word]}"))
    return elements


def _bound(n: int, m: int) -> float:
    """The highest score that segments of n and m words can have."""
    return min(n, m) / max(n, m)


class _Distance:
    """Edit distances of word sequences to one of them, bit-parallel (Myers 1999, in the form of Hyyrö 2003)."""

    def __init__(self, words: Sequence[int]) -> None:
        self.length = len(words)
        self.mask = (1 << len(words)) - 1
        places: dict[int, int] = {}
        for place, word in enumerate(words):
            places[word] = places.get(word, 0) | 1 << place
        self.places: Mapping[int, int] = places

    def to(self, other: Sequence[int]) -> int:
        """Insertions, deletions and replacements of words that make one of the other."""
        up, down, distance, last = self.mask, 0, self.length, 1 << (self.length - 1)
        for word in other:
            same = self.places.get(word, 0)
            vertical = same | down
            across = (((same & up) + up) ^ up) | same
            more = down | ~(across | up) & self.mask
            less = up & across
            distance += bool(more & last) - bool(less & last)
            more = (more << 1 | 1) & self.mask
            less = (less << 1) & self.mask
            up = less | ~(vertical | more) & self.mask
            down = more & vertical
        return distance
