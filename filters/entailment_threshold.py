"""A threshold for triples from rows that people judged: chosen on one part of them, told on the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import xxhash

from dsbuild.errors import RecipeError
from dsbuild.shares import wilson

LEAST = 20


@dataclass(frozen=True, slots=True)
class Chosen:
    """A threshold and what it does on held-out rows.

    precision, recall: on them, None where nothing reaches the threshold or nothing is stated; low, high: 95 % Wilson interval of the precision;
    coverage: share of them that is kept; n_fit, n_held_out: judged rows on either side.
    """

    threshold: float
    precision: float | None
    low: float | None
    high: float | None
    recall: float | None
    coverage: float
    n_fit: int
    n_held_out: int


def choose(
    ids: Sequence[str],
    scores: Sequence[float | None],
    truth: Sequence[bool],
    *,
    precision: float | None = None,
    seed: int = 0,
) -> Chosen:
    """The lowest threshold whose kept rows reach a precision, or the one of the best F1 where none is asked for.

    Every second row by a hash of its id is held out: no threshold is chosen on the rows that it is told on. A row without a score is never kept.
    `RecipeError` for fewer than 20 rows on a side, rows of one kind only, or a precision that no threshold reaches.
    """
    held = [xxhash.xxh3_64_intdigest(row_id.encode("utf-8"), seed=seed) % 2 == 1 for row_id in ids]
    fit = [(score, right) for score, right, out in zip(scores, truth, held, strict=True) if not out]
    told = [(score, right) for score, right, out in zip(scores, truth, held, strict=True) if out]
    for rows in (fit, told):
        if len(rows) < LEAST or len({right for _, right in rows}) < 2:
            raise RecipeError(
                f"{len(ids)} judged triples: each half needs at least {LEAST}, of both kinds, or a threshold would be chance; judge more"
            )
    threshold = _threshold(fit, precision)
    kept = [right for score, right in told if score is not None and score >= threshold]
    right, stated = sum(kept), sum(right for _, right in told)
    low, high = wilson(right, len(kept))
    return Chosen(
        threshold, right / len(kept) if kept else None, low, high, right / stated if stated else None, len(kept) / len(told), len(fit), len(told),
    )  # fmt: skip


def _threshold(rows: Sequence[tuple[float | None, bool]], precision: float | None) -> float:
    """See `choose`; equal scores are kept or left together."""
    known = sorted(((score, right) for score, right in rows if score is not None), reverse=True)
    stated = sum(right for _, right in rows)
    best: tuple[float, float] | None = None
    highest = 0.0
    kept = right = 0
    for place, (score, is_right) in enumerate(known):
        kept, right = kept + 1, right + is_right
        if place + 1 < len(known) and known[place + 1][0] == score:
            continue
        reached = right / kept
        highest = max(highest, reached)
        value = 2 * right / (kept + stated) if precision is None else float(kept) if reached >= precision else -1.0
        if value >= 0 and (best is None or value > best[0]):
            best = (value, score)
    if best is None:
        raise RecipeError(
            f"no threshold reaches a precision of {precision:g} on the judged triples (the highest is {highest:.3f}); ask for less"
        )
    return best[1]
