"""What the method `auto` reaches on the shared gold: F1 without any pretrained model, and whether a promised precision is kept.

    python bench/projection_cascade.py [--cells ote-test-es,xquad-hi] [--aligner eflomal|built-in] [--out FILE]

A cell is a set in one language. The calibration saw the train file of ote (en-es) and no other. `given`: with the ready links of awesome-align.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import projection_cells

from dsbuild.project.cascade import CascadeProjector
from dsbuild.project.projection_evaluation import Answer, evaluate

PROMISES = (0.90, 0.95, 0.97)


def measured(cell: projection_cells.Cell, aligner: str) -> dict[str, Any]:
    """Scores of a cell without a target, then coverage and precision for each promise."""
    projector = CascadeProjector(aligner=aligner)
    projector._more = list(cell.more)  # the questions of XQuAD, without a file
    started = time.perf_counter()
    projector.fit(cell.pairs)
    found: dict[str, Any] = {"seconds": round(time.perf_counter() - started, 1)}
    for promise in (None, *PROMISES):
        projector.decide(promise)
        scores = evaluate(answers(cell, projector), cell.by_id)
        if promise is None:
            found |= {kind: scores[kind] for kind in ("exact", "overlap", "head")}
            found["ece"] = scores["calibration"]["ece"]
            found |= {name: projector.facts()[name] for name in ("setup", "status", "distance")}
        else:
            found[f"{promise:.2f}"] = {"precision": scores["exact"]["precision"], "coverage": scores["coverage"]}
    return found


def answers(cell: projection_cells.Cell, projector: CascadeProjector) -> list[Any]:
    """Gold texts with what was projected."""
    rows = []
    for pair, gold, said in zip(cell.pairs, cell.gold, projector.project(cell.pairs), strict=True):
        labels = {span.span_id: span.label for span in pair.source.spans}
        rows.append(
            (
                gold,
                [
                    Answer(one.span_id, labels[one.span_id], one.pieces, one.score, one.outcome, one.reason)
                    for one in said
                ],
            )
        )
    return rows


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    cells = {**projection_cells.CELLS, "ote-test-es given": lambda: projection_cells.ote("test")}
    cells["ote-test-es"] = lambda: projection_cells.ote("test", keep_links=False)
    del cells["ote-train-es"]
    parser.add_argument("--cells", default=",".join(sorted(cells)))
    parser.add_argument("--aligner", default="eflomal", choices=("eflomal", "built-in"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    table = {}
    head = "".join(f"   P at {promise:.2f} (cover)" for promise in PROMISES)
    print(f"{'cell':20} exact  over.  head   ece    status        dist{head}")
    for name in options.cells.split(","):
        found = table[name] = measured(cells[name](), options.aligner)
        kept = "".join(
            f"   {'abstains' if not one['coverage'] else format(one['precision'], '.3f'):>8} ({one['coverage']:.3f})"
            for one in (found[f"{promise:.2f}"] for promise in PROMISES)
        )
        scores = " ".join(f"{found[kind]['f1']:.4f}" for kind in ("exact", "overlap", "head"))
        print(f"{name:20} {scores} {found['ece']:.4f} {found['status']:13} {found['distance']:.2f}{kept}", flush=True)
    if options.out:
        options.out.write_text(json.dumps(table, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
