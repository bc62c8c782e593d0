"""Do the checks rank machine translations as people do, beyond what the length of the source tells?

For the direct assessments of WMT 2023 (en-hi, en-ta, en-te) and MLQE-PE (en-de, en-zh): the partial Spearman correlation of each check with
people's scores given the length of the source, and how many of the worst 5 % it finds at 2 % false alarms among the others. Long
sentences are translated worse, so length alone ranks; a check counts only if it finds more than length does and its partial correlation
is above three standard errors. The texts are those of evaluations: nothing was chosen on them.

    python bench/ranking.py [--data DIR] [--limit N] [--format json]
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import math
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from checks import SIGNS

from dsbuild.filters.bitext import BitextChecks
from dsbuild.filters.letters import Letters
from dsbuild.filters.pair_rules import PairRules

Floats = npt.NDArray[np.float64]

WORST, ALARMS = 0.05, 0.02
# Columns of the cheap rules and the side on which they are bad.
PAIRS = {
    "pairs_length_ratio": 1,
    "pairs_terminal": -1,
    "pairs_numerals": -1,
    "pairs_common_substring": 1,
    "pairs_similarity": 1,
    "pairs_repetition": 1,
}
SIDES = {**SIGNS, "name_share": -1, "sentence_delta": 0, **PAIRS}


def sets(data: Path) -> Iterator[tuple[str, str, list[dict[str, str]]]]:
    """(name, target language, rows) of every set that is there."""
    for lang in ("hi", "ta", "te"):
        path = data / f"qe_da/en-{lang}/train.en{lang}.df.short.tsv.gz"
        if path.is_file():
            with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
                yield f"en-{lang}", lang, list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    for lang, code in (("de", "de"), ("zh", "zh-Hans")):
        path = data / f"mlqe_pe/en-{lang}-dev.tar.gz"
        if path.is_file():
            with tarfile.open(path) as archive:
                member = archive.extractfile(f"en-{lang}-dev/dev.en{lang}.df.short.tsv")
                assert member is not None
                text = io.TextIOWrapper(member, "utf-8", newline="")
                yield f"en-{lang}", code, list(csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE))


def ranks(values: Floats) -> Floats:
    """Ranks, ties at their mean, less the mean of all."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    result: Floats = (ends - (counts - 1) / 2)[place] - (len(values) + 1) / 2
    return result


def correlation(one: Floats, two: Floats) -> float:
    """Of two columns with mean 0; 0 where one is constant."""
    norm = math.sqrt(float(one @ one) * float(two @ two))
    return float(one @ two) / norm if norm > 0 else 0.0


def partial(check: Floats, human: Floats, length: Floats) -> float:
    """The Spearman correlation of a check (high is bad) with badness, the source's length held fixed."""
    a, b, c = ranks(check), ranks(-human), ranks(length)
    ab, ac, bc = correlation(a, b), correlation(a, c), correlation(b, c)
    rest = math.sqrt(max(0.0, (1 - ac**2) * (1 - bc**2)))
    return (ab - ac * bc) / rest if rest > 1e-9 else 0.0


def recall(check: Floats, worst: npt.NDArray[np.bool_]) -> float:
    """The share of the worst beyond the score that at most `ALARMS` of the others lie beyond."""
    others = np.sort(check[~worst])
    bound = others[-1 - int(ALARMS * len(others))]
    return float((check[worst] > bound).mean())


def judge(name: str, lang: str, rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """One row per check."""
    sources, targets = [row["original"] for row in rows], [row["translation"] for row in rows]
    human = np.array([float(row["z_mean"]) for row in rows])
    worst = human <= np.quantile(human, WORST)
    length = Letters(sources).sizes().astype(np.float64)
    scores = BitextChecks("en", lang).score(sources, targets)
    sides = [pa.array(side, pa.string()) for side in (sources, targets)]
    scores |= PairRules().score(*sides, ["en"] * len(rows), [lang] * len(rows))
    base = recall(length, worst)
    found = [{"set": name, "check": "source length", "n": len(rows), "says": 1.0,
              "partial": correlation(ranks(length), ranks(-human)), "recall": base, "counts": None}]  # fmt: skip
    for column, sign in SIDES.items():
        values = pc.cast(scores[column], pa.float64()).to_numpy(zero_copy_only=False)
        values = np.abs(values) if sign == 0 else sign * values
        said = ~np.isnan(values)
        if said.sum() < 30:
            continue
        rho = partial(values[said], human[said], length[said])
        # A row on which the check says nothing is not found.
        share = recall(np.where(said, values, -np.inf), worst)
        found.append({"set": name, "check": column, "n": len(rows), "says": float(said.mean()), "partial": rho, "recall": share,
                      "counts": share > base and rho > 3 / math.sqrt(said.sum())})  # fmt: skip
    return found


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/quality"))
    parser.add_argument("--limit", type=int, default=0, help="rows of each set, all if 0")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    options = parser.parse_args()
    rows = [row for name, lang, some in sets(options.data) for row in judge(name, lang, some[: options.limit or None])]
    if not rows:
        print("not run: no direct assessments (--data)")
        return 0
    if options.format == "json":
        print(json.dumps(rows))
        return 0
    names = list(dict.fromkeys(row["set"] for row in rows))
    print(
        "partial Spearman given source length / recall of the worst 5 % at 2 % false alarms; * counts beyond length\n"
    )
    print("| check | " + " | ".join(names) + " |\n|---|" + "---:|" * len(names))
    for check in dict.fromkeys(row["check"] for row in rows):
        cells = {row["set"]: row for row in rows if row["check"] == check}
        shown = [
            f"{cells[name]['partial']:+.3f} / {cells[name]['recall']:.1%}{' *' if cells[name]['counts'] else ''}"
            if name in cells
            else "-"
            for name in names
        ]
        print(f"| {check} | " + " | ".join(shown) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
