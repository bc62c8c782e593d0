"""The options of spans whose right place is known: what a calibration is fitted on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsbuild.project.projection_evaluation import edged
from dsbuild.project.span_evidence import SetEvidence, Unit
from dsbuild.spans import Labelled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_DIGITS = 8


@dataclass(frozen=True, slots=True)
class GoldOptions:
    """Options of all spans in order.

    features: [options, features]; right: whether each is exact; spans: the number of its span, rising; texts: that of its text;
    digests: of the target texts.
    """

    features: Floats
    right: npt.NDArray[np.bool_]
    spans: Ints
    texts: Ints
    digests: tuple[str, ...]


def gold_options(units: Sequence[Unit], gold: Sequence[Labelled], by_id: bool = False) -> GoldOptions:
    """Every option of the units' spans, right where it is exact as `projection_evaluation` counts it.

    gold: the target texts with their labels, beside the units; by_id: whether spans are told apart by id, else by label and place.
    """
    evidence = SetEvidence(units)
    features: list[list[float]] = []
    right: list[bool] = []
    spans: list[int] = []
    texts: list[int] = []
    n_spans = 0
    for number, (unit, item) in enumerate(zip(units, gold, strict=True)):
        places = {
            (span.span_id if by_id else span.label, tuple(edged(item.text, piece) for piece in span.pieces))
            for span in item.spans
        }
        for span in unit.pair.source.spans:
            name = span.span_id if by_id else span.label
            for option in evidence.options(unit, span):
                first, last = option.words
                piece = edged(unit.pair.target, (unit.tgt[first][0], unit.tgt[last - 1][1]))
                features.append(option.features)
                right.append((name, (piece,)) in places)
                spans.append(n_spans)
                texts.append(number)
            n_spans += 1
    return GoldOptions(
        np.array(features, float), np.array(right, bool), np.array(spans, np.int64), np.array(texts, np.int64),
        tuple(digest(item.text) for item in gold),
    )  # fmt: skip


def digest(text: str) -> str:
    """What a text is known by."""
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
