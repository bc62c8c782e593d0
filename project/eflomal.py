"""eflomal: a Bayesian HMM with fertility that learns on the set that it aligns (Östling and Tiedemann 2016).

The package's program is called on numbered forms, both directions in one call; the two are made one here. It draws its random numbers
from the system and takes no seed, so links differ a little from run to run: what is done with them is recorded, not repeated.
"""

from __future__ import annotations

import importlib.util
import math
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dsbuild.errors import EngineError, MissingExtra, UnknownName
from dsbuild.project.aligner import Bitext
from dsbuild.project.alignment import SYMMETRIES, Link, Symmetry, parse_links, symmetrise
from dsbuild.project.word_pieces import UNITS, cut, default

# The program passes over texts of more units.
MOST_UNITS = 1023
# What a link of only one direction counts.
_ONE_SIDED = 0.5
# How often forms that are equal in both languages (numbers, names) are taken to have been seen together.
_SEED = 2.0
_SEED_LETTERS = 3

Form = tuple[list[str], list[int]]


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
        self._learned: dict[tuple[str, str], Counter[tuple[str, str]]] = {}

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
        """Links of each pair; 1 where both directions have them, 0.5 where one has. Pairs of more than 1,023 units get none."""
        whole = [*pairs, *more]
        left = cut([pair.src_words() for pair in whole], _chosen(self._units[0], src))
        right = cut([pair.tgt_words() for pair in whole], _chosen(self._units[1], tgt))
        fits = [
            0 < len(one[0]) <= MOST_UNITS and 0 < len(two[0]) <= MOST_UNITS
            for one, two in zip(left, right, strict=True)
        ]
        used = [(one, two) for one, two, good in zip(left, right, fits, strict=True) if good]
        if not used:
            return [{} for _ in pairs]
        learned = self._learned.get((src, tgt), Counter())
        seen: Counter[tuple[str, str]] = Counter()
        answers = iter(self._run(used, learned))
        found: list[dict[Link, float]] = []
        for number, ((forms, words), (other_forms, other_words), good) in enumerate(
            zip(left, right, fits, strict=True)
        ):
            links: dict[Link, float] = {}
            if good:
                forward, backward = next(answers)
                both = set(forward) & set(backward)
                for i, j in symmetrise(forward, backward, self._symmetry):
                    link = (words[i], other_words[j])
                    links[link] = max(links.get(link, 0.0), 1.0 if (i, j) in both else _ONE_SIDED)
                    seen[forms[i], other_forms[j]] += 1
            if number < len(pairs):
                found.append(links)
        self._learned[src, tgt] = learned + seen
        return found

    def close(self) -> None:
        """Forget what was learned."""
        self._learned.clear()

    def _run(
        self, texts: Sequence[tuple[Form, Form]], learned: Counter[tuple[str, str]]
    ) -> Iterable[tuple[list[Link], list[Link]]]:
        """The links of both directions for each text, between forms."""
        src, tgt = _numbers(one[0] for one, _ in texts), _numbers(two[0] for _, two in texts)
        prior: dict[tuple[str, str], float] = defaultdict(float, learned)
        if self._seeds:
            for form in src.keys() & tgt.keys():
                if len(form) >= _SEED_LETTERS or form.isdigit():
                    prior[form, form] += _SEED
        lexical = [(src[one], tgt[two], count) for (one, two), count in prior.items() if one in src and two in tgt]
        rounds = max(2, round(self._rounds * 5000 / math.sqrt(len(texts))))
        few = max(1, rounds // 4)
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work)
            _write(folder / "src", [one[0] for one, _ in texts], src)
            _write(folder / "tgt", [two[0] for _, two in texts], tgt)
            command = [
                str(_program()), "-q", "-m", "3", "-s", str(folder / "src"), "-t", str(folder / "tgt"), "-f", str(folder / "forward"),
                "-r", str(folder / "backward"), "-n", str(self._samplers), "-N", str(self._null_prior),
                "-1", str(max(2, few)), "-2", str(few), "-3", str(rounds),
            ]  # fmt: skip
            if lexical:
                _write_priors(folder / "priors", lexical, len(src), len(tgt))
                command += ["-p", str(folder / "priors")]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise EngineError(f"eflomal ended with {done.returncode} on {len(texts):,} pairs: {reason[:200]}")
            with (
                (folder / "forward").open("r", encoding="ascii") as one,
                (folder / "backward").open("r", encoding="ascii") as two,
            ):
                for forward, backward in zip(one, two, strict=True):
                    yield parse_links(forward, "eflomal"), parse_links(backward, "eflomal")


def _chosen(units: str, lang: str) -> Any:
    return default(lang) if units == "auto" else units


def _program() -> Path:
    # Found, not imported: only its program is used.
    spec = importlib.util.find_spec("eflomal")
    if spec is None or spec.origin is None:
        raise MissingExtra("the aligner eflomal", "eflomal", "align")
    return Path(spec.origin).parent / "bin/eflomal"


def _numbers(texts: Iterable[Sequence[str]]) -> dict[str, int]:
    """The number of each form, from 1: 0 stands for "no word" in priors."""
    found: dict[str, int] = {}
    for forms in texts:
        for form in forms:
            found.setdefault(form, len(found) + 1)
    return found


def _write(path: Path, texts: Sequence[Sequence[str]], number: dict[str, int]) -> None:
    with path.open("w", encoding="ascii") as out:
        out.write(f"{len(texts)} {len(number)}\n")
        for forms in texts:
            out.write(f"{len(forms)} {' '.join([str(number[form] - 1) for form in forms])}\n")


def _write_priors(path: Path, lexical: Sequence[tuple[int, int, float]], n_src: int, n_tgt: int) -> None:
    with path.open("w", encoding="ascii") as out:
        out.write(f"{n_src + 1} {n_tgt + 1} {len(lexical)} 0 0 0 0\n")
        for one, two, count in sorted(lexical):
            out.write(f"{one} {two} {count:g}\n")
