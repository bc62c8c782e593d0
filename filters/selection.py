"""Model-based selection: a quality classifier from texts that the user names good and others, and a share to retain.

Method: FineWeb2-HQ (B. Messmer et al. 2025) and Ruri (H. Tsukagoshi, R. Sasano 2024): a fastText classifier tells chosen texts from a sample of
what is to be filtered, and the best share by its score is kept. Words are told apart by script, so texts without spaces work.
Texts of evaluation sets do not belong among the positives: a selector that has seen them favours them (FineWeb2-HQ's has).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.digests import file_sha256
from dsbuild.errors import RecipeError, SourceError
from dsbuild.filters.fasttext_model import Floats, fit, is_held_out, label_names, load, probabilities, to_line
from dsbuild.stage import Result, Shard, Workspace

COLUMNS = {
    "classifier_score": "the classifier's probability that the text is of the good kind; null for a text without words"
}

POSITIVE, NEGATIVE = "positive", "negative"
MIN_TEXTS = 100
# fastText's default of two million would make every model a gigabyte; hash collisions at this size cost less than a point.
_BUCKET = 200_000


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained classifier and how it did on texts that it was not trained on.

    n_positive, n_negative: distinct texts in all; n_held_out: those measured on (the figures are None if 0); accuracy: at a probability of 0.5;
    auc: how often a positive scores above a negative; precision: share of positives among the best `share` by score.
    """

    path: Path
    n_positive: int
    n_negative: int
    n_held_out: int
    accuracy: float | None
    auc: float | None
    precision: float | None
    share: float


def train(
    positives: Sequence[str], negatives: Sequence[str], out: Path, *, word_ngrams: int = 2, dim: int = 64, epoch: int = 5, lr: float = 0.5,
    seed: int = 1, thread: int = 1, holdout: float = 0.1, share: float = 0.1, bucket: int = _BUCKET,
) -> Trained:  # fmt: skip
    """Train a classifier of good texts, write it to `out`, measure it on a held-out share of the texts.

    Texts that differ only in case, punctuation and space count once. share: the retention that `precision` is for. With `thread=1` the same
    texts, in any order, give the same file. `RecipeError`: fewer than `MIN_TEXTS` texts in a class, a text in both classes, a share outside (0, 1).
    """
    if not 0 <= holdout < 1 or not 0 < share < 1:
        raise RecipeError(f"holdout={holdout:g}, share={share:g}: holdout lies in [0, 1), share in (0, 1)")
    good, bad = (set(map(to_line, texts)) - {""} for texts in (positives, negatives))
    for name, lines in ((POSITIVE, good), (NEGATIVE, bad)):
        if len(lines) < MIN_TEXTS:
            raise RecipeError(f"{len(lines)} distinct {name} texts with words: a classifier needs at least {MIN_TEXTS}")
    both = sorted(good & bad)
    if both:
        raise RecipeError(f"{len(both)} texts are both positive and negative, such as {both[0][:60]!r}")
    rows = [((POSITIVE,), line) for line in good] + [((NEGATIVE,), line) for line in bad]
    held = [row for row in rows if is_held_out(row[1], holdout, seed)]
    fit(
        (row for row in rows if not is_held_out(row[1], holdout, seed)), out, seed=seed, word_ngrams=word_ngrams, dim=dim, epoch=epoch, lr=lr,
        thread=thread, bucket=bucket,
    )  # fmt: skip
    truth = np.array([labels == (POSITIVE,) for labels, _ in held], np.bool_)
    accuracy = area = precision = None
    if truth.any() and not truth.all():
        model = load(out, (POSITIVE,))
        scores = probabilities(model, [line for _, line in held])[:, label_names(model).index(POSITIVE)]
        accuracy = float(((scores >= 0.5) == truth).mean())
        area = auc(scores, truth)
        precision = float(truth[scores >= retain_threshold(scores, share)].mean())
    return Trained(out, len(good), len(bad), len(held), accuracy, area, precision, share)


def auc(scores: Floats, truth: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    """The probability that a positive scores above a negative, ties half: the area under the ROC curve (Mann and Whitney's U)."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n = int(truth.sum())
    return float((ranks[truth].sum() - n * (n + 1) / 2) / (n * (len(truth) - n)))


def retain_threshold(scores: pa.Array | pa.ChunkedArray | Floats | Sequence[float | None], share: float) -> float:
    """The score that the best `share` of the texts reach: rows with a score below it are dropped.

    Texts without a score do not count; of equal scores at the threshold all are kept, so a little more than the share may be. `RecipeError`
    for a share outside (0, 1] or without any score.

    >>> retain_threshold([0.1, 0.9, None, 0.5, 0.7], 0.5)
    0.7
    """
    if not 0 < share <= 1:
        raise RecipeError(f"retain={share:g}: a share lies in (0, 1]")
    if isinstance(scores, pa.Array | pa.ChunkedArray):
        scores = pc.cast(scores, pa.float64()).to_numpy(zero_copy_only=False)
    values = np.array(scores, np.float64)
    values = np.sort(values[~np.isnan(values)])[::-1]
    if not values.size:
        raise RecipeError("no row has a score: there is nothing to retain a share of")
    return float(values[max(1, math.floor(share * len(values) + 1e-9)) - 1])


@dataclass(frozen=True)
class QualityClassifier:
    """Scores texts with a fastText classifier. model: its file; positive: the label that means good."""

    model: str = field(compare=False)
    positive: str = POSITIVE
    data: str = field(default="", init=False)

    name: ClassVar[str] = "classifier"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        load(self.model, (self.positive,))
        object.__setattr__(self, "data", file_sha256(Path(self.model).expanduser(), None))

    def score(self, texts: pa.Array, langs: Sequence[str]) -> dict[str, pa.Array]:
        """`classifier_score`, null for a text without words."""
        model = load(self.model, (self.positive,))
        scores = probabilities(model, [to_line(text) for text in texts.to_pylist()])
        values = scores[:, label_names(model).index(self.positive)]
        return {"classifier_score": pa.array(values, mask=np.isnan(values))}


@dataclass(frozen=True)
class ExternalScore:
    """Take a score column that the user's own reranker or encoder made, so that it is thresholded like the others."""

    column: str

    name: ClassVar[str] = "external"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def score_rows(self, rows: pa.Table) -> dict[str, pa.Array]:
        """`external_score`: the column as numbers, null where it is null or not a number."""
        if self.column not in rows.column_names:
            raise SourceError(f"no column {self.column!r}: the rows have {', '.join(rows.column_names)}")
        values = rows[self.column].combine_chunks()
        if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_null(values.type)):
            raise SourceError(f"column {self.column!r} holds {values.type}: a score is a number")
        numbers = pc.cast(values, pa.float64())
        return {"external_score": pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, pa.float64()))}

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows -> out: the rows with `external_score`."""
        rows: pa.Table = inputs["rows"]
        for name, values in self.score_rows(rows).items():
            rows = rows.append_column(name, values)
        return Result({"out": [Shard(rows)]})
