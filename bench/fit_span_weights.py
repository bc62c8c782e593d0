"""Fit the weights of the span rule `weighted` on the train file of the en-es opinion targets and say what cross-validation gives.

Labels of the train file alone are read. The links of three aligners are taken together, so that the weights do not hang on how one of them
errs; the L2 penalty and the choice of features were settled by the cross-validation that this prints, never by a test file.

    python bench/fit_span_weights.py [--aligners awesome,simalign] [--l2 2] [--write project/span_weights.json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import projection_cells
from scipy.optimize import minimize

from dsbuild.project import span_model
from dsbuild.project.align_projector import units_of
from dsbuild.project.alignment import on_units, units_in
from dsbuild.project.association import Association
from dsbuild.project.projection_evaluation import Answer, edged, evaluate
from dsbuild.project.span_rules import tidy
from dsbuild.spans import Piece

FOLDS = 5
# What may only speak for a range, and what may go either way; all else may only speak against it. Without this the fit learns how one
# file was annotated (its spans hardly ever hold an article), and harms sets of other kinds.
FOR = {"own_strength", "association"}
EITHER = {"none", "none_unlinked", "inner_extra"}
BOUNDS = [
    (None if name in EITHER else 0 if name in FOR else None, None if name in EITHER | FOR else 0)
    for name in span_model.FEATURES
]
Example = tuple[int, str, str, list[tuple[Piece, ...]], np.ndarray, int | None]


def examples(cell: projection_cells.Cell) -> list[Example]:
    """For every source span: number of its text, id, label, ranges as pieces, features, and which of them is right (None: not known)."""
    units = [units_of(pair) for pair in cell.pairs]
    links = [on_units(pair.links, src, tgt) for pair, (src, tgt) in zip(cell.pairs, units, strict=True)]
    association = Association(
        [
            (span_model.keys(pair.source.text, src), span_model.keys(pair.target, tgt), held)
            for pair, (src, tgt), held in zip(cell.pairs, units, links, strict=True)
        ]
    )
    found: list[Example] = []
    for number, (pair, (src, tgt), held, gold) in enumerate(zip(cell.pairs, units, links, cell.gold, strict=True)):
        texts = span_model.texts(pair.source.text, src, pair.target, tgt, held, association)
        wanted = [tuple(edged(pair.target, piece) for piece in span.pieces) for span in gold.spans]
        same_number = len(wanted) == len(pair.source.spans)
        for place, span in enumerate(pair.source.spans):
            inside = units_in(span.pieces, src)
            ranges, table = span_model.features(texts, inside, 0, len(tgt))
            pieces = []
            for left, right in ranges:
                piece = tidy(pair.target, (tgt[left][0], tgt[right - 1][1]))
                pieces.append(() if piece is None else (edged(pair.target, piece),))
            good = [index for index, one in enumerate(pieces) if one in wanted]
            # The gold span that the links point to; of several the one whose turn it is.
            at = {j for (i, j) in held if i in inside}
            best = max(
                good,
                key=lambda index: (
                    sum(ranges[index][0] <= j < ranges[index][1] for j in at),
                    -abs(wanted.index(pieces[index]) - place),
                ),
                default=None,
            )
            right = best if best is not None else (None if same_number else len(ranges))
            found.append((number, span.span_id, span.label, pieces, table, right))
    return found


def fit(held: Sequence[Example], l2: float) -> np.ndarray:
    """The weights with the highest likelihood of the right ranges, less `l2 / 2` of their squares."""
    rows = [(table, right) for _, _, _, _, table, right in held if right is not None]
    sizes = np.array([len(table) for table, _ in rows])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    everything = np.vstack([table for table, _ in rows])
    gold = everything[[start + right for start, (_, right) in zip(starts, rows, strict=True)]].sum(0)
    which = np.repeat(np.arange(len(rows)), sizes)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        scores = everything @ weights
        top = np.maximum.reduceat(scores, starts)
        chances = np.exp(scores - top[which])
        totals = np.add.reduceat(chances, starts)
        value = (np.log(totals) + top).sum() - gold @ weights + l2 / 2 * weights @ weights
        return value, everything.T @ (chances / totals[which]) - gold + l2 * weights

    return minimize(
        loss, np.zeros(len(span_model.FEATURES)), jac=True, method="L-BFGS-B", bounds=BOUNDS, options={"maxiter": 300}
    ).x


def measured(cell: projection_cells.Cell, held: Sequence[Example], weights: dict[int, np.ndarray]) -> float:
    """Exact F1 in percent; `weights` by fold, of text number modulo their count."""
    answers: dict[int, list[Answer]] = {}
    for number, name, label, pieces, table, _ in held:
        best = int(np.argmax(table @ weights[number % len(weights)]))
        found = pieces[best] if best < len(pieces) else ()
        answers.setdefault(number, []).append(Answer(name, label, found, outcome="kept" if found else "null"))
    rows = [(gold, answers.get(number, [])) for number, gold in enumerate(cell.gold)]
    return round(100 * evaluate(rows)["exact"]["f1"], 2)


def main() -> None:
    """Cross-validate, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--aligners", default="awesome,simalign,fast_align")
    parser.add_argument("--l2", type=float, default=2.0)
    parser.add_argument("--without", default="", help="features left out, with commas")
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    cells = {name: projection_cells.ote("train", name) for name in ("awesome", "simalign", "fast_align")}
    held = {name: examples(cell) for name, cell in cells.items()}
    keep = np.array([name not in args.without.split(",") for name in span_model.FEATURES], float)
    held = {name: [(*one[:4], one[4] * keep, one[5]) for one in rows] for name, rows in held.items()}
    chosen = args.aligners.split(",")
    by_fold = {
        fold: fit([one for name in chosen for one in held[name] if one[0] % FOLDS != fold], args.l2)
        for fold in range(FOLDS)
    }
    scores = {name: measured(cells[name], held[name], by_fold) for name in cells}
    print(f"exact F1, {FOLDS}-fold, fitted on {', '.join(chosen)}: {scores}")
    if args.write:
        weights = fit([one for name in chosen for one in held[name]], args.l2)
        facts = {
            "fitted_on": "OTE en-es train file (Easy-Label-Projection, Apache-2.0), links of " + ", ".join(chosen),
            "l2": args.l2,
            "cross_validated_exact_f1": scores,
            "weights": {name: round(float(value), 4) for name, value in zip(span_model.FEATURES, weights, strict=True)},
        }
        args.write.write_text(json.dumps(facts, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
