"""eflomal: a Bayesian HMM with fertility that learns on the set that it aligns (Östling and Tiedemann 2016).

The package's program is called on numbered forms, both directions in one call; the two are made one here. It draws its random numbers
from the system and takes no seed, so links differ a little from run to run: what is done with them is recorded, not repeated.
"""

from __future__ import annotations

import gc
import importlib.util
import math
import subprocess
import tempfile
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dsbuild.errors import EngineError, MissingExtra, UnknownName
from dsbuild.project.aligner import Bitext
from dsbuild.project.alignment import SYMMETRIES, Link, Symmetry, symmetrise
from dsbuild.project.word_pieces import UNITS, Units, default, forms

# The program passes over texts of more units.
MOST_UNITS = 1023
_WIDE = 1 << 10
# What a link of only one direction counts.
_ONE_SIDED = 0.5
# How often forms that are equal in both languages (numbers, names) are taken to have been seen together.
_SEED = 2.0
_SEED_LETTERS = 3


class Eflomal:
    """Aligns with eflomal.

    symmetry: how the two directions are made one. units: what is counted: words, stems, prefixes or pieces ("auto": stems for agglutinating
    languages, else words), on both sides or as "SRC/TGT". samplers: independent ones, whose votes are added; rounds: iterations relative to
    the tool's own number, which falls with the size of the set. seeds: whether equal forms get prior counts. What one call learned
    is the prior of the next one with the same languages.
    """

    name = "eflomal"

    def __init__(
        self,
        symmetry: Symmetry = "grow-diag-final-and",
        units: str = "auto",
        samplers: int = 3,
        rounds: float = 1.0,
        null_prior: float = 0.2,
        seeds: bool = True,
    ) -> None:
        if symmetry not in SYMMETRIES:
            raise UnknownName("symmetrisation", symmetry, SYMMETRIES)
        left, _, right = units.partition("/")
        for unit in (left, right or left):
            if unit != "auto" and unit not in UNITS:
                raise UnknownName("unit of alignment", unit, ("auto", *UNITS))
        self._symmetry, self._units, self._samplers = symmetry, (left, right or left), samplers
        self._rounds, self._null_prior, self._seeds = rounds, null_prior, seeds
        self._learned: dict[tuple[str, str], _Learned] = {}

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """Name, version of the package, options."""
        _program()
        return {
            "name": self.name, "version": version("eflomal"), "symmetry": self._symmetry, "units": "/".join(self._units),
            "samplers": self._samplers, "rounds": self._rounds, "null_prior": self._null_prior, "seeds": self._seeds,
        }  # fmt: skip

    def align(
        self, pairs: Sequence[Bitext], src: str, tgt: str, more: Sequence[Bitext] = ()
    ) -> list[dict[Link, float]]:
        """Links of each pair; 1 where both directions have them, 0.5 where one has. Pairs of more than 1,023 forms get none."""
        left = _Side((pair.src_words() for pair in chain(pairs, more)), _chosen(self._units[0], src))
        right = _Side((pair.tgt_words() for pair in chain(pairs, more)), _chosen(self._units[1], tgt))
        sizes = np.stack([left.sizes, right.sizes])
        used = np.flatnonzero((sizes > 0).all(0) & (sizes <= MOST_UNITS).all(0))
        if not len(used):
            return [{} for _ in pairs]
        learned = self._learned.setdefault((src, tgt), _Learned())
        with _uncollected():
            return self._found(pairs, left, right, used, learned)

    def _found(
        self, pairs: Sequence[Bitext], left: _Side, right: _Side, used: npt.NDArray[np.int64], learned: _Learned
    ) -> list[dict[Link, float]]:
        """The links of each pair, once the program has run."""
        found: list[dict[Link, float]] = [{} for _ in pairs]
        directions = self._run(left, right, used, learned)
        links: list[int] = []
        starts = [0]
        for number, (forward, backward) in zip(used.tolist(), zip(*directions, strict=True), strict=True):
            both = set(forward).intersection(backward)
            chosen = symmetrise(forward, backward, self._symmetry)
            links += [i * _WIDE + j for i, j in chosen]
            starts.append(len(links))
            if number < len(pairs):
                found[number] = {link: 1.0 if link in both else _ONE_SIDED for link in chosen}
        learned.add(left, right, used, np.array(links, np.int64), np.diff(starts))
        if left.one_to_one and right.one_to_one:
            return found
        return [self._on_words(one, left.owners(number), right.owners(number)) for number, one in enumerate(found)]

    @staticmethod
    def _on_words(links: Mapping[Link, float], left: Sequence[int], right: Sequence[int]) -> dict[Link, float]:
        """Links of forms as links of the words that they belong to."""
        found: dict[Link, float] = {}
        for (i, j), score in links.items():
            link = (left[i], right[j])
            found[link] = max(score, found.get(link, 0.0))
        return found

    def close(self) -> None:
        """Forget what was learned."""
        self._learned.clear()

    def _run(
        self, left: _Side, right: _Side, used: npt.NDArray[np.int64], learned: _Learned
    ) -> tuple[list[list[Link]], list[list[Link]]]:
        """The links of both directions for each text that is used, between forms."""
        prior = learned.counts()
        if self._seeds:
            for form in left.forms.keys() & right.forms.keys():
                if len(form) >= _SEED_LETTERS or form.isdigit():
                    prior[form, form] += _SEED
        lexical = [
            (left.forms[one], right.forms[two], count)
            for (one, two), count in prior.items()
            if one in left.forms and two in right.forms
        ]
        rounds = max(2, round(self._rounds * 5000 / math.sqrt(len(used))))
        few = max(1, rounds // 4)
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work)
            left.write(folder / "src", used)
            right.write(folder / "tgt", used)
            command = [
                str(_program()), "-q", "-m", "3", "-s", str(folder / "src"), "-t", str(folder / "tgt"), "-f", str(folder / "forward"),
                "-r", str(folder / "backward"), "-n", str(self._samplers), "-N", str(self._null_prior),
                "-1", str(max(2, few)), "-2", str(few), "-3", str(rounds),
            ]  # fmt: skip
            if lexical:
                _write_priors(folder / "priors", lexical, len(left.forms), len(right.forms))
                command += ["-p", str(folder / "priors")]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise EngineError(f"eflomal ended with {done.returncode} on {len(used):,} pairs: {reason[:200]}")
            return _read(folder / "forward", len(used)), _read(folder / "backward", len(used))


class _Side:
    """The texts of one language as numbered forms, held as arrays: a set of texts as lists of words takes ten times the memory.

    forms: each form and its number, from 1 (0 stands for "no word" in priors); sizes: forms of each text.
    """

    def __init__(self, texts: Iterable[Sequence[str]], units: Units) -> None:
        numbers: dict[str, int] = defaultdict()
        numbers.default_factory = numbers.__len__  # type: ignore[attr-defined]
        self._words = [array("I", [numbers[word] for word in words]) for words in texts]
        counts: Counter[int] = Counter()
        if units == "pieces":
            for words in self._words:
                counts.update(words)
        table = forms({word: counts[number] for word, number in numbers.items()}, units)
        self.forms: dict[str, int] = {}
        for parts in table.values():
            for form in parts:
                self.forms.setdefault(form, len(self.forms) + 1)
        self._spelled = [" ".join(str(self.forms[form] - 1) for form in table[word]) for word in numbers]
        self._parts = [tuple(self.forms[form] for form in table[word]) for word in numbers]
        self._lengths = np.array([len(parts) for parts in self._parts] or [0], np.int64)
        self.one_to_one = bool((self._lengths <= 1).all())
        self.sizes = np.array(
            [len(words) if self.one_to_one else int(self._lengths[words].sum()) for words in self._words], np.int64
        )

    def write(self, path: Path, used: npt.NDArray[np.int64]) -> None:
        spelled = self._spelled
        with path.open("w", encoding="ascii") as out:
            out.write(f"{len(used)} {len(self.forms)}\n")
            out.writelines(
                f"{self.sizes[number]} {' '.join([spelled[word] for word in self._words[number]])}\n"
                for number in used.tolist()
            )

    def owners(self, number: int) -> list[int]:
        """The word that each form of a text belongs to."""
        return [place for place, word in enumerate(self._words[number]) for _ in self._parts[word]]

    def in_order(self, used: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The forms' numbers of the used texts, one after another."""
        return np.fromiter(
            (form for number in used.tolist() for word in self._words[number] for form in self._parts[word]),
            np.int64,
            int(self.sizes[used].sum()),
        )


class _Learned:
    """How often forms were linked in the sets that were aligned; counted when the next set asks."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._waiting: list[Callable[[], Counter[tuple[str, str]]]] = []

    def add(
        self, left: _Side, right: _Side, used: npt.NDArray[np.int64], links: npt.NDArray[np.int64], n_links: npt.NDArray[np.int64]
    ) -> None:  # fmt: skip
        """links: of the used texts, one after another, as i * `_WIDE` + j; n_links: how many each text has."""

        def count() -> Counter[tuple[str, str]]:
            ends = [np.concatenate([[0], np.cumsum(side.sizes[used])[:-1]]) for side in (left, right)]
            one = left.in_order(used)[np.repeat(ends[0], n_links) + links // _WIDE]
            two = right.in_order(used)[np.repeat(ends[1], n_links) + links % _WIDE]
            wide = len(right.forms) + 1
            keys, counts = np.unique(one * wide + two, return_counts=True)
            names = ["", *left.forms], ["", *right.forms]
            return Counter(
                {
                    (names[0][key // wide], names[1][key % wide]): number
                    for key, number in zip(keys.tolist(), counts.tolist(), strict=True)
                }
            )

        self._waiting.append(count)

    def counts(self) -> defaultdict[tuple[str, str], float]:
        """All counts so far."""
        while self._waiting:
            self._counts += self._waiting.pop(0)()
        return defaultdict(float, self._counts)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the cycle collector: links by the million hold no cycles, and it would walk them again and again, a third of the time."""
    held = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if held:
            gc.enable()


def _chosen(units: str, lang: str) -> Any:
    return default(lang) if units == "auto" else units


def _program() -> Path:
    # Found, not imported: only its program is used.
    spec = importlib.util.find_spec("eflomal")
    if spec is None or spec.origin is None:
        raise MissingExtra("the aligner eflomal", "eflomal", "align")
    return Path(spec.origin).parent / "bin/eflomal"


def _read(path: Path, n_texts: int) -> list[list[Link]]:
    """The links of each text; the program writes pairs `i-j`, a line for each text."""
    data = path.read_bytes()
    lengths = [line.count(b"-") for line in data.split(b"\n")[:n_texts]]
    # Of white space alone NumPy makes one zero: a program that linked nothing at all.
    text = data.replace(b"-", b" ").decode("ascii").strip()
    numbers = np.fromstring(text, np.int64, sep=" ").reshape(-1, 2)
    if len(lengths) != n_texts or sum(lengths) != len(numbers):
        raise EngineError(f"eflomal wrote {len(lengths):,} lines with {len(numbers):,} links for {n_texts:,} pairs")
    links = list(zip(numbers[:, 0].tolist(), numbers[:, 1].tolist(), strict=True))
    ends = list(accumulate(lengths, initial=0))
    return [links[start:end] for start, end in pairwise(ends)]


def _write_priors(path: Path, lexical: Sequence[tuple[int, int, float]], n_src: int, n_tgt: int) -> None:
    with path.open("w", encoding="ascii") as out:
        out.write(f"{n_src + 1} {n_tgt + 1} {len(lexical)} 0 0 0 0\n")
        for one, two, count in sorted(lexical):
            out.write(f"{one} {two} {count:g}\n")
