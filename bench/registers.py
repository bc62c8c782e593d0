"""Registers of held-out French and Swedish web documents: F1 of the trained labels, beside the most frequent label as a baseline.

`python bench/registers.py [--format json]`. French: trained on FreCORE's test part, measured on its dev part, with the threshold from a tenth of
the training texts. Swedish has one part only: five folds. `across`: trained on all of French, measured on Swedish.
Source of the texts: TurkuNLP Multilingual-register-corpora (CC BY 4.0).
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dsbuild.filters.registers import RegisterLabels, f1, read_labels, to_matrix, train_registers

DATA = Path(__file__).parent.parent / "../shared/data/quality/registers"
FOLDS = 5


def read(name: str) -> tuple[list[str], list[str]]:
    """Label cells and texts of a part; rows without a label are left out."""
    with gzip.open(DATA / f"{name}.tsv.gz", "rt", encoding="utf-8", newline="\n") as handle:
        rows = [line.rstrip("\r\n").partition("\t") for line in handle]
    return [row[0] for row in rows if row[0].strip()], [row[2] for row in rows if row[0].strip()]


def measure(
    train: tuple[Sequence[str], Sequence[str]], test: tuple[Sequence[str], Sequence[str]], folder: Path
) -> dict[str, Any]:
    """F1 of a model trained on some (cells, texts) and measured on others."""
    trained = train_registers(train[1], list(train[0]), folder / "registers.bin")
    columns = RegisterLabels(str(trained.path), trained.threshold).score(pa.array(list(test[1])), [""] * len(test[1]))
    right = read_labels(list(test[0])).to_pylist()
    truth = to_matrix(right, trained.labels)
    found = to_matrix([labels or [] for labels in columns["registers_labels"].to_pylist()], trained.labels)
    micro, macro, each = f1(found, truth)
    frequent = Counter(label for cell in train[0] for label in cell.split()).most_common(1)[0][0]
    base = f1(to_matrix([[frequent]] * len(right), trained.labels), truth)
    return {
        "f1_micro": round(micro, 3), "f1_macro": round(macro, 3), "baseline_micro": round(base[0], 3), "baseline_macro": round(base[1], 3),
        "by_label": {label: round(value, 3) for label, value in zip(trained.labels, each, strict=True)},
        "trained_on": trained.n, "measured_on": len(right), "threshold": trained.threshold,
    }  # fmt: skip


def run() -> dict[str, Any]:
    """French, Swedish in folds, and French to Swedish."""
    if not DATA.is_dir():
        return {"registers": "not run: the corpora are not there"}
    french, dev, swedish = read("FreCORE.test"), read("FreCORE.dev"), read("SweCORE.dev")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folds = []
        for fold in range(FOLDS):
            inside = [place for place in range(len(swedish[0])) if place % FOLDS != fold]
            outside = range(fold, len(swedish[0]), FOLDS)
            parts = [tuple([part[place] for place in places] for part in swedish) for places in (inside, outside)]
            folds.append(measure(parts[0], parts[1], folder))
        everything = (french[0] + dev[0], french[1] + dev[1])
        keys = ("f1_micro", "f1_macro", "baseline_micro", "baseline_macro")
        return {
            "fr": measure(french, dev, folder),
            "sv": {key: round(float(np.mean([one[key] for one in folds])), 3) for key in keys},
            "fr to sv": measure(everything, swedish, folder),
        }


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    given = parser.parse_args(argv)
    found = run()
    if given.format == "json":
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:<10} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
