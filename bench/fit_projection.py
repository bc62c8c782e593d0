"""Fit the confidence of the method `auto` on the train file of the opinion targets: writes `project/calibration.json`.

Only the train file is looked at. One model for each kind of evidence: with the ready links of awesome-align and without, with eflomal and
with the built-in aligner.

    python bench/fit_projection.py [--out FILE]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import projection_cells

from dsbuild.project import calibration
from dsbuild.project.cascade import CascadeProjector
from dsbuild.project.gold_options import gold_options

GOLD = "opinion targets en-es (SemEval-2016 restaurants, DeepL translation, manual projection), train file"


def main() -> None:
    """Fit all setups and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "project/calibration.json")
    out = parser.parse_args().out
    made = {}
    for aligner in ("eflomal", "built-in"):
        for links in (True, False):
            setup = f"links+{aligner}" if links else aligner
            cell = projection_cells.ote("train", keep_links=links)
            options = gold_options(CascadeProjector(aligner=aligner).units(cell.pairs), cell.gold)
            fitted = calibration.fit(setup, calibration.Gold(GOLD, ("es",)), options)
            made[setup] = fitted.plain()
            print(setup, fitted.n_spans, {name: values[0] for name, values in made[setup]["features"].items()})
    out.write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
