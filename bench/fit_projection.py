"""Fit the confidence of the method `auto` on the train file of the opinion targets: writes `project/calibration.json`.

Only the train file is looked at. One model for each kind of evidence: with the ready links of awesome-align and without, with eflomal and
with the built-in aligner.

    python bench/fit_projection.py [--out FILE]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import projection_cells

from dsbuild.project import calibration
from dsbuild.project.cascade import CascadeProjector
from dsbuild.project.projection_evaluation import edged
from dsbuild.project.span_evidence import SetEvidence

GOLD = "opinion targets en-es (SemEval-2016 restaurants, DeepL translation, manual projection), train file"


def rows(cell: projection_cells.Cell, aligner: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of every option, whether it is exact, and the number of its span."""
    units = CascadeProjector(aligner=aligner).units(cell.pairs)
    evidence = SetEvidence(units)
    features, right, groups = [], [], []
    number = 0
    for unit, gold in zip(units, cell.gold, strict=True):
        places = {(span.label, edged(gold.text, span.pieces[0])) for span in gold.spans}
        for span in unit.pair.source.spans:
            number += 1
            for option in evidence.options(unit, span):
                first, last = option.words
                piece = edged(unit.pair.target, (unit.tgt[first][0], unit.tgt[last - 1][1]))
                features.append(option.features)
                right.append((span.label, piece) in places)
                groups.append(number)
    return np.array(features), np.array(right), np.array(groups)


def main() -> None:
    """Fit all setups and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "project/calibration.json")
    out = parser.parse_args().out
    made = {}
    for aligner in ("eflomal", "built-in"):
        for links in (True, False):
            setup = f"links+{aligner}" if links else aligner
            fitted = calibration.fit(
                setup, GOLD, ("es",), *rows(projection_cells.ote("train", keep_links=links), aligner)
            )
            made[setup] = fitted.plain()
            print(setup, fitted.n_spans, {name: values[0] for name, values in made[setup]["features"].items()})
    out.write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
